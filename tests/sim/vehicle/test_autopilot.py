"""The autopilot flies the vehicles by velocity, attitude and body-rate setpoints."""

import math
from dataclasses import replace

import numpy as np
import pybullet
import pytest

from flying_support import DT, HEIGHT, fly, velocity
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.vehicle.autopilot import Autopilot
from liquid_nav_sim.vehicle.body import AIR_DENSITY, Vehicle
from liquid_nav_sim.vehicle.files import QUAD_250, VEHICLES, load_vehicle
from liquid_nav_sim.vehicle.setpoints import AttitudeSetpoint, RateSetpoint
from liquid_nav_sim.vehicle.state import GRAVITY
from liquid_nav_sim.vehicle.velocity_loops import MAX_TILT

AIRFRAMES = {name: load_vehicle(name) for name in VEHICLES}


def test_forward_step() -> None:
    flight = fly((4.0, velocity(2.0, 0.0, 0.0, 0.0)), yaw=0.4)
    speed = flight.velocity[:, 0]
    assert speed[flight.time >= 1.0].min() > 1.9
    assert speed.max() < 2.0 * 1.06
    assert speed[-1] == pytest.approx(2.0, abs=0.02)
    assert np.abs(flight.velocity[:, 1]).max() < 0.05
    assert flight.sag < 0.02
    # It flies forward and lowers its nose to accelerate.
    np.testing.assert_allclose(
        np.arctan2(flight.position[-1, 1], flight.position[-1, 0]), 0.4, atol=0.02
    )
    assert flight.attitude[round(0.2 / DT), 2, 0] < -0.1


def test_left_step() -> None:
    flight = fly((3.0, velocity(0.0, 1.5, 0.0, 0.0)))
    assert flight.position[-1, 1] > 3.0
    assert flight.velocity[-1, 1] == pytest.approx(1.5, abs=0.02)
    # It leans to the left: its left side is lower.
    assert flight.attitude[round(0.2 / DT), 2, 1] < -0.1
    assert flight.sag < 0.02


@pytest.mark.parametrize("climb", [1.0, -1.0])
def test_climb_step(climb: float) -> None:
    flight = fly((2.5, velocity(0.0, 0.0, climb, 0.0)))
    speed = flight.velocity[:, 2] / climb
    assert speed[flight.time >= 1.3].min() > 0.95
    assert speed.max() < 1.03
    assert flight.tilt.max() < 1e-6


def test_yaw_rate_step_turns_left() -> None:
    flight = fly((2.0, velocity(0.0, 0.0, 0.0, 1.0)))
    assert flight.heading[-1] == pytest.approx(2.0, abs=0.1)
    np.testing.assert_allclose(flight.yaw_rate[flight.time > 0.3], 1.0, atol=0.02)
    np.testing.assert_allclose(flight.position[-1], (0, 0, HEIGHT), atol=1e-3)


def test_coordinated_turn() -> None:
    """Forward flight with a yaw rate is a circle of radius v / yaw rate."""
    flight = fly((2.0 + 2 * math.pi, velocity(2.0, 0.0, 0.0, 1.0)))
    late = flight.time > 2.0
    np.testing.assert_allclose(flight.velocity[late], [[2.0, 0.0, 0.0]] * late.sum(), atol=0.08)
    circle = flight.position[late, :2]
    diameter = np.ptp(circle, axis=0)
    np.testing.assert_allclose(diameter, 4.0, rtol=0.04)
    assert flight.sag < 0.02


def test_no_steady_error_in_wind() -> None:
    flight = fly((8.0, velocity(0.0, 0.0, 0.0, 0.0)), wind=(2.0, 0.0, 0.0))
    assert np.abs(flight.velocity[-1]).max() < 0.003
    assert np.abs(flight.velocity).max() < 0.25
    linear = 4 * QUAD_250.hover_speed * QUAD_250.rotor_drag[0]
    quadratic = AIR_DENSITY / 2 * QUAD_250.body_drag_area[0]
    push = linear * 2.0 + quadratic * 2.0**2
    assert flight.tilt[-1] == pytest.approx(math.atan(push / (QUAD_250.mass * GRAVITY)), rel=0.05)
    assert flight.sag < 0.02


def test_the_wind_is_remembered_through_a_turn() -> None:
    flight = fly(
        (5.0, velocity(0.0, 0.0, 0.0, 0.0)),
        (3.0, velocity(0.0, 0.0, 0.0, 1.0)),
        wind=(2.0, 0.0, 0.0),
    )
    assert np.abs(flight.velocity[flight.time > 5.0]).max() < 0.03


