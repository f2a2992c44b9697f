"""The statistics of the IMU are those that its noise parameters name."""

import math
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from liquid_nav.events import SECOND
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.rotation import rotate_back, rotation_of
from liquid_nav_sim.sensors.imu import Imu
from liquid_nav_sim.sensors.imu_models import (
    ADIS16448,
    BMI088,
    MPU6050,
    NOISELESS,
    PX4_DEFAULT,
    ImuModel,
)
from liquid_nav_sim.vehicle.state import GRAVITY, Kinematics, Motion

TRUTH = [0.1, -0.2, 0.3, 1.0, 2.0, GRAVITY]


def errors(noise: ImuModel, dt: float, samples: int, seed: int = 0) -> NDArray[np.float64]:
    """Measured minus true, gyroscope then accelerometer, shape (samples, 6)."""
    imu = Imu(noise, np.random.default_rng(seed))
    return np.array([imu.read(TRUTH, dt) for _ in range(samples)]) - TRUTH


def test_noiseless_is_the_truth() -> None:
    assert Imu(NOISELESS, np.random.default_rng(0)).read(TRUTH, 0.01) == TRUTH


@pytest.mark.parametrize("dt", [0.0025, 0.01])
def test_white_noise_has_its_density_at_any_rate(dt: float) -> None:
    noise = ImuModel(gyro_noise=3e-4, accel_noise=4e-3)
    density = errors(noise, dt, 5000).std(axis=0) * math.sqrt(dt)
    np.testing.assert_allclose(density, np.repeat((3e-4, 4e-3), 3), rtol=0.05)


def test_white_noise_is_white() -> None:
    error = errors(ImuModel(gyro_noise=1.0, accel_noise=1.0), 0.01, 5000)
    correlation = np.mean(error[1:] * error[:-1], axis=0) / error.var(axis=0)
    assert np.abs(correlation).max() < 0.07
    assert np.abs(np.corrcoef(error.T) - np.eye(6)).max() < 0.07


@pytest.mark.parametrize("dt", [0.01, 0.05])
def test_bias_walks_with_the_root_of_time(dt: float) -> None:
    noise = ImuModel(gyro_walk=2e-3, accel_walk=6e-3)
    ends = np.array([errors(noise, dt, round(1 / dt), seed)[-1] for seed in range(300)])
    spread = np.sqrt([(ends[:, :3] ** 2).mean(), (ends[:, 3:] ** 2).mean()])
    np.testing.assert_allclose(spread, (2e-3, 6e-3), rtol=0.1)


def test_turn_on_bias_is_drawn_once() -> None:
    noise = ImuModel(gyro_turn_on_bias=0.01, accel_turn_on_bias=0.2)
    flights = np.array([errors(noise, 0.01, 2, seed) for seed in range(500)])
    np.testing.assert_allclose(flights[:, 0], flights[:, 1], atol=1e-12)
    np.testing.assert_allclose(flights[:, 0].std(axis=0), np.repeat((0.01, 0.2), 3), rtol=0.15)


@pytest.fixture(scope="module")
def hour() -> NDArray[np.float64]:
    """An hour of the PX4 default at rest, 50 Hz, shape (180000, 6)."""
    return errors(PX4_DEFAULT, 0.02, 180_000)


def allan_deviation(rate: NDArray[np.float64], dt: float, tau: float) -> NDArray[np.float64]:
    """Overlapping Allan deviation of each column at averages of `tau` s (IEEE 952-1997)."""
    angle = np.concatenate([np.zeros((1, rate.shape[1])), np.cumsum(rate, axis=0)]) * dt
    m = round(tau / dt)
    second = angle[2 * m :] - 2 * angle[m:-m] + angle[: -2 * m]
    return np.asarray(np.sqrt(np.mean(second**2, axis=0) / 2) / tau)


def test_allan_deviation_of_an_hour_gives_the_densities(hour: NDArray[np.float64]) -> None:
    """White noise N and walk K: the deviation squared is N^2 / tau + K^2 tau / 3."""
    white, walk = np.repeat((3.394e-4, 4.0e-3), 3), np.repeat((3.879e-5, 6.0e-3), 3)
    deviations = {tau: allan_deviation(hour, 0.02, tau) for tau in (0.1, 0.3, 1.0, 3, 10, 30)}
    for tau, deviation in deviations.items():
        expected = np.sqrt(white**2 / tau + walk**2 * tau / 3)
        np.testing.assert_allclose(deviation, expected, rtol=0.1)
    # What an engineer reads off the plot, where one of the two is nearly all of it.
    read_white = np.sqrt(deviations[0.1] ** 2 * 0.1 - walk**2 * 0.01 / 3)
    np.testing.assert_allclose(read_white, white, rtol=0.1)
    read_walk = np.sqrt((deviations[30] ** 2 - white**2 / 30) * 3 / 30)
    np.testing.assert_allclose(read_walk, walk, rtol=0.1)


