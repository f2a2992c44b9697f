"""Charts of a replay as inline SVG: one time axis for all, and no more points than pixels."""

import base64
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

import cv2
import numpy as np
from numpy.typing import NDArray

from liquid_nav.events import SECOND

WIDTH, LEFT, RIGHT = 1000, 64, 10
"""Width of a chart, and of its margins, in units of the SVG."""

_INNER = WIDTH - LEFT - RIGHT
_TOP, _BOTTOM = 22, 18

Times = NDArray[np.int64]
Values = NDArray[np.float64]


def text(value: object) -> str:
    """Escape for HTML; characters that a page may not hold become U+FFFD."""
    kept = (c if c.isprintable() or c in "\n\t" else "\ufffd" for c in str(value))
    return escape("".join(kept), quote=True)


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
        """From left to right; no less than a millisecond, so that it can be divided by."""
        return max((self.end - self.start) / SECOND, 1e-3)

    def x(self, times: Times) -> Values:
        """Place instants in ns; those beyond the axis lie at its ends."""
        # Differences of integers, as a double does not hold the ns of this century.
        seconds = (times - self.start) / SECOND
        return LEFT + _INNER * np.clip(seconds / self.seconds, 0.0, 1.0)


@dataclass(frozen=True, eq=False)
class Curve:
    """A series to draw.

    Attributes:
        name: for the legend.
        kind: class of the page's style, ``command``, ``recorded`` or ``changed``.
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
        kind: class of the page's style, as ``hover`` or ``gap``.
        title: shown when pointed at.

    """

    start: int
    end: int
    kind: str
    title: str


def chart(
    title: str,
    axis: TimeAxis,
    curves: Sequence[Curve],
    shades: Iterable[Shade] = (),
    *,
    low: float,
    high: float,
    logarithmic: bool = False,
    height: int = 118,
) -> str:
    """Draw curves over time.

    Args:
        title: with the unit.
        axis: the time axis.
        curves: what to draw, the last on top.
        shades: behind the curves.
        low, high: range of the values; what is beyond is drawn at its edge. Positive where
            `logarithmic`.
        logarithmic: whether the values' axis is.
        height: units of the SVG.

    Returns:
        An SVG element. Its attributes ``data-low``, ``data-high`` and ``data-log`` let the page's
        script read values back from the points of the curves.

    """
    bottom = height - _BOTTOM

    def y(values: Values) -> Values:
        if logarithmic:
            part = np.log(np.clip(values, low, high) / low) / math.log(high / low)
        else:
            part = (np.clip(values, low, high) - low) / (high - low)
        return np.asarray(bottom - (bottom - _TOP) * part, np.float64)

    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" data-low="{low:g}" data-high="{high:g}"'
        f' data-log="{int(logarithmic)}" data-top="{_TOP}" data-bottom="{bottom}" role="img">',
        f"<title>{text(title)}</title>",
        _shades(axis, shades, _TOP, bottom),
    ]
    ticks = _decades(low, high) if logarithmic else _ticks(low, high, 4)
    for tick, at in zip(ticks, y(np.array(ticks, np.float64)).tolist(), strict=True):
        kind = "zero" if tick == 0 else "grid"
        parts.append(f'<path class="{kind}" d="M{LEFT},{at:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text class="tick y" x="{LEFT - 6}" y="{at + 3.5:.1f}">{tick:g}</text>')
    parts.append(_seconds(axis, _TOP, bottom))
    parts.append(f'<text class="name" x="{LEFT}" y="14">{text(title)}</text>')
    parts.extend(
        f'<polyline class="{curve.kind}" data-name="{text(curve.name)}" points="{points}"/>'
        for curve in curves
        if (points := _points(axis, curve, y))
    )
    parts.append(f'<text class="readout" x="{WIDTH - RIGHT}" y="14"></text>')
    parts.append(f'<path class="cursor" d="M0,{_TOP}V{bottom}"/></svg>')
    return "".join(parts)


