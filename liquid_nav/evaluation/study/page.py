"""The report of a study as one HTML page that opens offline: tables, bars and worst flights.

Template and style are the files in `page`.
"""

import base64
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from liquid_nav.evaluation.study.console import number
from liquid_nav.evaluation.study.probes import RATE
from liquid_nav.evaluation.study.study import Study
from liquid_nav.evaluation.study.summary import CellFigures, PilotFigures
from liquid_nav.evaluation.study.worst import WorstJob
from liquid_nav.files import write_whole

PAGE = "report.html"
"""Name of the page in the folder of the study."""

CHART = (260, 90)
"""Width and height of the chart of a response, units of its SVG."""


@dataclass(frozen=True)
class WorstFlight:
    """A worst flight, for the page.

    Attributes:
        picture: PNG, base64.
        link: path of the recording, from the page.
        command: command line that replays it; empty if no policy flew.

    """

    picture: str
    link: str
    command: str


@dataclass(frozen=True)
class Overview:
    """One suite in the table at the top: of each pilot the mean success rate and the lowest one."""

    suite: str
    cells: int
    mean: Mapping[str, float]
    lowest: Mapping[str, tuple[float, str]]


def write_page(
    study: Study,
    cells: Sequence[CellFigures],
    pilots: Sequence[str],
    worst: Mapping[tuple[str, str], WorstJob],
    settings: Mapping[str, Any],
) -> None:
    """Write the page into the folder of the study, whole or not at all.

    Args:
        study: the study.
        cells: figures of all cells.
        pilots: pilots that have rows; one that does not fly has dashes.
        worst: recorded worst flight by suite and cell.
        settings: what the head of the page lists.

    Raises:
        OSError: when the file cannot be written.

    """
    suites = {suite: [c for c in cells if c.suite == suite] for suite in study.suites}
    page = (
        _environment()
        .get_template("report.html")
        .render(
            settings=settings,
            pilots=pilots,
            suites=suites,
            overview=[_overview(suite, of, pilots) for suite, of in suites.items()],
            worst_pilot=study.pilots[0],
            worst={place: _worst_flight(study, job) for place, job in worst.items()},
            style=Markup((files(__package__) / "page" / "style.css").read_text(encoding="utf-8")),
        )
    )
    write_whole(study.folder / PAGE, page)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__, "page"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["number"] = number
    environment.globals.update(rate=RATE, chart=CHART, response_points=response_points)
    return environment


def _overview(suite: str, cells: Sequence[CellFigures], pilots: Sequence[str]) -> Overview:
    rates = {
        pilot: [(_rate(c.pilots[pilot]), c.name) for c in cells if pilot in c.pilots]
        for pilot in pilots
    }
    flown = {pilot: of for pilot, of in rates.items() if of}
    mean = {pilot: sum(rate for rate, _ in of) / len(of) for pilot, of in flown.items()}
    return Overview(suite, len(cells), mean, {pilot: min(of) for pilot, of in flown.items()})


def _rate(figures: PilotFigures) -> float:
    return figures.success / figures.flights


def _worst_flight(study: Study, job: WorstJob) -> WorstFlight:
    recording = Path(os.path.relpath(job.recording, study.folder))
    command = ""
    if job.pilot == "policy" and job.bundle is not None:
        words = ("liquid-nav", "replay", str(job.recording), "--model", str(job.bundle))
        command = shlex.join(words)
    picture = base64.b64encode(job.path.read_bytes()).decode()
    return WorstFlight(picture, recording.as_posix(), command)


def response_points(response: Sequence[float], others: Sequence[Sequence[float]]) -> str:
    """Points of the SVG polyline of a response to the step.

    Args:
        response: samples, `RATE` a second, m/s.
        others: all responses of the chart, which share its scale.

    """
    (width, height), count = CHART, max(map(len, others))
    top = max((abs(value) for other in others for value in other), default=0.0) or 1.0
    return " ".join(
        f"{width * k / max(count - 1, 1):.1f},{height / 2 - value / top * (height / 2 - 4):.1f}"
        for k, value in enumerate(response)
    )
