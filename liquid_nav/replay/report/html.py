"""The report of a replay: one HTML file that opens offline, with plots, video, logs, and tables."""

import base64
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from liquid_nav.command import Mode
from liquid_nav.events import SECOND, Channel
from liquid_nav.files import whole_file
from liquid_nav.replay.compare import AXES, Comparison
from liquid_nav.replay.report.charts import Curve, Shade, TimeAxis, Values, chart, raster, text
from liquid_nav.replay.report.page import geometry, page
from liquid_nav.replay.report.summary import modes
from liquid_nav.replay.run import Replay
from liquid_nav.replay.statistics import ChannelTimes

if TYPE_CHECKING:
    from liquid_nav.replay.report.film import ReplayFilm

MAX_ROWS = 500
"""Rows of the failsafe log; the JSON beside the report holds them all."""

_UNITS = ("m/s", "m/s", "m/s", "rad/s")
_REACH = 10.0
"""Recorded commands up to so many times the replayed ones widen the axis; a recording may hold any
number."""


def write_report(
    path: Path,
    result: Replay,
    *,
    flight: str,
    model: str,
    film: "ReplayFilm | None" = None,
    filmless: str = "",
    changed: tuple[Replay, Comparison] | None = None,
) -> None:
    """Write the report, whole or not at all.

    Args:
        path: the file to make.
        result: the replay.
        flight: the recording, in words.
        model: the model, in words.
        film: the video of it, still open, or None.
        filmless: why there is none.
        changed: a second replay of the recording, and how it compares.

    Raises:
        OSError: when the file cannot be written.

    """
    axis = _axis(result, changed[0] if changed else None)
    video, clock = _video(result, axis, film, filmless)
    sections = [
        f"<h1>{text(flight)}</h1>",
        f'<p class="faint">replayed with {text(model)}</p>',
        '<div class="top"><div>',
        _summary(result),
        "</div>",
        video,
        "</div>",
        _commands(result, axis, changed),
        _ages(result, axis),
        _timeline(result, axis),
        _failsafes(result),
        _statistics(result),
    ]
    if changed is not None:
        sections.append(_changed(*changed))
    sections.append(_damage(result))
    data = json.dumps({"seconds": axis.seconds, "clock": clock, **geometry()})
    content = page(f"Replay of {flight}", "\n".join(sections), data)
    with whole_file(path) as staging:
        # A path may hold bytes that are no text.
        staging.write_bytes(content.encode("utf-8", "replace"))


def _axis(result: Replay, other: Replay | None) -> TimeAxis:
    """From the first event to the last, also where the clock of the recording went back."""
    times = [r.times for r in (result, other) if r is not None and len(r.times)]
    if not times:
        return TimeAxis(result.start, result.end)
    return TimeAxis(int(min(t.min() for t in times)), int(max(t.max() for t in times)))


def _summary(result: Replay) -> str:
    spent = ", ".join(
        f"{mode.value} {seconds:.3f} s" for mode, seconds in modes(result).items() if seconds
    )
    lost = result.damage.lost
    rows = [
        ("duration", f"{result.duration:.3f} s"),
        ("events", str(result.events)),
        ("modes", spent or "-"),
        ("failsafes", str(len(result.failsafes))),
        ("messages lost", str(lost)),
        ("policy faults", str(result.policy_faults)),
        ("replayed in", _speed(result)),
    ]
    if result.comparison is not None:
        rows.append(("beside the recorded commands", _beside(result.comparison)))
    topics = ", ".join(f"{role} {name}" for role, name in result.topics.roles.items() if name)
    rows.append(("topics", topics))
    parts = [_section("Flight summary"), _pairs(rows, {"messages lost"} if lost else set())]
    parts.append(f'<p class="faint">commands <code>sha256 {result.digest.hex()}</code></p>')
    parts += [f"<p>Note: {text(note)}</p>" for note in result.notes]
    return "\n".join(parts)


