"""What a vehicle must offer to be flown by a pilot, and the flight of one in a simulator.

The boundary is as small as LeRobot's for hardware: what the vehicle has, known before connecting,
and `connect`, `events`, `command`, `disconnect`. A simulator that we did not write, a real drone
behind its driver and our own simulator (`liquid_nav.evaluation.abroad.home`) fit it alike.
"""

import hashlib
import struct
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from liquid_nav.command import Command
from liquid_nav.errors import ConfigError
from liquid_nav.evaluation.flight import CLEARANCE_PERIOD, Flight, Pilot
from liquid_nav.events import SECOND, Channel, Event
from liquid_nav.onboard import PolicyCamera
from liquid_nav.values import is_number
from liquid_nav_sim.scenes.scene import Scene
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

    """

    hull: float
    scene: Scene

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


def fly_vehicle(
    vehicle: SimulatedVehicle,
    pilot: Pilot,
    seed: int,
    watch: Callable[[Event, Command], None] | None = None,
) -> Flight:
    """Fly one flight to its end; connects before and disconnects after it.

    Args:
        vehicle: the vehicle, not connected.
        pilot: gives a command after each event; reset here.
        seed: seed of the flight, for its record.
        watch: called after each event with the command after it; its time is not counted.

    """
    with vehicle:
        pilot.reset()
        digest = hashlib.sha256()
        latencies: dict[Channel, list[float]] = {Channel.CAMERA: [], Channel.IMU: []}
        track, clearance = [vehicle.position], vehicle.clearance()
        next_sample, watching = CLEARANCE_PERIOD, 0.0
        begin = time.perf_counter()
        for event in vehicle.events():
            handed = time.perf_counter()
            pilot.on_event(event)
            command = pilot.command(event.arrival)
            latencies.setdefault(event.channel, []).append((time.perf_counter() - handed) * 1e6)
            vehicle.command(command)
            digest.update(struct.pack("<q4d", command.stamp, *command.vector))
            if vehicle.time >= next_sample:
                next_sample = vehicle.time + CLEARANCE_PERIOD
                track.append(vehicle.position)
                clearance = min(clearance, vehicle.clearance())
            if watch is not None:
                paused = time.perf_counter()
                watch(event, command)
                watching += time.perf_counter() - paused
        wall = time.perf_counter() - begin - watching
        assert vehicle.outcome is not None
        track.append(vehicle.position)
        return Flight(
            seed=seed,
            scene=vehicle.scene,
            outcome=vehicle.outcome,
            duration=vehicle.time / SECOND,
            wall=wall,
            track=np.array(track),
            min_clearance=min(clearance, vehicle.clearance()),
            event_to_command=latencies,
            digest=digest.digest(),
        )
