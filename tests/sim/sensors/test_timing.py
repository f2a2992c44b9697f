"""Sensor clocks: the statistics are those asked for, and the order of time is kept."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from liquid_nav.events import SECOND
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.sensors.clock import SensorClock
from liquid_nav_sim.sensors.timing import SensorTiming

COUNT = 20_000


def draw(
    timing: SensorTiming, count: int = COUNT, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Stamps and arrivals in seconds; a dropped measurement arrives at NaN."""
    clock = SensorClock(timing, np.random.default_rng(seed))
    stamps, arrivals = np.empty(count), np.empty(count)
    for k in range(count):
        stamps[k] = clock.stamp / SECOND
        arrivals[k] = np.nan if clock.arrival is None else clock.arrival / SECOND
        clock.advance()
    return stamps, arrivals


@pytest.mark.parametrize("rate", [7.3, 30, 200, 1000])
def test_without_jitter_the_grid_is_regular_to_the_nanosecond(rate: float) -> None:
    stamps, arrivals = draw(SensorTiming(rate=rate), 2000)
    offset = stamps - np.arange(2000) / rate
    assert np.ptp(offset) < 2e-9
    assert 0 <= offset[0] < 1 / rate
    assert np.array_equal(stamps, arrivals)


def test_jitter_has_its_standard_deviation_and_does_not_add_up() -> None:
    stamps, _ = draw(SensorTiming(rate=30, jitter=0.002))
    offset = stamps - np.arange(COUNT) / 30
    assert offset.std() == pytest.approx(0.002, rel=0.03)
    assert offset[-1000:].mean() == pytest.approx(offset[:1000].mean(), abs=4 * 0.002 / 1000**0.5)
    assert abs(np.corrcoef(offset[:-1], offset[1:])[0, 1]) < 0.04


def test_jitter_is_cut_at_0_45_periods() -> None:
    stamps, _ = draw(SensorTiming(rate=100, jitter=0.05))
    offset = stamps - np.arange(COUNT) / 100
    assert np.ptp(offset[1:]) == pytest.approx(2 * 0.45 / 100, abs=1e-8)


def test_latency_is_a_floor_plus_an_exponential() -> None:
    # So slow a clock that no measurement queues behind another.
    stamps, arrivals = draw(SensorTiming(rate=5, latency=0.025, latency_jitter=0.01))
    latency = arrivals - stamps
    assert latency.min() == pytest.approx(0.025, abs=1e-5)
    assert latency.mean() == pytest.approx(0.035, abs=4 * 0.01 / COUNT**0.5)
    assert latency.std() == pytest.approx(0.01, rel=0.05)


def test_drops_have_their_rate_and_no_memory() -> None:
    _, arrivals = draw(SensorTiming(rate=200, drop=0.2))
    lost = np.isnan(arrivals)
    assert lost.mean() == pytest.approx(0.2, abs=4 * (0.2 * 0.8 / COUNT) ** 0.5)
    assert abs(np.corrcoef(lost[:-1], lost[1:])[0, 1]) < 0.04


@pytest.mark.parametrize(("drop", "burst"), [(0.05, 4.0), (0.3, 10.0), (0.5, 2.5)])
def test_losses_come_in_bursts_of_their_mean_length(drop: float, burst: float) -> None:
    _, arrivals = draw(SensorTiming(rate=200, drop=drop, burst=burst), 100_000)
    lost = np.isnan(arrivals)
    # Each burst stands for `burst` draws of a loss, so that the mean spreads as much more.
    assert lost.mean() == pytest.approx(
        drop, abs=4 * (2 * burst * drop * (1 - drop) / len(lost)) ** 0.5
    )
    edges = np.flatnonzero(np.diff(np.concatenate([[0], lost.astype(int), [0]])))
    lengths = edges[1::2] - edges[::2]
    spread = (burst * (burst - 1)) ** 0.5
    assert lengths.mean() == pytest.approx(burst, abs=4 * spread / len(lengths) ** 0.5)
    # Lengths of bursts are geometric: the chance that one ends does not depend on its age.
    assert (lengths == 1).mean() == pytest.approx(1 / burst, abs=4 * 0.5 / len(lengths) ** 0.5)


