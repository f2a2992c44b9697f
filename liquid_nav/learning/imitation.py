"""Imitation: behaviour cloning of an expert, then DAgger (Ross et al. 2011).

Rounds 0 and 1 learn from flights of the expert, which bursts of wrong commands push off its path.
From round 2 on, policies fly and the expert labels the events of their flights. Every round trains
on all flights so far.

Flights and optimisation overlap: while a round is trained, other processes fly for the next round
with the policy of the round before, and judge that policy on scenes of their own. What flies is
fixed by the numbers of the rounds and not by time, so a run that is interrupted and continued gives
the weights of one that is not. See `liquid_nav.learning.runs`.
"""

import os
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

from liquid_nav import __version__
from liquid_nav.errors import ConfigError
from liquid_nav.learning.config import ROUND_SEEDS, SEED_LIMIT, TrainingConfig
from liquid_nav.learning.data.episodes import Episode, EpisodeError, load_folder, rates
from liquid_nav.learning.flying.conditions import LOOKS
from liquid_nav.learning.flying.flights import Job
from liquid_nav.learning.flying.workers import Fleet, Flights, LocalFleet
from liquid_nav.learning.learner import Learner
from liquid_nav.learning.log import RoundLog
from liquid_nav.learning.progress import progress_bar
from liquid_nav.learning.runs import Run, locked
from liquid_nav.learning.settings import RunSettings
from liquid_nav.learning.validation import Score, Validation
from liquid_nav.onboard import Manifest, PolicyConfig
from liquid_nav.onboard.bundle import WEIGHTS, sha256
from liquid_nav.policy import PolicyNetwork, load_network
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.scenes.appearance import family_of
from liquid_nav_sim.world import Outcome


