"""PX4's IMU and odometry as events: frames against rotation matrices, times, refusals."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_nav.events import SECOND
from liquid_nav.messages.decode import MessageError
from liquid_nav.messages.plug import SensorSetup
from liquid_nav.messages.px4 import (
    BODY_FRD,
    NED,
    NO_ACCELEROMETER,
    Px4ImuMessage,
    Px4OdometryMessage,
)
from liquid_nav.ros.backends.frames import heading_of
from ros.backend_support import NOW, build, quaternion, typestore

ENU_FROM_NED = np.array([[0, 1, 0], [1, 0, 0], [0, 0, -1]])
FLU_FROM_FRD = np.diag([1, -1, -1])


def px4_imu_sample(message, arrival, setup=SensorSetup()):  # noqa: B008
    return Px4ImuMessage().decode(message, arrival, setup)


def px4_odometry(message, arrival):
    return Px4OdometryMessage().decode(message, arrival, SensorSetup())


angles = st.floats(-math.pi, math.pi)
vectors = st.tuples(*[st.floats(-5, 5)] * 3)


def matrix(q: list[float]) -> np.ndarray:
    x, y, z, w = q
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def message(q: list[float], **changes):
    x, y, z, w = q
    fields = {
        "timestamp": NOW // 1000,
        "timestamp_sample": NOW // 1000,
        "pose_frame": NED,
        "position": np.zeros(3, np.float32),
        "q": np.array([w, x, y, z], np.float32),
        "velocity_frame": NED,
        "velocity": np.zeros(3, np.float32),
        "angular_velocity": np.zeros(3, np.float32),
        "position_variance": np.zeros(3, np.float32),
        "orientation_variance": np.zeros(3, np.float32),
        "velocity_variance": np.zeros(3, np.float32),
        "reset_counter": 0,
        "quality": 0,
    }
    return build(typestore(), "px4_msgs/msg/VehicleOdometry", fields | changes)


@settings(deadline=None)
@given(angles, st.floats(-1.5, 1.5), angles, vectors, vectors, vectors, st.sampled_from([NED, 3]))
def test_odometry_agrees_with_rotation_matrices(yaw, pitch, roll, position, velocity, rate, frame):
    q = quaternion(yaw, pitch, roll)
    attitude = matrix(q)  # NED from FRD.
    event = px4_odometry(
        message(
            q,
            position=np.array(position),
            velocity=np.array(velocity),
            angular_velocity=np.array(rate),
            velocity_frame=frame,
        ),
        NOW + SECOND,
    )
    body_velocity = np.array(velocity) if frame == BODY_FRD else attitude.T @ velocity
    np.testing.assert_allclose(
        matrix(event.orientation.tolist()), ENU_FROM_NED @ attitude @ FLU_FROM_FRD, atol=1e-5
    )
    np.testing.assert_allclose(event.position, ENU_FROM_NED @ position, atol=1e-5)
    np.testing.assert_allclose(event.linear_velocity, FLU_FROM_FRD @ body_velocity, atol=1e-4)
    np.testing.assert_allclose(event.angular_velocity, FLU_FROM_FRD @ rate, atol=1e-5)


@settings(deadline=None)
@given(angles)
def test_the_heading_of_ned_is_clockwise_from_north(yaw):
    heading = heading_of(px4_odometry(message(quaternion(yaw)), NOW))
    assert math.cos(heading - (math.pi / 2 - yaw)) == pytest.approx(1, abs=1e-6)


def test_a_sample_carries_its_own_time_and_one_from_another_clock_is_refused():
    level, stamp = message(quaternion(0)), NOW // 1000 * 1000
    for event in (px4_odometry(level, NOW + SECOND), px4_imu_sample(inertial(), NOW + SECOND)):
        assert (event.stamp, event.arrival) == (stamp, NOW + SECOND)
    # A clock that is ahead by less than the tolerance: just taken.
    assert px4_odometry(level, stamp - SECOND // 1000).stamp == stamp - SECOND // 1000
    for convert, sample in ((px4_odometry, level), (px4_imu_sample, inertial())):
        with pytest.raises(MessageError, match="in the future"):
            convert(sample, NOW - SECOND)
        with pytest.raises(MessageError, match="old"):
            convert(sample, NOW + 60 * SECOND)


@pytest.mark.parametrize("frames", [{"pose_frame": 2}, {"pose_frame": 0}, {"velocity_frame": 2}])
def test_a_frame_that_knows_no_north_is_refused(frames):
    with pytest.raises(MessageError, match="must be NED"):
        px4_odometry(message(quaternion(0), **frames), NOW)


def inertial(release: str = "1.16", **changes):
    fields = {
        "timestamp": NOW // 1000,
        "gyro_rad": np.array([0.1, 0.2, 0.3], np.float32),
        "gyro_integral_dt": 4000,
        "accelerometer_timestamp_relative": 0,
        "accelerometer_m_s2": np.array([0.5, 0.25, -9.75], np.float32),
        "accelerometer_integral_dt": 4000,
        "accelerometer_clipping": 0,
        "gyro_clipping": 0,
        "accel_calibration_count": 0,
        "gyro_calibration_count": 0,
    }
    return build(typestore(release), "px4_msgs/msg/SensorCombined", fields | changes)


@pytest.mark.parametrize("release", ["1.15", "1.16"])
def test_px4s_imu_at_rest_shows_gravity_upwards(release):
    event = px4_imu_sample(inertial(release), NOW)
    np.testing.assert_allclose(event.specific_force, [0.5, -0.25, 9.75])
    np.testing.assert_allclose(event.angular_velocity, [0.1, -0.2, -0.3], atol=1e-7)


def test_px4_without_an_accelerometer_is_refused():
    with pytest.raises(MessageError, match="no accelerometer"):
        px4_imu_sample(inertial(accelerometer_timestamp_relative=NO_ACCELEROMETER), NOW)


def test_px4s_imu_is_turned_as_the_flight_controller_is_mounted():
    """A flight controller whose nose points to the left of the vehicle's."""
    quarter = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    event = px4_imu_sample(inertial(), NOW, SensorSetup(imu_rotation=lambda frame: quarter))
    np.testing.assert_allclose(event.specific_force, [0.25, 0.5, 9.75])