def test_reversal_keeps_height_and_tilt_limit() -> None:
    flight = fly((2.0, velocity(3.0, 0.0, 0.0, 0.0)), (3.0, velocity(-3.0, 0.0, 0.0, 0.0)))
    assert flight.velocity[-1, 0] == pytest.approx(-3.0, abs=0.06)
    assert flight.velocity[:, 0].min() > -3.0 * 1.06
    assert flight.tilt.max() < MAX_TILT * 1.1
    assert flight.sag < 0.02


def test_an_impossible_wind_does_not_wind_up() -> None:
    """After a gale that held it at the tilt limit for seconds, the vehicle does not overshoot."""
    drag = 1.0 / (4 * QUAD_250.hover_speed)
    heavy = replace(QUAD_250, rotor_drag=(drag, drag, drag))
    client = pybullet.connect(pybullet.DIRECT)
    pybullet.setGravity(0, 0, -GRAVITY, physicsClientId=client)
    pybullet.setTimeStep(DT, physicsClientId=client)
    vehicle, autopilot = Vehicle(client, heavy), Autopilot(heavy)
    vehicle.reset((0.0, 0.0, HEIGHT), 0.0)
    state, slowest = vehicle.observe(DT), 0.0
    for step in range(round(10.0 / DT)):
        wind = (12.0 if step * DT < 5.0 else 0.0, 0.0, 0.0)
        vehicle.apply(autopilot.update(velocity(0.0, 0.0, 0.0, 0.0), state, DT), wind, DT)
        pybullet.stepSimulation(physicsClientId=client)
        state = vehicle.observe(DT)
        slowest = min(slowest, float(state.linear_velocity[0]))
    pybullet.disconnect(client)
    assert slowest > -0.1
    assert np.abs(state.linear_velocity).max() < 0.5


@pytest.mark.parametrize("dt", [0.001, 0.02])
def test_any_physics_step(dt: float) -> None:
    flight = fly((2.0, velocity(2.0, 0.0, 0.0, 0.5)), dt=dt)
    np.testing.assert_allclose(flight.velocity[-1], (2, 0, 0), atol=0.08)


@pytest.mark.parametrize("name", tuple(VEHICLES))
def test_every_vehicle_takes_a_velocity_step(name: str) -> None:
    flight = fly((6.0, velocity(1.0, 0.0, 0.0, 0.0)), parameters=AIRFRAMES[name], yaw=0.4)
    speed = flight.velocity[:, 0]
    assert speed[flight.time >= 4.0].min() > 0.97
    assert speed.max() < 1.08
    assert np.abs(flight.velocity[:, 1]).max() < 0.05
    assert flight.sag < 0.03


@pytest.mark.parametrize("name", tuple(VEHICLES))
def test_every_vehicle_takes_a_climb_step(name: str) -> None:
    flight = fly((6.0, velocity(0.0, 0.0, 0.8, 0.0)), parameters=AIRFRAMES[name])
    speed = flight.velocity[:, 2]
    assert speed[flight.time >= 4.0].min() > 0.8 * 0.95
    assert speed.max() < 0.8 * 1.08
    assert flight.tilt.max() < 1e-6


@pytest.mark.parametrize("name", tuple(VEHICLES))
def test_every_vehicle_takes_a_yaw_rate_step(name: str) -> None:
    flight = fly((4.0, velocity(0.0, 0.0, 0.0, 1.0)), parameters=AIRFRAMES[name])
    np.testing.assert_allclose(flight.yaw_rate[flight.time > 1.5], 1.0, atol=0.03)
    assert flight.yaw_rate.max() < 1.1
    np.testing.assert_allclose(flight.position[-1], (0, 0, HEIGHT), atol=0.01)


@pytest.mark.parametrize("name", tuple(VEHICLES))
def test_every_vehicle_hovers_in_wind(name: str) -> None:
    flight = fly(
        (15.0, velocity(0.0, 0.0, 0.0, 0.0)), wind=(2.0, -1.0, 0.5), parameters=AIRFRAMES[name]
    )
    assert np.abs(flight.velocity[flight.time > 12.0]).max() < 0.03
    assert np.abs(flight.velocity).max() < 0.6
    assert np.abs(flight.yaw_rate).max() < 0.01


@pytest.mark.parametrize("name", tuple(VEHICLES))
def test_every_vehicle_reaches_an_attitude(name: str) -> None:
    """It reaches the roll and pitch relative to its heading while it turns."""
    parameters = AIRFRAMES[name]
    setpoint = AttitudeSetpoint(roll=0.2, pitch=-0.3, yaw_rate=0.0, thrust=GRAVITY)
    flight = fly((2.0, setpoint), parameters=parameters, yaw=0.7)
    attitude = flight.attitude
    pitch = np.arcsin(-attitude[:, 2, 0])
    roll = np.arctan2(attitude[:, 2, 1], attitude[:, 2, 2])
    late = flight.time > 1.8
    np.testing.assert_allclose(roll[late], 0.2, atol=0.02)
    np.testing.assert_allclose(pitch[late], -0.3, atol=0.02)
    assert roll.max() < 0.2 * 1.1
    assert pitch.min() > -0.3 * 1.1
    np.testing.assert_allclose(flight.heading, 0.7, atol=0.05)


