"""The autopilot flies the simulated vehicle, and its mixer keeps the order of priority."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pybullet
import pytest
from numpy.typing import NDArray

from liquid_nav.command import Command
from liquid_nav_sim.autopilot import MAX_TILT, Autopilot, mix
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.state import GRAVITY
from liquid_nav_sim.vehicle import QUAD_250, ROTOR_SIGNS, Vehicle, VehicleParameters

DT = 0.0025
HEIGHT = 5.0
CRAZYFLIE = VehicleParameters(
    mass=0.03,
    inertia=(1.4e-5, 1.4e-5, 2.2e-5),
    arm_length=0.046,
    thrust_to_weight=2.25,
    drag_torque_ratio=0.006,
    motor_time_constant=0.072,
    drag=(0.01, 0.01, 0.012),
    collision_radius=0.06,
    collision_height=0.04,
)

Setpoint = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Flight:
    """Samples after each step: time, velocity in the heading frame, position, attitude, turn."""

    time: NDArray[np.float64]
    velocity: NDArray[np.float64]
    position: NDArray[np.float64]
    attitude: NDArray[np.float64]
    yaw_rate: NDArray[np.float64]

    @property
    def sag(self) -> float:
        """Largest change of height, metres."""
        return float(np.abs(self.position[:, 2] - HEIGHT).max())

    @property
    def tilt(self) -> NDArray[np.float64]:
        """Angle between the body's up axis and the vertical, radians."""
        return np.asarray(np.arccos(np.minimum(self.attitude[:, 2, 2], 1.0)))

    @property
    def heading(self) -> NDArray[np.float64]:
        """Unwrapped, radians."""
        return np.unwrap(np.arctan2(self.attitude[:, 1, 0], self.attitude[:, 0, 0]))


def fly(
    *legs: tuple[float, Setpoint | Command],
    wind: tuple[float, float, float] = (0.0, 0.0, 0.0),
    parameters: VehicleParameters = QUAD_250,
    yaw: float = 0.0,
    dt: float = DT,
) -> Flight:
    """Fly legs of (seconds, setpoint) from hover."""
    client = pybullet.connect(pybullet.DIRECT)
    pybullet.setGravity(0, 0, -GRAVITY, physicsClientId=client)
    pybullet.setTimeStep(dt, physicsClientId=client)
    vehicle, autopilot = Vehicle(client, parameters), Autopilot(parameters)
    vehicle.reset((0.0, 0.0, HEIGHT), yaw)
    state, samples = vehicle.observe(dt), []
    for seconds, setpoint in legs:
        for _ in range(round(seconds / dt)):
            vehicle.apply(autopilot.update(setpoint, state, dt), wind, dt)
            pybullet.stepSimulation(physicsClientId=client)
            state = vehicle.observe(dt)
            attitude = np.array(pybullet.getMatrixFromQuaternion(state.orientation)).reshape(3, 3)
            samples.append(
                (state.linear_velocity, state.position, attitude, state.angular_velocity)
            )
    pybullet.disconnect(client)
    velocity, position, attitude, rate = map(np.array, zip(*samples, strict=True))
    heading = np.arctan2(attitude[:, 1, 0], attitude[:, 0, 0])
    c, s = np.cos(heading), np.sin(heading)
    level = np.stack(
        [
            c * velocity[:, 0] + s * velocity[:, 1],
            c * velocity[:, 1] - s * velocity[:, 0],
            velocity[:, 2],
        ],
        axis=1,
    )
    turn = np.einsum("nj,nj->n", attitude[:, 2], rate)
    time = np.arange(1, len(level) + 1, dtype=np.float64) * dt
    return Flight(time, level, position, attitude, turn)


def test_forward_step() -> None:
    flight = fly((4.0, (2.0, 0.0, 0.0, 0.0)), yaw=0.4)
    speed = flight.velocity[:, 0]
    assert speed[flight.time >= 1.0].min() > 1.9
    assert speed.max() < 2.0 * 1.06
    assert speed[-1] == pytest.approx(2.0, abs=0.02)
    assert np.abs(flight.velocity[:, 1]).max() < 0.05
    assert flight.sag < 0.02
    # It flies where it looks, and lowers its nose to get there.
    np.testing.assert_allclose(
        np.arctan2(flight.position[-1, 1], flight.position[-1, 0]), 0.4, atol=0.02
    )
    assert flight.attitude[round(0.2 / DT), 2, 0] < -0.1


