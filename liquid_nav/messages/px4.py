"""Convert PX4's own messages to events: from NED and FRD to ENU and FLU."""

import math
from typing import Any

import numpy as np

from liquid_nav.events import Channel, ImuSample, Odometry
from liquid_nav.messages.decode import MessageError, check_time
from liquid_nav.messages.plug import EventMessage, SensorSetup
from liquid_nav.rotations import compose, inverse, rotate

NED = 1
"""POSE_FRAME_NED and VELOCITY_FRAME_NED of ``px4_msgs/VehicleOdometry``."""

BODY_FRD = 3
"""VELOCITY_FRAME_BODY_FRD."""

NO_ACCELEROMETER = 2147483647
"""RELATIVE_TIMESTAMP_INVALID of ``px4_msgs/SensorCombined``."""

ENU_FROM_NED = (math.sqrt(0.5), math.sqrt(0.5), 0.0, 0.0)
FRD_FROM_FLU = (1.0, 0.0, 0.0, 0.0)
"""Half turns, as quaternions x, y, z, w: about north-east, and about forward."""

FLU_FROM_FRD = np.diag([1.0, -1.0, -1.0])
"""Rotation from FRD to FLU, and back."""


class Px4ImuMessage(EventMessage):
    """``px4_msgs/SensorCombined``: gyro and accelerometer, rad/s and m/s^2, in FRD.

    Its time is the companion's as long as UXRCE_DDS_SYNCT is on.
    """

    channel = Channel.IMU
    type = "px4_msgs/msg/SensorCombined"

    def decode(self, message: Any, arrival: int, setup: SensorSetup) -> ImuSample:
        """Make an event of a message; the rotation of `setup` follows that from FRD to FLU.

        Raises:
            MessageError: on a time out of range, or while there is no accelerometer.

        """
        stamp = check_time(int(message.timestamp) * 1000, arrival)
        if message.accelerometer_timestamp_relative == NO_ACCELEROMETER:
            raise MessageError("PX4 says that there is no accelerometer")
        mount = setup.imu_rotation(None)
        rotation = FLU_FROM_FRD if mount is None else mount @ FLU_FROM_FRD
        rates, force = (
            np.asarray(field, dtype=np.float64)
            for field in (message.gyro_rad, message.accelerometer_m_s2)
        )
        # Readings that are not finite are for the controller, which rejects them.
        with np.errstate(over="ignore", invalid="ignore"):
            return ImuSample(stamp, arrival, rotation @ rates, rotation @ force)


class Px4OdometryMessage(EventMessage):
    """``px4_msgs/VehicleOdometry``: pose in NED, velocity in NED or FRD, rates in FRD.

    Its time is the companion's as long as UXRCE_DDS_SYNCT is on.
    """

    channel = Channel.ODOMETRY
    type = "px4_msgs/msg/VehicleOdometry"

    def decode(self, message: Any, arrival: int, setup: SensorSetup) -> Odometry:
        """Make an event of a message.

        Raises:
            MessageError: on a time out of range, or on a pose or a velocity in a frame that is
                not aligned with north.

        """
        stamp = check_time(int(message.timestamp_sample) * 1000, arrival)
        if message.pose_frame != NED or message.velocity_frame not in (NED, BODY_FRD):
            raise MessageError(
                f"PX4's odometry has pose_frame {message.pose_frame} and velocity_frame "
                f"{message.velocity_frame}; it must be NED (1), the velocity NED or body FRD (3)"
            )
        w, x, y, z = map(float, message.q)
        attitude = (x, y, z, w)
        position, velocity, rates = (
            tuple(map(float, vector))
            for vector in (message.position, message.velocity, message.angular_velocity)
        )
        if message.velocity_frame == NED:
            velocity = rotate(inverse(attitude), velocity)
        return Odometry(
            stamp=stamp,
            arrival=arrival,
            position=np.array(rotate(ENU_FROM_NED, position)),
            orientation=np.array(compose(compose(ENU_FROM_NED, attitude), FRD_FROM_FLU)),
            linear_velocity=np.array(rotate(FRD_FROM_FLU, velocity)),
            angular_velocity=np.array(rotate(FRD_FROM_FLU, rates)),
        )