# Errors of the specimen


def specimens(model: ImuModel, truth: list[float], count: int = 400) -> NDArray[np.float64]:
    """First readings of as many IMUs, shape (count, 6)."""
    return np.array([Imu(model, np.random.default_rng(k)).read(truth, 0.01) for k in range(count)])


def test_scale_errors_are_those_of_each_axis() -> None:
    model = ImuModel(gyro_scale=0.02, accel_scale=0.005)
    found = specimens(model, [1.0, 1.0, 1.0, 10.0, 10.0, 10.0]) - ([1] * 3 + [10] * 3)
    np.testing.assert_allclose(found.std(axis=0), [0.02] * 3 + [0.05] * 3, rtol=0.12)
    assert np.abs(np.corrcoef(found.T) - np.eye(6)).max() < 0.2
    np.testing.assert_array_equal(specimens(model, [0.0] * 6), 0)


def test_misaligned_axes_take_up_the_others() -> None:
    model = ImuModel(gyro_misalignment=0.01, accel_misalignment=0.02)
    found = specimens(model, [0.0, 0.0, 2.0, 10.0, 0.0, 0.0])
    assert (found[:, (2, 3)] == (2.0, 10.0)).all()
    spread = found[:, (0, 1, 4, 5)].std(axis=0)
    np.testing.assert_allclose(spread, (0.02, 0.02, 0.2, 0.2), rtol=0.12)


def test_g_sensitivity_turns_force_into_rate() -> None:
    found = specimens(ImuModel(g_sensitivity=1e-3), [0.0, 0.0, 0.0, 0.0, 0.0, GRAVITY])
    np.testing.assert_allclose(found[:, :3].std(axis=0), [1e-3 * GRAVITY] * 3, rtol=0.12)
    assert (found[:, 3:] == (0, 0, GRAVITY)).all()


def test_readings_saturate_at_full_scale() -> None:
    imu = Imu(ImuModel(gyro_range=4.0, accel_range=30.0), np.random.default_rng(0))
    assert imu.read([5.0, -5.0, 3.0, 31.0, -31.0, 29.0], 0.01) == [4, -4, 3, 30, -30, 29]


def test_readings_go_in_steps() -> None:
    model = ImuModel(gyro_noise=1e-3, accel_noise=1e-3, gyro_resolution=0.01, accel_resolution=0.05)
    found = errors(model, 0.01, 500) + TRUTH
    steps = found / np.repeat((0.01, 0.05), 3)
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-9)
    assert len(np.unique(np.rint(steps[:, 0]))) > 3
    assert np.abs(found.mean(axis=0) - TRUTH)[:3].max() < 0.003


def test_errors_are_drawn_whether_they_act_or_not() -> None:
    """A specimen keeps its bias and its noise when another error is switched on."""
    noise = errors(PX4_DEFAULT, 0.01, 10)
    scaled = errors(replace(PX4_DEFAULT, gyro_scale=0.1, accel_scale=0.1), 0.01, 10)
    assert not np.allclose(noise[:, :3], scaled[:, :3], atol=1e-6)
    np.testing.assert_allclose(np.ptp(noise - scaled, axis=0), 0, atol=1e-12)


# Where it sits


def spinning(rate: NDArray[np.float64], turning: NDArray[np.float64], force: list[float]) -> Motion:
    """Turning about the centre of mass: `rate` at 0.5 s, growing by `turning` rad/s each second."""

    def state(time: float) -> Kinematics:
        still, rates = (0.0, 0.0, 0.0), (rate + turning * (time - 0.5)).tolist()
        return Kinematics(still, (0.0, 0.0, 0.0, 1.0), still, tuple(rates), tuple(force))

    return Motion(state(0.0), state(1.0), 0, SECOND)


