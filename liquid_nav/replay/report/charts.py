"""Geometry of a replay's charts on one time axis; the page draws them as SVG.

A chart is as wide as its page: its width is stretched, its height is in pixels, and what is written
beside it stays outside the SVG. No chart holds more points than can be told apart when it is
enlarged, see `COLUMNS`. Places are in units of the SVG: x to the right, y down.
"""

import base64
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from liquid_nav.events import SECOND
from liquid_nav.replay.statistics import ChannelStatistics

WIDTH = 1000
"""Units of the time axis."""

DETAIL = 8
"""How often a chart can be enlarged before its points, if there are very many, lie apart."""

COLUMNS = DETAIL * WIDTH
"""Columns of the time axis in which points differ."""

HEIGHT, LOW_HEIGHT, STRIP = 96, 80, 16
"""Heights of a chart of commands, of one of ages, and of a row in the event timeline."""

Times = NDArray[np.int64]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class TimeAxis:
    """The time axis that all charts share.

    Attributes:
        start: ns, at the left.
        end: ns, at the right.

    """

    start: int
    end: int

    @property
    def seconds(self) -> float:
        """Length; at least a millisecond, as charts divide by it."""
        return max((self.end - self.start) / SECOND, 1e-3)

    def x(self, times: Times) -> Values:
        """Place instants in ns; those beyond the axis lie at its ends."""
        # Subtract as integers: a double cannot hold today's time in ns.
        seconds = (times - self.start) / SECOND
        return np.asarray(WIDTH * np.clip(seconds / self.seconds, 0.0, 1.0), np.float64)

    @property
    def ticks(self) -> "tuple[Tick, ...]":
        """Round numbers of seconds."""
        return tuple(Tick(tick / self.seconds, tick) for tick in _ticks(0.0, self.seconds, 8))


@dataclass(frozen=True, eq=False)
class Curve:
    """A series to draw.

    Attributes:
        name: for the legend.
        kind: class in the page's style: ``command``, ``recorded`` or ``changed``.
        times: ns, shape (N,).
        values: shape (N,); those that are not finite are left out.

    """

    name: str
    kind: str
    times: Times
    values: Values


@dataclass(frozen=True)
class Shade:
    """A span of time to shade.

    Attributes:
        start, end: ns.
        kind: class in the page's style, such as ``hover`` or ``gap``.
        title: text shown under the pointer.

    """

    start: int
    end: int
    kind: str
    title: str


@dataclass(frozen=True)
class Tick:
    """A value on an axis, and its place: a fraction of the axis, from the left or from the top."""

    place: float
    value: float


@dataclass(frozen=True)
class Box:
    """A shaded span in its place; `kind` and `title` as in `Shade`."""

    x: float
    width: float
    kind: str
    title: str


@dataclass(frozen=True)
class Line:
    """A curve in its place; `points` as an SVG polyline takes them, the rest as in `Curve`."""

    name: str
    kind: str
    points: str


@dataclass(frozen=True)
class Chart:
    """Curves over time.

    Attributes:
        title: with the unit.
        axis: the time axis.
        low, high: values at the bottom and at the top.
        logarithmic: whether the axis of values is logarithmic.
        height: in pixels.
        ticks: on the axis of values.
        boxes: behind the lines.
        lines: the last one on top.

    """

    title: str
    axis: TimeAxis
    low: float
    high: float
    logarithmic: bool
    height: int
    ticks: tuple[Tick, ...]
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Row:
    """One channel in the event timeline.

    Attributes:
        name: of the channel.
        statistics: of its events.
        image: PNG of one row, base64, of `COLUMNS` pixels: the darker, the more events.
        boxes: over the image.

    """

    name: str
    statistics: ChannelStatistics
    image: str
    boxes: tuple[Box, ...]


