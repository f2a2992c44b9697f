"""Measure the time from event to command of the classical pilot of each task, beside a policy.

Both get the events of one flight, which the classical pilot flies, in turn. Run it with

    python benchmarks/classical_pilots.py [--tasks target gates]
"""

import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from liquid_nav.cli.shipped import shipped_model
from liquid_nav.controller import Controller
from liquid_nav.evaluation.classical import CLASSICAL_PILOTS, classical_pilot
from liquid_nav.evaluation.flight import fly
from liquid_nav.events import Channel, Event
from liquid_nav.onboard import load_policy
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.tasks.registry import make_task
from liquid_nav_sim.world import World


@dataclass(frozen=True)
class Options:
    """Time the classical pilots and a policy on the same events."""

    tasks: tuple[str, ...] = tuple(CLASSICAL_PILOTS)
    """Tasks to fly."""
    model: Path | None = None
    """Directory of the policy's bundle; the shipped one for `target` if not given."""
    seed: int = 100_000
    """Seed of the flight."""


def recorded(task: str, seed: int) -> list[Event]:
    """Collect the events of a flight."""
    events: list[Event] = []
    world = World(WorldConfig(task=make_task(task)))
    fly(world, classical_pilot(task), seed, lambda event, command: events.append(event))
    world.close()
    return events


def timed(pilot: Controller, events: list[Event]) -> dict[Channel, list[float]]:
    """Microseconds from each event to the command after it, per channel."""
    taken: dict[Channel, list[float]] = defaultdict(list)
    pilot.reset()
    for event in events:
        begin = time.perf_counter()
        pilot.on_event(event)
        pilot.command(event.arrival)
        taken[event.channel].append((time.perf_counter() - begin) * 1e6)
    return taken


def main(options: Options) -> None:
    """Fly all tasks and print a table."""
    policy = Controller(load_policy(options.model or shipped_model("target"))[0])
    table = Table("events of", "pilot", "frame, us: p50", "p99", "IMU sample, us: p50", "p99")
    for task in options.tasks:
        events = recorded(task, options.seed)
        for name, pilot in (("classical", classical_pilot(task)), ("policy", policy)):
            taken = timed(pilot, events)
            figures = [np.percentile(taken[c], (50, 99)) for c in (Channel.CAMERA, Channel.IMU)]
            table.add_row(task, name, *(f"{value:.0f}" for value in np.concatenate(figures)))
    Console().print(table)


if __name__ == "__main__":
    main(tyro.cli(Options))
