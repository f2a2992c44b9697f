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
from liquid_nav.events import SECOND, Channel, Event
from liquid_nav.learning.sensing import events
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
    world.reset(seed)
    pilot.reset()
    digest = hashlib.sha256()
    latencies: dict[Channel, list[float]] = {Channel.CAMERA: [], Channel.IMU: []}
    track, clearance, next_sample = [world.state.position], world.clearance(), CLEARANCE_PERIOD
    watching = 0.0
    begin = time.perf_counter()
    for event in events(world, pilot.channels):
        if seen is not None:
            event = seen(event)
        handed = time.perf_counter()
        pilot.on_event(event)
        command = pilot.command(event.arrival)
        latencies.setdefault(event.channel, []).append((time.perf_counter() - handed) * 1e6)
        world.command(command)
        digest.update(struct.pack("<q4d", command.stamp, *command.vector))
        if world.time >= next_sample:
            next_sample = world.time + CLEARANCE_PERIOD
            track.append(world.state.position)
            clearance = min(clearance, world.clearance())
        if watch is not None:
            paused = time.perf_counter()
            watch(event, command)
            watching += time.perf_counter() - paused
    wall = time.perf_counter() - begin - watching
    assert world.outcome is not None
    track.append(world.state.position)
    return Flight(
        seed=seed,
        scene=world.scene,
        outcome=world.outcome,
        duration=world.time / SECOND,
        wall=wall,
        track=np.array(track),
        min_clearance=min(clearance, world.clearance()),
        event_to_command=latencies,
        digest=digest.digest(),
    )
