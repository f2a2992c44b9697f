"""Flies a study, shows how it goes, and writes its figures."""

import json
from dataclasses import asdict
from typing import Any

from rich.console import Console

from liquid_nav.evaluation.study.console import EXPLANATION, WIDTH, print_suite
from liquid_nav.evaluation.study.study import Study, StudySettings
from liquid_nav.evaluation.study.summary import CellFigures, cell_figures, to_dict
from liquid_nav.files import RESULT, write_whole
from liquid_nav.learning.progress import progress_bar
from liquid_nav.learning.workers import record_all


def run(study: Study, settings: StudySettings, workers: int, pilots: tuple[str, ...]) -> bool:
    """Fly what is missing of a study, print its tables, and write `RESULT` in its folder.

    Ctrl-C ends it early: the tables and the file then hold the flights that were finished.

    Args:
        study: the study.
        settings: what its flights have in common.
        workers: number of processes that fly.
        pilots: pilots that have rows in the tables; one that does not fly has dashes.

    Returns:
        Whether all flights were flown.

    Raises:
        ConfigError: when the folder holds a study with other settings.
        LiquidNavError, OSError: what a flight raises; flights that were finished are kept.

    """
    study.open(settings)
    console = Console(highlight=False, width=max(WIDTH, Console().width))
    jobs, finished = study.missing(), True
    try:
        with progress_bar(Console(stderr=True), "flights", len(jobs)) as step:
            for job in record_all(jobs, workers):
                step(job.cell.name)
    except KeyboardInterrupt:
        finished = False
    figures: list[CellFigures] = []
    for suite, cells in study.suites.items():
        figures += (shown := [cell_figures(study, suite, cell) for cell in cells])
        print_suite(console, suite, shown, pilots)
    console.print(EXPLANATION.format(first=pilots[0]), style="dim", soft_wrap=True)
    result = to_dict(figures, _head(study, settings, finished))
    write_whole(study.folder / RESULT, json.dumps(result, indent=2) + "\n")
    return finished


def _head(study: Study, settings: StudySettings, finished: bool) -> dict[str, Any]:
    return asdict(settings) | {
        "seed": study.seeds[0],
        "episodes": len(study.seeds),
        "finished": finished,
    }
