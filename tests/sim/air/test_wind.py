"""The wind has its distribution for steps of any length."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from liquid_nav_sim.air.wind import SLOWEST_FIELD, DiscreteGust, Wind, WindModel
from liquid_nav_sim.errors import SimulationError

MEMBERS = 4000


def ensemble(model: WindModel, steps: list[float]) -> NDArray[np.float64]:
    """Winds of independent flights after each of `steps`, shape (steps, flights, 3)."""
    winds = [Wind(model, np.random.default_rng([7, k])) for k in range(MEMBERS)]
    return np.array([[wind.advance(dt) for wind in winds] for dt in steps])


@pytest.mark.parametrize("count", [1, 2, 8])
@pytest.mark.parametrize("elapsed", [0.1, 1.0, 3.0])
def test_gusts_are_exact_however_the_time_is_cut(count: int, elapsed: float) -> None:
    model = WindModel(steady=0, gust=0.7, gust_time=1.3)
    # A step of 0 s reads the wind without changing it.
    winds = ensemble(model, [0.0] + [elapsed / count] * count)
    first, last = winds[0].ravel(), winds[-1].ravel()
    error = 4 / (3 * MEMBERS) ** 0.5
    assert first.std() == pytest.approx(0.7, rel=error)
    assert last.std() == pytest.approx(0.7, rel=error)
    correlation = np.exp(-elapsed / 1.3)
    assert np.corrcoef(first, last)[0, 1] == pytest.approx(correlation, abs=error)


def test_gusts_blow_independently_along_each_axis() -> None:
    winds = ensemble(WindModel(steady=0, gust=1, gust_time=1), [0.3])[0]
    off_diagonal = np.corrcoef(winds.T)[np.triu_indices(3, 1)]
    assert np.abs(off_diagonal).max() < 4 / MEMBERS**0.5


def test_steady_wind_is_uniform_in_speed_and_direction() -> None:
    winds = ensemble(WindModel(steady=2.0, gust=0), [0.1])[0]
    speed = np.hypot(winds[:, 0], winds[:, 1])
    assert speed.mean() == pytest.approx(1.0, abs=4 * 2 / 12**0.5 / MEMBERS**0.5)
    assert speed.max() > 1.99
    heading = winds[:, :2] / speed[:, None]
    assert np.abs(heading.mean(axis=0)).max() < 4 / (2 * MEMBERS) ** 0.5


@settings(max_examples=50, deadline=None)
@given(steady=st.floats(0, 50), seed=st.integers(0, 2**32), dt=st.floats(0, 100))
def test_steady_wind_is_level_constant_and_within_bounds(
    steady: float, seed: int, dt: float
) -> None:
    wind = Wind(WindModel(steady=steady, gust=0), np.random.default_rng(seed))
    first, second = wind.advance(0.01), wind.advance(dt)
    assert first == second
    assert first[2] == 0
    assert math.hypot(*first) <= steady * (1 + 1e-12)


def test_no_wind_is_exactly_none() -> None:
    wind = Wind(WindModel(steady=0, gust=0), np.random.default_rng(0))
    assert not any(wind.advance(0.1))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steady", -1),
        ("steady", float("nan")),
        ("gust", 51),
        ("turbulence", -1),
        ("turbulence", float("inf")),
        ("gust_time", 0),
        ("gust_time", float("nan")),
    ],
)
def test_a_bad_wind_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(SimulationError, match=f"wind {name} "):
        WindModel(**{name: value})


STILL = WindModel(steady=0, gust=0)


@pytest.mark.parametrize("dt", [0.001, 0.004, 0.02])
@pytest.mark.parametrize("flown", [0.0, 3.0, 12.0])
def test_a_discrete_gust_is_half_a_cosine_along_the_path(dt: float, flown: float) -> None:
    """MIL-F-8785C, 3.7.3.1: V / 2 (1 - cos(pi x / d)), then V."""
    gust = DiscreteGust(start=0.5, velocity=(2.0, -3.0, 1.0), length=10.0)
    wind = Wind(replace(STILL, discrete=(gust,)), np.random.default_rng(0))
    passing = max(flown, SLOWEST_FIELD)
    for k in range(1, round(0.5 / dt) + round(12 / passing / dt)):
        found = wind.advance(dt, velocity=(0.0, flown, 0.0))
        x = min(max(passing * (k * dt - 0.5), 0), 10.0)
        share = (1 - math.cos(math.pi * x / 10)) / 2
        assert found == pytest.approx((2 * share, -3 * share, share), abs=1e-6)
    assert found == (2.0, -3.0, 1.0)


def test_two_opposite_gusts_make_one_that_dies_down() -> None:
    there = DiscreteGust(start=0.0, velocity=(5.0, 0.0, 0.0), length=1.0)
    back = DiscreteGust(start=1.0, velocity=(-5.0, 0.0, 0.0), length=1.0)
    wind = Wind(replace(STILL, discrete=(there, back)), np.random.default_rng(0))
    east = [wind.advance(0.01)[0] for _ in range(210)]
    assert east[99] == pytest.approx(5.0)
    assert max(east) == pytest.approx(5.0)
    assert east[-1] == 0


def test_turbulence_lies_along_the_steady_wind() -> None:
    """It correlates longest along the wind: the lateral length is half the longitudinal one."""
    model = WindModel(steady=20.0, gust=0, turbulence=15.4)
    increments, headings = [], []
    for seed in range(3000):
        wind = Wind(model, np.random.default_rng(seed))
        calm = Wind(replace(model, turbulence=0), np.random.default_rng(seed)).advance(0.0)
        first, second = wind.advance(0.0, 10.0), wind.advance(0.05, 10.0)
        increments.append(np.subtract(second, first))
        headings.append(np.array(calm) / math.hypot(*calm))
    ahead = np.array(headings)
    moved = np.array(increments)
    left = np.stack([-ahead[:, 1], ahead[:, 0]], axis=1)
    along = (moved * ahead).sum(axis=1).var()
    across = (moved[:, :2] * left).sum(axis=1).var()
    # 1 - the correlation, at short range, is 1 for 3/2.
    assert across / along == pytest.approx(1.5, rel=0.1)


def test_turbulence_changes_in_hover_and_faster_in_flight() -> None:
    def change(velocity: tuple[float, float, float], steady: float = 0.0) -> float:
        model = WindModel(steady=0, gust=0, turbulence=15.4)
        squares = []
        for seed in range(400):
            wind = Wind(model, np.random.default_rng(seed))
            wind._speed = steady
            first, second = wind.advance(0.0, 5.0, velocity), wind.advance(0.1, 5.0, velocity)
            squares.append(np.subtract(second, first) ** 2)
        return float(np.mean(squares))

    hover = change((0.0, 0.0, 0.0))
    assert hover > 0
    assert change((0.0, 0.0, 0.3)) == hover
    assert change((0.0, 0.0, 8.0)) > 4 * hover
    assert change((0.0, 0.0, 0.0), steady=8.0) == pytest.approx(change((0.0, 0.0, 8.0)), rel=0.2)


def test_turbulence_leaves_gusts_and_steady_wind_as_they_are() -> None:
    plain, turbulent = WindModel(), WindModel(turbulence=15.4)
    one, other = (Wind(m, np.random.default_rng(5)) for m in (plain, turbulent))
    for _ in range(10):
        one.advance(0.004)
        other.advance(0.004)
    assert (one._gust, one._speed, one.ahead) == (other._gust, other._speed, other.ahead)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("start", -1.0),
        ("start", math.inf),
        ("velocity", (1.0, 2.0)),
        ("velocity", (0.0, 0.0, math.nan)),
        ("length", 0.0),
    ],
)
def test_a_bad_gust_is_refused_by_name(name: str, value: Any) -> None:
    fields = {"start": 0.0, "velocity": (1.0, 0.0, 0.0), "length": 5.0, name: value}
    with pytest.raises(SimulationError, match=f"DiscreteGust.{name} "):
        DiscreteGust(**fields)


def test_the_steady_wind_is_drawn_between_its_least_and_its_largest_speed() -> None:
    model = WindModel(steady=5.0, gust=0.0, least=3.0)
    speeds = np.linalg.norm(ensemble(model, [0.0])[0], axis=1)
    assert speeds.min() == pytest.approx(3.0, abs=0.01)
    assert speeds.max() == pytest.approx(5.0, abs=0.01)


def test_the_least_wind_cannot_exceed_the_largest() -> None:
    with pytest.raises(SimulationError, match=r"wind least must be in \[0, steady = 1.0\]"):
        WindModel(steady=1.0, least=2.0)
