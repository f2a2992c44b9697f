"""Back-ends as mathematics: frames, signs, units, fields. No ROS needed."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_nav.command import Command
from liquid_nav.events import Odometry
from liquid_nav.ros.backends import ardupilot, crazyswarm2, px4
from liquid_nav.ros.backends.frames import enu_to_ned, heading_frame_to_enu, heading_of
from liquid_nav.ros.backends.messages import twist, twist_stamped
from ros.backend_support import NOW, build, quaternion, rotation, typestore

angles = st.floats(-math.pi, math.pi)
speeds = st.floats(-3, 3)
commands = st.builds(Command, st.just(NOW), speeds, speeds, speeds, speeds)


# Frames.


@settings(deadline=None)
@given(angles, st.floats(-1.3, 1.3), angles, st.sampled_from([1.0, -1.0]))
def test_heading_is_the_yaw_of_any_attitude(yaw, pitch, roll, sign):
    odometry = Odometry(
        0, 0, np.zeros(3), sign * np.array(quaternion(yaw, pitch, roll)), np.zeros(3), np.zeros(3)
    )
    assert math.cos(heading_of(odometry) - yaw) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(
    "orientation", [(0, 0, 0, 0), (math.nan, 0, 0, 1), (0, 0, 0, 3), quaternion(0.3, math.pi / 2)]
)
def test_no_heading_from_no_rotation_or_a_nose_straight_up(orientation):
    assert heading_of(Odometry(0, 0, np.zeros(3), orientation, np.zeros(3), np.zeros(3))) is None


@settings(deadline=None)
@given(angles, st.tuples(speeds, speeds, speeds))
def test_the_heading_frame_turns_into_the_world_by_the_rotation_about_up(heading, velocity):
    np.testing.assert_allclose(
        heading_frame_to_enu(velocity, heading), rotation(heading) @ velocity, atol=1e-12
    )


def test_ned_is_a_rotation_of_enu():
    matrix = np.array([enu_to_ned(tuple(axis)) for axis in np.eye(3).tolist()]).T
    np.testing.assert_array_equal(matrix @ (1, 2, 3), (2, 1, -3))  # North, east, down.
    np.testing.assert_allclose(np.linalg.det(matrix), 1)
    np.testing.assert_array_equal(matrix @ matrix, np.eye(3))


@pytest.mark.parametrize(
    ("heading", "command", "north_east_down"),
    [
        (0, Command(NOW, vx=1), (0, 1, 0)),  # Facing east.
        (math.pi / 2, Command(NOW, vx=1), (1, 0, 0)),  # Facing north.
        (math.pi / 2, Command(NOW, vy=1), (0, -1, 0)),  # Left of north is west.
        (math.pi, Command(NOW, vy=1), (-1, 0, 0)),  # Left of west is south.
        (1.234, Command(NOW, vz=1), (0, 0, -1)),  # Up is up.
    ],
)
def test_px4_velocities_by_hand(heading, command, north_east_down):
    setpoint = px4.trajectory_setpoint(command, heading)
    np.testing.assert_allclose(setpoint["velocity"], north_east_down, atol=1e-7)


@settings(deadline=None)
@given(commands, angles)
def test_px4_agrees_with_forward_right_down_turned_by_the_ned_heading(command, heading):
    setpoint = px4.trajectory_setpoint(command, heading)
    expected = rotation(math.pi / 2 - heading) @ (command.vx, -command.vy, -command.vz)
    np.testing.assert_allclose(setpoint["velocity"], expected, atol=1e-5)
    assert setpoint["yawspeed"] == -command.yaw_rate  # Positive to the right.
    assert setpoint["timestamp"] == NOW // 1000  # Microseconds.
    for free in ("position", "acceleration", "jerk", "yaw"):
        assert np.isnan(setpoint[free]).all()


@settings(deadline=None)
@given(commands, angles, st.booleans())
def test_ardupilot_flies_the_same_way_in_both_frames(command, heading, y_is_right):
    """Level vehicle; the firmware as AP_DDS_ExternalControl.cpp has it, with #34002 and without."""

    def firmware(fields):
        linear = fields["twist"]["linear"]
        if fields["header"]["frame_id"] == "map":
            ned = np.array([linear["y"], linear["x"], -linear["z"]])
        else:
            assert fields["header"]["frame_id"] == "base_link"
            right = linear["y"] if y_is_right else -linear["y"]
            ned = rotation(math.pi / 2 - heading) @ (linear["x"], right, -linear["z"])
        return *ned, -fields["twist"]["angular"]["z"]

    enu = heading_frame_to_enu((command.vx, command.vy, command.vz), heading)
    world = firmware(ardupilot.world_setpoint(command, enu))
    np.testing.assert_allclose(
        firmware(ardupilot.body_setpoint(command, y_is_right)), world, atol=1e-12
    )
    np.testing.assert_allclose(world, (*enu_to_ned(enu), -command.yaw_rate))


