"""One closed-loop flight in the simulator."""

import hashlib
import struct
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from liquid_nav.command import Command
from liquid_nav.evaluation.home import HomeVehicle
from liquid_nav.evaluation.vehicle import SimulatedVehicle
from liquid_nav.events import SECOND, Channel, Event
from liquid_nav_sim.scenes.scene import Scene
from liquid_nav_sim.world import Outcome, World

CLEARANCE_PERIOD = SECOND // 50
"""Time between two samples of position and clearance, ns."""


class Pilot(Protocol):
    """Gives the commands: a `liquid_nav.controller.Controller`, or an expert in its place."""

    @property
    def channels(self) -> Collection[Channel]:
        """Channels that it reads."""
        ...

    def reset(self) -> None:
        """Begin a flight; the world has been reset."""
        ...

    def on_event(self, event: Event) -> object:
        """Take in a measurement at its arrival."""
        ...

    def command(self, now: int) -> Command:
        """Return the command at `now` ns."""
        ...


@dataclass
class Flight:
    """One flight.

    Attributes:
        seed: seed of scene and disturbances.
        scene: the scene.
        outcome: how the flight ended.
        duration: simulated seconds.
        wall: seconds that the simulation took, including the pilot.
        track: positions every `CLEARANCE_PERIOD`, metres, world ENU, shape (P, 3).
        min_clearance: smallest distance from the hull to an obstacle, metres.
        event_to_command: per channel, microseconds that the pilot took from each event to the new
            command.
        digest: SHA-256 over every command, in order.

    """

    seed: int
    scene: Scene
    outcome: Outcome
    duration: float
    wall: float
    track: NDArray[np.float64]
    min_clearance: float
    event_to_command: dict[Channel, list[float]] = field(repr=False)
    digest: bytes = b""

    @property
    def path_length(self) -> float:
        """Length of the track, metres."""
        return float(np.linalg.norm(np.diff(self.track, axis=0), axis=1).sum())


def fly(
    world: World,
    pilot: Pilot,
    seed: int,
    watch: Callable[[Event, Command], None] | None = None,
    seen: Callable[[Event], Event] | None = None,
) -> Flight:
    """Fly the flight of `seed` to its end.

    Args:
        world: the simulator; reset here.
        pilot: gives the commands; reset here.
        seed: seed of scene and disturbances.
        watch: called after each event with the command after it; its time is not counted.
        seen: gives the event that the pilot and `watch` get in place of one of the world; None
            leaves all as they are.

    """
    home = HomeVehicle(world, seed, pilot.channels)
    return fly_vehicle(home, pilot, seed, watch, seen)


def fly_vehicle(
    vehicle: SimulatedVehicle,
    pilot: Pilot,
    seed: int,
    watch: Callable[[Event, Command], None] | None = None,
    seen: Callable[[Event], Event] | None = None,
) -> Flight:
    """Fly one flight of a vehicle to its end; connect it before and disconnect it after that.

    Args:
        vehicle: the vehicle, not connected.
        pilot: gives a command after each event; reset here.
        seed: seed that the flight is known by.
        watch, seen: as in `fly`.

    """
    with vehicle:
        pilot.reset()
        digest = hashlib.sha256()
        latencies: dict[Channel, list[float]] = {Channel.CAMERA: [], Channel.IMU: []}
        track, clearance = [vehicle.position], vehicle.clearance()
        next_sample, watching = CLEARANCE_PERIOD, 0.0
        begin = time.perf_counter()
        for event in vehicle.events():
            if seen is not None:
                event = seen(event)
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