def test_left_step() -> None:
    flight = fly((3.0, (0.0, 1.5, 0.0, 0.0)))
    assert flight.position[-1, 1] > 3.0
    assert flight.velocity[-1, 1] == pytest.approx(1.5, abs=0.02)
    # It leans to the left: its left side is the lower one.
    assert flight.attitude[round(0.2 / DT), 2, 1] < -0.1
    assert flight.sag < 0.02


@pytest.mark.parametrize("climb", [1.0, -1.0])
def test_climb_step(climb: float) -> None:
    flight = fly((2.5, (0.0, 0.0, climb, 0.0)))
    speed = flight.velocity[:, 2] / climb
    assert speed[flight.time >= 1.3].min() > 0.95
    assert speed.max() < 1.03
    assert flight.tilt.max() < 1e-6


def test_yaw_rate_step_turns_left() -> None:
    flight = fly((2.0, (0.0, 0.0, 0.0, 1.0)))
    assert flight.heading[-1] == pytest.approx(2.0, abs=0.1)
    np.testing.assert_allclose(flight.yaw_rate[flight.time > 0.3], 1.0, atol=0.02)
    np.testing.assert_allclose(flight.position[-1], (0, 0, HEIGHT), atol=1e-3)


def test_coordinated_turn() -> None:
    """Forward flight with a yaw rate is a circle of radius v / yaw rate."""
    flight = fly((2.0 + 2 * math.pi, (2.0, 0.0, 0.0, 1.0)))
    late = flight.time > 2.0
    np.testing.assert_allclose(flight.velocity[late], [[2.0, 0.0, 0.0]] * late.sum(), atol=0.08)
    circle = flight.position[late, :2]
    diameter = np.ptp(circle, axis=0)
    np.testing.assert_allclose(diameter, 4.0, rtol=0.04)
    assert flight.sag < 0.02


def test_no_steady_error_in_wind() -> None:
    flight = fly((8.0, (0.0, 0.0, 0.0, 0.0)), wind=(2.0, 0.0, 0.0))
    assert np.abs(flight.velocity[-1]).max() < 0.003
    assert np.abs(flight.velocity).max() < 0.25
    assert flight.tilt[-1] == pytest.approx(
        math.atan(QUAD_250.drag[0] * 2.0 / (QUAD_250.mass * GRAVITY)), rel=0.05
    )
    assert flight.sag < 0.02


def test_the_wind_is_remembered_through_a_turn() -> None:
    flight = fly((5.0, (0.0, 0.0, 0.0, 0.0)), (3.0, (0.0, 0.0, 0.0, 1.0)), wind=(2.0, 0.0, 0.0))
    assert np.abs(flight.velocity[flight.time > 5.0]).max() < 0.03


def test_reversal_keeps_height_and_tilt_limit() -> None:
    flight = fly((2.0, (3.0, 0.0, 0.0, 0.0)), (3.0, (-3.0, 0.0, 0.0, 0.0)))
    assert flight.velocity[-1, 0] == pytest.approx(-3.0, abs=0.06)
    assert flight.velocity[:, 0].min() > -3.0 * 1.06
    assert flight.tilt.max() < MAX_TILT * 1.1
    assert flight.sag < 0.02


def test_an_impossible_wind_does_not_wind_up() -> None:
    """Held at the tilt limit by a gale for seconds, it does not shoot off when the gale ends."""
    heavy = replace(QUAD_250, drag=(1.0, 1.0, 1.0))
    client = pybullet.connect(pybullet.DIRECT)
    pybullet.setGravity(0, 0, -GRAVITY, physicsClientId=client)
    pybullet.setTimeStep(DT, physicsClientId=client)
    vehicle, autopilot = Vehicle(client, heavy), Autopilot(heavy)
    vehicle.reset((0.0, 0.0, HEIGHT), 0.0)
    state, slowest = vehicle.observe(DT), 0.0
    for step in range(round(10.0 / DT)):
        wind = (12.0 if step * DT < 5.0 else 0.0, 0.0, 0.0)
        vehicle.apply(autopilot.update((0.0, 0.0, 0.0, 0.0), state, DT), wind, DT)
        pybullet.stepSimulation(physicsClientId=client)
        state = vehicle.observe(DT)
        slowest = min(slowest, float(state.linear_velocity[0]))
    pybullet.disconnect(client)
    assert slowest > -0.1
    assert np.abs(state.linear_velocity).max() < 0.5


