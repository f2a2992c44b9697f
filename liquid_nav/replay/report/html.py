"""The report of a replay as one HTML page that opens offline: plots, video, logs and tables.

Template, style and script are the files in `page`.
"""

import base64
import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from liquid_nav.command import Mode
from liquid_nav.events import SECOND, Channel
from liquid_nav.files import write_whole
from liquid_nav.replay.compare import AXES
from liquid_nav.replay.report import charts
from liquid_nav.replay.report.charts import Chart, Curve, Row, Shade, TimeAxis, Values
from liquid_nav.replay.report.model import UNITS, ReplayReport, RunReport
from liquid_nav.replay.report.text import number, printable
from liquid_nav.replay.statistics import ChannelTimes

if TYPE_CHECKING:
    from liquid_nav.replay.report.film import ReplayFilm

MAX_ROWS = 500
"""Most failsafes that the page lists; the JSON file lists all of them."""

_REACH = 10.0
"""Recorded commands widen a chart up to this many times the replayed ones, as a recording may hold
any number."""

_CONSTANTS = ("WIDTH", "STRIP")


@dataclass(frozen=True)
class Video:
    """The video of a replay, for the page.

    Attributes:
        content: MP4 file, base64.
        width, height: pixels of the model's camera.
        skipped: seconds of silences that were cut.
        first: seconds on the time axis at which the first image came.
        ended: seconds on the time axis at which the video ended early, or None.
        clock: pairs of seconds, of video and of the time axis, at which the two were set equal.

    """

    content: Markup
    width: int
    height: int
    skipped: float
    first: float
    ended: float | None
    clock: tuple[tuple[float, float], ...]


def write_page(
    path: Path, report: ReplayReport, film: "ReplayFilm | None" = None, no_film: str = ""
) -> None:
    """Write the page, whole or not at all.

    Args:
        path: the file to make.
        report: what the page shows.
        film: the video of the first replay, not yet finished, or None.
        no_film: why there is no film.

    Raises:
        OSError: when the file cannot be written.

    """
    axis = _axis(report)
    video = None if film is None else _video(film, axis)
    write_whole(path, _render(report, axis, video, no_film or "no image reached the controller"))


