"""The tables of a study on a terminal: one for each suite."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from liquid_nav.evaluation.study.summary import CellFigures, PilotFigures

EXPLANATION = (
    "Intervals are Wilson's of 95 %; p is that of the exact McNemar test against {first}, in the "
    "same flights. Of {first}: hit, collisions; late, timeouts; time, median to success; m/s, mean "
    "speed of these flights; path, the straight way over the flown one; clear, 5th percentile of "
    "the least clearance; change, median rate of change of the velocity command, m/s²; held, that "
    "of its least steady axis under a held scene; adapt, time to regain tracking after a step of "
    "the wind."
)

WIDTH = 400
"""Characters that a table may take: a terminal wraps its lines, so that no figure is cut."""

_OF_THE_FIRST = ("hit", "late", "time s", "m/s", "path", "clear m", "change", "held", "adapt s")


def print_suite(
    console: Console, suite: str, cells: Sequence[CellFigures], pilots: Sequence[str]
) -> None:
    """Print the table of a suite: a row for each cell, with a dash where a pilot does not fly."""
    table = Table(title=suite, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("cell", no_wrap=True)
    for index, pilot in enumerate(pilots):
        table.add_column(pilot, justify="right", no_wrap=True)
        if index:
            table.add_column("p", justify="right", no_wrap=True)
    for name in _OF_THE_FIRST:
        table.add_column(name, justify="right", no_wrap=True)
    for cell in cells:
        row: list[str | Text] = [cell.name]
        for index, pilot in enumerate(pilots):
            row.append(_success(cell.pilots.get(pilot)))
            if index:
                row.append(number(cell.p(pilots[0], pilot), 3))
        table.add_row(*row, *_details(cell.pilots.get(pilots[0])))
    console.print(table)
    console.print()


def number(value: float | None, digits: int) -> str:
    """Round to `digits` decimals; a dash for None."""
    return "-" if value is None else f"{value:.{digits}f}"


def _success(figures: PilotFigures | None) -> Text:
    if figures is None:
        return Text("-")
    low, high = figures.wilson95
    share = figures.success / figures.flights
    style = "green" if share >= 0.95 else "yellow" if share >= 0.8 else "red"
    return Text(f"{figures.success}/{figures.flights} {low:.3f}-{high:.3f}", style)


def _details(figures: PilotFigures | None) -> list[str]:
    if figures is None:
        return ["-"] * len(_OF_THE_FIRST)
    return [
        str(figures.collision),
        str(figures.timeout),
        number(figures.time_to_success_s, 1),
        number(figures.speed, 2),
        number(figures.efficiency, 2),
        number(figures.clearance_m, 2),
        number(figures.smoothness, 2),
        number(max(figures.coherence[:3]) if figures.coherence else None, 2),
        number(figures.adaptation_s, 2),
    ]
