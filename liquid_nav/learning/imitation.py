"""Imitation: behaviour cloning of an expert, then DAgger (Ross et al. 2011).

Round 0 records flights of the expert, which bursts of wrong commands push off its path. Every later
round flies the policy of the round before, lets the expert label the events of these flights, and
trains on all flights so far. A run can be interrupted at any time and continued, see
`liquid_nav.learning.runs`.
"""

import math
import platform
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn

from liquid_nav import __version__
from liquid_nav.errors import ConfigError
from liquid_nav.events import Channel
from liquid_nav.learning.config import ROUND_SEEDS, SEED_LIMIT, TrainingConfig
from liquid_nav.learning.episodes import Episode, EpisodeError, load_folder, rates
from liquid_nav.learning.flights import Job
from liquid_nav.learning.log import RoundLog
from liquid_nav.learning.losses import command_loss, sight_loss
from liquid_nav.learning.progress import progress_bar
from liquid_nav.learning.runs import Run, locked
from liquid_nav.learning.sequences import PieceStream, unroll
from liquid_nav.learning.workers import record_all
from liquid_nav.onboard import Manifest, PolicyConfig
from liquid_nav.onboard.bundle import WEIGHTS, sha256
from liquid_nav.policy import PolicyNetwork, load_network
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.world import Outcome


def train(
    out: Path,
    config: TrainingConfig,
    policy: PolicyConfig,
    world: WorldConfig | None = None,
    console: Console | None = None,
    recorded: Path | None = None,
    start: Path | None = None,
) -> Path:
    """Train a policy for the task of `world`, or continue an interrupted run in `out`.

    Args:
        out: folder of the run, see `liquid_nav.learning.runs`.
        config: settings; an interrupted run continues with the same settings only.
        policy: architecture of the policy.
        world: the task, and the conditions around which those of the flights are drawn; the
            default is the task `target`.
        console: where progress is shown.
        recorded: folder of further episodes that every round learns from, see
            `liquid_nav.learning.from_bag`.
        start: model bundle whose weights training starts from; by default they are random.

    Returns:
        The path of the trained model bundle.

    Raises:
        BundleError: when `start` cannot be read.
        ConfigError: when `out` holds a run with other settings, another process is training there,
            `recorded` holds no episodes of the policy's channels, or `start` has another
            architecture than `policy`.
        EpisodeError: when an episode file of the run is damaged, or one is missing that cannot be
            flown again.
        WorkerError: when processes that fly die again and again.

    """
    flights = [] if recorded is None else load_folder(recorded, policy.encoders)
    network, origin = _initial_network(policy, config.seed, start)
    with locked(out):
        trainer = _Trainer(
            out,
            config,
            policy,
            world or WorldConfig(),
            console or Console(),
            flights,
            network,
            origin,
        )
        for round_ in range(config.rounds + 1):
            trainer.round(round_)
    trainer.conclude()
    return trainer.run.bundle


