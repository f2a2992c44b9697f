"""Flies a study, shows how it goes, and writes its figures."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console

from liquid_nav.evaluation.study.console import EXPLANATION, WIDTH, print_suite
from liquid_nav.evaluation.study.job import FlightJob
from liquid_nav.evaluation.study.page import PAGE, write_page
from liquid_nav.evaluation.study.study import Study, StudySettings
from liquid_nav.evaluation.study.summary import CellFigures, cell_figures, to_dict
from liquid_nav.evaluation.study.worst import worst_job
from liquid_nav.files import RESULT, write_whole
from liquid_nav.learning.flying.workers import Fleet, LocalFleet
from liquid_nav.learning.progress import progress_bar


def run(
    study: Study,
    settings: StudySettings,
    workers: int,
    pilots: tuple[str, ...],
    fleet: Fleet | None = None,
) -> bool:
    """Fly what is missing of a study, print its tables, and write `RESULT` and `PAGE`.

    Ctrl-C ends it early: tables and files then hold the flights that were finished.

    Args:
        study: the study.
        settings: what its flights have in common.
        workers: number of processes that record the worst flights, and fly the others.
        pilots: pilots that have rows in the tables; one that does not fly has dashes.
        fleet: what flies the others in place of these processes.

    Returns:
        Whether all flights were flown.

    Raises:
        ConfigError: when the folder holds a study with other settings.
        LiquidNavError, OSError: what a flight raises; flights that were finished are kept.

    """
    study.open(settings)
    console = Console(highlight=False, width=WIDTH)
    here = LocalFleet(workers)
    finished = _fly(study.missing(), fleet or here, "flights")
    cells: list[CellFigures] = []
    for suite, conditions in study.suites.items():
        cells += (shown := [cell_figures(study, suite, cell) for cell in conditions])
        print_suite(console, suite, shown, pilots)
    console.print(EXPLANATION.format(first=pilots[0]), style="dim", soft_wrap=True)
    worst = {
        (cell.suite, cell.name): job
        for cell in cells
        if (job := worst_job(study, cell, study.pilots[0])) is not None
    }
    if finished:
        missing = [job for job in worst.values() if not job.path.exists()]
        # A recording is more than one file, and they are few.
        finished = _fly(missing, here, "recordings")
    head = asdict(settings) | {
        "bundle": None if study.bundle is None else str(study.bundle),
        "seed": study.seeds[0],
        "episodes": len(study.seeds),
        "finished": finished,
    }
    result = to_dict(cells, head)
    for place, job in worst.items():
        suite, name = place
        recording = str(job.recording.relative_to(study.folder)) if job.path.exists() else None
        result["suites"][suite][name]["worst"] = {"pilot": job.pilot, "recording": recording}
    write_whole(study.folder / RESULT, json.dumps(result, indent=2) + "\n")
    recorded = {place: job for place, job in worst.items() if job.path.exists()}
    write_page(study, cells, pilots, recorded, head)
    console.print(f"report: {study.folder / PAGE}", soft_wrap=True)
    return finished


def _fly(jobs: Sequence[FlightJob], fleet: Fleet, title: str) -> bool:
    """Fly, and show how it goes; tell whether all were flown, which Ctrl-C prevents."""
    if not jobs:
        return True
    try:
        with progress_bar(Console(stderr=True), title, len(jobs)) as step:
            for job in fleet.record(jobs):
                step(job.cell.name)
    except KeyboardInterrupt:
        return False
    return True
