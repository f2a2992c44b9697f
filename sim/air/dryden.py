"""Dryden turbulence at low altitude (MIL-F-8785C, 3.7.3.4), exact for steps of any length.

The turbulence is a frozen field through which the vehicle moves, so it depends on the distance
flown and not on time. With distance in units of the length scale, each axis is a stationary process
of unit variance that depends on neither altitude nor speed. `Dryden` advances these processes and
scales them by the length scales and intensities at the present altitude and speed, which may
therefore change during a flight.
"""

import math

import numpy as np

from liquid_nav_sim.normals import Normals
from liquid_nav_sim.rotation import Vector

FOOT = 0.3048
"""One foot in metres."""

ALTITUDES = (10 * FOOT, 1000 * FOOT)
"""Lowest and highest altitude of the model, metres; beyond them, the values at the bound hold."""


def length_scales(altitude: float) -> tuple[float, float]:
    """Length scales L_u = L_v (horizontal) and L_w (vertical), metres, at an altitude in metres."""
    height = _height(altitude)
    return FOOT * height / (0.177 + 0.000823 * height) ** 1.2, FOOT * height


def intensities(altitude: float, wind: float) -> tuple[float, float]:
    """Standard deviations sigma_u = sigma_v (horizontal) and sigma_w (vertical), m/s.

    Args:
        altitude: metres.
        wind: mean wind speed 6 m (20 ft) above the ground, m/s.
    """
    vertical = 0.1 * wind
    return vertical / (0.177 + 0.000823 * _height(altitude)) ** 0.4, vertical


class Dryden:
    """The turbulence along the path of one vehicle.

    Args:
        wind: mean wind speed 6 m (20 ft) above the ground, m/s; it sets the intensity.
        rng: random stream.
    """

    def __init__(self, wind: float, rng: np.random.Generator) -> None:
        self._wind = wind
        self._normals = Normals(rng, 5)
        first, *others = self._normals.row()
        self._along = first
        # The stationary covariance of the states in `_filtered` is [[1/2, 1/4], [1/4, 1/4]].
        half = math.sqrt(0.5)
        self._across, self._upward = (
            (half * others[k], half * (others[k] + others[k + 1]) / 2) for k in (0, 2)
        )

    def advance(self, dt: float, altitude: float, speed: float) -> Vector:
        """Advance by `dt` seconds.

        Args:
            dt: seconds.
            altitude: metres above the ground.
            speed: speed of the vehicle relative to the field, m/s.

        Returns:
            Longitudinal, lateral and vertical velocity of the turbulence, m/s.
        """
        horizontal, vertical = length_scales(altitude)
        along, across0, across1, upward0, upward1 = self._normals.row()
        path = speed * dt / horizontal
        decay = math.exp(-path)
        self._along = decay * self._along + math.sqrt(-math.expm1(-2 * path)) * along
        self._across = _filtered(self._across, path, across0, across1)
        self._upward = _filtered(self._upward, speed * dt / vertical, upward0, upward1)
        sigma, sigma_vertical = intensities(altitude, self._wind)
        return (
            sigma * self._along,
            sigma * _transverse(self._across),
            sigma_vertical * _transverse(self._upward),
        )


def _height(altitude: float) -> float:
    """Altitude clipped to the bounds of the model, in feet."""
    low, high = ALTITUDES
    return min(max(altitude, low), high) / FOOT


def _transverse(pair: tuple[float, float]) -> float:
    """Output of the shaping filter in `_filtered`: unit variance and the transverse spectrum."""
    first, second = pair
    return math.sqrt(3) * first + (1 - math.sqrt(3)) * second


def _filtered(
    pair: tuple[float, float], path: float, normal0: float, normal1: float
) -> tuple[float, float]:
    """States of the shaping filter (1 + sqrt(3) s) / (1 + s)^2 after `path` length scales.

    The states follow x1' = -x1 + n and x2' = -x2 + x1, where n is white noise of unit intensity.
    Over a path p the transition matrix is e^-p [[1, 0], [p, 1]], and the noise adds the covariance

        int_0^p e^-2q [[1, q], [q, q^2]] dq = [[P1 / 2, P2 / 4], [P2 / 4, P3 / 4]]

    where Pk is the probability that a Poisson variable of mean 2 p is at least k.
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
    """Probabilities that a Poisson variable is at least 1, 2 and 3, free of cancellation."""
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
