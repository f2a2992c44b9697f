"""A study on disk: which flights it consists of, and those that have been flown.

The folder of a study holds::

    settings.json                       what all its flights have in common
    flights/CONDITIONS/PILOT/SEED.json  one line for each flight
    held/..., step/...                  and for each probe, see `probes`

where CONDITIONS is the `Cell.fingerprint`: cells of the same conditions in different suites share
their flights. A study that was interrupted goes on with the flights that are missing, and more
suites, pilots or flights can be asked for later.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from liquid_nav.errors import ConfigError
from liquid_nav.evaluation.study.job import FlightJob
from liquid_nav.evaluation.study.pilots import SEES_THE_WORLD
from liquid_nav.evaluation.study.probes import HeldSceneJob, StepJob
from liquid_nav.evaluation.suites import SUITES
from liquid_nav.evaluation.suites.cell import Cell
from liquid_nav.files import write_whole
from liquid_nav.learning.data.images import ImageChange
from liquid_nav_sim.config import WorldConfig

SETTINGS = "settings.json"

KINDS: dict[str, type[FlightJob]] = {
    "flights": FlightJob,
    "held": HeldSceneJob,
    "step": StepJob,
}
"""Kinds of flights, by the folder of their results."""


@dataclass(frozen=True)
class StudySettings:
    """What all flights of a study have in common; its fields are the keys of ``settings.json``.

    Attributes:
        task: name of the task.
        model: SHA-256 of the manifest of the policy's bundle, or None without a policy.
        difficulty: difficulty of the nominal conditions.
        speed: multiple of the usual speeds.
        renderer: what draws for the cameras.
        sensors: kinds of sensors that are fitted beyond those that the policy needs.

    """

    task: str
    model: str | None
    difficulty: float
    speed: float
    renderer: str
    sensors: list[str]


@dataclass(frozen=True)
class Study:
    """Flights of several pilots in the same scenes, cell after cell.

    Attributes:
        folder: folder of the study.
        bundle: bundle of the policy, or None.
        suites: cells by suite.
        pilots: names of the pilots that fly.
        seeds: seeds of the flights of every cell and every pilot.
        probes: number of seeds, from the first one on, that are probed as well.

    """

    folder: Path
    bundle: Path | None
    suites: Mapping[str, Sequence[Cell]]
    pilots: Sequence[str]
    seeds: Sequence[int]
    probes: int = 0

    def open(self, settings: StudySettings) -> None:
        """Begin the study in its folder, or go on with the one that is there.

        Raises:
            ConfigError: when the folder holds a study with other settings.
            OSError: when it cannot be written to.

        """
        path = self.folder / SETTINGS
        self.folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            write_whole(path, json.dumps(asdict(settings), indent=2) + "\n")
            return
        try:
            begun = dict(json.loads(path.read_text(encoding="utf-8")))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{path} is damaged: {error}; choose another folder") from error
        others = [
            f"{name} is {begun.get(name)!r} there and {value!r} here"
            for name, value in asdict(settings).items()
            if begun.get(name) != value
        ]
        if others:
            raise ConfigError(
                f"{self.folder} holds a study with other settings: {'; '.join(others)}. Give the "
                "same ones to go on with it, or choose another folder"
            )

    def missing(self) -> list[FlightJob]:
        """List the flights that have not been flown, cell by cell; all pilots of a seed together.

        Cells of the same conditions have the same flights, which are listed once. In a simulator
        of others there are no probes, and pilots that look into the world do not fly.
        """
        jobs = {
            job.path: job
            for cells in self.suites.values()
            for cell in cells
            for kind in KINDS
            for seed in self.seeds_of(kind)
            for pilot in self.pilots
            if cell.sees_the_world or (kind == "flights" and pilot not in SEES_THE_WORLD)
            if not (job := self.job(cell, pilot, seed, kind)).path.exists()
        }
        return list(jobs.values())

    def seeds_of(self, kind: str) -> Sequence[int]:
        """Give the seeds of a kind of flights in `KINDS`."""
        return self.seeds if kind == "flights" else self.seeds[: self.probes]

    def results(self, cell: Cell, pilot: str, kind: str = "flights") -> dict[int, dict[str, Any]]:
        """Read the results of the flights that have been flown, by seed; see `FlightJob.result`.

        Raises:
            ConfigError: when the file of one is damaged.

        """
        found = {}
        for seed in self.seeds_of(kind):
            path = self.job(cell, pilot, seed, kind).path
            try:
                found[seed] = dict(json.loads(path.read_text(encoding="utf-8")))
            except FileNotFoundError:
                continue
            except (TypeError, ValueError) as error:
                raise ConfigError(
                    f"{path} is damaged: {error}; delete it to fly it again"
                ) from error
        return found

    def job(self, cell: Cell, pilot: str, seed: int, kind: str = "flights") -> FlightJob:
        """Make the job of a flight of a kind in `KINDS`."""
        if pilot in SEES_THE_WORLD:
            cell = replace(cell, image=ImageChange())
        path = self.folder / kind / cell.fingerprint / pilot / f"{seed}.json"
        return KINDS[kind](cell, pilot, self.bundle, seed, path)


def cells_of(names: Sequence[str], base: WorldConfig) -> dict[str, list[Cell]]:
    """Make the cells of suites, by suite.

    Args:
        names: names in `SUITES`.
        base: the nominal conditions.

    Raises:
        ConfigError: on an unknown suite, or one that has the same name for two cells.

    """
    suites = {name: list(SUITES.get(name)(base)) for name in names}
    for name, cells in suites.items():
        if len({cell.name for cell in cells}) < len(cells):
            raise ConfigError(f"the suite {name!r} has the same name for two cells")
    return suites