def raster(
    axis: TimeAxis, rows: Sequence[tuple[str, str, Times]], shades: Sequence[Sequence[Shade]]
) -> str:
    """Draw when events arrived, one row per channel, the darker the denser.

    Args:
        axis: the time axis.
        rows: name, a line of figures, and arrivals in ns.
        shades: per row, drawn over it.

    """
    pitch = 40
    bottom = _TOP + pitch * len(rows)
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {bottom + _BOTTOM}" role="img">',
        "<title>arrivals of events</title>",
        _seconds(axis, _TOP + 16, bottom),
    ]
    for index, ((name, figures, times), spans) in enumerate(zip(rows, shades, strict=True)):
        top = _TOP + pitch * index
        columns = np.minimum((axis.x(times) - LEFT).astype(np.int64), _INNER - 1)
        counts = np.bincount(columns, minlength=_INNER).astype(np.float64)
        strip = np.zeros((1, _INNER, 4), np.uint8)
        strip[..., :3] = (0xA8, 0x52, 0x1B)
        strip[..., 3] = 255 * np.sqrt(counts / max(counts.max(), 1.0))
        encoded = base64.b64encode(cv2.imencode(".png", strip)[1].tobytes()).decode()
        parts.append(
            f'<text class="tick y" x="{LEFT - 6}" y="{top + 27}">{text(name)}</text>'
            f'<text class="figures" x="{LEFT}" y="{top + 12}">{text(figures)}</text>'
            f'<rect class="row" x="{LEFT}" y="{top + 16}" width="{_INNER}" height="16"/>'
            f'<image x="{LEFT}" y="{top + 16}" width="{_INNER}" height="16" '
            f'preserveAspectRatio="none" href="data:image/png;base64,{encoded}"/>'
        )
        parts.append(_shades(axis, spans, top + 16, top + 32))
    parts.append(f'<text class="readout" x="{WIDTH - RIGHT}" y="14"></text>')
    parts.append(f'<path class="cursor" d="M0,{_TOP}V{bottom}"/></svg>')
    return "".join(parts)


def _points(axis: TimeAxis, curve: Curve, y: Callable[[Values], Values]) -> str:
    keep = np.isfinite(curve.values)
    order = np.argsort(curve.times[keep], kind="stable")
    xs, values = axis.x(curve.times[keep][order]), curve.values[keep][order]
    if len(xs) > 2 * _INNER:
        # The lowest and the highest value of each pixel: no spike gets lost.
        columns = np.floor(xs).astype(np.int64)
        first = np.flatnonzero(np.diff(columns, prepend=-1))
        lowest, highest = np.minimum.reduceat(values, first), np.maximum.reduceat(values, first)
        xs = np.repeat(columns[first] + 0.5, 2)
        values = np.column_stack((lowest, highest)).ravel()
    pairs = zip(xs.tolist(), y(values).tolist(), strict=True)
    return " ".join(f"{x:.1f},{height:.1f}" for x, height in pairs)


def _shades(axis: TimeAxis, shades: Iterable[Shade], top: int, bottom: int) -> str:
    parts, reached = [], dict[str, float]()
    for shade in shades:
        start, end = axis.x(np.array([shade.start, shade.end], np.int64)).tolist()
        # Thousands of spans within one pixel are drawn as one.
        if end <= reached.get(shade.kind, -1.0):
            continue
        end = max(end, start + 1.0)
        reached[shade.kind] = end
        parts.append(
            f'<rect class="{shade.kind}" x="{start:.1f}" y="{top}" width="{end - start:.1f}" '
            f'height="{bottom - top}"><title>{text(shade.title)}</title></rect>'
        )
    return "".join(parts)


def _seconds(axis: TimeAxis, top: int, bottom: int) -> str:
    parts = []
    for tick in _ticks(0.0, axis.seconds, 10):
        at = LEFT + _INNER * tick / axis.seconds
        parts.append(f'<path class="grid" d="M{at:.1f},{top}V{bottom}"/>')
        parts.append(f'<text class="tick x" x="{at:.1f}" y="{bottom + 13}">{tick:g}</text>')
    return "".join(parts)


def _ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers from `low` to `high`."""
    rough = (high - low) / about
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(scale * m for m in (1, 2, 5, 10) if scale * m >= rough * 0.999)
    return [
        round(k * step, 12)
        for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    ]


def _decades(low: float, high: float) -> list[float]:
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    return [10.0**power for power in range(first, last + 1, max(1, (last - first + 3) // 4))]
