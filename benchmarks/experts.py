"""Measure whether and how fast the expert of each task solves it, at three difficulties.

The ray caster draws the frames where it is compiled: experts only need to know whether a target has
been in view. Run it with

    python benchmarks/experts.py [--tasks forest gates] [--speeds 1 2] [--episodes 100]
"""

import multiprocessing
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from liquid_nav.evaluation.flight import Flight, fly
from liquid_nav.evaluation.statistics import wilson
from liquid_nav.learning.experts import expert_of
from liquid_nav.learning.experts.base import ExpertPilot
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.render.raycaster import library
from liquid_nav_sim.tasks.registry import TASKS, make_task
from liquid_nav_sim.world import Outcome, World

DIFFICULTIES = (0.0, 0.5, 1.0)


@dataclass(frozen=True)
class Options:
    """Fly the expert of every task under the default conditions."""

    tasks: tuple[str, ...] = tuple(TASKS)
    """Tasks to fly."""
    speeds: tuple[float, ...] = (1.0,)
    """Multiples of the usual speeds to fly at."""
    episodes: int = 100
    """Number of flights at each difficulty."""
    seed: int = 100_000
    """Seed of the first flight."""
    workers: int = 2
    """Number of processes."""


def flight(task: str, difficulty: float, speed: float, seed: int) -> Flight:
    """Fly one flight."""
    renderer = "bullet" if library() is None else "raycast"
    world = World(WorldConfig(task=make_task(task, difficulty, speed), renderer=renderer))
    try:
        return fly(world, ExpertPilot(expert_of(world)), seed)
    finally:
        world.close()


def main(options: Options) -> None:
    """Fly all tasks and print a table."""
    table = Table(
        *("task", "difficulty", "speed", "success", "95 % interval", "collisions", "timeouts"),
        *("mean duration, s", "mean speed, m/s", "least clearance, m"),
    )
    seeds = range(options.seed, options.seed + options.episodes)
    with multiprocessing.get_context("spawn").Pool(options.workers) as pool:
        for task in options.tasks:
            for difficulty, speed in product(DIFFICULTIES, options.speeds):
                flights = pool.map(partial(flight, task, difficulty, speed), seeds, chunksize=1)
                outcomes = [flown.outcome for flown in flights]
                good = outcomes.count(Outcome.SUCCESS)
                low, high = wilson(good, len(flights))
                air = min(flown.min_clearance for flown in flights)
                table.add_row(
                    task,
                    f"{difficulty:g}",
                    f"{speed:g}",
                    f"{good}/{len(flights)}",
                    f"{low:.3f}-{high:.3f}",
                    str(outcomes.count(Outcome.COLLISION)),
                    str(outcomes.count(Outcome.TIMEOUT)),
                    f"{np.mean([flown.duration for flown in flights]):.1f}",
                    f"{np.mean([flown.path_length / flown.duration for flown in flights]):.2f}",
                    f"{air:.2f}",
                )
    Console().print(table)


if __name__ == "__main__":
    main(tyro.cli(Options))