def _speed(result: Replay) -> str:
    if not result.wall:
        return "-"
    speed, share = result.duration / result.wall, result.decode / result.wall
    return f"{result.wall:.2f} s, {speed:.1f}x real time, {share:.0%} of it for images"


def _beside(comparison: Comparison) -> str:
    if not len(comparison.times):
        return "there are none"
    if comparison.identical:
        return f"all {len(comparison.times)} identical, bit for bit"
    rms = ", ".join(
        f"{axis} {_number(value, 3)}"
        for axis, value in zip(AXES, comparison.rms.tolist(), strict=True)
    )
    lag = "" if comparison.lag is None else f"; lag {comparison.lag:+.2f} s"
    return f"RMS error {rms}{lag}"


def _video(
    result: Replay, axis: TimeAxis, film: "ReplayFilm | None", filmless: str
) -> tuple[str, list[tuple[float, float]]]:
    """Give the figure, and the film's clock in seconds of both axes."""
    content = film.finish() if film is not None else None
    if film is None or content is None or film.camera is None:
        why = filmless or "no image reached the controller"
        return f'<figure id="video"><p class="faint">No video: {text(why)}.</p></figure>', []
    width, height = film.camera
    said = [f"What the model saw ({width}x{height}), with the command that it led to."]
    if film.skipped:
        said.append(f"Silences are cut short by {film.skipped:.1f} s.")
    if film.ended is not None:
        at = (film.ended - axis.start) / SECOND
        said.append(f"The video ends at {at:.1f} s, where it reached its largest size.")
    if film.ended is None and film.clock[0][1] - axis.start > SECOND:
        said.append(f"The first image came at {(film.clock[0][1] - axis.start) / SECOND:.1f} s.")
    said.append("A click in a plot goes there; an address that ends in #t=2.5 opens at 2.5 s.")
    encoded = base64.b64encode(content).decode()
    figure = (
        '<figure id="video"><video controls muted preload="auto" '
        f'src="data:video/mp4;base64,{encoded}"></video>'
        f'<figcaption class="faint">{" ".join(said)}</figcaption>'
        "</figure>"
    )
    return figure, [(seconds, (now - axis.start) / SECOND) for seconds, now in film.clock]


def _commands(result: Replay, axis: TimeAxis, changed: tuple[Replay, Comparison] | None) -> str:
    shades = [
        Shade(f.start, f.end, f.mode.value, f"{f.mode.value}: {f.reason}") for f in result.failsafes
    ]
    keys = [("command", "replayed")]
    if result.comparison is not None:
        keys.insert(0, ("recorded", "recorded"))
    if changed is not None:
        keys.append(("changed", "what if"))
    keys += [
        (mode.value, mode.value) for mode in Mode if any(f.mode is mode for f in result.failsafes)
    ]
    parts = [_section("Commands"), _keys(keys)]
    for index, (name, unit) in enumerate(zip(AXES, _UNITS, strict=True)):
        curves = [Curve("replayed", "command", result.times, result.commands[:, index])]
        if changed is not None:
            other = changed[0]
            curves.append(Curve("what if", "changed", other.times, other.commands[:, index]))
        own = _largest([curve.values for curve in curves])
        if result.comparison is not None:
            recorded = result.comparison.reference[:, index]
            beside = Curve("recorded", "recorded", result.comparison.times, recorded)
            curves.insert(0, beside)
            own = max(own, min(_largest([recorded]), _REACH * max(own, 0.1)))
        reach = 1.1 * max(own, 0.05)
        parts.append(chart(f"{name}, {unit}", axis, curves, shades, low=-reach, high=reach))
    return "\n".join(parts)


def _largest(series: Iterable[Values]) -> float:
    finite = [np.abs(values[np.isfinite(values)]) for values in series]
    return max((float(values.max()) for values in finite if len(values)), default=0.0)


