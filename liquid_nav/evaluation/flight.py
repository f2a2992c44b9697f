"""One closed-loop flight of a controller in the simulator."""

import hashlib
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from liquid_nav.command import Command
from liquid_nav.controller import Controller
from liquid_nav.events import SECOND, Channel, Event
from liquid_nav_sim.scene import Scene
from liquid_nav_sim.world import Outcome, World

CLEARANCE_PERIOD = SECOND // 50
"""Time between two looks at position and clearance, ns."""


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
    controller: Controller,
    seed: int,
    watch: Callable[[Event, Command], None] | None = None,
) -> Flight:
    """Fly the flight of `seed` to its end.

    Args:
        world: the simulator; reset here.
        controller: the controller; reset here.
        seed: seed of scene and disturbances.
        watch: called after each event with the command it led to; its time is not counted.

    """
    world.reset(seed)
    controller.reset()
    digest = hashlib.sha256()
    latencies: dict[Channel, list[float]] = {Channel.CAMERA: [], Channel.IMU: []}
    track, clearance, next_look = [world.state.position], world.clearance(), CLEARANCE_PERIOD
    watched = 0.0
    begin = time.perf_counter()
    while (event := world.next_event()) is not None:
        handed = time.perf_counter()
        controller.on_event(event)
        command = controller.command(event.arrival)
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
