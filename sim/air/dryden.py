"""Turbulence of the Dryden form for low altitude (MIL-F-8785C, 3.7.3.4), exact for any step.

The air is a frozen field that the vehicle is carried through: what passes is a distance, not a
time. In units of the length scale, the field along that path is one process of unit variance for
the longitudinal axis and one for the two others, and those are what moves here; altitude and speed
only scale them. So no step is too long or too short, and none of what changes on the way matters.
"""

import math

import numpy as np

from liquid_nav_sim.normals import Normals
from liquid_nav_sim.rotation import Vector

FOOT = 0.3048
"""Metres."""

ALTITUDES = (10 * FOOT, 1000 * FOOT)
"""Metres for which the low-altitude model is made; outside, the air is that at the bounds."""


def length_scales(altitude: float) -> tuple[float, float]:
    """Horizontal and vertical length scale, L_u = L_v and L_w, metres, at an altitude in metres."""
    height = _height(altitude)
    return FOOT * height / (0.177 + 0.000823 * height) ** 1.2, FOOT * height


def intensities(altitude: float, wind: float) -> tuple[float, float]:
    """Standard deviation of the horizontal and the vertical axes, m/s.

    Args:
        altitude: metres.
        wind: mean wind 6 m (20 ft) above the ground, m/s.
    """
    vertical = 0.1 * wind
    return vertical / (0.177 + 0.000823 * _height(altitude)) ** 0.4, vertical


class Dryden:
    """Turbulence that one vehicle meets.

    Args:
        wind: mean wind 6 m (20 ft) above the ground, m/s; it sets the intensity.
        rng: source of the draws.
    """

    def __init__(self, wind: float, rng: np.random.Generator) -> None:
        self._wind = wind
        self._normals = Normals(rng, 5)
        first, *others = self._normals.row()
        self._along = first
        # Stationary covariance of the pair in `_passed`: 1/2, 1/4, 1/4.
        half = math.sqrt(0.5)
        self._across, self._upward = (
            (half * others[k], half * (others[k] + others[k + 1]) / 2) for k in (0, 2)
        )

    def advance(self, dt: float, altitude: float, speed: float) -> Vector:
        """Move on.

        Args:
            dt: seconds.
            altitude: metres above the ground.
            speed: at which the vehicle and the field pass each other, m/s.

        Returns:
            Longitudinal, lateral and vertical velocity, m/s.
        """
        horizontal, vertical = length_scales(altitude)
        along, across0, across1, upward0, upward1 = self._normals.row()
        path = speed * dt / horizontal
        decay = math.exp(-path)
        self._along = decay * self._along + math.sqrt(-math.expm1(-2 * path)) * along
        self._across = _passed(self._across, path, across0, across1)
        self._upward = _passed(self._upward, speed * dt / vertical, upward0, upward1)
        sigma, sigma_vertical = intensities(altitude, self._wind)
        return (
            sigma * self._along,
            sigma * _transverse(self._across),
            sigma_vertical * _transverse(self._upward),
        )


def _height(altitude: float) -> float:
    """Altitude within the model's bounds, feet."""
    low, high = ALTITUDES
    return min(max(altitude, low), high) / FOOT


def _transverse(pair: tuple[float, float]) -> float:
    """Unit-variance process with the transverse spectrum from the pair in `_passed`."""
    first, second = pair
    return math.sqrt(3) * first + (1 - math.sqrt(3)) * second


def _passed(
    pair: tuple[float, float], path: float, normal0: float, normal1: float
) -> tuple[float, float]:
    """The shaping filter (1 + sqrt(3) s) / (1 + s)^2 after `path` length scales.

    Its states are x1' = -x1 + n and x2' = -x2 + x1 under white noise n of unit intensity. Over a
    path p the transition is e^-p [[1, 0], [p, 1]] and what the noise adds has the covariance

        int_0^p e^-2q [[1, q], [q, q^2]] dq = [[P1 / 2, P2 / 4], [P2 / 4, P3 / 4]]

    with Pk(2 p) the chance that a Poisson count of mean 2 p is k or more.
    """
    first, second = pair
    decay = math.exp(-path)
    p1, p2, p3 = _poisson_tails(2 * path)
    root = math.sqrt(p1 / 2)
    shared = p2 / 4 / root if root else 0.0
    rest = math.sqrt(max(p3 / 4 - shared * shared, 0.0))
    return (
        decay * first + root * normal0,
        decay * (path * first + second) + shared * normal0 + rest * normal1,
    )


def _poisson_tails(mean: float) -> tuple[float, float, float]:
    """Chances that a Poisson count is at least 1, 2 and 3, without cancellation."""
    nothing = math.exp(-mean)
    if mean > 0.5:
        one = 1 - nothing
        two = one - mean * nothing
        return one, two, two - mean * mean / 2 * nothing
    term = mean**3 / 6
    total, count = 0.0, 3
    while term > 1e-17 * total:
        total += term
        count += 1
        term *= mean / count
    three = nothing * total
    two = three + mean * mean / 2 * nothing
    return two + mean * nothing, two, three
