"""Measure how often the policy for `target` succeeds under conditions worse than the default ones.

Each row flies the same seeds, and so the same scenes, under one changed condition. The expert, who
knows the scene, flies the same flights as an upper bound. Run it with

    python benchmarks/stress_target.py [--model models/target] [--episodes 100] [--workers 2]
"""

import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
import tyro
from rich.console import Console
from rich.table import Table

from liquid_nav.command import Command
from liquid_nav.controller import Controller
from liquid_nav.evaluation.flight import fly
from liquid_nav.evaluation.statistics import wilson
from liquid_nav.learning.experts.target import TargetExpert
from liquid_nav.onboard import load_policy
from liquid_nav_sim.air.wind import WindModel
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.world import Outcome, World


@dataclass(frozen=True)
class Options:
    """Fly the policy for `target` under worse conditions."""

    model: Path = Path("models/target")
    """Model bundle to fly."""
    episodes: int = 100
    """Number of flights for each condition."""
    seed: int = 100_000
    """Seed of the first flight."""
    workers: int = 2
    """Number of processes."""


def conditions() -> dict[str, WorldConfig]:
    """Give world configurations by name; "gusty" is wind up to 3 m/s with gusts of 1 m/s."""
    base = WorldConfig()
    camera = base.sensor("camera").timing
    return {
        "default": base,
        "held-out looks": replace(base, appearance="held-out"),
        "half the frames": base.with_sensor("camera", timing=replace(camera, drop=0.5)),
        "+60 ms latency": base.with_sensor(
            "camera", timing=replace(camera, latency=camera.latency + 0.06)
        ),
        "15 frames/s": base.with_sensor("camera", timing=replace(camera, rate=15)),
        "gusty": replace(base, wind=WindModel(steady=3.0, gust=1.0)),
    }


def flight(name: str, model: Path | None, seed: int) -> Outcome:
    """Fly one flight with the policy of `model`, or with the expert when it is None."""
    torch.set_num_threads(1)
    world = World(conditions()[name])
    try:
        if model is not None:
            return fly(world, Controller(load_policy(model)[0]), seed).outcome
        world.reset(seed)
        expert = TargetExpert(world)
        while (event := world.next_event()) is not None:
            expert.on_event(event)
            world.command(Command(event.arrival, *expert.command()))
        assert world.outcome is not None
        return world.outcome
    finally:
        world.close()


def main() -> None:
    """Fly all conditions and print a table."""
    options = tyro.cli(Options)
    table = Table(title=f"{options.episodes} flights in each row, seeds from {options.seed} on")
    for column in ("condition", "policy", "95 % interval", "collisions", "timeouts", "expert"):
        table.add_column(column, justify="left" if column == "condition" else "right")
    seeds = range(options.seed, options.seed + options.episodes)
    with multiprocessing.get_context("spawn").Pool(options.workers) as pool:
        for name in conditions():
            work: Callable[[int], Outcome] = partial(flight, name, options.model)
            flown = pool.map(work, seeds)
            ceiling = pool.map(partial(flight, name, None), seeds)
            success = flown.count(Outcome.SUCCESS)
            low, high = wilson(success, len(flown))
            table.add_row(
                name,
                f"{success}/{len(flown)}",
                f"{low:.3f}-{high:.3f}",
                str(flown.count(Outcome.COLLISION)),
                str(flown.count(Outcome.TIMEOUT)),
                f"{ceiling.count(Outcome.SUCCESS)}/{len(ceiling)}",
            )
    Console().print(table)


if __name__ == "__main__":
    main()