def test_bursts_shorter_than_those_of_chance_are_those_of_chance() -> None:
    plain, bursty = SensorTiming(rate=30, drop=0.6), SensorTiming(rate=30, drop=0.6, burst=2.0)
    assert np.array_equal(draw(plain, 500), draw(bursty, 500), equal_nan=True)


@pytest.mark.parametrize("drift", [-20_000, -50, 0, 50, 20_000])
def test_a_fast_clock_measures_more_often_and_stamps_rightly(drift: float) -> None:
    stamps, arrivals = draw(SensorTiming(rate=200, drift=drift, latency=0.003))
    rate = (COUNT - 1) / (stamps[-1] - stamps[0])
    assert rate == pytest.approx(200 * (1 + drift * 1e-6), rel=1e-9)
    np.testing.assert_allclose(arrivals - stamps, 0.003, atol=1e-9)


def test_phase_is_uniform_over_a_period() -> None:
    phases = np.array([draw(SensorTiming(rate=10), 1, seed)[0][0] for seed in range(2000)])
    counts, _ = np.histogram(phases, bins=10, range=(0, 0.1))
    assert counts.sum() == 2000
    assert np.abs(counts - 200).max() < 4 * (2000 * 0.1 * 0.9) ** 0.5


def test_drops_and_latency_do_not_move_the_stamps() -> None:
    plain, _ = draw(SensorTiming(rate=30, jitter=0.002), 500)
    worse, _ = draw(SensorTiming(rate=30, jitter=0.002, latency=0.1, drop=0.5), 500)
    assert np.array_equal(plain, worse)


def test_a_slow_measurement_holds_up_the_next_ones() -> None:
    stamps, arrivals = draw(SensorTiming(rate=1000, latency_jitter=0.01))
    assert (np.diff(arrivals) >= 0).all()
    assert (np.diff(arrivals) == 0).mean() > 0.5
    assert (arrivals - stamps).mean() > 0.015


durations = st.floats(0, 9.9, allow_subnormal=False)


@settings(max_examples=150, deadline=None)
@given(
    rate=st.floats(0.1, 10_000),
    jitter=durations,
    latency=durations,
    latency_jitter=durations,
    drop=st.floats(0, 0.99),
    burst=st.floats(1, 1e6),
    drift=st.floats(-1e5, 1e5),
    seed=st.integers(0, 2**32),
)
def test_time_keeps_its_order(
    rate: float,
    jitter: float,
    latency: float,
    latency_jitter: float,
    drop: float,
    burst: float,
    drift: float,
    seed: int,
) -> None:
    timing = SensorTiming(rate, jitter, latency, latency_jitter, drop, burst, drift)
    clock = SensorClock(timing, np.random.default_rng(seed))
    last_stamp, last_arrival = -1, 0
    for _ in range(100):
        assert clock.stamp > last_stamp
        last_stamp = clock.stamp
        if clock.arrival is not None:
            assert clock.arrival >= clock.stamp + int(latency * SECOND)
            assert clock.arrival >= last_arrival
            last_arrival = clock.arrival
        clock.advance()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rate", 0),
        ("rate", 10_001),
        ("rate", float("nan")),
        ("jitter", -1e-9),
        ("latency", 10),
        ("latency_jitter", float("inf")),
        ("drop", 1),
        ("drop", -0.1),
        ("burst", 0.9),
        ("burst", float("nan")),
        ("drift", 2e5),
        ("drift", float("nan")),
    ],
)
def test_a_bad_timing_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(SimulationError, match=f"sensor {name} "):
        SensorTiming(**{"rate": 30, name: value})


def test_a_measurement_held_back_is_overtaken_by_the_next_and_nothing_else_changes() -> None:
    timing = SensorTiming(rate=30, jitter=0.002, latency=0.02, latency_jitter=0.001, drop=0.2)
    stamps, arrivals = draw(timing)
    others, late = draw(replace(timing, overtaken=0.3))
    assert np.array_equal(stamps, others)
    assert np.array_equal(np.isnan(arrivals), np.isnan(late))
    back = late - arrivals
    arrived = back[~np.isnan(back)]
    assert set(np.round(arrived, 6)) == {0.0, 0.05}
    assert np.mean(arrived > 0) == pytest.approx(0.3, abs=0.01)


def test_overtaken_must_be_a_probability() -> None:
    with pytest.raises(SimulationError, match=r"sensor overtaken must be in \[0, 1\], got 1.2"):
        SensorTiming(rate=30, overtaken=1.2)