class _Trainer:
    """The state of a training run in memory, and one method for each part of a round."""

    def __init__(
        self,
        out: Path,
        config: TrainingConfig,
        policy: PolicyConfig,
        world: WorldConfig,
        console: Console,
        recorded: list[Episode],
        network: PolicyNetwork,
        start: Mapping[str, Any],
    ) -> None:
        self.network, self.start = network, start
        self.config, self.policy, self.world = config, policy, world
        self.console = console
        self.recorded = recorded
        self.run = Run(out, self._settings())
        camera = policy.by_channel.get(Channel.CAMERA)
        self.sight_head = nn.Identity() if camera is None else nn.Linear(camera.features, 4)
        self.optimiser = torch.optim.Adam(self._parameters(), lr=config.learning_rate)
        self.rng = np.random.default_rng([config.seed, 1])
        self.finished_rounds, self.step, self.seconds = 0, 0, 0.0
        self.outcomes: list[dict[str, int]] = []
        self.episodes = list(recorded)
        self._continue()

    def round(self, number: int) -> None:
        """Record the flights of a round, and train on all flights so far.

        Of a round that was finished before, the flights are loaded and nothing else is done. What
        an attempt that was interrupted has logged is replaced by what this one logs.
        """
        if number < self.finished_rounds:
            self._load(number)
            return
        with RoundLog(self.run.logs, number) as self.log:
            self._record(number)
            last = number == self.config.rounds
            epochs = self.config.epochs if number else self.config.first_epochs
            self._train(number, self.config.last_epochs if last else epochs, decay=last)
        self.finished_rounds = number + 1
        manifest = Manifest(self.world.task.name, self.policy, self._provenance(), {})
        self.run.keep(number, self.network, manifest, self._state())

    def conclude(self) -> None:
        """Tell what is not known about the trained policy."""
        self.console.print(
            f"{self.run.bundle} holds the policy of round {self.config.rounds}, which has not flown"
            f" yet: liquid-nav fly --model {self.run.bundle}",
            soft_wrap=True,
        )

    def _parameters(self) -> list[nn.Parameter]:
        return [*self.network.parameters(), *self.sight_head.parameters()]

    def _flights(self, number: int) -> dict[int, Path]:
        """Give the file of each flight of a round, by its seed."""
        count = self.config.episodes if number else self.config.demonstrations
        seeds = range(number * ROUND_SEEDS, number * ROUND_SEEDS + count)
        return {seed: self.run.episode(number, seed) for seed in seeds}

    def _record(self, number: int) -> None:
        """Fly the flights of a round that are not on disk yet, and load all of them."""
        paths = self._flights(number)
        there = sum(path.exists() for path in paths.values())
        if paths[min(paths)].parent.exists():
            self.console.print(
                f"round {number} was interrupted and starts again; "
                f"{there} of its {len(paths)} flights are there"
            )
        self._load(number)
        outcomes = self.outcomes[-1]
        self.console.print(
            f"round {number}: {sum(map(len, self.episodes))} events in all; flights of the "
            f"{_pilot(number)}: "
            + ", ".join(f"{name} {times}/{len(paths)}" for name, times in outcomes.items())
        )
        success = outcomes[Outcome.SUCCESS.value] / len(paths)
        if number:
            # A point is at the round that made the policy, not at the one that flew it.
            self.log.add_scalar("flights/success_of_policy", success, number - 1)
        else:
            self.log.add_scalar("flights/success_of_expert", success, 0)

    def _load(self, number: int) -> None:
        """Load the flights of a round, fly those that are missing, and count the outcomes."""
        paths = self._flights(number)
        missing = {seed: path for seed, path in paths.items() if not path.exists()}
        # The policy that flew the flights of a finished round is gone.
        once = 0 < number < self.finished_rounds
        advice = "choose another folder for a new run" if once else "delete it to fly it again"
        if missing and once:
            path = next(iter(missing.values()))
            raise EpisodeError(f"{path} is missing, and cannot be flown again: {advice}")
        bundle = self.run.bundle if number else None
        jobs = [
            Job(self.world, self.policy.encoders, bundle, seed, path)
            for seed, path in missing.items()
        ]
        if jobs:
            with progress_bar(self.console, f"round {number}: flights", len(jobs)) as advance:
                for _ in record_all(jobs, self.config.workers):
                    advance()
        try:
            flown = [Episode.load(path) for path in paths.values()]
        except EpisodeError as error:
            raise EpisodeError(f"{error}; {advice}") from error
        self.episodes += flown
        tally = Counter(str(episode.outcome) for episode in flown)
        self.outcomes.append({outcome.value: tally[outcome.value] for outcome in Outcome})

    def _train(self, number: int, epochs: float, decay: bool) -> None:
        """Pass over all flights so far; with `decay` the learning rate falls to zero."""
        lanes, length = self.config.lanes, self.config.length
        encoders = self.policy.encoders
        stream = PieceStream(self.episodes, lanes, length, self.rng, encoders=encoders)
        steps = max(1, round(epochs * stream.batches_per_epoch()))
        begin = time.perf_counter()
        state, latch = self.network.initial(self.config.lanes)
        self.network.train()
        running = 0.0
        with progress_bar(self.console, f"round {number}: training", steps) as advance:
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
                commands, encoded, state, latch = unroll(self.network, batch, state, latch)
                imitation = command_loss(commands, batch)
                sight = torch.zeros(())
                if Channel.CAMERA in encoded:
                    sight = sight_loss(self.sight_head(encoded[Channel.CAMERA]), batch.sight)
                self.optimiser.zero_grad()
                (imitation + self.config.auxiliary * sight).backward()
                norm = nn.utils.clip_grad_norm_(self._parameters(), self.config.clip)
                self.optimiser.step()
                self.step += 1
                self.log.add_scalar("loss/imitation", imitation.item(), self.step)
                self.log.add_scalar("loss/sight", sight.item(), self.step)
                self.log.add_scalar("gradient_norm", norm.item(), self.step)
                _check_finite(number, imitation, norm)
                running += (imitation.item() - running) * max(0.02, 1 / (index + 1))
                advance(f"loss {running:.4f}")
        self.seconds += time.perf_counter() - begin
        self.console.print(f"round {number}: {steps} steps, loss {running:.4f}")

    def _settings(self) -> dict[str, Any]:
        """Collect what the result of the run depends on."""
        settings: dict[str, Any] = {
            "task": _task(self.world),
            "training": asdict(self.config),
            "policy": self.policy.to_dict(),
        }
        if self.recorded:
            settings["recorded"] = _extent(self.recorded)
        if self.start:
            settings["start"] = self.start
        return settings

    def _state(self) -> dict[str, Any]:
        """Collect what training needs to continue after a round, except the network's weights."""
        return {
            "sight_head": self.sight_head.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "rng": self.rng.bit_generator.state,
            "torch_rng": torch.get_rng_state(),
            "finished_rounds": self.finished_rounds,
            "step": self.step,
            "seconds": self.seconds,
        }

    def _continue(self) -> None:
        """Take over the newest round of the run, if there is one."""
        kept = self.run.newest()
        if kept is None:
            return
        try:
            self.network.load_state_dict(kept.network.state_dict())
            self.sight_head.load_state_dict(kept.state["sight_head"])
            self.optimiser.load_state_dict(kept.state["optimiser"])
            self.rng.bit_generator.state = kept.state["rng"]
            torch.set_rng_state(kept.state["torch_rng"])
            self.finished_rounds = kept.state["finished_rounds"]
            self.step, self.seconds = kept.state["step"], kept.state["seconds"]
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise ConfigError(
                f"{self.run.path} holds a training state of another version, which cannot be "
                f"continued: {error!r}"
            ) from error
        self.console.print(f"continuing {self.run.path} after round {self.finished_rounds - 1}")

    def _provenance(self) -> Mapping[str, Any]:
        """Describe for the manifest how the policy was trained."""
        return {
            "task": _task(self.world),
            "settings": asdict(self.config),
            "method": "behaviour cloning, then DAgger",
            "start": self.start,
            "finished_rounds": self.finished_rounds,
            "flights": len(self.episodes),
            "recorded": _extent(self.recorded),
            "events": sum(map(len, self.episodes)),
            "frames": sum(len(episode.sight) for episode in self.episodes),
            "rates": rates(self.episodes),
            "optimiser_steps": self.step,
            "training_seconds": round(self.seconds),
            "outcomes_by_round": self.outcomes,
            # Whose outcomes these are: the policy of this bundle has not flown.
            "flown_by": [_pilot(number) for number in range(len(self.outcomes))],
            "flight_seeds": f"below {SEED_LIMIT}",
            "versions": {
                "liquid_nav": __version__,
                "torch": torch.__version__,
                "numpy": np.__version__,
                "python": platform.python_version(),
            },
        }