@pytest.mark.parametrize("dt", [0.001, 0.02])
def test_any_physics_step(dt: float) -> None:
    flight = fly((2.0, (2.0, 0.0, 0.0, 0.5)), dt=dt)
    np.testing.assert_allclose(flight.velocity[-1], (2, 0, 0), atol=0.08)


def test_any_airframe() -> None:
    flight = fly((4.0, (1.0, 0.0, 0.0, 0.5)), parameters=CRAZYFLIE)
    np.testing.assert_allclose(flight.velocity[-1], (1, 0, 0), atol=0.05)
    assert flight.velocity[:, 0].max() < 1.1
    assert flight.sag < 0.03


def test_a_command_is_a_setpoint() -> None:
    by_command = fly((0.5, Command(0, vx=1.0, vy=-0.5, vz=0.2, yaw_rate=0.3)))
    by_tuple = fly((0.5, (1.0, -0.5, 0.2, 0.3)))
    np.testing.assert_array_equal(by_command.velocity, by_tuple.velocity)


def test_reset_forgets() -> None:
    client = pybullet.connect(pybullet.DIRECT)
    vehicle, autopilot = Vehicle(client, QUAD_250), Autopilot(QUAD_250)
    state = vehicle.observe(DT)
    pybullet.disconnect(client)
    setpoint = (2.0, 1.0, 0.5, 0.3)
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
        Autopilot(QUAD_250).update((vx, vy, vz, yaw_rate), state, DT)


def wrench(thrusts: tuple[float, ...]) -> NDArray[np.float64]:
    """Thrust and torque that rotor thrusts give, (4,)."""
    x, y, spin = np.array(ROTOR_SIGNS, dtype=float).T
    lever, ratio = QUAD_250.arm_length / math.sqrt(2), QUAD_250.drag_torque_ratio
    return np.array([np.ones(4), lever * y, -lever * x, -ratio * spin]) @ thrusts


def test_mixer_gives_what_rotors_can() -> None:
    rng = np.random.default_rng(0)
    for thrusts in rng.uniform(0, QUAD_250.max_thrust, (200, 4)):
        thrust, *torque = wrench(tuple(thrusts))
        np.testing.assert_allclose(
            mix(thrust, (torque[0], torque[1], torque[2]), QUAD_250), thrusts, atol=1e-12
        )


def test_mixer_priority_is_roll_and_pitch_then_yaw_then_thrust() -> None:
    rng, full = np.random.default_rng(1), QUAD_250.max_thrust
    seen = {"roll and pitch": 0, "yaw": 0, "thrust": 0}
    for _ in range(2000):
        thrust = float(rng.uniform(-0.5, 1.5)) * 4 * full
        roll, pitch = (float(t) for t in rng.uniform(-0.6, 0.6, 2))
        yaw = float(rng.uniform(-0.15, 0.15))
        thrusts = mix(thrust, (roll, pitch, yaw), QUAD_250)
        assert min(thrusts) >= 0
        assert max(thrusts) <= full
        given = wrench(thrusts)
        spread = max(thrusts) - min(thrusts)
        # What a step of the ladder gives up, it gives up only because nothing below is left.
        if not np.allclose(given[1:3], (roll, pitch), atol=1e-9):
            seen["roll and pitch"] += 1
            assert spread == pytest.approx(full)
            np.testing.assert_allclose(
                given[1:3] / np.hypot(*given[1:3]), np.array([roll, pitch]) / np.hypot(roll, pitch)
            )
        elif not np.isclose(given[3], yaw, atol=1e-9):
            seen["yaw"] += 1
            assert spread == pytest.approx(full)
            assert abs(given[3]) < abs(yaw)
        elif not np.isclose(given[0], thrust, atol=1e-9):
            seen["thrust"] += 1
            if given[0] < thrust:
                assert max(thrusts) == pytest.approx(full)
            else:
                assert min(thrusts) == pytest.approx(0, abs=1e-9)
    assert min(seen.values()) > 50, seen
