"""Figures of a replay, as a table for people and as JSON."""

import math
from typing import Any

from rich.console import Console
from rich.table import Table

from liquid_nav.command import Mode
from liquid_nav.events import SECOND
from liquid_nav.replay.compare import AXES, Comparison
from liquid_nav.replay.run import MODES, Replay

_SHOWN = 20
"""Failsafes and notes printed; the files hold them all."""


def figures(result: Replay) -> dict[str, Any]:
    """All figures in plain JSON types; a number that is not finite is None."""
    damage = result.damage
    values = {
        "topics": result.topics.roles,
        "start_ns": result.start,
        "duration_s": result.duration,
        "events": result.events,
        "commands_sha256": result.digest.hex(),
        "modes_s": {mode.value: seconds for mode, seconds in modes(result).items()},
        "channels": {
            channel.value: vars(c)
            for channel, c in result.channels.items()
            if c.events or c.refused
        },
        "failsafes": [
            {
                "start_s": (f.start - result.start) / SECOND,
                "end_s": (f.end - result.start) / SECOND,
                "mode": f.mode.value,
                "reason": f.reason,
                "open": f.open,
            }
            for f in result.failsafes
        ],
        "comparison": None if result.comparison is None else _comparison(result.comparison),
        "policy_faults": result.policy_faults,
        "lost": damage.lost,
        "undecodable": dict(damage.undecodable),
        "damage": damage.notes,
        "notes": result.notes,
        "wall_s": result.wall,
        "decode_s": result.decode,
    }
    return {key: _plain(value) for key, value in values.items()}


def modes(result: Replay) -> dict[Mode, float]:
    """Seconds in each mode."""
    seconds = dict.fromkeys(MODES, 0.0)
    for failsafe in result.failsafes:
        seconds[failsafe.mode] += (failsafe.end - failsafe.start) / SECOND
    seconds[Mode.NOMINAL] = max(result.duration - sum(seconds.values()), 0.0)
    return seconds


def print_summary(console: Console, result: Replay) -> None:
    """Print what a replay gave."""
    speed = result.duration / result.wall if result.wall else math.nan
    share = result.decode / result.wall if result.wall else math.nan
    console.print(
        f"{result.duration:.3f} s, {result.events} events replayed in {result.wall:.2f} s: "
        f"{speed:.1f}x real time, {share:.0%} of it for images",
        style="bold",
        soft_wrap=True,
    )
    _print_channels(console, result)
    spent = ", ".join(f"{mode.value} {seconds:.3f} s" for mode, seconds in modes(result).items())
    console.print(f"modes: {spent}", soft_wrap=True)
    _print_failsafes(console, result)
    if result.comparison is not None:
        _print_comparison(console, result.comparison, "recorded commands")
    _print_lines(console, "note", result.notes)
    _print_lines(console, "damage", result.damage.notes)
    if result.policy_faults:
        console.print(f"policy faults: {result.policy_faults}", style="red", soft_wrap=True)
    console.print(
        f"messages lost: {result.damage.lost}",
        style="red" if result.damage.lost else None,
        soft_wrap=True,
    )
    console.print(f"commands_sha256 {result.digest.hex()}", soft_wrap=True)


def print_beside(console: Console, other: Replay, comparison: Comparison) -> None:
    """Print what a changed replay gave, beside the one before."""
    console.print("what if:", style="bold")
    _print_channels(console, other)
    spent = ", ".join(f"{mode.value} {seconds:.3f} s" for mode, seconds in modes(other).items())
    console.print(f"modes: {spent}", soft_wrap=True)
    _print_failsafes(console, other)
    _print_comparison(console, comparison, "the replay as it was")


def _print_channels(console: Console, result: Replay) -> None:
    table = Table(box=None, pad_edge=False)
    for name in (
        "channel",
        "events",
        # In two lines it fits into the 80 columns of a pipe.
        "rate\nHz",
        "jitter\nms",
        "latency ms\np50 p99 max",
        "gaps",
        "longest\ns",
        "rejected",
        "late",
    ):
        table.add_column(name, justify="left" if name == "channel" else "right", no_wrap=True)
    for channel, c in result.channels.items():
        refused = sum(c.refused.values())
        if not (c.events or refused):
            continue
        longest = max((length for _, length in c.gaps), default=math.nan)
        latency = (c.latency_p50, c.latency_p99, c.latency_max)
        table.add_row(
            channel.value,
            str(c.events),
            _number(c.rate, 1),
            _number(1e3 * c.jitter, 2),
            " ".join(_number(1e3 * value, 1) for value in latency),
            str(c.gap_count),
            _number(longest, 3),
            str(c.rejected + refused),
            str(c.late),
        )
    console.print(table)


def _print_failsafes(console: Console, result: Replay) -> None:
    for failsafe in result.failsafes[:_SHOWN]:
        begin = (failsafe.start - result.start) / SECOND
        end = (failsafe.end - result.start) / SECOND
        console.print(
            f"  {begin:9.3f} s to {end:9.3f} s  {failsafe.mode.value}: {failsafe.reason}",
            style="yellow",
            soft_wrap=True,
            markup=False,
        )
    if len(result.failsafes) > _SHOWN:
        console.print(f"  and {len(result.failsafes) - _SHOWN} more failsafes")


def _print_comparison(console: Console, comparison: Comparison, reference: str) -> None:
    if not len(comparison.times):
        console.print(f"beside {reference}: there are none", soft_wrap=True)
        return
    errors = ", ".join(
        f"{axis} {_number(rms, 4)} (max {_number(largest, 4)})"
        for axis, rms, largest in zip(
            AXES, comparison.rms.tolist(), comparison.largest.tolist(), strict=True
        )
    )
    said = f"{comparison.same} identical, RMS error {errors}"
    if comparison.identical:
        said = "identical"
    lag = "" if comparison.lag is None else f"; lag {comparison.lag:+.2f} s"
    console.print(f"beside {reference}, {len(comparison.times)}: {said}{lag}", soft_wrap=True)


def _print_lines(console: Console, kind: str, lines: list[str]) -> None:
    for line in lines[:_SHOWN]:
        console.print(f"{kind}: {line}", soft_wrap=True, markup=False)
    if len(lines) > _SHOWN:
        console.print(f"{kind}: and {len(lines) - _SHOWN} more")


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "commands": len(comparison.times),
        "rms": dict(zip(AXES, comparison.rms.tolist(), strict=True)),
        "largest": dict(zip(AXES, comparison.largest.tolist(), strict=True)),
        "identical": comparison.identical,
        "same": comparison.same,
        "lag_s": comparison.lag,
        "correlation": comparison.correlation,
    }


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