def _ages(result: Replay, axis: TimeAxis) -> str:
    parts = [
        _section("Age of the newest measurement"),
        '<p class="faint">It falls to the latency when a measurement arrives, and rises until the '
        "next one.</p>",
    ]
    if any(c.gap_count for c in result.channels.values()):
        parts.append(_keys([("gap", "gap between stamps")]))
    for channel, times in _present(result):
        curve = _age(times)
        top = 10.0 ** math.ceil(math.log10(min(max(_largest([curve.values]), 1.0), 1e7)) + 1e-9)
        title = f"{channel.value}, ms"
        parts.append(
            chart(
                title,
                axis,
                [curve],
                _gaps(result, channel),
                low=0.1,
                high=max(top, 10.0),
                logarithmic=True,
                height=104,
            )
        )
    return "\n".join(parts)


def _age(times: ChannelTimes) -> Curve:
    """Age in ms right before and right after each arrival."""
    arrivals = times.arrivals
    newest = np.maximum.accumulate(times.stamps)
    after = (arrivals - newest) / 1e6
    before = np.concatenate((after[:1], (arrivals[1:] - newest[:-1]) / 1e6))
    ages = np.column_stack((before, after)).ravel()
    return Curve("age", "command", np.repeat(arrivals, 2), ages)


def _timeline(result: Replay, axis: TimeAxis) -> str:
    rows, shades = [], []
    for channel, times in _present(result):
        c = result.channels[channel]
        longest = max((length for _, length in c.gaps), default=0.0)
        latency = "/".join(
            _number(1e3 * v, 1) for v in (c.latency_p50, c.latency_p99, c.latency_max)
        )
        gaps = f"{c.gap_count} gaps, the longest {longest:.3f} s" if c.gap_count else "no gaps"
        figures = (
            f"{_number(c.rate, 1)} Hz, jitter {_number(1e3 * c.jitter, 2)} ms, "
            f"latency p50/p99/max {latency} ms, {gaps}"
        )
        rows.append((channel.value, figures, times.arrivals))
        shades.append(_gaps(result, channel))
    parts = [_section("Event timeline"), raster(axis, rows, shades)]
    if any(
        result.channels[c].gap_count > len(result.channels[c].gaps) for c, _ in _present(result)
    ):
        parts.append('<p class="faint">Only the longest gaps are marked.</p>')
    return "\n".join(parts)


def _gaps(result: Replay, channel: Channel) -> list[Shade]:
    shades = []
    for start, length in result.channels[channel].gaps:
        begin = result.start + round(start * SECOND)
        shades.append(
            Shade(begin, begin + round(length * SECOND), "gap", f"{length:.3f} s at {start:.3f} s")
        )
    return shades


def _present(result: Replay) -> list[tuple[Channel, ChannelTimes]]:
    return [(channel, times) for channel, times in result.times_of.items() if len(times)]


def _failsafes(result: Replay) -> str:
    title = _section("Failsafe log")
    if not result.failsafes:
        return f"{title}<p>No failsafe: the model flew all the time.</p>"
    rows = []
    for f in result.failsafes[:MAX_ROWS]:
        begin, end = ((t - result.start) / SECOND for t in (f.start, f.end))
        left = "to the end" if f.open else f"{end:.3f}"
        rows.append((f"{begin:.3f}", left, f"{end - begin:.3f}", f.mode.value, f.reason))
    more = len(result.failsafes) - MAX_ROWS
    rest = f"<p>And {more} more, which replay.json lists.</p>" if more > 0 else ""
    names = ("entered s", "left s", "lasted s", "mode", "reason")
    return title + _table(names, rows, words={3, 4}) + rest


def _statistics(result: Replay) -> str:
    names = (
        "channel",
        "events",
        "rate Hz",
        "interval ms",
        "jitter ms",
        "latency p50 ms",
        "p99 ms",
        "max ms",
        "gaps",
        "longest s",
        "equal stamps",
        "rejected",
        "late",
        "refused",
    )
    rows, said = [], []
    for channel, c in result.channels.items():
        refused = sum(c.refused.values())
        if not (c.events or refused):
            continue
        times = (c.interval, c.jitter, c.latency_p50, c.latency_p99, c.latency_max)
        longest = max((length for _, length in c.gaps), default=math.nan)
        rows.append(
            (
                channel.value,
                str(c.events),
                _number(c.rate, 2),
                *(_number(1e3 * value, 2) for value in times),
                str(c.gap_count),
                _number(longest, 3),
                str(c.equal_stamps),
                str(c.rejected),
                str(c.late),
                str(refused),
            )
        )
        if c.last_rejection:
            said.append(f"{channel.value}: last rejected because {c.last_rejection}")
    parts = [_section("Statistics"), _table(names, rows)]
    parts += [f"<p>{text(line)}</p>" for line in said]
    if result.comparison is not None:
        parts.append(_errors(result.comparison, "recorded commands"))
    return "\n".join(parts)


