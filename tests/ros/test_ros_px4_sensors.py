"""PX4's odometry against rotation matrices."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_nav.events import SECOND
from liquid_nav.ros.backends.frames import heading_of
from liquid_nav.ros.backends.px4_odometry import BODY_FRD, NED, odometry_event
from ros.backend_support import NOW, build, quaternion, typestore

ENU_FROM_NED = np.array([[0, 1, 0], [1, 0, 0], [0, 0, -1]])
FLU_FROM_FRD = np.diag([1, -1, -1])

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
    event = odometry_event(
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
    heading = heading_of(odometry_event(message(quaternion(yaw)), NOW))
    assert math.cos(heading - (math.pi / 2 - yaw)) == pytest.approx(1, abs=1e-6)


def test_a_sample_carries_its_own_time_and_never_one_from_the_future():
    late, early = NOW + SECOND, NOW - SECOND
    level = message(quaternion(0))
    assert (odometry_event(level, late).stamp, odometry_event(level, late).arrival) == (
        NOW // 1000 * 1000,
        late,
    )
    assert odometry_event(level, early).stamp == early


@pytest.mark.parametrize("frames", [{"pose_frame": 2}, {"pose_frame": 0}, {"velocity_frame": 2}])
def test_a_frame_that_knows_no_north_gives_no_event(frames):
    assert odometry_event(message(quaternion(0), **frames), NOW) is None