@pytest.mark.parametrize("name", tuple(VEHICLES))
@pytest.mark.parametrize("axis", range(3))
def test_every_vehicle_reaches_body_rates(name: str, axis: int) -> None:
    parameters, wanted = AIRFRAMES[name], [0.0, 0.0, 0.0]
    wanted[axis] = 1.0
    setpoint = RateSetpoint(*wanted, thrust=GRAVITY)
    # Roll and pitch last just long enough to reach the rates, before the vehicle turns over.
    seconds = max(6.0 if axis == 2 else 0.0, 12 * parameters.motor_time_constant)
    flight = fly((seconds, setpoint), parameters=parameters)
    np.testing.assert_allclose(flight.rates[-1], wanted, atol=0.05)
    assert flight.rates[:, axis].max() < 1.15
    assert np.abs(np.delete(flight.rates, axis, axis=1)).max() < 0.05


@pytest.mark.parametrize("kind", [AttitudeSetpoint, RateSetpoint])
def test_thrust_is_that_of_all_rotors_over_the_mass(
    kind: type[AttitudeSetpoint] | type[RateSetpoint],
) -> None:
    still = replace(
        QUAD_250, rotor_drag=(0.0, 0.0, 0.0), body_drag_area=(0.0, 0.0, 0.0), ground_effect=0.0
    )
    flight = fly((1.0, kind(thrust=GRAVITY)), (1.0, kind(thrust=12.0)), parameters=still)
    np.testing.assert_allclose(flight.position[flight.time <= 1.0], [[0, 0, HEIGHT]] * 250)
    climbing = flight.velocity[flight.time > 1.4, 2]
    assert (climbing[-1] - climbing[0]) / (DT * (len(climbing) - 1)) == pytest.approx(
        12.0 - GRAVITY, rel=1e-3
    )


def test_a_velocity_setpoint_takes_over_from_body_rates_without_a_jolt() -> None:
    flight = fly(
        (0.3, RateSetpoint(pitch_rate=1.5, thrust=GRAVITY)), (4.0, velocity(0.0, 0.0, 0.0, 0.0))
    )
    np.testing.assert_allclose(flight.velocity[-1], (0, 0, 0), atol=0.05)
    assert np.abs(flight.velocity[:, :2]).max() < 1.5
    assert flight.tilt.max() < MAX_TILT * 1.2


def test_a_flat_battery_still_keeps_the_attitude() -> None:
    """The mixer knows the limit of the rotors: the vehicle loses height but not attitude."""
    battery = replace(QUAD_250.battery, capacity=0.004)
    flight = fly((6.0, velocity(1.0, 0.0, 0.0, 0.0)), parameters=replace(QUAD_250, battery=battery))
    falling = flight.velocity[:, 2] < -0.5
    assert falling.sum() > 0
    before = flight.time < flight.time[falling][0]
    assert flight.sag > 1.0
    assert flight.tilt[before].max() < MAX_TILT


@pytest.mark.parametrize("value", [math.nan, math.inf, -1000.0])
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *[(AttitudeSetpoint, name) for name in ("roll", "pitch", "yaw_rate", "thrust")],
        *[(RateSetpoint, name) for name in ("roll_rate", "pitch_rate", "yaw_rate", "thrust")],
    ],
)
def test_a_setpoint_out_of_range_is_named(
    kind: type[AttitudeSetpoint], name: str, value: float
) -> None:
    with pytest.raises(SimulationError, match=rf"{kind.__name__}\.{name}"):
        kind(**{name: value})


def test_after_a_reset_the_first_update_repeats() -> None:
    client = pybullet.connect(pybullet.DIRECT)
    vehicle, autopilot = Vehicle(client, QUAD_250), Autopilot(QUAD_250)
    state = vehicle.observe(DT)
    pybullet.disconnect(client)
    setpoint = velocity(2.0, 1.0, 0.5, 0.3)
    first = autopilot.update(setpoint, state, DT)
    assert autopilot.update(setpoint, state, DT) != first
    autopilot.reset()
    assert autopilot.update(setpoint, state, DT) == first


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("axis", range(4))
def test_a_setpoint_must_be_finite(axis: int, value: float) -> None:
    client = pybullet.connect(pybullet.DIRECT)
    state = Vehicle(client, QUAD_250).observe(DT)
    pybullet.disconnect(client)
    vx, vy, vz, yaw_rate = (value if i == axis else 0.0 for i in range(4))
    with pytest.raises(SimulationError, match="finite"):
        Autopilot(QUAD_250).update(velocity(vx, vy, vz, yaw_rate), state, DT)
