"""The channel `imu` as ``sensor_msgs/Imu`` (REP-145)."""

from typing import Any

import numpy as np

from liquid_nav.events import Channel, ImuSample
from liquid_nav.messages.decode import MessageError, stamp_at, vector_of
from liquid_nav.messages.fields import BODY, Fields, header, quaternion, vector3
from liquid_nav.messages.plug import SensorSetup, WritableMessage
from liquid_nav.rotations import IDENTITY

_NOT_MEASURED = np.array([-1.0, *[0.0] * 8])
"""Covariance of a quantity that the sensor does not measure."""
_NOT_MEASURED.setflags(write=False)


class ImuMessage(WritableMessage):
    """rad/s and m/s^2 in the frame of the sensor; specific force, +g on the up axis at rest."""

    channel = Channel.IMU
    type = "sensor_msgs/msg/Imu"
    topic = "/imu/data_raw"

    def decode(self, message: Any, arrival: int, setup: SensorSetup) -> ImuSample:
        """Make an event of a message, turned into body FLU.

        Raises:
            MessageError: on a time out of range, a quantity that its covariance declares not
                measured, a specific force of exactly zero, which only a dead sensor gives, or a
                frame whose rotation is not known.

        """
        stamp = stamp_at(message, arrival)
        for name in ("angular_velocity", "linear_acceleration"):
            if getattr(message, f"{name}_covariance")[0] == -1:
                raise MessageError(f"imu says by its covariance that it does not measure {name}")
        acceleration = message.linear_acceleration
        if not (acceleration.x or acceleration.y or acceleration.z):
            raise MessageError(
                "imu has a linear_acceleration of zero; a sensor at rest shows gravity"
            )
        rates, force = vector_of(message.angular_velocity), vector_of(acceleration)
        rotation = setup.imu_rotation(message.header.frame_id)
        if rotation is None:
            return ImuSample(stamp, arrival, rates, force)
        # Readings that overflow become infinite here, and the controller rejects them.
        with np.errstate(over="ignore", invalid="ignore"):
            return ImuSample(stamp, arrival, rotation @ rates, rotation @ force)

    def encode(self, event: ImuSample) -> Fields:
        """Give the fields of a sample in the body frame, without an orientation."""
        return {
            "header": header(event.stamp, BODY),
            "orientation": quaternion(IDENTITY),
            "orientation_covariance": _NOT_MEASURED,
            "angular_velocity": vector3(event.angular_velocity.tolist()),
            "linear_acceleration": vector3(event.specific_force.tolist()),
        }
