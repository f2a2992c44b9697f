"""One flight for training, drawn by its seed, from the take-off to the episode's file."""

import functools
from pathlib import Path
from typing import NamedTuple

import numpy as np

from liquid_nav.controller import Controller
from liquid_nav.learning.rollout import Bursts, randomised, record
from liquid_nav.learning.sensing import fitted
from liquid_nav.onboard import load_policy
from liquid_nav.onboard.encoders import Encoder
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.world import World


class Job(NamedTuple):
    """A flight to record.

    Attributes:
        config: conditions around which those of the flight are drawn.
        encoders: encoders that read the events of the episode.
        bundle: model bundle of the policy that flies; None lets the expert fly.
        seed: seed of the flight.
        path: path of the episode's file.

    """

    config: WorldConfig
    encoders: tuple[Encoder, ...]
    bundle: Path | None
    seed: int
    path: Path

    def fly(self) -> None:
        """Fly and save the flight."""
        fly(self)


def fly(job: Job) -> None:
    """Fly and save one flight."""
    config, encoders, bundle, seed, path = job
    rng = np.random.default_rng([seed, 7])
    world = _world()
    world.config = randomised(fitted(config, {encoder.channel for encoder in encoders}), rng)
    controller = None
    if bundle is not None:
        controller = Controller(load_policy(bundle)[0])
        bursts = Bursts(rate=0.25 if rng.random() < 0.5 else 0.0, rng=rng)
    else:
        bursts = Bursts(rate=0.5, rng=rng)
    record(world, seed, controller, bursts, encoders).save(path)


@functools.cache
def _world() -> World:
    return World()
