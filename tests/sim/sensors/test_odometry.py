"""Odometry: true without errors, and with them as far off as its model says."""

import math
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from liquid_nav.command import Command
from liquid_nav.events import SECOND, Odometry
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.sensors.odometry import Odometer, OdometryModel
from liquid_nav_sim.sensors.timing import SensorTiming
from liquid_nav_sim.vehicle.state import Kinematics, Motion, VehicleState
from liquid_nav_sim.world import World

EXACT = OdometryModel(**{field.name: 0.0 for field in fields(OdometryModel)})
ATTITUDE = Rotation.from_euler("ZYX", (0.7, 0.2, -0.3))


def state(position: Any) -> Kinematics:
    x, y, z = map(float, position)
    a, b, c, d = ATTITUDE.as_quat().tolist()
    return Kinematics(
        position=(x, y, z),
        orientation=(a, b, c, d),
        linear_velocity=(1.0, -2.0, 0.5),
        angular_velocity=(0.1, 0.2, -0.3),
        specific_force=(0.0, 0.0, 0.0),
    )


def odometer_of(model: OdometryModel, seed: int) -> Odometer:
    return Odometer(model, VehicleState.of(state((0, 0, 1))), np.random.default_rng(seed))


def path(model: OdometryModel, seed: int, metres: float, seconds: float, steps: int) -> Odometry:
    """The last estimate after a straight way east."""
    odometer = odometer_of(model, seed)
    for k in range(1, steps + 1):
        here, stamp = state((metres * k / steps, 0, 1)), round(k * seconds / steps * SECOND)
        estimate = odometer.measure(Motion(here, here, stamp - 1, stamp), stamp, stamp)
    assert estimate is not None
    return estimate


def ends(model: OdometryModel, **way: Any) -> list[Odometry]:
    return [path(model, seed, **way) for seed in range(500)]


def test_without_errors_it_is_the_truth() -> None:
    estimate = path(EXACT, 0, metres=30.0, seconds=10.0, steps=20)
    assert estimate.position == pytest.approx((30, 0, 1), abs=1e-12)
    np.testing.assert_allclose(estimate.orientation, ATTITUDE.as_quat(), atol=1e-15)
    np.testing.assert_allclose(
        estimate.linear_velocity, ATTITUDE.inv().apply([1.0, -2.0, 0.5]), atol=1e-15
    )
    assert estimate.angular_velocity.tolist() == [0.1, 0.2, -0.3]


@pytest.mark.parametrize("steps", [5, 40])
@pytest.mark.parametrize("metres", [4.0, 25.0])
def test_position_drifts_with_the_root_of_the_way(metres: float, steps: int) -> None:
    model = OdometryModel(**{**vars(EXACT), "position_drift": 0.1})
    positions = np.array([e.position for e in ends(model, metres=metres, seconds=1, steps=steps)])
    error = positions - (metres, 0, 1)
    np.testing.assert_allclose(error.std(axis=0), [0.1 * math.sqrt(metres)] * 3, rtol=0.12)


def test_in_hover_the_position_does_not_drift() -> None:
    model = OdometryModel(**{**vars(EXACT), "position_drift": 0.1, "yaw_drift": 0.1})
    assert path(model, 0, metres=0.0, seconds=60, steps=50).position.tolist() == [0, 0, 1]


def heading(estimate: Odometry) -> float:
    turn = Rotation.from_quat(estimate.orientation) * ATTITUDE.inv()
    around: NDArray[np.float64] = turn.as_rotvec()
    assert abs(around[:2]).max() < 1e-9
    return float(around[2])


@pytest.mark.parametrize("seconds", [1.0, 16.0])
def test_heading_drifts_with_the_root_of_time(seconds: float) -> None:
    model = OdometryModel(**{**vars(EXACT), "yaw_drift": 0.02})
    yaws = [heading(e) for e in ends(model, metres=5, seconds=seconds, steps=10)]
    assert np.std(yaws) == pytest.approx(0.02 * math.sqrt(seconds), rel=0.1)


def test_a_wrong_heading_leads_astray() -> None:
    """The lateral error is the integral of the yaw error: sigma t^(3/2) / sqrt(3) at 1 m/s."""
    model = OdometryModel(**{**vars(EXACT), "yaw_drift": 0.01})
    north = [e.position[1] for e in ends(model, metres=16, seconds=16, steps=64)]
    assert np.std(north) == pytest.approx(0.01 * 16**1.5 / math.sqrt(3), rel=0.1)


def test_a_wrong_scale_is_one_for_a_flight() -> None:
    model = OdometryModel(**{**vars(EXACT), "scale": 0.05})
    estimates = ends(model, metres=10, seconds=1, steps=4)
    factor = np.array([e.position[0] for e in estimates]) / 10
    assert factor.std() == pytest.approx(0.05, rel=0.1)
    speed = [np.linalg.norm(e.linear_velocity) / math.hypot(1.0, 2.0, 0.5) for e in estimates]
    np.testing.assert_allclose(speed, factor)


def test_noise_is_white_and_as_large_as_asked() -> None:
    model = OdometryModel(0.03, 0.02, 0.2, 0.05, 0.0, 0.0)
    odometer = odometer_of(model, 0)
    here = state((0, 0, 1))
    estimates = [odometer.measure(Motion(here, here, k, k + 1), k + 1, k + 1) for k in range(2000)]
    for name, sigma in (
        ("position", 0.03),
        ("linear_velocity", 0.2),
        ("angular_velocity", 0.05),
    ):
        values = np.array([getattr(e, name) for e in estimates])
        np.testing.assert_allclose(values.std(axis=0), [sigma] * 3, rtol=0.08)
        lagged = np.corrcoef(values[1:, 0], values[:-1, 0])[0, 1]
        assert abs(lagged) < 4 / 2000**0.5
    quaternions = np.array([e.orientation for e in estimates if e is not None])
    turns = (ATTITUDE.inv() * Rotation.from_quat(quaternions)).as_rotvec()
    np.testing.assert_allclose(turns.std(axis=0), [0.02] * 3, rtol=0.08)
    np.testing.assert_allclose(np.linalg.norm(quaternions, axis=1), 1, atol=1e-12)


def test_in_a_world_it_begins_at_the_truth_and_leaves_it() -> None:
    model = OdometryModel(position_noise=0.0, position_drift=0.1)
    timing = SensorTiming(rate=30, latency=0.02, drop=0.2)
    world = World(
        WorldConfig().with_sensor("odometry", model=model, timing=timing).without("imu", "camera")
    )
    world.reset(3)
    start = world.state.position
    estimates = []
    world.command(Command(0, 2.0))
    while (event := world.next_event(2 * SECOND)) is not None:
        assert isinstance(event, Odometry)
        estimates.append(event)
    assert 35 < len(estimates) < 60
    assert np.linalg.norm(estimates[0].position - start) < 0.05
    gone = np.linalg.norm(world.state.position - start)
    off = np.linalg.norm(estimates[-1].position - world.state.position)
    assert gone > 1
    assert 0 < off < 0.5 * gone
    world.close()


@pytest.mark.parametrize("name", [field.name for field in fields(OdometryModel)])
@pytest.mark.parametrize("value", [-1e-9, math.nan, math.inf])
def test_a_bad_model_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(SimulationError, match=f"OdometryModel.{name} "):
        OdometryModel(**{name: value})
