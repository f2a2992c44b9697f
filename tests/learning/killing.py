"""A training run that kills its own process at a chosen instant."""

import itertools
import os
import signal
import sys
from dataclasses import replace
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch.optim.optimizer import register_optimizer_step_post_hook

from liquid_nav.learning.config import TrainingConfig
from liquid_nav.learning.imitation import train
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.tasks.target import TargetTask
from support import small_network

CONFIG = TrainingConfig(
    demonstrations=2,
    rounds=3,
    episodes=2,
    first_steps=6,
    steps=6,
    last_steps=6,
    validation=1,
    lanes=2,
    length=64,
    workers=0,
)
FILES = {"open", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink"}


def train_until(
    instant: int | None, out: Path, passed: "Synchronized[int]", workers: int = 0
) -> None:
    """Train a small policy, and die by SIGKILL at an instant.

    Every optimiser step is an instant, and so is everything that this process does to a file of the
    run.

    Args:
        instant: number of the instant, from 1; None lets the training end.
        out: folder of the run.
        passed: is set to the number of instants that have passed.
        workers: number of processes that fly.

    """
    # Threads of torch that wait for a busy core are many times slower than one thread. With one,
    # sums are rounded alike whatever the number of workers.
    torch.set_num_threads(1)
    instants = itertools.count(1)

    def tick() -> None:
        passed.value = next(instants)
        if passed.value == instant:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_event(event: str, arguments: tuple[Any, ...]) -> None:
        if event in FILES and str(arguments[0]).startswith(str(out)):
            tick()

    sys.addaudithook(on_event)
    register_optimizer_step_post_hook(lambda *_: tick())
    world = WorldConfig(task=TargetTask(time_limit=1.0))
    config = replace(CONFIG, workers=workers)
    train(out, config, small_network()[0], world, Console(quiet=True))