def felt(model: ImuModel, motion: Motion) -> list[float]:
    return Imu(model, np.random.default_rng(0)).feel(motion, SECOND // 2)


def test_away_from_the_centre_it_feels_the_rotation() -> None:
    """A stone on a string of 0.2 m at 3 rad/s: 1.8 m/s^2 towards the centre; spun up, sideways."""
    motion = spinning(np.array([0, 0, 3.0]), np.array([0, 0, 5.0]), [0.0, 0.0, GRAVITY])
    model = ImuModel(mount_position=(0.2, 0.0, 0.1))
    assert felt(model, motion) == pytest.approx([0, 0, 3, -1.8, 1.0, GRAVITY])


def test_a_lever_feels_what_its_own_path_says() -> None:
    """Specific force is the second derivative of the path of the mount, where nothing pulls."""
    rate, turning, lever = np.array([0.7, -1.1, 2.0]), np.array([0.4, 3.0, -2.0]), (0.1, -0.2, 0.05)
    motion = spinning(rate, turning, [0.0, 0.0, 0.0])
    h = 1e-3

    def path(time: float) -> NDArray[np.float64]:
        """To third order in time, by the differential equation of the rotation matrix."""
        w, a = _skew(rate), _skew(turning)
        first, second = w, w @ w + a
        third = w @ w @ w + w @ a + 2 * a @ w
        turned = np.eye(3) + first * time + second * time**2 / 2 + third * time**3 / 6
        return np.asarray(turned @ lever)

    acceleration = (path(h) - 2 * path(0) + path(-h)) / h**2
    assert felt(ImuModel(mount_position=lever), motion)[3:] == pytest.approx(acceleration.tolist())


def _skew(v: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])


def test_a_turned_mount_reads_along_its_own_axes() -> None:
    motion = spinning(np.array([1.0, 0, 0]), np.zeros(3), [0.0, 0.0, GRAVITY])
    quarter = ImuModel(mount_rotation=(0.0, 0.0, math.pi / 2))
    assert felt(quarter, motion) == pytest.approx([0, -1, 0, 0, 0, GRAVITY], abs=1e-12)
    upside_down = ImuModel(mount_rotation=(math.pi, 0.0, 0.0))
    assert felt(upside_down, motion) == pytest.approx([1, 0, 0, 0, 0, -GRAVITY], abs=1e-12)
    angles = (0.3, -0.4, 2.0)
    assert felt(ImuModel(mount_rotation=angles), motion)[3:] == pytest.approx(
        rotate_back(rotation_of(*angles), (0, 0, GRAVITY))
    )


def test_rotations_are_yaw_then_pitch_then_roll() -> None:
    roll, pitch, yaw = 0.3, -0.4, 2.0

    def about(axis: int, angle: float) -> NDArray[np.float64]:
        i, j = (axis + 1) % 3, (axis + 2) % 3
        matrix = np.eye(3)
        matrix[i, i] = matrix[j, j] = math.cos(angle)
        matrix[i, j], matrix[j, i] = -math.sin(angle), math.sin(angle)
        return matrix

    expected = about(2, yaw) @ about(1, pitch) @ about(0, roll)
    np.testing.assert_allclose(rotation_of(roll, pitch, yaw), expected, atol=1e-15)


@pytest.mark.parametrize("model", [PX4_DEFAULT, ADIS16448, BMI088, MPU6050])
def test_at_rest_it_reads_g_up(model: ImuModel) -> None:
    """On average over specimens and time, within what the turn-on bias leaves open."""
    found = specimens(model, [0.0, 0.0, 0.0, 0.0, 0.0, GRAVITY])
    sigma = found.std(axis=0)
    assert (np.abs(found.mean(axis=0) - [0, 0, 0, 0, 0, GRAVITY]) < 4 * sigma / 400**0.5).all()
    assert sigma.max() < 0.3


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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (field.name, value)
        for field in fields(ImuModel)
        for value in (
            ((1.0, 2.0), (0.0, 0.0, math.nan))
            if field.name.startswith("mount")
            else (0.0, math.nan)
            if field.name.endswith("range")
            else (-1e-9, math.nan, math.inf)
        )
    ],
)
def test_a_model_out_of_range_is_named(name: str, value: Any) -> None:
    with pytest.raises(SimulationError, match=f"ImuModel.{name} "):
        ImuModel(**{name: value})


@pytest.mark.parametrize("dt", [-1e-9, math.nan])
def test_time_does_not_run_backwards(dt: float) -> None:
    with pytest.raises(SimulationError, match="negative"):
        Imu(NOISELESS, np.random.default_rng(0)).read(TRUTH, dt)
