"""Dryden turbulence against theory and linear algebra, for steps of any length."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import signal
from scipy.linalg import expm, solve_continuous_lyapunov
from scipy.optimize import brentq

from liquid_nav_sim.air.dryden import Dryden, _filtered, intensities, length_scales

KNOT = 1852 / 3600
MEMBERS = 12_000


@pytest.fixture
def fly(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes one `Dryden` that flies many flights at once: its numbers are arrays over flights."""

    def build(wind: float, members: int) -> Dryden:
        class Ensemble:
            def __init__(self, rng: np.random.Generator, width: int) -> None:
                self._rng, self._shape = rng, (width, members)

            def row(self) -> list[NDArray[np.float64]]:
                return list(self._rng.standard_normal(self._shape))

        monkeypatch.setattr("liquid_nav_sim.air.dryden.Normals", Ensemble)
        return Dryden(wind, np.random.default_rng(1))

    return build


def test_length_scales_and_intensities_follow_the_specification() -> None:
    """At 10 m and 30 kn: L_u = 67 m, sigma_w = 1.54 and sigma_u = 2.9 m/s."""
    assert length_scales(10.0) == pytest.approx((67.4, 10.0), abs=0.1)
    assert intensities(10.0, 30 * KNOT) == pytest.approx((2.91, 1.543), abs=0.01)
    # At 1000 feet, the upper bound of the model, all axes are equal.
    assert length_scales(304.8) == pytest.approx((304.8, 304.8), rel=1e-3)
    assert intensities(304.8, 10.0) == pytest.approx((1.0, 1.0), rel=1e-3)
    assert length_scales(0.0) == length_scales(3.048)
    assert intensities(5000.0, 10.0) == intensities(304.8, 10.0)


def correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    return float(np.mean(first * second) / np.sqrt(np.mean(first**2) * np.mean(second**2)))


@pytest.mark.parametrize("dt", [0.001, 0.005, 0.020])
def test_intensity_and_length_scale_are_realised(fly: Any, dt: float) -> None:
    """Longitudinal correlation exp(-x / L), transverse (1 - x / 2 L) exp(-x / L)."""
    speed, altitude = 30 * KNOT, 10.0
    ensemble = fly(30 * KNOT, MEMBERS)
    laws = (lambda x: math.exp(-x), lambda x: (1 - x / 2) * math.exp(-x))
    scales = length_scales(altitude)
    start = ensemble.advance(0.0, altitude, speed)
    steps = round(0.3 * scales[0] / speed / dt)
    upward_steps = round(0.3 * scales[1] / speed / dt)
    for k in range(1, steps + 1):
        air = ensemble.advance(dt, altitude, speed)
        if k == upward_steps:
            upward = air[2]
    horizontal, vertical = intensities(altitude, 30 * KNOT)
    for axis, sigma in enumerate((horizontal, horizontal, vertical)):
        assert np.std(air[axis]) == pytest.approx(sigma, rel=0.02)
        assert abs(np.mean(air[axis])) < 4 * sigma / MEMBERS**0.5
    for end, axis, law, length, count in (
        (air[0], 0, laws[0], scales[0], steps),
        (air[1], 1, laws[1], scales[0], steps),
        (upward, 2, laws[1], scales[1], upward_steps),
    ):
        found = correlation(np.asarray(start[axis]), np.asarray(end))
        path = brentq(lambda x, law=law, found=found: law(x) - found, 0.01, 1.5)
        assert count * dt * speed / path == pytest.approx(length, rel=0.05)
    # The axes are uncorrelated.
    assert np.abs(np.corrcoef(np.array(air)) - np.eye(3)).max() < 4 / MEMBERS**0.5


