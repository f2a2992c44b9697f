"""Compares two series of commands: error per axis, and the lag of one behind the other."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liquid_nav.events import SECOND

AXES = ("vx", "vy", "vz", "yaw_rate")

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
        rms, largest: error per axis, shape (4,); NaN where there is nothing to compare.
        same: number of commands that equal the reference bit for bit.
        lag: seconds by which `commands` follow `reference`, at the largest correlation; None where
            one of them is constant, or they are shorter than 2 s.
        correlation: correlation at that lag, from -1 to 1, or None.

    """

    times: Times
    reference: Vectors
    commands: Vectors
    rms: Vectors
    largest: Vectors
    same: int
    lag: float | None
    correlation: float | None

    @property
    def identical(self) -> bool:
        """Whether there are commands, and all of them equal the reference bit for bit."""
        return 0 < len(self.times) == self.same


def compare(times: Times, reference: Vectors, commands: Vectors) -> Comparison:
    """Compare commands at the same instants.

    Instants at which the reference is not finite are left out.

    Args:
        times: ns, not decreasing, shape (M,).
        reference, commands: m/s and rad/s, shape (M, 4).

    """
    keep = np.isfinite(reference).all(axis=1)
    times, reference, commands = times[keep], reference[keep], commands[keep]
    # A recording may hold any number.
    with np.errstate(over="ignore", invalid="ignore"):
        error = np.abs(commands - reference)
        none = np.full(4, np.nan)
        rms = np.sqrt(np.mean(error**2, axis=0)) if len(times) else none
        largest = error.max(axis=0) if len(times) else none
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
    )


def zero_order_hold(times: Times, vectors: Vectors, instants: Times) -> Vectors:
    """Sample a series whose values hold until the next one; before the first it is zero."""
    if not len(times):
        return np.zeros((len(instants), 4))
    index = np.searchsorted(times, instants, side="right") - 1
    return np.where(index[:, None] < 0, 0.0, vectors[np.maximum(index, 0)])


def _lag(times: Times, reference: Vectors, commands: Vectors) -> tuple[float | None, float | None]:
    """Find the lag, in seconds, of the largest correlation, and that correlation."""
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
    return (None, None) if best is None else (best[1] * _GRID / SECOND, best[0])
