"""Compares two series of commands: error per axis, and the lag of one behind the other."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liquid_nav.events import SECOND

AXES = ("vx", "vy", "vz", "yaw_rate")

LOWEST_CORRELATION = 0.5
"""Below this correlation there is no lag: the two series are not one, shifted in time."""

_GRID = SECOND // 100
"""Time between samples of the cross-correlation, ns."""

_LONGEST_LAG = SECOND
"""Largest lag that is looked for, in both directions, ns."""

_LONGEST_SERIES = 600 * SECOND
"""The cross-correlation reads no more of a flight than this, ns, which keeps its grid small."""

Times = NDArray[np.int64]
Vectors = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Commands and reference commands at the same instants.

    Attributes:
        times: the instants, ns, shape (M,).
        reference, commands: (vx, vy, vz, yaw_rate) in m/s and rad/s, shape (M, 4).
        rms, largest: error per axis, over the instants at which the reference commands the axis,
            shape (4,); NaN where there is nothing to compare.
        same: number of commands that equal the reference bit for bit.
        lag: seconds by which `commands` follow `reference`, at the largest correlation; None where
            one of them is constant, they are shorter than 2 s, the correlation is below
            `LOWEST_CORRELATION`, or it still grows at the longest lag that is looked for.
        correlation: the largest correlation, from -1 to 1, or None.
        left_out: number of instants at which the reference commands nothing that is known.

    """

    times: Times
    reference: Vectors
    commands: Vectors
    rms: Vectors
    largest: Vectors
    same: int
    lag: float | None
    correlation: float | None
    left_out: int

    @property
    def identical(self) -> bool:
        """Whether there are commands, and all of them equal the reference bit for bit."""
        return 0 < len(self.times) == self.same


def compare(times: Times, reference: Vectors, commands: Vectors) -> Comparison:
    """Compare commands at the same instants.

    Args:
        times: ns, not decreasing, shape (M,).
        reference, commands: m/s and rad/s, shape (M, 4). An axis of the reference that is not
            finite is not compared; instants at which none is finite are left out.

    """
    keep = np.isfinite(reference).any(axis=1)
    left_out = int(np.count_nonzero(~keep))
    times, reference, commands = times[keep], reference[keep], commands[keep]
    # A recording may hold any number.
    with np.errstate(over="ignore", invalid="ignore"):
        error = np.abs(commands - reference)
        known = np.isfinite(reference)
        error[~known] = 0.0
        count = known.sum(axis=0)
        rms = np.where(count, np.sqrt((error**2).sum(axis=0) / np.maximum(count, 1)), np.nan)
        largest = np.where(count, error.max(axis=0, initial=0.0), np.nan)
        lag, correlation = _lag(times, reference, commands)
    return Comparison(
        times=times,
        reference=reference,
        commands=commands,
        rms=rms,
        largest=largest,
        same=int((reference.view(np.int64) == commands.view(np.int64)).all(axis=1).sum()),
        lag=lag,
        correlation=correlation,
        left_out=left_out,
    )


def zero_order_hold(times: Times, vectors: Vectors, instants: Times) -> Vectors:
    """Sample a series whose values hold until the next one; before the first it is zero."""
    if not len(times):
        return np.zeros((len(instants), 4))
    index = np.searchsorted(times, instants, side="right") - 1
    return np.where(index[:, None] < 0, 0.0, vectors[np.maximum(index, 0)])


def _lag(times: Times, reference: Vectors, commands: Vectors) -> tuple[float | None, float | None]:
    """Find the lag, in seconds, of the largest correlation, and that correlation.

    It reads the axes that the reference commands throughout.
    """
    throughout = np.isfinite(reference).all(axis=0)
    reference, commands = reference[:, throughout], commands[:, throughout]
    if len(times) < 2 or times[-1] - times[0] < 2 * _LONGEST_LAG:
        return None, None
    grid = np.arange(times[0], min(times[-1], times[0] + _LONGEST_SERIES), _GRID)
    a, b = zero_order_hold(times, reference, grid), zero_order_hold(times, commands, grid)
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    steps = int(_LONGEST_LAG // _GRID)
    best: tuple[float, int] | None = None
    for shift in sorted(range(-steps, steps + 1), key=abs):
        x = a[max(-shift, 0) : len(a) - max(shift, 0)]
        y = b[max(shift, 0) : len(b) - max(-shift, 0)]
        norm = float(np.sqrt(np.sum(x * x) * np.sum(y * y)))
        if norm > 0 and np.isfinite(norm):
            value = float(np.sum(x * y)) / norm
            if best is None or value > best[0] + 1e-12:
                best = (value, shift)
    if best is None:
        return None, None
    correlation, shift = best
    found = correlation >= LOWEST_CORRELATION and abs(shift) < steps
    return shift * _GRID / SECOND if found else None, correlation