def test_the_spectrum_follows_the_specification(fly: Any) -> None:
    """Power over five octaves around the corner frequency, by Welch's method and the formula."""
    dryden, dt, speed, altitude = fly(10.0, 64), 0.02, 20.0, 6.0
    air = np.array([dryden.advance(dt, altitude, speed) for _ in range(6000)])
    for axis, scale, sigma in zip(
        range(3),
        (length_scales(altitude)[0],) * 2 + (length_scales(altitude)[1],),
        (intensities(altitude, 10.0)[0],) * 2 + (intensities(altitude, 10.0)[1],),
        strict=True,
    ):
        frequency, power = signal.welch(air[:, axis].T, fs=1 / dt, nperseg=2048)
        corner = speed / scale / (2 * math.pi)
        mean = power.mean(axis=0)
        for low, high in pairwise(corner * np.array([0.25, 0.5, 1, 2, 4, 8])):
            band = (frequency >= low) & (frequency < min(high, 0.1 / dt))
            if band.sum() < 3:
                continue
            w = (2 * math.pi * frequency[band] * scale / speed) ** 2
            shape = 2 / (1 + w) if axis == 0 else (1 + 3 * w) / (1 + w) ** 2
            # Power per Hz is 2 pi times the specification's power per rad/s; both are one-sided.
            expected = 2 * sigma**2 * scale / speed * shape
            assert mean[band].mean() == pytest.approx(expected.mean(), rel=0.08)


A = np.array([[-1.0, 0.0], [1.0, -1.0]])
NOISE = np.array([[1.0, 0.0], [0.0, 0.0]])
STATIONARY = solve_continuous_lyapunov(A, -NOISE)


def transition(path: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Transition matrix of the filter, and the root of the covariance of its added noise."""
    carried = np.array([_filtered(unit, path, 0.0, 0.0) for unit in ((1.0, 0.0), (0.0, 1.0))]).T
    added = np.array(
        [_filtered((0.0, 0.0), path, *normals) for normals in ((1.0, 0.0), (0.0, 1.0))]
    ).T
    return carried, added


@given(st.floats(1e-9, 50))
def test_the_filter_is_exact_over_any_path(path: float) -> None:
    """The transition is the matrix exponential, and the noise keeps the filter stationary."""
    carried, added = transition(path)
    np.testing.assert_allclose(carried, expm(A * path), rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(
        carried @ STATIONARY @ carried.T + added @ added.T, STATIONARY, rtol=1e-12
    )


@given(st.floats(1e-7, 2.0))
def test_the_noise_added_over_a_short_path_is_exact(path: float) -> None:
    """Each entry of Van Loan's integral (1978); over 1 ms they differ by a factor of 1e15."""
    _, added = transition(path)
    # Scale by powers of the path, so that all entries have similar magnitudes.
    scaled = np.diag([path**-0.5, path**-1.5]) @ added
    nodes, weights = np.polynomial.legendre.leggauss(40)
    q = (nodes + 1) / 2
    decay = weights / 2 * np.exp(-2 * path * q)
    expected = np.array(
        [[decay.sum(), (decay * q).sum()], [(decay * q).sum(), (decay * q * q).sum()]]
    )
    np.testing.assert_allclose(scaled @ scaled.T, expected, rtol=1e-8)


@given(st.floats(1e-6, 3.0), st.floats(0.01, 0.99))
def test_two_steps_have_the_distribution_of_one(path: float, share: float) -> None:
    first, second = transition(share * path), transition((1 - share) * path)
    carried, added = transition(path)
    np.testing.assert_allclose(second[0] @ first[0], carried, rtol=1e-9, atol=1e-15)
    both = second[0] @ first[1]
    covariance = both @ both.T + second[1] @ second[1].T
    np.testing.assert_allclose(covariance, added @ added.T, rtol=1e-7, atol=0)


def test_a_path_of_length_zero_changes_nothing() -> None:
    assert _filtered((0.3, -0.2), 0.0, 5.0, 5.0) == (0.3, -0.2)


def test_a_flight_repeats() -> None:
    def flight(seed: int) -> list[Any]:
        dryden = Dryden(10.0, np.random.default_rng(seed))
        return [dryden.advance(0.004, 3.0 + 0.1 * k, 1.0 + k) for k in range(50)]

    assert flight(1) == flight(1)
    assert flight(1) != flight(2)