def _initial_network(
    policy: PolicyConfig, seed: int, start: Path | None
) -> tuple[PolicyNetwork, Mapping[str, Any]]:
    """Make the network, with random weights or those of the bundle `start`.

    Returns:
        The network, and a description of the origin of its weights, empty for random ones.

    """
    torch.manual_seed(seed)
    if start is None:
        return PolicyNetwork(policy), {}
    network, manifest = load_network(start)
    if manifest.config != policy:
        raise ConfigError(
            f"{start} has another architecture than asked for: {manifest.config}, not {policy}"
        )
    return network.train(), {
        "weights_sha256": sha256(start / WEIGHTS),
        "training": dict(manifest.training),
    }


def _check_finite(round_: int, loss: Tensor, norm: Tensor) -> None:
    """Raise ConfigError if training has diverged; it would go on with weights that are NaN."""
    if not (loss.isfinite() and norm.isfinite()):
        raise ConfigError(
            f"training diverged in round {round_}: the loss is {loss.item():g} and the norm of its "
            f"gradient {norm.item():g}; a lower --learning-rate may help"
        )


def _pilot(number: int) -> str:
    """Tell who flies the flights of a round."""
    return f"policy of round {number - 1}" if number else "expert"


def _task(world: WorldConfig) -> dict[str, Any]:
    return {"name": world.task.name, "difficulty": world.task.difficulty}


def _extent(episodes: Sequence[Episode]) -> dict[str, int]:
    return {"episodes": len(episodes), "events": sum(map(len, episodes))}
