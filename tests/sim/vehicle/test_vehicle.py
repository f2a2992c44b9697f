"""The rigid body, its rotors and its drag against closed forms."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pybullet
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.rotation import Vector
from liquid_nav_sim.vehicle.airframe import VehicleParameters
from liquid_nav_sim.vehicle.body import AIR_DENSITY, Vehicle, ground_effect
from liquid_nav_sim.vehicle.files import QUAD_250, VEHICLES, load_vehicle
from liquid_nav_sim.vehicle.rotors import PerRotor
from liquid_nav_sim.vehicle.state import GRAVITY, Kinematics

DT = 0.004
CALM: Vector = (0.0, 0.0, 0.0)
OFF: PerRotor = (0.0, 0.0, 0.0, 0.0)


def in_vacuum(parameters: VehicleParameters) -> VehicleParameters:
    """The vehicle without drag, ground effect, rotor inertia and battery."""
    return replace(
        parameters,
        rotor_drag=CALM,
        body_drag_area=CALM,
        ground_effect=0.0,
        rotor_inertia=0.0,
        battery=None,
    )


VACUUM = in_vacuum(QUAD_250)


def each(thrust: float) -> PerRotor:
    return (thrust, thrust, thrust, thrust)


HOVER = each(QUAD_250.hover_thrust)


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
    setpoints: PerRotor = HOVER,
    wind: Vector = CALM,
    dt: float = DT,
) -> list[Kinematics]:
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
    vehicle.rotors.start(OFF)
    return vehicle


def rotation(state: Kinematics) -> NDArray[np.float64]:
    return np.array(pybullet.getMatrixFromQuaternion(state.orientation)).reshape(3, 3)


def test_reset_places_it_level_at_hover(client: int) -> None:
    vehicle = Vehicle(client, QUAD_250)
    vehicle.reset((1.0, 2.0, 3.0), math.pi / 2, (0.5, 0.0, 0.0))
    state = vehicle.observe(DT)
    np.testing.assert_allclose(state.position, (1, 2, 3))
    np.testing.assert_allclose(rotation(state) @ (1, 0, 0), (0, 1, 0), atol=1e-12)
    np.testing.assert_allclose(state.linear_velocity, (0.5, 0, 0))
    np.testing.assert_allclose(state.specific_force, (0, 0, GRAVITY))
    assert vehicle.rotors.thrusts == pytest.approx(HOVER)


@pytest.mark.parametrize("name", tuple(VEHICLES))
def test_hover_speed_carries_the_weight(client: int, name: str) -> None:
    parameters = in_vacuum(load_vehicle(name))
    vehicle = Vehicle(client, parameters)
    vehicle.reset((0.0, 0.0, 2.0), 0.3)
    state = fly(vehicle, client, 2.0, each(parameters.hover_thrust))[-1]
    np.testing.assert_allclose(state.position, (0, 0, 2), atol=1e-9)
    np.testing.assert_allclose(state.specific_force, (0, 0, GRAVITY), atol=1e-9)
    speed = math.sqrt(parameters.mass * GRAVITY / 4 / parameters.thrust_coefficient)
    assert vehicle.rotors.speeds == pytest.approx(each(speed))


def test_free_fall(client: int) -> None:
    state = fly(stopped(client, VACUUM), client, 1.0, OFF)[-1]
    assert state.linear_velocity[2] == pytest.approx(-GRAVITY, rel=1e-9)
    # With semi-implicit Euler, the body falls half a step further than the closed form.
    assert state.position[2] == pytest.approx(50 - GRAVITY / 2 * (1 + DT), rel=1e-9)
    np.testing.assert_allclose(state.specific_force, 0, atol=1e-9)


@pytest.mark.parametrize("name", tuple(VEHICLES))
def test_terminal_velocity_with_rotors_off(client: int, name: str) -> None:
    """With drag of the hull only, v = v_t tanh(g t / v_t) with v_t^2 = 2 m g / (density area)."""
    parameters = load_vehicle(name)
    states = fly(stopped(client, parameters, height=5000.0), client, 30.0, OFF)
    terminal = math.sqrt(
        2 * parameters.mass * GRAVITY / (AIR_DENSITY * parameters.body_drag_area[2])
    )
    for seconds in (1.0, 3.0, 30.0):
        speed = -states[round(seconds / DT) - 1].linear_velocity[2]
        expected = terminal * math.tanh(GRAVITY * seconds / terminal)
        assert speed == pytest.approx(expected, rel=2e-3)
    np.testing.assert_allclose(states[-1].specific_force, (0, 0, GRAVITY), rtol=1e-2, atol=1e-9)


def test_terminal_velocity_with_rotors_turning(client: int) -> None:
    """At half the hover speed, the rotors give a quarter of the thrust, and drag."""
    parameters = replace(QUAD_250, battery=None)
    vehicle = stopped(client, parameters, height=5000.0)
    speed = parameters.hover_speed / 2
    vehicle.rotors.start(each(speed))
    state = fly(vehicle, client, 30.0, each(parameters.hover_thrust / 4))[-1]
    hull = AIR_DENSITY / 2 * parameters.body_drag_area[2]
    rotors = parameters.rotor_drag[2] * 4 * speed
    load = parameters.mass * GRAVITY * 3 / 4
    terminal = (math.sqrt(rotors**2 + 4 * hull * load) - rotors) / (2 * hull)
    assert -state.linear_velocity[2] == pytest.approx(terminal, rel=1e-3)


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_drag_of_rotors_is_linear_in_airspeed_and_rotor_speed(client: int, share: float) -> None:
    parameters = replace(VACUUM, rotor_drag=(2e-5, 8e-5, 5e-5))
    vehicle = Vehicle(client, parameters)
    vehicle.reset((0.0, 0.0, 5.0), math.pi / 2)
    vehicle.rotors.start(each(share * parameters.hover_speed))
    setpoints = each(share**2 * parameters.hover_thrust)
    # A wind towards the east pushes a vehicle that faces north to its right.
    state = fly(vehicle, client, DT, setpoints, wind=(2.0, 0.0, 0.0))[-1]
    push = 8e-5 * 4 * share * parameters.hover_speed * 2.0 / parameters.mass
    assert state.linear_velocity[0] == pytest.approx(push * DT, rel=1e-9)
    assert state.specific_force == pytest.approx([0, -push, share**2 * GRAVITY], abs=1e-9)


def test_drag_of_the_hull_is_quadratic(client: int) -> None:
    parameters = replace(VACUUM, body_drag_area=(0.01, 0.02, 0.03))
    vehicle = stopped(client, parameters)
    state = fly(vehicle, client, DT, OFF, wind=(3.0, -4.0, 12.0))[-1]
    force = AIR_DENSITY / 2 * 13.0 * np.array((0.01 * 3.0, 0.02 * -4.0, 0.03 * 12.0))
    np.testing.assert_allclose(state.specific_force, force / parameters.mass, atol=1e-9)


@pytest.mark.parametrize("name", tuple(VEHICLES))
def test_wind_at_the_speed_of_the_vehicle_causes_no_drag(client: int, name: str) -> None:
    parameters = load_vehicle(name)
    vehicle = Vehicle(client, parameters)
    vehicle.reset((0.0, 0.0, 500.0), 0.7, (1.5, -2.0, 0.0))
    wind = (1.5, -2.0, 0.0)
    state = fly(vehicle, client, 1.0, each(parameters.hover_thrust), wind)[-1]
    np.testing.assert_allclose(state.linear_velocity, (1.5, -2.0, 0), atol=1e-6)


def test_without_drag_energy_is_kept(client: int) -> None:
    """Kinetic plus potential energy is constant for a thrown, spinning body without thrust."""
    vehicle, inertia = stopped(client, VACUUM, height=100.0), np.array(VACUUM.inertia)
    pybullet.resetBaseVelocity(vehicle.body, (3, -2, 8), (4, 9, -3), physicsClientId=client)

    def energy(state: Kinematics) -> float:
        # Velocities are half a step behind poses: add gravity's effect over half a step.
        velocity = np.array(state.linear_velocity) - np.array((0, 0, GRAVITY)) * DT / 2
        kinetic = VACUUM.mass * velocity @ velocity + inertia @ np.square(state.angular_velocity)
        return float(kinetic / 2 + VACUUM.mass * GRAVITY * state.position[2])

    energies = [energy(state) for state in fly(vehicle, client, 4.0, OFF)]
    assert np.ptp(energies) < 1e-4 * energies[0]


@pytest.mark.parametrize("dt", [0.001, 0.004, 0.01])
def test_the_body_feels_the_whole_impulse_of_a_motor_step(client: int, dt: float) -> None:
    vehicle = stopped(client, VACUUM)
    states = fly(vehicle, client, 0.1, each(2.0), dt=dt)
    tau = VACUUM.motor_time_constant
    # The integral of the square of a speed that rises as 1 - exp(-t / tau).
    left = math.exp(-0.1 / tau)
    impulse = 4 * 2.0 * (0.1 - 2 * tau * (1 - left) + tau / 2 * (1 - left**2))
    speed = impulse / VACUUM.mass - GRAVITY * 0.1
    assert states[-1].linear_velocity[2] == pytest.approx(speed, rel=1e-9)


@pytest.mark.parametrize(
    ("thrusts", "axis", "arm"),
    [
        ((0.5, 1.5, 1.5, 0.5), 0, QUAD_250.arm_length / math.sqrt(2)),
        ((0.5, 1.5, 0.5, 1.5), 1, QUAD_250.arm_length / math.sqrt(2)),
        ((0.5, 0.5, 1.5, 1.5), 2, QUAD_250.drag_torque_ratio),
    ],
    ids=["left rotors roll to the right", "rear rotors pitch down", "clockwise rotors yaw left"],
)
def test_rotor_torques(client: int, thrusts: PerRotor, axis: int, arm: float) -> None:
    """In FLU, positive roll lowers the right side and positive pitch lowers the nose."""
    vehicle = stopped(client, VACUUM)
    a, b, c, d = (math.sqrt(thrust / VACUUM.thrust_coefficient) for thrust in thrusts)
    vehicle.rotors.start((a, b, c, d))
    state = fly(vehicle, client, DT, thrusts)[-1]
    expected = np.zeros(3)
    expected[axis] = 2.0 * arm / VACUUM.inertia[axis] * DT
    np.testing.assert_allclose(state.angular_velocity, expected, atol=1e-12)
    assert state.specific_force[2] == pytest.approx(4.0 / VACUUM.mass)


def test_a_rotor_that_speeds_up_turns_the_body_against_its_spin(client: int) -> None:
    """Without air, the total angular momentum of rotors and body is conserved."""
    parameters = replace(VACUUM, rotor_inertia=1e-5, drag_torque_ratio=0.001)
    vehicle = stopped(client, parameters)
    state = fly(vehicle, client, 0.2, (2.0, 2.0, 0.0, 0.0))[-1]
    a, b, c, d = vehicle.rotors.speeds
    rotors = 1e-5 * (a + b - c - d)
    tau, left = parameters.motor_time_constant, math.exp(-0.2 / parameters.motor_time_constant)
    air = 0.001 * 4.0 * (0.2 - 2 * tau * (1 - left) + tau / 2 * (1 - left**2))
    body = parameters.inertia[2] * state.angular_velocity[2]
    assert body == pytest.approx(-rotors - air, rel=1e-6)
    assert body < -0.9 * rotors


def test_a_spinning_rotor_precesses(client: int) -> None:
    """Fast rotors of one spin make the body a gyroscope: without a torque it nutates at h / I."""
    parameters = replace(
        VACUUM, rotor_inertia=1e-4, drag_torque_ratio=0.001, inertia=(3e-3, 3e-3, 4e-3)
    )
    vehicle = stopped(client, parameters)
    speed = math.sqrt(1.0 / parameters.thrust_coefficient)
    vehicle.rotors.start((speed, speed, 0.0, 0.0))
    pybullet.resetBaseVelocity(vehicle.body, CALM, (0.02, 0.0, 0.0), physicsClientId=client)
    vehicle.observe(DT)
    states = fly(vehicle, client, 1.0, (1.0, 1.0, 0.0, 0.0))
    rate = vehicle.rotors.angular_momentum / 3e-3
    turned = np.unwrap([math.atan2(s.angular_velocity[1], s.angular_velocity[0]) for s in states])
    assert rate > 20
    # Meanwhile the air spins the body up, which turns its axes slightly.
    yaw = states[-1].angular_velocity[2]
    assert turned[-1] - turned[0] == pytest.approx(
        (rate + yaw / 2 * (4e-3 - 3e-3) / 3e-3) * (1.0 - DT), rel=0.01
    )
    speeds = [math.hypot(*s.angular_velocity[:2]) for s in states]
    np.testing.assert_allclose(speeds, 0.02, rtol=1e-3)


@pytest.mark.parametrize("name", tuple(VEHICLES))
@pytest.mark.parametrize("spin", [(3.0, 6.0, 1.0), (0.1, 7.0, 0.1), (17.0, 17.0, 17.0)])
def test_torque_free_tumbling_conserves(client: int, name: str, spin: Vector) -> None:
    parameters = in_vacuum(load_vehicle(name))
    vehicle, inertia = stopped(client, parameters), np.array(parameters.inertia)
    pybullet.resetBaseVelocity(vehicle.body, CALM, spin, physicsClientId=client)
    states = [vehicle.observe(DT), *fly(vehicle, client, 10.0, OFF)]
    rates = np.array([state.angular_velocity for state in states])
    energy = (inertia * rates**2).sum(axis=1)
    assert np.abs(energy / energy[0] - 1).max() < 1e-3
    # Rates are half a step behind attitudes, so use the attitude half-way between two steps.
    attitudes = Rotation.from_quat([state.orientation for state in states])
    turns = (attitudes[:-1].inv() * attitudes[1:]).as_rotvec()
    middle = attitudes[:-1] * Rotation.from_rotvec(turns / 2)
    momentum = middle.apply(inertia * rates[1:])
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


@pytest.mark.parametrize("dt", [0.001, 0.0025, 0.004, 0.01])
@pytest.mark.parametrize("spin", [(3.5, 0.0, 0.0), (7.0, 0.0, 0.0), (0.0, -5.0, 0.0), (4, 3, 6)])
def test_thrust_is_felt_along_the_axis_of_the_rotors_however_it_spins(
    client: int, dt: float, spin: Vector
) -> None:
    """Thrust is fixed to the body, and gravity is not felt: (0, 0, thrust / mass) at any rate."""
    # With equal moments of inertia it keeps spinning about its axis.
    sphere = replace(VACUUM, inertia=(0.01, 0.01, 0.01))
    vehicle = Vehicle(client, sphere)
    vehicle.reset((0.0, 0.0, 50.0), 0.4)
    pybullet.resetBaseVelocity(
        vehicle.body, angularVelocity=rotation(vehicle.observe(dt)) @ spin, physicsClientId=client
    )
    vehicle.observe(dt)
    thrust = 1.3 * sphere.hover_thrust
    vehicle.rotors.start(each(math.sqrt(thrust / sphere.thrust_coefficient)))
    for state in fly(vehicle, client, 1.0, each(thrust), dt=dt):
        assert state.angular_velocity == pytest.approx(spin, abs=1e-3)
        assert state.specific_force == pytest.approx((0, 0, 1.3 * GRAVITY), abs=1e-6)


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
    def end() -> Kinematics:
        vehicle = Vehicle(client, QUAD_250)
        vehicle.reset((0.0, 0.0, 0.2), 0.2)
        state = fly(vehicle, client, 0.5, (1.5, 1.4, 1.6, 1.5), (1.0, 0.5, 0.0))[-1]
        pybullet.removeBody(vehicle.body, physicsClientId=client)
        return state

    first, second = end(), end()
    assert first == second


def test_it_looks_like_a_quadrotor(client: int) -> None:
    vehicle = Vehicle(client, QUAD_250)
    shapes = pybullet.getVisualShapeData(vehicle.body, physicsClientId=client)
    rotors = [shape for shape in shapes if shape[2] == pybullet.GEOM_CYLINDER]
    assert len(rotors) == 4
    for shape in rotors:
        assert math.hypot(*shape[5][:2]) == pytest.approx(QUAD_250.arm_length)


def test_ground_effect_curve() -> None:
    """The formula of Cheeseman and Bennett, 1 / (1 - (R / 4 z)^2)."""
    for ratio, expected in ((0.5, 4 / 3), (1.0, 16 / 15), (2.0, 64 / 63), (4.0, 256 / 255)):
        assert ground_effect(ratio * 0.1, 0.1) == pytest.approx(expected)
    assert ground_effect(0.1, 0.1, factor=2.0) == pytest.approx(1 / (1 - 2 / 16))
    assert ground_effect(0.0, 0.1) == ground_effect(0.05, 0.1)
    assert ground_effect(100.0, 0.1) == pytest.approx(1.0, abs=1e-6)
    assert ground_effect(0.1, 0.1, factor=0.0) == 1.0


@pytest.mark.parametrize("name", tuple(VEHICLES))
def test_near_the_ground_less_thrust_hovers(client: int, name: str) -> None:
    parameters = replace(in_vacuum(load_vehicle(name)), ground_effect=1.0)
    height = parameters.rotor_radius
    vehicle = Vehicle(client, parameters)
    vehicle.reset((0.0, 0.0, height), 0.0)
    vehicle.rotors.start(each(parameters.hover_speed * math.sqrt(15 / 16)))
    state = fly(vehicle, client, DT, each(parameters.hover_thrust * 15 / 16))[-1]
    np.testing.assert_allclose(state.specific_force, (0, 0, GRAVITY), atol=1e-9)


@pytest.mark.parametrize("axis", [0, 1])
def test_ground_effect_levels_a_tilted_vehicle(client: int, axis: int) -> None:
    """Ground effect is stronger on the lower rotors."""
    vehicle = Vehicle(client, replace(VACUUM, ground_effect=1.0))
    quaternion = [0.0, 0.0, 0.0, 1.0]
    quaternion[axis] = 0.05
    pybullet.resetBasePositionAndOrientation(
        vehicle.body, (0, 0, 0.1), quaternion, physicsClientId=client
    )
    vehicle.observe(DT)
    assert fly(vehicle, client, DT)[-1].angular_velocity[axis] < -1e-3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mass", 0.0),
        ("mass", math.nan),
        ("inertia", (1e-3, 1e-3)),
        ("inertia", (1e-3, -1e-3, 1e-3)),
        ("inertia", (1e-3, 1e-3, 3e-3)),
        ("arm_length", math.inf),
        ("rotor_radius", 0.0),
        ("thrust_coefficient", 0.0),
        ("max_rotor_speed", math.inf),
        ("max_rotor_speed", QUAD_250.hover_speed),
        ("drag_torque_ratio", 0.0),
        ("motor_time_constant", 0.0),
        ("rotor_inertia", -1e-6),
        ("rotor_drag", (1e-5, 1e-5, -1e-5)),
        ("rotor_drag", (1e-5, 1e-5)),
        ("body_drag_area", (0.1, math.nan, 0.1)),
        ("ground_effect", 4.0),
        ("collision_radius", -1.0),
        ("collision_height", 0.0),
    ],
)
def test_parameter_out_of_range_is_named(name: str, value: Any) -> None:
    with pytest.raises(SimulationError, match=name):
        replace(QUAD_250, **{name: value})
