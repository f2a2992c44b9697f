"""One flight for training, drawn by its seed, from the take-off to its file."""

import functools
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from liquid_nav.command import CommandLimits
from liquid_nav.controller import Controller
from liquid_nav.files import write_whole
from liquid_nav.learning.flying.conditions import LOOKS, randomised
from liquid_nav.learning.flying.rollout import Bursts, record
from liquid_nav.learning.flying.sensing import events, fitted
from liquid_nav.onboard import load_policy
from liquid_nav.onboard.encoders import Encoder
from liquid_nav.safety.layer import SafetyConfig
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.world import World


class Job(NamedTuple):
    """A flight to fly.

    Attributes:
        config: conditions around which those of the flight are drawn.
        encoders: encoders that read the events of the episode.
        bundle: model bundle of the policy that flies; None lets the expert fly.
        seed: seed of the flight.
        path: path of its file: an episode to learn from, or the outcome if it only judges.
        difficulty: the flight has one drawn between 0 and this; None for that of `config`.
        drawn: whether the conditions are drawn around those of `config`.
        judges: whether the flight judges the policy. Then nothing pushes it off its path.
        looks: appearance that is drawn most often where conditions are drawn.

    """

    config: WorldConfig
    encoders: tuple[Encoder, ...]
    bundle: Path | None
    seed: int
    path: Path
    difficulty: float | None = None
    drawn: bool = True
    judges: bool = False
    looks: str = LOOKS

    def fly(self) -> None:
        """Fly and save the flight."""
        fly(self)

    def moved(self, path: Path, bundle: Path | None) -> "Job":
        """Give the same flight on a machine where its file and its bundle are elsewhere."""
        return self._replace(path=path, bundle=bundle)


def fly(job: Job) -> None:
    """Fly one flight and save what it gives."""
    rng = np.random.default_rng([job.seed, 7])
    channels = {encoder.channel for encoder in job.encoders}
    world, config = _world(), fitted(job.config, channels)
    if job.difficulty is not None:
        # The square root draws hard flights more often.
        drawn = job.difficulty * math.sqrt(rng.random())
        task = replace(config.task, difficulty=drawn)
        config = replace(config, task=task)
    world.config = randomised(config, rng, job.looks) if job.drawn else config
    controller = None
    if job.bundle is not None:
        limits = CommandLimits().scaled(config.task.speed)
        controller = Controller(load_policy(job.bundle)[0], SafetyConfig(limits=limits))
    if job.judges:
        assert controller is not None
        _judge(world, controller, job.seed, job.path)
        return
    # The expert is always disturbed, and a policy in half of its flights.
    rate = 0.5 if controller is None else 0.25 * (rng.random() < 0.5)
    bursts = Bursts(rate=rate, rng=rng)
    record(world, job.seed, controller, bursts, job.encoders).save(job.path)


def _judge(world: World, controller: Controller, seed: int, path: Path) -> None:
    """Fly without labels, and save the outcome."""
    world.reset(seed)
    controller.reset()
    for event in events(world, controller.channels):
        controller.on_event(event)
        world.command(controller.command(event.arrival))
    assert world.outcome is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps({"outcome": world.outcome.value}) + "\n")


@functools.cache
def _world() -> World:
    return World()
