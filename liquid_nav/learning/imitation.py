"""Imitation: behaviour cloning of the expert, then DAgger (Ross et al. 2011), resumable.

Round 0 records flights of the expert, pushed about by bursts of wrong commands. Every later round
flies the policy of the round before, lets the expert label what it met, and trains on all data so
far. Data and checkpoints are files of the run directory, so a run that was cut goes on.
"""

import hashlib
import json
import math
import os
import platform
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from liquid_nav import __version__
from liquid_nav.errors import ConfigError
from liquid_nav.learning.episodes import Episode, load_folder
from liquid_nav.learning.losses import command_loss, sight_loss
from liquid_nav.learning.sequences import PieceStream, unroll
from liquid_nav.learning.workers import Job, record_all
from liquid_nav.onboard import Manifest, PolicyConfig
from liquid_nav.onboard.bundle import WEIGHTS
from liquid_nav.policy import PolicyNetwork, load_network, save_bundle
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.world import Outcome

SEED_LIMIT = 100_000
"""Training flies seeds below this, evaluation seeds from it up."""

ROUND_SEEDS = 2_000
"""Seeds set aside for each round."""


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of a training run.

    Attributes:
        seed: seed of weights, order and disturbances; runs of different seeds share flight seeds.
        demonstrations: flights of the expert in round 0.
        rounds: DAgger rounds after it.
        episodes: flights of the policy in each.
        first_epochs: passes over the data in round 0.
        epochs: passes over all data in each later round.
        last_epochs: passes in the last round, over which the learning rate falls to zero.
        lanes: episodes trained side by side.
        length: events between two optimiser steps; gradients reach that far back.
        learning_rate: of Adam.
        clip: largest norm of a gradient.
        auxiliary: weight of the sight losses.
        workers: processes that fly.

    Raises:
        ConfigError: on a value out of range.

    """

    seed: int = 0
    demonstrations: int = 160
    rounds: int = 6
    episodes: int = 80
    first_epochs: float = 8.0
    epochs: float = 2.0
    last_epochs: float = 8.0
    lanes: int = 16
    length: int = 320
    learning_rate: float = 1e-3
    clip: float = 1.0
    auxiliary: float = 0.3
    workers: int = 2

    def __post_init__(self) -> None:
        for name in ("demonstrations", "episodes", "lanes", "length", "workers"):
            if getattr(self, name) < 1:
                raise ConfigError(f"training {name} must be at least 1, got {getattr(self, name)}")
        for name in ("first_epochs", "epochs", "last_epochs", "learning_rate", "clip"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(
                    f"training {name} must be positive and finite, got {getattr(self, name)}"
                )
        if self.rounds < 0 or not 0 <= self.auxiliary < math.inf or self.seed < 0:
            raise ConfigError(f"training rounds, auxiliary and seed must not be negative: {self}")
        if max(self.demonstrations, self.episodes) > ROUND_SEEDS:
            raise ConfigError(f"at most {ROUND_SEEDS} flights a round, got {self}")
        if (self.rounds + 1) * ROUND_SEEDS > SEED_LIMIT:
            raise ConfigError(f"at most {SEED_LIMIT // ROUND_SEEDS - 1} rounds, got {self.rounds}")


def train(
    out: Path,
    config: TrainingConfig,
    policy: PolicyConfig,
    world: WorldConfig | None = None,
    console: Console | None = None,
    recorded: Path | None = None,
    start: Path | None = None,
) -> Path:
    """Train a policy for the task of `world`; go on where an earlier run in `out` was cut.

    Args:
        out: run directory: `data/`, `tensorboard/`, `checkpoint.pt`, and `model/`, the bundle.
        config: settings; must be those of the run that is resumed.
        policy: architecture.
        world: the task, and conditions around which flights are drawn; by default `target`.
        console: where progress is shown.
        recorded: directory of further episodes, which every round learns from, see
            `liquid_nav.learning.from_bag`.
        start: model bundle whose weights training starts from, instead of random ones.

    Returns:
        The path of the model bundle.

    Raises:
        BundleError: when `start` cannot be read.
        ConfigError: when `out` holds a run with other settings, `recorded` no episodes of the
            policy's camera, or `start` is of another architecture.
        EpisodeError: when a data file of the run is damaged.

    """
    flights = [] if recorded is None else load_folder(recorded, policy.camera)
    run = _Run(out, config, policy, world or WorldConfig(), console or Console(), flights, start)
    for round_ in range(config.rounds + 1):
        run.round(round_)
    return run.bundle


class _Run:
    """State of one training run."""

    def __init__(
        self,
        out: Path,
        config: TrainingConfig,
        policy: PolicyConfig,
        world: WorldConfig,
        console: Console,
        recorded: list[Episode],
        start: Path | None,
    ) -> None:
        network, self.start = _begin(policy, config.seed, start)
        out.mkdir(parents=True, exist_ok=True)
        self.out, self.config, self.policy, self.world = out, config, policy, world
        self.console = console
        self.bundle = out / "model"
        self.recorded = recorded
        self._settle()
        self.network = network
        self.sight_head = nn.Linear(policy.camera_features, 4)
        self.optimiser = torch.optim.Adam(self._parameters(), lr=config.learning_rate)
        self.rng = np.random.default_rng([config.seed, 1])
        self.finished_rounds, self.step, self.seconds = 0, 0, 0.0
        self.outcomes: list[dict[str, int]] = []
        self.episodes = list(recorded)
        self._restore()
        self.log = SummaryWriter(str(out / "tensorboard"), purge_step=self.step)

    def round(self, number: int) -> None:
        """Record the flights of a round and train on all flights so far."""
        count = self.config.episodes if number else self.config.demonstrations
        self._record(number, count)
        if number < self.finished_rounds:
            return
        last = number == self.config.rounds
        epochs = self.config.epochs if number else self.config.first_epochs
        self._train(number, self.config.last_epochs if last else epochs, decay=last)
        self.finished_rounds = number + 1
        self._checkpoint()
        save_bundle(
            self.bundle,
            self.network,
            Manifest(self.world.task.name, self.policy, self._story(), {}),
        )

    def _parameters(self) -> list[nn.Parameter]:
        return [*self.network.parameters(), *self.sight_head.parameters()]

    def _record(self, number: int, count: int) -> None:
        folder = self.out / "data" / f"round{number}"
        seeds = range(number * ROUND_SEEDS, number * ROUND_SEEDS + count)
        missing = [seed for seed in seeds if not (folder / f"{seed}.npz").exists()]
        bundle = self.bundle if number else None
        jobs = [Job(self.world, bundle, seed, folder / f"{seed}.npz") for seed in missing]
        with self._progress(f"round {number}: flights", len(jobs)) as advance:
            for _ in record_all(jobs, self.config.workers):
                advance()
        flown = [Episode.load(folder / f"{seed}.npz") for seed in seeds]
        self.episodes += flown
        tally = Counter(str(episode.outcome) for episode in flown)
        self.outcomes.append({outcome.value: tally[outcome.value] for outcome in Outcome})
        self.console.print(
            f"round {number}: {sum(map(len, self.episodes))} events in all; flights: "
            + ", ".join(f"{name} {times}/{count}" for name, times in self.outcomes[-1].items())
        )
        self.log.add_scalar("flights/success", tally[Outcome.SUCCESS.value] / count, number)

    def _train(self, number: int, epochs: float, decay: bool) -> None:
        stream = PieceStream(self.episodes, self.config.lanes, self.config.length, self.rng)
        steps = max(1, round(epochs * stream.batches_per_epoch()))
        begin = time.perf_counter()
        state, latch = self.network.initial(self.config.lanes)
        self.network.train()
        running = 0.0
        with self._progress(f"round {number}: training", steps) as advance:
            for index, batch in zip(range(steps), stream, strict=False):
                rate = self.config.learning_rate
                if decay:
                    rate *= 0.5 * (1 + math.cos(math.pi * index / steps))
                for group in self.optimiser.param_groups:
                    group["lr"] = rate
                start_state, start_latch = self.network.initial(self.config.lanes)
                fresh = batch.fresh.unsqueeze(1)
                state = torch.where(fresh, start_state, state.detach())
                latch = torch.where(fresh, start_latch, latch.detach())
                commands, frames, state, latch = unroll(self.network, batch, state, latch)
                imitation = command_loss(commands, batch)
                sight = sight_loss(self.sight_head(frames), batch.sight)
                self.optimiser.zero_grad()
                (imitation + self.config.auxiliary * sight).backward()
                norm = nn.utils.clip_grad_norm_(self._parameters(), self.config.clip)
                self.optimiser.step()
                self.step += 1
                self.log.add_scalar("loss/imitation", imitation.item(), self.step)
                self.log.add_scalar("loss/sight", sight.item(), self.step)
                self.log.add_scalar("gradient_norm", norm.item(), self.step)
                running += (imitation.item() - running) * max(0.02, 1 / (index + 1))
                advance(f"loss {running:.4f}")
        self.seconds += time.perf_counter() - begin
        self.console.print(f"round {number}: {steps} steps, loss {running:.4f}")

    def _progress(self, title: str, total: int) -> "_Bar":
        return _Bar(self.console, title, total)

    def _settle(self) -> None:
        """Fix the settings of the run directory, or check them against what it was begun with."""
        settings: dict[str, Any] = {
            "task": _task(self.world),
            "training": asdict(self.config),
            "policy": self.policy.to_dict(),
        }
        if self.recorded:
            settings["recorded"] = _extent(self.recorded)
        if self.start:
            settings["start"] = self.start
        path = self.out / "settings.json"
        if path.exists():
            try:
                begun = json.loads(path.read_text())
            except ValueError as error:
                raise ConfigError(f"{path} cannot be read: {error}") from error
            if begun != json.loads(json.dumps(settings)):
                raise ConfigError(f"{self.out} holds a run with other settings, see {path}")
        else:
            path.write_text(json.dumps(settings, indent=2) + "\n")

    def _checkpoint(self) -> None:
        content = {
            "network": self.network.state_dict(),
            "sight_head": self.sight_head.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "rng": self.rng.bit_generator.state,
            "torch_rng": torch.get_rng_state(),
            "finished_rounds": self.finished_rounds,
            "step": self.step,
            "seconds": self.seconds,
        }
        with tempfile.NamedTemporaryFile(dir=self.out, delete=False) as file:
            torch.save(content, file)
        os.replace(file.name, self.out / "checkpoint.pt")

    def _restore(self) -> None:
        path = self.out / "checkpoint.pt"
        if not path.exists():
            return
        content = torch.load(path, weights_only=True)
        self.network.load_state_dict(content["network"])
        self.sight_head.load_state_dict(content["sight_head"])
        self.optimiser.load_state_dict(content["optimiser"])
        self.rng.bit_generator.state = content["rng"]
        torch.set_rng_state(content["torch_rng"])
        self.finished_rounds = content["finished_rounds"]
        self.step, self.seconds = content["step"], content["seconds"]
        self.console.print(f"resuming {self.out} after round {self.finished_rounds - 1}")

    def _story(self) -> Mapping[str, Any]:
        """Provenance for the manifest."""
        return {
            "task": _task(self.world),
            "settings": asdict(self.config),
            "method": "behaviour cloning, then DAgger",
            "start": self.start,
            "finished_rounds": self.finished_rounds,
            "flights": len(self.episodes),
            "recorded": _extent(self.recorded),
            "events": sum(map(len, self.episodes)),
            "frames": sum(len(episode.frames) for episode in self.episodes),
            "optimiser_steps": self.step,
            "training_seconds": round(self.seconds),
            "outcomes_by_round": self.outcomes,
            "flight_seeds": f"below {SEED_LIMIT}",
            "versions": {
                "liquid_nav": __version__,
                "torch": torch.__version__,
                "numpy": np.__version__,
                "python": platform.python_version(),
            },
        }


def _begin(
    policy: PolicyConfig, seed: int, start: Path | None
) -> tuple[PolicyNetwork, Mapping[str, Any]]:
    """Make the network, its weights drawn or those of `start`, and say what `start` was."""
    torch.manual_seed(seed)
    if start is None:
        return PolicyNetwork(policy), {}
    network, manifest = load_network(start)
    if manifest.config != policy:
        raise ConfigError(
            f"{start} is of another architecture: {manifest.config}, asked for {policy}"
        )
    return network.train(), {
        "weights_sha256": hashlib.sha256((start / WEIGHTS).read_bytes()).hexdigest(),
        "training": dict(manifest.training),
    }


def _task(world: WorldConfig) -> dict[str, Any]:
    return {"name": world.task.name, "difficulty": world.task.difficulty}


def _extent(episodes: Sequence[Episode]) -> dict[str, int]:
    return {"episodes": len(episodes), "events": sum(map(len, episodes))}


class _Bar:
    """A progress bar as a context manager that gives the function to advance it."""

    def __init__(self, console: Console, title: str, total: int) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
        )
        self._task = self._progress.add_task(title, total=total, note="")

    def __enter__(self) -> "_Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, note: str = "") -> None:
        self._progress.update(self._task, advance=1, note=note)
