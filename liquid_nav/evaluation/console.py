"""The table of a benchmark run on a terminal: one row per flight, and the summary below."""

import numpy as np
from rich.console import Console
from rich.text import Text

from liquid_nav.evaluation.flight import Flight
from liquid_nav.evaluation.statistics import Summary
from liquid_nav_sim.world import Outcome

_COLUMNS = (
    ("episode", 7),
    ("seed", 6),
    ("outcome", 9),
    ("time s", 7),
    ("path m", 7),
    ("clearance m", 11),
    ("command us", 10),
    ("sha256", 8),
)
"""Names and widths; ``command us`` is the mean time from an event to the new command, ``sha256``
the beginning of the digest over the commands, see `FlightSummary`."""

_STYLES = {Outcome.SUCCESS: "green", Outcome.COLLISION: "red", Outcome.TIMEOUT: "yellow"}


def print_header(console: Console) -> None:
    """Print the names of the columns."""
    console.print(_row([name for name, _ in _COLUMNS]), style="bold", soft_wrap=True)


def print_flight(console: Console, index: int, flight: Flight) -> None:
    """Print the row of a flight; `index` counts from 0."""
    latencies = [t for channel in flight.event_to_command.values() for t in channel]
    cells = [
        str(index + 1),
        str(flight.seed),
        flight.outcome.value,
        f"{flight.duration:.2f}",
        f"{flight.path_length:.2f}",
        f"{flight.min_clearance:.2f}",
        f"{np.mean(latencies):.0f}" if latencies else "-",
        flight.digest.hex()[:8],
    ]
    text = Text(_row(cells))
    text.highlight_words([flight.outcome.value], _STYLES[flight.outcome])
    console.print(text, soft_wrap=True)


def print_summary(console: Console, summary: Summary, interrupted: bool) -> None:
    """Print the lines below the table."""
    low, high = summary.wilson95
    console.print(
        f"{'interrupted: ' if interrupted else ''}success {summary.success}/{summary.episodes} "
        f"(95 % interval {low:.3f} to {high:.3f}), collision {summary.collision}, "
        f"timeout {summary.timeout}",
        style="bold",
        soft_wrap=True,
    )
    if summary.realtime_factor is not None:
        latencies = ", ".join(
            f"{name} {times.p50:.0f} / {times.p99:.0f} us"
            for name, times in summary.event_to_command_us.items()
            if times.p50 is not None
        )
        console.print(
            f"{summary.realtime_factor:.1f}x real time; event to command, median / 99th "
            f"percentile: {latencies}",
            soft_wrap=True,
        )
    console.print(f"commands_sha256 {summary.commands_sha256}", soft_wrap=True)


def _row(cells: list[str]) -> str:
    return "  ".join(f"{cell:>{width}}" for cell, (_, width) in zip(cells, _COLUMNS, strict=True))