def _errors(comparison: Comparison, reference: str) -> str:
    rows = [
        (name, unit, _number(rms, 5), _number(largest, 5))
        for name, unit, rms, largest in zip(
            AXES, _UNITS, comparison.rms.tolist(), comparison.largest.tolist(), strict=True
        )
    ]
    said = f"Beside the {reference}, at {len(comparison.times)} instants"
    if comparison.identical:
        said += ": identical, bit for bit"
    elif comparison.same:
        said += f": {comparison.same} identical, bit for bit"
    if comparison.lag is not None and comparison.correlation is not None:
        said += f"; lag {comparison.lag:+.2f} s at a correlation of {comparison.correlation:.3f}"
    return f"<p>{text(said)}.</p>" + _table(("error", "unit", "RMS", "largest"), rows, words={1})


def _changed(other: Replay, comparison: Comparison) -> str:
    spent = ", ".join(
        f"{mode.value} {seconds:.3f} s" for mode, seconds in modes(other).items() if seconds
    )
    return "\n".join(
        (
            _section("What if"),
            f"<p>Changed, the same flight gives: {text(spent)}.</p>",
            _failsafes(other).replace(_section("Failsafe log"), ""),
            _errors(comparison, "replay as it was"),
        )
    )


def _damage(result: Replay) -> str:
    damage = result.damage
    parts = [_section("Lost messages")]
    if not damage.lost and not damage.notes:
        return parts[0] + "<p>None: the recording is whole, as far as it can be known.</p>"
    rows = [
        (topic, str(damage.declared[topic] or "-"), str(damage.read[topic]), str(count))
        for topic in sorted(damage.declared | damage.read)
        if (count := damage.undecodable[topic])
        or (damage.declared and damage.declared[topic] != damage.read[topic])
    ]
    parts.append(
        f"<p>{damage.lost} messages are known to be lost: {damage.missing} declared and not found, "
        f"{damage.unreadable} unreadable, {sum(damage.undecodable.values())} undecodable.</p>"
    )
    if rows:
        parts.append(_table(("topic", "declared", "read", "undecodable"), rows))
    parts += [f"<p>{text(note)}</p>" for note in damage.notes]
    return "\n".join(parts)


def _section(title: str) -> str:
    return f'<h2 id="{title.lower().replace(" ", "-")}">{title}</h2>'


def _keys(keys: Sequence[tuple[str, str]]) -> str:
    marks = "".join(f'<span class="key {kind}"></span>{text(name)}' for kind, name in keys)
    return f'<p class="faint">{marks}</p>'


def _pairs(rows: Sequence[tuple[str, str]], alarming: set[str]) -> str:
    lines = (
        f"<tr><th>{text(name)}</th>"
        f"<td{' class=bad' if name in alarming else ''}>{text(value)}</td></tr>"
        for name, value in rows
    )
    return f'<table class="pairs">{"".join(lines)}</table>'


def _table(names: Sequence[str], rows: Sequence[Sequence[str]], words: Iterable[int] = ()) -> str:
    kinds = [' class="words"' if index in set(words) else "" for index in range(len(names))]
    head = "".join(f"<th{kind}>{text(name)}</th>" for kind, name in zip(kinds, names, strict=True))
    body = "".join(
        "<tr>"
        + "".join(f"<td{kind}>{text(v)}</td>" for kind, v in zip(kinds, row, strict=True))
        + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"
