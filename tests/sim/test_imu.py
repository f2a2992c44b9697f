"""The statistics of the IMU are those that its noise parameters name."""

import math
from dataclasses import fields

import numpy as np
import pytest
from numpy.typing import NDArray

from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.imu import ADIS16448, BMI088, NOISELESS, PX4_DEFAULT, Imu, ImuNoise
from liquid_nav_sim.state import GRAVITY

TRUTH = [0.1, -0.2, 0.3, 1.0, 2.0, GRAVITY]


def errors(noise: ImuNoise, dt: float, samples: int, seed: int = 0) -> NDArray[np.float64]:
    """Measured minus true, gyroscope then accelerometer, shape (samples, 6)."""
    imu = Imu(noise, np.random.default_rng(seed))
    return np.array([imu.read(TRUTH, dt) for _ in range(samples)]) - TRUTH


def test_noiseless_is_the_truth() -> None:
    assert Imu(NOISELESS, np.random.default_rng(0)).read(TRUTH, 0.01) == TRUTH


@pytest.mark.parametrize("dt", [0.0025, 0.01])
def test_white_noise_has_its_density_at_any_rate(dt: float) -> None:
    noise = ImuNoise(gyro_noise=3e-4, accel_noise=4e-3)
    density = errors(noise, dt, 5000).std(axis=0) * math.sqrt(dt)
    np.testing.assert_allclose(density, np.repeat((3e-4, 4e-3), 3), rtol=0.05)


def test_white_noise_is_white() -> None:
    error = errors(ImuNoise(gyro_noise=1.0, accel_noise=1.0), 0.01, 5000)
    correlation = np.mean(error[1:] * error[:-1], axis=0) / error.var(axis=0)
    assert np.abs(correlation).max() < 0.07
    assert np.abs(np.corrcoef(error.T) - np.eye(6)).max() < 0.07


@pytest.mark.parametrize("dt", [0.01, 0.05])
def test_bias_walks_with_the_root_of_time(dt: float) -> None:
    noise = ImuNoise(gyro_walk=2e-3, accel_walk=6e-3)
    ends = np.array([errors(noise, dt, round(1 / dt), seed)[-1] for seed in range(300)])
    spread = np.sqrt([(ends[:, :3] ** 2).mean(), (ends[:, 3:] ** 2).mean()])
    np.testing.assert_allclose(spread, (2e-3, 6e-3), rtol=0.1)


def test_turn_on_bias_is_drawn_once() -> None:
    noise = ImuNoise(gyro_turn_on_bias=0.01, accel_turn_on_bias=0.2)
    flights = np.array([errors(noise, 0.01, 2, seed) for seed in range(500)])
    np.testing.assert_allclose(flights[:, 0], flights[:, 1], atol=1e-12)
    np.testing.assert_allclose(flights[:, 0].std(axis=0), np.repeat((0.01, 0.2), 3), rtol=0.15)


def test_allan_deviation_of_the_px4_gyroscope() -> None:
    """At averages of tau, the white part falls as N / sqrt(tau) (IEEE 952)."""
    dt, rate = 0.005, errors(PX4_DEFAULT, 0.005, 20_000)[:, :3]
    for cluster in (4, 20, 100):
        means = rate[: len(rate) // cluster * cluster].reshape(-1, cluster, 3).mean(axis=1)
        allan = np.sqrt(0.5 * np.mean(np.diff(means, axis=0) ** 2))
        assert allan == pytest.approx(3.394e-4 / math.sqrt(cluster * dt), rel=0.1)


def test_equal_stamps_do_not_blow_up() -> None:
    """Two samples at one instant: no bias step, and noise bounded by the sensor's own filter."""
    imu = Imu(PX4_DEFAULT, np.random.default_rng(0))
    error = np.abs(np.subtract(imu.read(TRUTH, 0.0), TRUTH))
    assert error[:3].max() < 0.1
    assert error[3:].max() < 1.5


def test_same_seed_same_samples() -> None:
    np.testing.assert_array_equal(errors(PX4_DEFAULT, 0.01, 5, 3), errors(PX4_DEFAULT, 0.01, 5, 3))
    assert not np.array_equal(errors(PX4_DEFAULT, 0.01, 5, 3), errors(PX4_DEFAULT, 0.01, 5, 4))


def test_presets_are_ordered_as_their_sensors() -> None:
    assert ADIS16448.gyro_noise < BMI088.gyro_noise < PX4_DEFAULT.gyro_noise
    assert BMI088.accel_noise < ADIS16448.accel_noise < PX4_DEFAULT.accel_noise


@pytest.mark.parametrize("name", [field.name for field in fields(ImuNoise)])
@pytest.mark.parametrize("value", [-1e-9, math.nan, math.inf])
def test_noise_out_of_range_is_named(name: str, value: float) -> None:
    with pytest.raises(SimulationError, match=name):
        ImuNoise(**{name: value})


@pytest.mark.parametrize("dt", [-1e-9, math.nan])
def test_time_does_not_run_backwards(dt: float) -> None:
    with pytest.raises(SimulationError, match="negative"):
        Imu(NOISELESS, np.random.default_rng(0)).read(TRUTH, dt)
