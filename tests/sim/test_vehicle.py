"""The rigid body, its rotors and its drag against closed forms."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pybullet
import pytest
from numpy.typing import NDArray

from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.state import GRAVITY, VehicleState
from liquid_nav_sim.vehicle import QUAD_250, Vehicle, VehicleParameters

DT = 0.0025
CALM = (0.0, 0.0, 0.0)
OFF = (0.0, 0.0, 0.0, 0.0)
HOVER = (QUAD_250.hover_thrust,) * 4
VACUUM = replace(QUAD_250, drag=(0.0, 0.0, 0.0))


@pytest.fixture
def client() -> Iterator[int]:
    client = pybullet.connect(pybullet.DIRECT)
    pybullet.setGravity(0, 0, -GRAVITY, physicsClientId=client)
    yield client
    pybullet.disconnect(client)


def fly(
    vehicle: Vehicle,
    client: int,
    seconds: float,
    setpoints: tuple[float, ...] = HOVER,
    wind: tuple[float, float, float] = CALM,
    dt: float = DT,
) -> list[VehicleState]:
    pybullet.setTimeStep(dt, physicsClientId=client)
    states = []
    for _ in range(round(seconds / dt)):
        vehicle.apply(setpoints, wind, dt)
        pybullet.stepSimulation(physicsClientId=client)
        states.append(vehicle.observe(dt))
    return states


def stopped(client: int, parameters: VehicleParameters, height: float = 50.0) -> Vehicle:
    """A vehicle in the air with its rotors off."""
    vehicle = Vehicle(client, parameters)
    vehicle.reset((0.0, 0.0, height), 0.0)
    vehicle.rotor_thrusts = list(OFF)
    return vehicle


def rotation(state: VehicleState) -> NDArray[np.float64]:
    return np.array(pybullet.getMatrixFromQuaternion(state.orientation)).reshape(3, 3)


def test_reset_places_it_level_at_hover(client: int) -> None:
    vehicle = Vehicle(client, QUAD_250)
    vehicle.reset((1.0, 2.0, 3.0), math.pi / 2, (0.5, 0.0, 0.0))
    state = vehicle.observe(DT)
    np.testing.assert_allclose(state.position, (1, 2, 3))
    np.testing.assert_allclose(rotation(state) @ (1, 0, 0), (0, 1, 0), atol=1e-12)
    np.testing.assert_allclose(state.linear_velocity, (0.5, 0, 0))
    np.testing.assert_allclose(state.specific_force, (0, 0, GRAVITY))
    assert vehicle.rotor_thrusts == list(HOVER)


def test_hover_thrust_carries_the_weight(client: int) -> None:
    vehicle = Vehicle(client, QUAD_250)
    vehicle.reset((0.0, 0.0, 2.0), 0.3)
    state = fly(vehicle, client, 2.0)[-1]
    np.testing.assert_allclose(state.position, (0, 0, 2), atol=1e-9)
    np.testing.assert_allclose(state.specific_force, (0, 0, GRAVITY), atol=1e-9)
    assert 4 * QUAD_250.max_thrust == pytest.approx(
        QUAD_250.thrust_to_weight * QUAD_250.mass * GRAVITY
    )


def test_free_fall(client: int) -> None:
    state = fly(stopped(client, VACUUM), client, 1.0, OFF)[-1]
    assert state.linear_velocity[2] == pytest.approx(-GRAVITY, rel=1e-9)
    # Semi-implicit Euler falls the closed form plus half a step.
    assert state.position[2] == pytest.approx(50 - GRAVITY / 2 * (1 + DT), rel=1e-9)
    np.testing.assert_allclose(state.specific_force, 0, atol=1e-9)


def test_terminal_velocity(client: int) -> None:
    states = fly(stopped(client, QUAD_250, height=1000.0), client, 25.0, OFF)
    terminal = QUAD_250.mass * GRAVITY / QUAD_250.drag[2]
    time_constant = QUAD_250.mass / QUAD_250.drag[2]
    for seconds in (1.0, 3.0, 25.0):
        speed = -states[round(seconds / DT) - 1].linear_velocity[2]
        expected = terminal * (1 - math.exp(-seconds / time_constant))
        assert speed == pytest.approx(expected, rel=2e-3)
    np.testing.assert_allclose(states[-1].specific_force, (0, 0, GRAVITY), rtol=1e-2, atol=1e-9)


def test_drag_is_relative_to_the_air_and_along_body_axes(client: int) -> None:
    parameters = replace(QUAD_250, drag=(0.1, 0.4, 0.2))
    vehicle = Vehicle(client, parameters)
    vehicle.reset((0.0, 0.0, 5.0), math.pi / 2)
    # An east wind component blows from the left of a vehicle that looks north, to its right.
    state = fly(vehicle, client, DT, wind=(2.0, 0.0, 0.0))[-1]
    push = 0.4 * 2.0 / parameters.mass
    np.testing.assert_allclose(state.linear_velocity, (push * DT, 0, 0), atol=1e-12)
    np.testing.assert_allclose(state.specific_force, (0, -push, GRAVITY), atol=1e-9)
    vehicle.reset((0.0, 0.0, 5.0), 0.7, (1.5, -2.0, 0.0))
    state = fly(vehicle, client, 1.0, wind=(1.5, -2.0, 0.0))[-1]
    np.testing.assert_allclose(state.linear_velocity, (1.5, -2.0, 0), atol=1e-9)


@pytest.mark.parametrize("dt", [0.001, 0.0025, 0.01])
def test_motor_step_response_is_exact_at_any_step(client: int, dt: float) -> None:
    vehicle = stopped(client, VACUUM)
    states = fly(vehicle, client, 0.1, (2.0,) * 4, dt=dt)
    tau = VACUUM.motor_time_constant
    expected = 2.0 * (1 - math.exp(-0.1 / tau))
    np.testing.assert_allclose(vehicle.rotor_thrusts, [expected] * 4, rtol=1e-9)
    impulse = 4 * 2.0 * (0.1 - tau * (1 - math.exp(-0.1 / tau)))
    speed = impulse / VACUUM.mass - GRAVITY * 0.1
    assert states[-1].linear_velocity[2] == pytest.approx(speed, rel=1e-9)


def test_setpoints_are_clipped_to_what_rotors_give(client: int) -> None:
    vehicle = Vehicle(client, QUAD_250)
    fly(vehicle, client, 1.0, (-5.0, 100.0, -5.0, 100.0))
    full = QUAD_250.max_thrust
    np.testing.assert_allclose(vehicle.rotor_thrusts, (0, full, 0, full), atol=1e-9)


@pytest.mark.parametrize(
    ("thrusts", "axis", "arm"),
    [
        ((0.5, 1.5, 1.5, 0.5), 0, QUAD_250.arm_length / math.sqrt(2)),
        ((0.5, 1.5, 0.5, 1.5), 1, QUAD_250.arm_length / math.sqrt(2)),
        ((0.5, 0.5, 1.5, 1.5), 2, QUAD_250.drag_torque_ratio),
    ],
    ids=["left rotors roll to the right", "rear rotors pitch down", "clockwise rotors yaw left"],
)
def test_rotor_torques(client: int, thrusts: tuple[float, ...], axis: int, arm: float) -> None:
    """In FLU a positive roll lowers the right side, a positive pitch the nose."""
    vehicle = stopped(client, VACUUM)
    vehicle.rotor_thrusts = list(thrusts)
    state = fly(vehicle, client, DT, thrusts)[-1]
    expected = np.zeros(3)
    expected[axis] = 2.0 * arm / VACUUM.inertia[axis] * DT
    np.testing.assert_allclose(state.angular_velocity, expected, atol=1e-12)
    assert state.specific_force[2] == pytest.approx(4.0 / VACUUM.mass)


@pytest.mark.parametrize("spin", [(3.0, 6.0, 1.0), (0.1, 7.0, 0.1), (12.0, 12.0, 12.0)])
def test_torque_free_tumbling_conserves(client: int, spin: tuple[float, float, float]) -> None:
    vehicle, inertia = stopped(client, VACUUM), np.array(VACUUM.inertia)
    pybullet.resetBaseVelocity(vehicle.body, CALM, spin, physicsClientId=client)
    states = [vehicle.observe(DT), *fly(vehicle, client, 10.0, OFF)]
    rates = np.array([state.angular_velocity for state in states])
    energy = (inertia * rates**2).sum(axis=1)
    assert np.abs(energy / energy[0] - 1).max() < 1e-4
    # Rates are half a step behind attitudes, so the momentum is taken half-way between two.
    attitudes = np.array([rotation(state) for state in states])
    momentum = np.einsum("nij,nj->ni", attitudes[1:] + attitudes[:-1], inertia * rates[1:]) / 2
    drift = np.linalg.norm(momentum - momentum[0], axis=1) / np.linalg.norm(momentum[0])
    assert drift.max() < 1e-3


def test_torque_free_tumbling_follows_euler(client: int) -> None:
    """About the intermediate axis, where an error of the gyroscopic torque grows fastest."""
    vehicle, inertia = stopped(client, VACUUM), np.array(VACUUM.inertia)
    rate = np.array((0.1, 7.0, 0.1))
    pybullet.resetBaseVelocity(vehicle.body, CALM, rate.tolist(), physicsClientId=client)
    vehicle.observe(DT)
    states = fly(vehicle, client, 6.0, OFF)

    def slope(w: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(-np.cross(w, inertia * w) / inertia)

    for state in states:
        a = slope(rate)
        b = slope(rate + DT / 2 * a)
        c = slope(rate + DT / 2 * b)
        rate = rate + DT / 6 * (a + 2 * b + 2 * c + slope(rate + DT * c))
        np.testing.assert_allclose(state.angular_velocity, rate, atol=0.02)
    assert min(state.angular_velocity[1] for state in states) < -6, "it never turned over"


@pytest.mark.parametrize("tilt", [0.0, 0.2, -0.15])
def test_at_rest_on_the_ground_it_feels_gravity_up(client: int, tilt: float) -> None:
    ground = pybullet.createCollisionShape(
        pybullet.GEOM_BOX, halfExtents=(5, 5, 0.5), physicsClientId=client
    )
    quaternion = (0.0, math.sin(tilt / 2), 0.0, math.cos(tilt / 2))
    slope = pybullet.createMultiBody(0, ground, baseOrientation=quaternion, physicsClientId=client)
    pybullet.changeDynamics(slope, -1, lateralFriction=2, physicsClientId=client)
    vehicle = stopped(client, QUAD_250)
    height = 0.5 + QUAD_250.collision_height / 2
    start = (height * math.sin(tilt), 0.0, height * math.cos(tilt))
    pybullet.resetBasePositionAndOrientation(
        vehicle.body, start, quaternion, physicsClientId=client
    )
    states = fly(vehicle, client, 1.0, OFF)
    force = np.mean([state.specific_force for state in states[200:]], axis=0)
    expected = (-GRAVITY * math.sin(tilt), 0, GRAVITY * math.cos(tilt))
    np.testing.assert_allclose(force, expected, atol=0.05)
    np.testing.assert_allclose(states[-1].position, start, atol=0.01)


def test_same_inputs_same_flight(client: int) -> None:
    def end() -> VehicleState:
        vehicle = Vehicle(client, QUAD_250)
        vehicle.reset((0.0, 0.0, 5.0), 0.2)
        state = fly(vehicle, client, 0.5, (1.5, 1.4, 1.6, 1.5), (1.0, 0.5, 0.0))[-1]
        pybullet.removeBody(vehicle.body, physicsClientId=client)
        return state

    first, second = end(), end()
    for name, value in vars(first).items():
        np.testing.assert_array_equal(value, getattr(second, name))


def test_it_looks_like_a_quadrotor(client: int) -> None:
    vehicle = Vehicle(client, QUAD_250)
    shapes = pybullet.getVisualShapeData(vehicle.body, physicsClientId=client)
    rotors = [shape for shape in shapes if shape[2] == pybullet.GEOM_CYLINDER]
    assert len(rotors) == 4
    for shape in rotors:
        assert math.hypot(*shape[5][:2]) == pytest.approx(QUAD_250.arm_length)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mass", 0.0),
        ("mass", math.nan),
        ("inertia", (1e-3, 1e-3)),
        ("inertia", (1e-3, -1e-3, 1e-3)),
        ("inertia", (1e-3, 1e-3, 3e-3)),
        ("arm_length", math.inf),
        ("thrust_to_weight", 1.0),
        ("drag_torque_ratio", 0.0),
        ("motor_time_constant", 0.0),
        ("drag", (0.1, 0.1, -0.1)),
        ("drag", (0.1, 0.1)),
        ("collision_radius", -1.0),
        ("collision_height", 0.0),
    ],
)
def test_parameter_out_of_range_is_named(name: str, value: Any) -> None:
    with pytest.raises(SimulationError, match=name):
        replace(QUAD_250, **{name: value})
