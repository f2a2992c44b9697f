"""Wind: the law asked for, whatever the step."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.wind import Wind, WindModel

MEMBERS = 4000


def ensemble(model: WindModel, steps: list[float]) -> NDArray[np.float64]:
    """Winds of independent flights after each of `steps`, shape (steps, flights, 3)."""
    winds = [Wind(model, np.random.default_rng([7, k])) for k in range(MEMBERS)]
    return np.array([[wind.advance(dt) for wind in winds] for dt in steps])


@pytest.mark.parametrize("count", [1, 2, 8])
@pytest.mark.parametrize("elapsed", [0.1, 1.0, 3.0])
def test_gusts_are_exact_however_the_time_is_cut(count: int, elapsed: float) -> None:
    model = WindModel(steady=0, gust=0.7, gust_time=1.3)
    # A step of no time reads the wind without moving it.
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
    assert np.array_equal(first, second)
    assert first[2] == 0
    assert np.linalg.norm(first) <= steady * (1 + 1e-12)


def test_no_wind_is_exactly_none() -> None:
    wind = Wind(WindModel(steady=0, gust=0), np.random.default_rng(0))
    assert not wind.advance(0.1).any()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steady", -1),
        ("steady", float("nan")),
        ("gust", 51),
        ("gust_time", 0),
        ("gust_time", float("nan")),
    ],
)
def test_a_bad_wind_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(SimulationError, match=f"wind {name} "):
        WindModel(**{name: value})
