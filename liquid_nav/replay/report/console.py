"""The report of a replay as text on a terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from liquid_nav.events import Channel
from liquid_nav.replay.compare import AXES, Comparison
from liquid_nav.replay.report.model import RunReport
from liquid_nav.replay.report.text import number
from liquid_nav.replay.statistics import ChannelStatistics

_SHOWN = 20
"""Failsafes and notes that are printed; the files hold all of them."""


def print_run(console: Console, run: RunReport) -> None:
    """Print what a replay gave."""
    console.print(
        f"{run.duration:.3f} s, {run.events} events replayed in {run.wall:.2f} s: "
        f"{run.speed:.1f}x real time, {run.decoding_share:.0%} of it for images",
        style="bold",
        soft_wrap=True,
    )
    _print_flight(console, run)
    if run.comparison is not None:
        _print_comparison(console, run.comparison, "recorded commands")
    _print_lines(console, "note", run.notes)
    _print_lines(console, "damage", run.losses.notes)
    if run.policy_faults:
        console.print(f"policy faults: {run.policy_faults}", style="red", soft_wrap=True)
    console.print(f"commands limited in their change: {run.slew_limited:.0%}", soft_wrap=True)
    losses = run.losses
    lost, style = f"{losses.total}{losses.doubt}", "red" if losses.total else None
    console.print(f"messages lost: {lost}", style=style, soft_wrap=True)
    console.print(f"commands_sha256 {run.commands_sha256}", soft_wrap=True)


def print_changed(console: Console, changed: RunReport) -> None:
    """Print what a second, changed replay gave, and how it compares with the first."""
    console.print("what if:", style="bold")
    _print_flight(console, changed)
    if changed.comparison is not None:
        _print_comparison(console, changed.comparison, "the replay as it was")


def _print_flight(console: Console, run: RunReport) -> None:
    _print_channels(console, run)
    spent = ", ".join(f"{mode.value} {seconds:.3f} s" for mode, seconds in run.modes.items())
    console.print(f"modes: {spent}", soft_wrap=True)
    _print_failsafes(console, run)
    for warning in run.warnings[:_SHOWN]:
        end = "the end" if warning.open else f"{warning.end:.3f} s"
        console.print(
            f"warning: {warning.channel.value}, {warning.start:.3f} s to {end}: {warning.text}",
            style="yellow",
            soft_wrap=True,
            markup=False,
        )
    if len(run.warnings) > _SHOWN:
        console.print(f"warning: and {len(run.warnings) - _SHOWN} more")


def _print_channels(console: Console, run: RunReport) -> None:
    if not run.channels:
        console.print("no channel sent anything")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name in (
        "channel",
        "events",
        # Headers of two lines keep the table within the 80 columns of a pipe.
        "rate\nHz",
        "jitter\nms",
        "latency ms\np50 p99 max",
        "gaps",
        "longest\ns",
        "dropped\nabout",
        "not\nused",
        "late",
    ):
        table.add_column(name, justify="left" if name == "channel" else "right", no_wrap=True)
    rows = [_cells(channel, c) for channel, c in run.channels.items()]
    for row in rows:
        table.add_row(*row)
    if table.__rich_measure__(console, console.options).maximum <= console.width:
        console.print(table)
        return
    # No figure is cut: a terminal that is too narrow for the table gets a paragraph per channel.
    names = [" ".join(str(column.header).split()) for column in table.columns]
    for channel, *figures in rows:
        pairs = zip(names[1:], figures, strict=True)
        console.print(f"{channel}: " + ", ".join(f"{name} {figure}" for name, figure in pairs))


def _cells(channel: Channel, c: ChannelStatistics) -> list[str]:
    latency = (c.latency_p50, c.latency_p99, c.latency_max)
    return [
        channel.value,
        str(c.events),
        number(c.rate, 1),
        number(1e3 * c.jitter, 2),
        " ".join(number(1e3 * value, 1) for value in latency),
        str(c.gap_count),
        number(c.longest_gap, 3),
        str(c.dropped),
        str(c.rejected + c.refusals),
        str(c.late),
    ]


def _print_failsafes(console: Console, run: RunReport) -> None:
    for failsafe in run.failsafes[:_SHOWN]:
        console.print(
            f"  {failsafe.start:9.3f} s to {failsafe.end:9.3f} s  "
            f"{failsafe.mode.value}: {failsafe.reason}",
            style="yellow",
            soft_wrap=True,
            markup=False,
        )
    if len(run.failsafes) > _SHOWN:
        console.print(f"  and {len(run.failsafes) - _SHOWN} more failsafes")


def _print_comparison(console: Console, comparison: Comparison, reference: str) -> None:
    if not len(comparison.times):
        console.print(f"beside {reference}: there are none", soft_wrap=True)
        return
    errors = ", ".join(
        f"{axis} {number(rms, 4)} (max {number(largest, 4)})"
        for axis, rms, largest in zip(
            AXES, comparison.rms.tolist(), comparison.largest.tolist(), strict=True
        )
    )
    found = f"{comparison.same} identical, RMS error {errors}"
    if comparison.identical:
        found = "identical"
    if comparison.lag is not None:
        found += f"; lag {comparison.lag:+.2f} s"
    elif comparison.correlation is not None:
        found += f"; no lag to be told, the correlation is {comparison.correlation:.2f}"
    if comparison.left_out:
        found += f"; {comparison.left_out} left out, which command nothing that is known"
    console.print(f"beside {reference}, {len(comparison.times)}: {found}", soft_wrap=True)


def _print_lines(console: Console, kind: str, lines: Sequence[str]) -> None:
    for line in lines[:_SHOWN]:
        console.print(f"{kind}: {line}", soft_wrap=True, markup=False)
    if len(lines) > _SHOWN:
        console.print(f"{kind}: and {len(lines) - _SHOWN} more")
