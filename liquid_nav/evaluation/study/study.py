"""A study on disk: which flights it consists of, and those that have been flown.

The folder of a study holds::

    settings.json                      what all its flights have in common
    flights/CONDITIONS/PILOT/SEED.json one line for each flight

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
from liquid_nav.evaluation.suites import SUITES
from liquid_nav.evaluation.suites.cell import Cell
from liquid_nav.files import write_whole
from liquid_nav.learning.images import ImageChange
from liquid_nav_sim.config import WorldConfig

SETTINGS, FLIGHTS = "settings.json", "flights"


@dataclass(frozen=True)
class StudySettings:
    """What all flights of a study have in common; its fields are the keys of ``settings.json``.

    Attributes:
        task: name of the task.
        model: SHA-256 of the manifest of the policy's bundle, or None without a policy.
        difficulty: difficulty of the nominal conditions.
        renderer: what draws for the cameras.

    """

    task: str
    model: str | None
    difficulty: float
    renderer: str


@dataclass(frozen=True)
class Study:
    """Flights of several pilots in the same scenes, cell after cell.

    Attributes:
        folder: folder of the study.
        bundle: bundle of the policy, or None.
        suites: cells by suite.
        pilots: names of the pilots that fly.
        seeds: seeds of the flights of every cell and every pilot.

    """

    folder: Path
    bundle: Path | None
    suites: Mapping[str, Sequence[Cell]]
    pilots: Sequence[str]
    seeds: Sequence[int]

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

        Cells of the same conditions have the same flights, which are listed once. Pilots that look
        into the world do not fly where a cell has none.
        """
        jobs = {
            job.path: job
            for cells in self.suites.values()
            for cell in cells
            for seed in self.seeds
            for pilot in self.pilots
            if cell.sees_the_world or pilot not in SEES_THE_WORLD
            if not (job := self._job(cell, pilot, seed)).path.exists()
        }
        return list(jobs.values())

    def result(self, cell: Cell, pilot: str, seed: int) -> dict[str, Any] | None:
        """Read the result of a flight, see `FlightJob.result`; None if it has not been flown.

        Raises:
            ConfigError: when its file is damaged.

        """
        path = self._job(cell, pilot, seed).path
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ConfigError(f"{path} is damaged: {error}; delete it to fly it again") from error
        return content

    def _job(self, cell: Cell, pilot: str, seed: int) -> FlightJob:
        if pilot in SEES_THE_WORLD:
            cell = replace(cell, image=ImageChange())
        path = self.folder / FLIGHTS / cell.fingerprint / pilot / f"{seed}.json"
        return FlightJob(cell, pilot, self.bundle, seed, path)


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
