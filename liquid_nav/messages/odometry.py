"""The channel `odometry` as ``nav_msgs/Odometry``."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liquid_nav.events import Channel, Odometry
from liquid_nav.messages.decode import MessageError, stamp_at, vector_of
from liquid_nav.messages.fields import BODY, WORLD, Fields, header, pose, twist
from liquid_nav.messages.plug import SensorSetup, WritableMessage

_UNIT_TOLERANCE = 1e-2
_ROUNDING = 1e-15


class OdometryMessage(WritableMessage):
    """Pose in world ENU, twist in body FLU (REP-103, REP-105)."""

    channel = Channel.ODOMETRY
    type = "nav_msgs/msg/Odometry"
    topic = "/odom"

    def decode(self, message: Any, arrival: int, setup: SensorSetup) -> Odometry:
        """Make an event of a message.

        Raises:
            MessageError: on a time out of range, an orientation that is not a unit quaternion, or
                a frame whose name (REP-103) says that it is not ENU or FLU.

        """
        stamp = stamp_at(message, arrival)
        for frame in (message.header.frame_id, message.child_frame_id):
            if frame.endswith(("_ned", "_frd")):
                raise MessageError(
                    f"odometry is in {frame[:64]!r}, it must be in ENU and FLU frames"
                )
        place, motion = message.pose.pose, message.twist.twist
        return Odometry(
            stamp,
            arrival,
            vector_of(place.position),
            _unit_quaternion(place.orientation),
            vector_of(motion.linear),
            vector_of(motion.angular),
        )

    def encode(self, event: Odometry) -> Fields:
        """Give the fields: pose in `WORLD`, twist in `BODY`."""
        linear, angular = event.linear_velocity.tolist(), event.angular_velocity.tolist()
        return {
            "header": header(event.stamp, WORLD),
            "child_frame_id": BODY,
            "pose": {"pose": pose(event.position.tolist(), event.orientation.tolist())},
            "twist": {"twist": twist(linear, angular)},
        }


def _unit_quaternion(message: Any) -> NDArray[np.float64]:
    quaternion = (message.x, message.y, message.z, message.w)
    norm = math.hypot(*quaternion)
    # Written so that a norm that is not a number is refused too.
    if not abs(norm - 1) <= _UNIT_TOLERANCE:
        raise MessageError(f"orientation has norm {norm:g}, it must be a unit quaternion")
    # A quaternion that was divided by its norm before stays as it is: recordings replay exactly.
    if abs(norm - 1) <= _ROUNDING:
        norm = 1.0
    return np.array(quaternion, dtype=np.float64) / norm
