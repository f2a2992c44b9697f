"""What a vehicle must offer to be flown by a pilot.

The boundary is as small as LeRobot's for hardware: what the vehicle has, known before connecting,
and `connect`, `events`, `command`, `disconnect`. A simulator that we did not write, a real drone
behind its driver and our own simulator (`liquid_nav.evaluation.home`) fit it alike.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from liquid_nav.command import Command
from liquid_nav.errors import ConfigError
from liquid_nav.events import Channel, Event
from liquid_nav.onboard import PolicyCamera
from liquid_nav.values import is_number
from liquid_nav_sim.scenes.scene import Scene
from liquid_nav_sim.tasks.base import Attempt
from liquid_nav_sim.world import Outcome


@dataclass(frozen=True)
class Equipment:
    """What a vehicle has; known before anything is connected.

    Attributes:
        rates: measurements a second of each channel that the vehicle measures.
        command_rate: how often it takes a new command, Hz; of those that come between, the newest.
        camera: size and lens of its frames; None without a camera.

    Raises:
        ConfigError: on a rate that is not positive, or frames without a camera.

    """

    rates: Mapping[Channel, float]
    command_rate: float
    camera: PolicyCamera | None = field(default_factory=PolicyCamera)

    def __post_init__(self) -> None:
        for name, rate in (*self.rates.items(), ("command_rate", self.command_rate)):
            if not (is_number(rate) and 0 < rate < float("inf")):
                raise ConfigError(f"the rate of {name} must be a positive number of Hz, got {rate}")
        if Channel.CAMERA in self.rates and self.camera is None:
            raise ConfigError("equipment that measures the channel camera must name its camera")


class Vehicle(ABC):
    """One vehicle, from `connect` to `disconnect`. In a ``with`` block it does both by itself."""

    @property
    @abstractmethod
    def equipment(self) -> Equipment:
        """What the vehicle has."""

    @abstractmethod
    def connect(self) -> None:
        """Open the connection, and begin a flight in hover."""

    @abstractmethod
    def events(self) -> Iterator[Event]:
        """Yield each measurement when it arrives, until the flight is over.

        Stamps and arrivals are ns on one clock, arrivals never decrease, and vectors are in the
        body frame FLU. The vehicle flies on while the next event is waited for.
        """

    @abstractmethod
    def command(self, command: Command) -> None:
        """Take a command in the heading frame; the vehicle follows the newest one."""

    @abstractmethod
    def disconnect(self) -> None:
        """Release everything that `connect` took; no harm without or after it."""

    def __enter__(self) -> "Vehicle":
        self.connect()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.disconnect()


class SimulatedVehicle(Vehicle):
    """A vehicle in a simulator, where the truth is known. Pilots do not see it.

    Attributes:
        hull: radius of the upright cylinder around the vehicle, metres.
        scene: where it flies.
        attempt: progress of the flight at its task; there is one from `connect` on.

    """

    hull: float
    scene: Scene
    attempt: Attempt

    @property
    @abstractmethod
    def time(self) -> int:
        """Simulated time since the start of the flight, ns."""

    @property
    @abstractmethod
    def position(self) -> NDArray[np.float64]:
        """Centre of the vehicle, metres, world ENU, shape (3,)."""

    @property
    @abstractmethod
    def outcome(self) -> Outcome | None:
        """How the flight ended; None while it lasts."""

    def clearance(self) -> float:
        """Distance from the hull to the nearest obstacle, metres."""
        distances = [solid.distance(self.position) for solid in self.scene.obstacles]
        return min(distances, default=float("inf")) - self.hull