def chart(
    title: str,
    axis: TimeAxis,
    curves: Sequence[Curve],
    shades: Iterable[Shade] = (),
    *,
    low: float,
    high: float,
    logarithmic: bool = False,
    height: int = HEIGHT,
) -> Chart:
    """Lay out curves over time.

    Args:
        title: with the unit.
        axis: the time axis.
        curves: what to draw, the last on top.
        shades: behind the curves.
        low, high: range of the values; values beyond it are drawn at its edge. Both are positive
            if `logarithmic`.
        logarithmic: whether the axis of values is logarithmic.
        height: in pixels.

    """

    def y(values: Values) -> Values:
        clipped = np.clip(values, low, high)
        if logarithmic:
            part = np.log(clipped / low) / math.log(high / low)
        else:
            part = (clipped - low) / (high - low)
        return np.asarray(height * (1 - part), np.float64)

    values = _decades(low, high) if logarithmic else _ticks(low, high, 4)
    places = (y(np.array(values, np.float64)) / height).tolist()
    return Chart(
        title,
        axis,
        low,
        high,
        logarithmic,
        height,
        ticks=tuple(map(Tick, places, values)),
        boxes=_boxes(axis, shades),
        lines=tuple(
            Line(curve.name, curve.kind, points)
            for curve in curves
            if (points := _points(axis, curve, y))
        ),
    )


def row(
    axis: TimeAxis,
    name: str,
    statistics: ChannelStatistics,
    arrivals: Times,
    shades: Iterable[Shade],
) -> Row:
    """Lay out when the events of one channel arrived, ns."""
    columns = np.minimum((axis.x(arrivals) * DETAIL).astype(np.int64), COLUMNS - 1)
    # An event is as wide as a pixel, so that it is seen before the chart is enlarged.
    counts = np.convolve(np.bincount(columns, minlength=COLUMNS), np.ones(DETAIL), "same")
    strip = np.zeros((1, COLUMNS, 4), np.uint8)
    strip[..., :3] = (0xA8, 0x52, 0x1B)
    strip[..., 3] = 255 * np.sqrt(counts / max(counts.max(), 1.0))
    image = base64.b64encode(cv2.imencode(".png", strip)[1].tobytes()).decode()
    return Row(name, statistics, image, _boxes(axis, shades))


def _points(axis: TimeAxis, curve: Curve, y: Callable[[Values], Values]) -> str:
    keep = np.isfinite(curve.values)
    order = np.argsort(curve.times[keep], kind="stable")
    xs, values = axis.x(curve.times[keep][order]), curve.values[keep][order]
    if len(xs) > 2 * COLUMNS:
        # The lowest and the highest value within each column, so that no spike is lost.
        columns = np.floor(xs * DETAIL).astype(np.int64)
        first = np.flatnonzero(np.diff(columns, prepend=-1))
        lowest, highest = np.minimum.reduceat(values, first), np.maximum.reduceat(values, first)
        xs = np.repeat((columns[first] + 0.5) / DETAIL, 2)
        values = np.column_stack((lowest, highest)).ravel()
    pairs = zip(xs.tolist(), y(values).tolist(), strict=True)
    return " ".join(f"{x:.3f},{height:.1f}" for x, height in pairs)


def _boxes(axis: TimeAxis, shades: Iterable[Shade]) -> tuple[Box, ...]:
    boxes, reached = [], dict[str, float]()
    for shade in shades:
        start, end = axis.x(np.array([shade.start, shade.end], np.int64)).tolist()
        # Thousands of spans within one column are drawn as one; a border makes each visible.
        if end <= reached.get(shade.kind, -1.0):
            continue
        end = max(end, start + 1 / DETAIL)
        reached[shade.kind] = end
        boxes.append(Box(start, end - start, shade.kind, shade.title))
    return tuple(boxes)


def _ticks(low: float, high: float, about: int) -> list[float]:
    """Give about as many round numbers from `low` to `high`."""
    rough = (high - low) / about
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(scale * m for m in (1, 2, 5, 10) if scale * m >= rough * 0.999)
    return [
        round(k * step, 12)
        for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    ]


def _decades(low: float, high: float) -> list[float]:
    """Give up to four powers of ten from `low` to `high`."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    return [10.0**power for power in range(first, last + 1, max(1, (last - first + 3) // 4))]