def _render(report: ReplayReport, axis: TimeAxis, video: Video | None, no_video: str) -> str:
    run, script = report.run, _inline("script.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    gap_counts = [(c.gap_count, len(c.gaps)) for c in run.channels.values()]
    return (
        _environment()
        .get_template("report.html")
        .render(
            report=report,
            run=run,
            video=video,
            no_video=no_video,
            axis=axis,
            command_keys=_command_keys(report),
            command_charts=_command_charts(report, axis),
            gaps=any(count for count, _ in gap_counts),
            gaps_left_out=any(count > listed for count, listed in gap_counts),
            age_charts=[_age_chart(run, channel, axis) for channel in run.channel_times],
            rows=[_row(run, channel, axis) for channel in run.channel_times],
            style=_inline("style.css"),
            script=script,
            script_hash=f"sha256-{digest}",
            script_data={
                "seconds": axis.seconds,
                "clock": video.clock if video else (),
                "width": charts.WIDTH,
            },
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__, "page"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=_finalize,
    )
    environment.filters["number"] = number
    environment.filters["ms"] = lambda seconds, digits: number(1e3 * seconds, digits)
    environment.globals.update({name: getattr(charts, name) for name in _CONSTANTS})
    environment.globals.update(MAX_ROWS=MAX_ROWS, AXES=tuple(zip(AXES, UNITS, strict=True)))
    return environment


def _finalize(value: Any) -> Any:
    """Make text printable before the template engine escapes it; our own markup is neither."""
    return printable(value) if type(value) is str else value


def _inline(name: str) -> Markup:
    """Read a file of ours that goes into the page as it is."""
    return Markup((files(__package__) / "page" / name).read_text(encoding="utf-8"))


def _axis(report: ReplayReport) -> TimeAxis:
    """Hold all commands and the whole recording, also where its clock went back."""
    runs = [run for run in (report.run, report.changed) if run is not None and len(run.times)]
    starts = [min(int(run.times.min()), run.span[0]) for run in runs]
    ends = [max(int(run.times.max()), run.span[1]) for run in runs]
    return TimeAxis(min(starts, default=report.run.start), max(ends, default=report.run.start))


def _video(film: "ReplayFilm", axis: TimeAxis) -> Video | None:
    """Finish the film; None if it holds no image."""
    content = film.finish()
    if content is None or film.camera is None:
        return None

    def seconds(now: int) -> float:
        return (now - axis.start) / SECOND

    return Video(
        Markup(base64.b64encode(content).decode()),
        *film.camera,
        skipped=film.skipped,
        first=seconds(film.clock[0][1]),
        ended=None if film.ended is None else seconds(film.ended),
        clock=tuple((at, seconds(now)) for at, now in film.clock),
    )


def _command_keys(report: ReplayReport) -> list[tuple[str, str]]:
    keys = [("command", "replayed")]
    if report.run.comparison is not None:
        keys.insert(0, ("recorded", "recorded"))
    if report.changed is not None:
        keys.append(("changed", "what if"))
    entered = {failsafe.mode for failsafe in report.run.failsafes}
    return keys + [(mode.value, mode.value) for mode in Mode if mode in entered]


def _command_charts(report: ReplayReport, axis: TimeAxis) -> list[Chart]:
    run, changed = report.run, report.changed
    shades = [
        _shade(run, f.start, f.duration, f.mode.value, f"{f.mode.value}: {f.reason}")
        for f in run.failsafes
    ]
    drawn = []
    for index, (name, unit) in enumerate(zip(AXES, UNITS, strict=True)):
        curves = [Curve("replayed", "command", run.times, run.commands[:, index])]
        if changed is not None:
            curves.append(Curve("what if", "changed", changed.times, changed.commands[:, index]))
        reach = _largest(curve.values for curve in curves)
        if run.comparison is not None:
            recorded = run.comparison.reference[:, index]
            curves.insert(0, Curve("recorded", "recorded", run.comparison.times, recorded))
            reach = max(reach, min(_largest([recorded]), _REACH * max(reach, 0.1)))
        reach = 1.1 * max(reach, 0.05)
        title = f"{name}, {unit}"
        drawn.append(charts.chart(title, axis, curves, shades, low=-reach, high=reach))
    return drawn


def _age_chart(run: RunReport, channel: Channel, axis: TimeAxis) -> Chart:
    curve = _age(run.channel_times[channel], TimeAxis(axis.start, min(axis.end, run.span[1])))
    top = 10.0 ** math.ceil(math.log10(min(max(_largest([curve.values]), 1.0), 1e10)) + 1e-9)
    return charts.chart(
        f"{channel.value}, ms",
        axis,
        [curve],
        _gaps(run, channel),
        low=0.1,
        high=max(top, 10.0),
        logarithmic=True,
        height=charts.LOW_HEIGHT,
    )


def _age(times: ChannelTimes, axis: TimeAxis) -> Curve:
    """Age of the newest measurement that was accepted, ms: at arrivals, and in between, growing.

    From the first arrival to the end of the axis.
    """
    order = np.argsort(times.arrivals, kind="stable")
    order = order[times.accepted[order]]
    arrivals = times.arrivals[order]
    newest = np.maximum.accumulate(times.stamps[order])
    if not len(order):
        return Curve("age", "command", arrivals, np.zeros(0))
    between = np.linspace(0, axis.end - axis.start, charts.COLUMNS).astype(np.int64) + axis.start
    between = between[between > arrivals[0]]
    instants = np.concatenate((arrivals, between))
    # Right before an arrival the newest measurement is still the one before it.
    before = np.searchsorted(arrivals, instants, side="left") - 1
    after = np.searchsorted(arrivals, instants, side="right") - 1
    ages = [(instants - newest[np.maximum(index, 0)]) / 1e6 for index in (before, after)]
    return Curve("age", "command", np.repeat(instants, 2), np.column_stack(ages).ravel())


def _row(run: RunReport, channel: Channel, axis: TimeAxis) -> Row:
    arrivals, statistics = run.channel_times[channel].arrivals, run.channels[channel]
    return charts.row(axis, channel.value, statistics, arrivals, _gaps(run, channel))


def _gaps(run: RunReport, channel: Channel) -> list[Shade]:
    return [
        _shade(run, start, length, "gap", f"{length:.3f} s at {start:.3f} s")
        for start, length in run.channels[channel].gaps
    ]


def _shade(run: RunReport, start: float, duration: float, kind: str, title: str) -> Shade:
    """Shade a span given in seconds after the first event of a replay."""
    begin = run.start + round(start * SECOND)
    return Shade(begin, begin + round(duration * SECOND), kind, title)


def _largest(series: Iterable[Values]) -> float:
    finite = [np.abs(values[np.isfinite(values)]) for values in series]
    return max((float(values.max()) for values in finite if len(values)), default=0.0)
