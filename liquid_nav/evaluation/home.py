"""Our own simulator behind the boundary of a vehicle."""

from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import NDArray

from liquid_nav.command import Command
from liquid_nav.evaluation.vehicle import SimulatedVehicle
from liquid_nav.events import SECOND, Channel, Event
from liquid_nav.learning.flying.sensing import events
from liquid_nav.onboard import PolicyCamera
from liquid_nav.vehicle import Equipment
from liquid_nav_sim.sensors.camera import CameraParameters
from liquid_nav_sim.world import Outcome, World


class HomeVehicle(SimulatedVehicle):
    """The vehicle of a `World`.

    Args:
        world: the simulator; it stays open.
        seed: seed of scene and disturbances.
        channels: channels that the pilot reads; only the goal matters, which no sensor measures.

    """

    def __init__(self, world: World, seed: int, channels: Collection[Channel] = ()) -> None:
        self.world, self.seed, self._channels = world, seed, channels

    @property
    def equipment(self) -> Equipment:
        """The sensors of the world's configuration."""
        config, rates, camera = self.world.config, dict[Channel, float](), None
        for sensor in config.sensors:
            rates[sensor.model.channel] = sensor.timing.rate
            if camera is None and isinstance(sensor.model, CameraParameters):
                model = sensor.model
                camera = PolicyCamera(model.width, model.height, model.horizontal_fov)
        return Equipment(rates, SECOND / config.step, camera)

    def connect(self) -> None:
        """Begin the flight."""
        self.world.reset(self.seed)
        self.scene, self.attempt = self.world.scene, self.world.attempt
        self.hull = self.world.vehicle.collision_radius

    def events(self) -> Iterator[Event]:
        """Yield measurements, and goals if they are read."""
        return events(self.world, self._channels)

    def command(self, command: Command) -> None:
        """Set the setpoint of the autopilot."""
        self.world.command(command)

    def disconnect(self) -> None:
        """Leave the world as it is: who opened it closes it."""

    @property
    def time(self) -> int:
        """Simulated time since the start of the flight, ns."""
        return self.world.time

    @property
    def position(self) -> NDArray[np.float64]:
        """Centre of the vehicle, metres, world ENU, shape (3,)."""
        return self.world.state.position

    @property
    def outcome(self) -> Outcome | None:
        """How the flight ended; None while it lasts."""
        return self.world.outcome
