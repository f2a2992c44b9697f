"""One closed-loop flight in the simulator."""

import hashlib
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from liquid_nav.command import Command
from liquid_nav.events import SECOND, Channel, Event
from liquid_nav_sim.scenes.scene import Scene
from liquid_nav_sim.world import Outcome, World

CLEARANCE_PERIOD = SECOND // 50
"""Time between two looks at position and clearance, ns."""


class Pilot(Protocol):
    """Who flies: a `liquid_nav.controller.Controller`, or an expert in its place."""

    def reset(self) -> None:
        """Begin a flight; the world has been reset."""
        ...

    def on_event(self, event: Event) -> object:
        """Take a measurement at its arrival."""
        ...

    def command(self, now: int) -> Command:
        """The command at `now` ns."""
        ...


@dataclass
class Flight:
    """What happened in one flight.

    Attributes:
        seed: seed of scene and disturbances.
        scene: what it was flown in.
        outcome: how it ended.
        duration: simulated seconds.
        wall: seconds it took to simulate, policy included.
        track: positions every 20 ms, metres, world ENU, shape (P, 3).
        min_clearance: metres from hull to the nearest obstacle, at its smallest.
        event_to_command: wall microseconds from handing over an event to holding the new command,
            per channel.
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
        """Metres flown."""
        return float(np.linalg.norm(np.diff(self.track, axis=0), axis=1).sum())


def fly(
    world: World,
    pilot: Pilot,
    seed: int,
    watch: Callable[[Event, Command], None] | None = None,
) -> Flight:
    """Fly the flight of `seed` to its end.

    Args:
        world: the simulator; reset here.
        pilot: who flies; reset here.
        seed: seed of scene and disturbances.
        watch: called after each event with the command it led to; its time is not counted.

    """
    world.reset(seed)
    pilot.reset()
    digest = hashlib.sha256()
    latencies: dict[Channel, list[float]] = {Channel.CAMERA: [], Channel.IMU: []}
    track, clearance, next_look = [world.state.position], world.clearance(), CLEARANCE_PERIOD
    watched = 0.0
    begin = time.perf_counter()
    while (event := world.next_event()) is not None:
        handed = time.perf_counter()
        pilot.on_event(event)
        command = pilot.command(event.arrival)
        latencies.setdefault(event.channel, []).append((time.perf_counter() - handed) * 1e6)
        world.command(command)
        digest.update(struct.pack("<q4d", command.stamp, *command.vector))
        if world.time >= next_look:
            next_look = world.time + CLEARANCE_PERIOD
            track.append(world.state.position)
            clearance = min(clearance, world.clearance())
        if watch is not None:
            paused = time.perf_counter()
            watch(event, command)
            watched += time.perf_counter() - paused
    wall = time.perf_counter() - begin - watched
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