def train(
    out: Path,
    config: TrainingConfig,
    policy: PolicyConfig,
    world: WorldConfig | None = None,
    console: Console | None = None,
    recorded: Path | None = None,
    photographs: Path | None = None,
    start: Path | None = None,
    fleet: Fleet | None = None,
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
            `liquid_nav.learning.data.from_bag`.
        photographs: folder of photographs that become grounds of training flights, in place of
            those that come with installed packages.
        start: model bundle whose weights training starts from; by default they are random.
        fleet: what flies; by default `workers` processes of this machine, see `TrainingConfig`.

    Returns:
        The path of the model bundle of the best round.

    Raises:
        BundleError: when `start` cannot be read.
        ConfigError: when `out` holds a run with other settings, another process is training there,
            `recorded` holds no episodes of the policy's channels, or `start` has another
            architecture than `policy`.
        EpisodeError: when an episode file of the run is damaged, or one is missing that cannot be
            flown again.
        SimulationError: when `photographs` holds none that can be read.
        WorkerError: when processes that fly die again and again.

    """
    flights = [] if recorded is None else load_folder(recorded, policy.encoders)
    network, origin = _initial_network(policy, config.seed, start)
    world = world or WorldConfig()
    looks = LOOKS if photographs is None else f"{LOOKS}:{photographs}"
    family_of(looks)  # Photographs that cannot be read fail here, before there is a run.
    if fleet is None and config.workers:
        fleet = LocalFleet(config.workers)
    recipe = RunSettings(
        task=world.task.name,
        difficulty=world.task.difficulty,
        speed=world.task.speed,
        channels=tuple(encoder.name for encoder in policy.encoders),
        optional=tuple(e.name for e in policy.encoders if e.channel in policy.optional),
        cell=policy.cell,
        units=policy.units,
        cell_options=policy.cell_options,
        start=start,
        recorded=recorded,
        photographs=photographs,
        training=config,
    ).to_toml()
    with locked(out):
        trainer = _Trainer(
            out,
            config,
            policy,
            world,
            console or Console(),
            flights,
            network,
            origin,
            recipe,
            fleet,
            looks,
        )
        trainer.run_rounds()
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
        recipe: str,
        fleet: Fleet | None,
        looks: str,
    ) -> None:
        self.start, self.recorded, self.console, self.looks = start, recorded, console, looks
        self.config, self.policy, self.world, self.fleet = config, policy, world, fleet
        # A device that is not there is found before the run is written.
        self.learner = Learner(network, policy, config)
        self.run = Run(out, self._settings(), recipe)
        self.validation = Validation(self.run, world, policy.encoders, config.validation, looks)
        self.finished_rounds, self.seconds = 0, 0.0
        self.outcomes: list[dict[str, int]] = []
        self.episodes = list(recorded)
        self._continue()
        self._began = time.monotonic() - self.seconds
        self._threads = torch.get_num_threads()

    def run_rounds(self) -> None:
        """Train all rounds, and judge the policies of the last ones."""
        rounds = range(self.config.rounds + 1)
        for number in range(self.finished_rounds):
            self._load(number)
        self._announce(self.finished_rounds)
        for number in range(self.finished_rounds, len(rounds)):
            self._load(number)
            self._round(number)
        last = rounds[-1]
        self._judge(rounds)
        with RoundLog(self.run.logs, len(rounds)) as log:
            self._log_score(last, log)
        self._tell_score(last)
        best = self.validation.best(rounds)
        self.run.publish(best, rounds[-2:])
        self.console.print(
            f"{self.run.bundle} holds the policy of round {best} of {last}", soft_wrap=True
        )

    def _round(self, number: int) -> None:
        """Train a round, while other processes fly for the next one.

        What an attempt that was interrupted has logged is replaced by what this one logs.
        """
        config, fleet, last = self.config, self.fleet, number == self.config.rounds
        jobs = [] if last else self._missing_flights(number + 1)
        jobs += self.validation.jobs(number - 1) if number else []
        # The optimiser has the cores on which nothing flies, and at least one.
        free = (os.cpu_count() or 1) - (fleet.beside if fleet else 0)
        torch.set_num_threads(max(1, min(free, self._threads)))
        flights = Flights(jobs, fleet, beside=True)
        try:
            with RoundLog(self.run.logs, number) as log:
                steps = (
                    config.last_steps if last else config.steps if number else config.first_steps
                )
                with progress_bar(self.console, f"round {number}: training", steps) as advance:
                    loss = self.learner.train(self.episodes, steps, log, advance)
                self._wait(f"round {number}: other flights", flights)
                self._log_success(number, log)
        finally:
            flights.close()
        self.finished_rounds = number + 1
        self.seconds = time.monotonic() - self._began
        manifest = Manifest(self.world.task.name, self.policy, self._provenance(), {})
        self.run.keep(number, self.learner.policy, manifest, self._state())
        self._publish()
        self.console.print(f"round {number}: {steps} steps, loss {loss:.4f}", soft_wrap=True)
        if number:
            self._tell_score(number - 1)

    def _judge(self, rounds: Sequence[int]) -> None:
        """Fly the missing flights that judge those policies of some rounds that are still there."""
        there = [number for number in rounds if self.run.model(number).exists()]
        self._fly("validation", [job for number in there for job in self.validation.jobs(number)])

    def _publish(self) -> None:
        """Offer the best policy so far, and keep what the next rounds need."""
        newest = self.finished_rounds - 1
        self.run.publish(self.validation.best(range(newest + 1)), {newest, newest - 1})

    def _flights(self, number: int) -> dict[int, Path]:
        """Give the file of each flight of a round, by its seed."""
        count = self.config.episodes if number else self.config.demonstrations
        seeds = range(number * ROUND_SEEDS, number * ROUND_SEEDS + count)
        return {seed: self.run.episode(number, seed) for seed in seeds}

    def _missing_flights(self, number: int) -> list[Job]:
        """List the flights of a round that are to be flown."""
        if number > self.config.rounds:
            return []
        bundle = self.run.model(number - 2) if number >= 2 else None
        # Difficulty grows over the first half of the rounds, to twice that of the run.
        growth = min(1.0, 2 * number / max(self.config.rounds, 1))
        difficulty = min(1.0, self.world.task.difficulty * (1 + growth))
        return [
            Job(self.world, self.policy.encoders, bundle, seed, path, difficulty, looks=self.looks)
            for seed, path in self._flights(number).items()
            if not path.exists()
        ]

    def _announce(self, number: int) -> None:
        """Tell with which round a run goes on that was interrupted."""
        flights = list(self._flights(number).values())
        if number <= self.config.rounds and flights[0].parent.exists():
            there = sum(path.exists() for path in flights)
            self.console.print(
                f"round {number} starts from its beginning; "
                f"{there} of its {len(flights)} flights are there"
            )

    def _fly(self, title: str, jobs: list[Job]) -> None:
        """Fly and wait."""
        if not jobs:
            return
        flights = Flights(jobs, self.fleet)
        try:
            self._wait(title, flights)
        finally:
            flights.close()

    def _wait(self, title: str, flights: Flights) -> None:
        with progress_bar(self.console, title, len(flights)) as advance:
            for _ in flights:
                advance()

    def _load(self, number: int) -> None:
        """Load the flights of a round, and count their outcomes."""
        paths = self._flights(number)
        missing = [path for path in paths.values() if not path.exists()]
        # The policy that flew the flights of a finished round is gone.
        once = 2 <= number < self.finished_rounds
        advice = "choose another folder for a new run" if once else "delete it to fly it again"
        if missing and once:
            raise EpisodeError(f"{missing[0]} is missing, and cannot be flown again: {advice}")
        if missing:
            self._fly(f"round {number}: flights", self._missing_flights(number))
        try:
            flown = [Episode.load(path) for path in paths.values()]
        except EpisodeError as error:
            raise EpisodeError(f"{error}; {advice}") from error
        self.episodes += flown
        tally = Counter(str(episode.outcome) for episode in flown)
        self.outcomes.append({outcome.value: tally[outcome.value] for outcome in Outcome})
        if number >= self.finished_rounds:
            self.console.print(
                f"round {number}: {sum(map(len, self.episodes))} events in all; flights of the "
                f"{_pilot(number)}: "
                + ", ".join(f"{name} {n}/{len(paths)}" for name, n in self.outcomes[-1].items()),
                soft_wrap=True,
            )

    def _log_success(self, number: int, log: RoundLog) -> None:
        """Log the successes of who flew; that of a policy is at the round that made it."""
        success = self.outcomes[number][Outcome.SUCCESS.value] / len(self._flights(number))
        name = "flights/success_of_policy" if number >= 2 else "flights/success_of_expert"
        log.add_scalar(name, success, number - 2 if number >= 2 else number)
        if number:
            self._log_score(number - 1, log)

    def _log_score(self, number: int, log: RoundLog) -> None:
        score = self.validation.score(number)
        if score is not None and score.flights:
            log.add_scalar("validation/nominal", score.nominal / score.flights, number)
            log.add_scalar("validation/drawn", score.drawn / score.flights, number)

    def _tell_score(self, number: int) -> None:
        score = self.validation.score(number)
        if score is not None and score.flights:
            self.console.print(
                f"validation of the policy of round {number}, {self._minutes():.1f} minutes after "
                f"the start of the run: {score}",
                soft_wrap=True,
            )

    def _minutes(self) -> float:
        return (time.monotonic() - self._began) / 60

    def _settings(self) -> dict[str, Any]:
        """Collect what the result of the run depends on."""
        settings: dict[str, Any] = {
            "task": _task(self.world),
            "training": asdict(self.config),
            "policy": self.policy.to_dict(),
        }
        if self.recorded:
            settings["recorded"] = _extent(self.recorded)
        if self.looks != LOOKS:
            settings["looks"] = self.looks
        if self.start:
            settings["start"] = self.start
        return settings

    def _state(self) -> dict[str, Any]:
        """Collect what training needs to continue after a round, except the policy's weights."""
        return {
            "learner": self.learner.state(),
            "finished_rounds": self.finished_rounds,
            "seconds": self.seconds,
        }

    def _continue(self) -> None:
        """Take over the newest round of the run, if there is one."""
        kept = self.run.newest()
        if kept is None:
            return
        try:
            self.learner.load(kept.network, kept.state["learner"])
            self.finished_rounds = kept.state["finished_rounds"]
            self.seconds = kept.state["seconds"]
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise ConfigError(
                f"{self.run.path} holds a training state of another version, which cannot be "
                f"continued: {error!r}"
            ) from error
        # The newest policy is judged beside the next round.
        self._judge(range(self.finished_rounds - 1))
        self._publish()
        self.console.print(f"continuing {self.run.path} after round {self.finished_rounds - 1}")

    def _scores(self) -> list[dict[str, int] | None]:
        """Successes in validation of each round so far; None of one that has not been judged."""
        scores: list[Score | None] = [
            self.validation.score(number) for number in range(self.finished_rounds)
        ]
        return [None if score is None else asdict(score) for score in scores]

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
            "optimiser_steps": self.learner.steps,
            "training_seconds": round(self.seconds),
            "outcomes_by_round": self.outcomes,
            # Whose outcomes these are: the policy of this bundle has not flown.
            "flown_by": [_pilot(number) for number in range(len(self.outcomes))],
            "validation": self._scores(),
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


def _pilot(number: int) -> str:
    """Tell who flies the flights of a round."""
    return f"policy of round {number - 2}" if number >= 2 else "expert"


def _task(world: WorldConfig) -> dict[str, Any]:
    task = world.task
    settings = {"name": task.name, "difficulty": task.difficulty}
    # Runs that an earlier version began have no speed.
    return settings if task.speed == 1 else {**settings, "speed": task.speed}


def _extent(episodes: Sequence[Episode]) -> dict[str, int]:
    return {"episodes": len(episodes), "events": sum(map(len, episodes))}