@pytest.mark.parametrize("server", ["cpp", "cflib"])
@settings(deadline=None)
@given(rate=speeds)
def test_a_crazyflie_turns_left_at_the_rate_asked_for(server, rate):
    """Signs as in crazyflie_server.cpp and .py, cflib from 0.1.28, and the firmware's decoders."""

    def legacy_decoder(degrees):
        return math.radians(-degrees)

    def cflib(degrees):
        return legacy_decoder(-degrees)

    link = legacy_decoder if server == "cpp" else cflib
    command = Command(NOW, yaw_rate=rate)
    hover = crazyswarm2.hover_setpoint(command, 0.5, server)
    assert link(-math.degrees(hover["yaw_rate"])) == pytest.approx(rate)
    world = crazyswarm2.world_setpoint(command, (0.0, 0.0, 0.0), server)
    assert link(world["yaw_rate"]) == pytest.approx(rate)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-1.2, 1.2), st.floats(0, 3)), max_size=30))
def test_the_height_setpoint_stays_in_bounds_and_never_jumps(steps):
    height = 0.5
    for vz, elapsed in steps:
        new = crazyswarm2.climb(height, vz, elapsed, 0.2, 2.0)
        assert 0.2 <= new <= 2.0
        assert abs(new - height) <= abs(vz) * min(elapsed, crazyswarm2.LONGEST_STEP) + 1e-12
        height = new


def test_the_height_setpoint_integrates_the_climb_rate():
    height = 0.5
    for _ in range(50):
        height = crazyswarm2.climb(height, 0.4, 0.02, 0.2, 2.0)
    assert height == pytest.approx(0.5 + 0.4 * 1.0)
    assert crazyswarm2.climb(0.05, -0.5, 0.1, 0.2, 2.0) == 0.05  # After a landing given up.


# Messages, field by field against their definitions, and through CDR.


@pytest.mark.parametrize("release", ["1.15", "1.16"])
@settings(deadline=None)
@given(command=commands, heading=angles)
def test_every_message_survives_cdr(release, command, heading):
    store = typestore(release)
    enu = heading_frame_to_enu((command.vx, command.vy, command.vz), heading)
    sent = {
        "px4_msgs/msg/OffboardControlMode": px4.offboard_control_mode(NOW),
        "px4_msgs/msg/TrajectorySetpoint": px4.trajectory_setpoint(command, heading),
        "crazyflie_interfaces/msg/Hover": crazyswarm2.hover_setpoint(command, 0.7),
        "crazyflie_interfaces/msg/VelocityWorld": crazyswarm2.world_setpoint(command, enu),
        "geometry_msgs/msg/TwistStamped": twist_stamped(NOW, "base_link", enu, command.yaw_rate),
        "geometry_msgs/msg/Twist": twist(enu, command.yaw_rate),
    }
    for message_type, fields in sent.items():
        message = build(store, message_type, fields)
        got = store.deserialize_cdr(store.serialize_cdr(message, message_type), message_type)
        same(got, fields)


def same(message: Any, fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        got = getattr(message, name)
        if isinstance(value, dict):
            same(got, value)
        elif isinstance(value, (bool, int, str)):
            assert got == value
        else:
            np.testing.assert_allclose(got, value, rtol=1e-6, atol=1e-30)


def test_the_check_of_fields_can_fail():
    fields = px4.offboard_control_mode(NOW)
    with pytest.raises(TypeError, match="actuator"):
        build(typestore(), "px4_msgs/msg/OffboardControlMode", {**fields, "actuator": False})
    del fields["body_rate"]
    with pytest.raises(TypeError, match="body_rate"):
        build(typestore(), "px4_msgs/msg/OffboardControlMode", fields)


def test_offboard_control_is_of_velocity_alone():
    mode = px4.offboard_control_mode(NOW)
    assert mode.pop("timestamp") == NOW // 1000
    assert [name for name, on in mode.items() if on] == ["velocity"]
