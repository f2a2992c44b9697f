"""Fields of ROS messages as dictionaries, from which rclpy and rosbags messages are built.

A nested message is a nested dictionary, a list of messages a list of dictionaries, and an array of
numbers a numpy array. A field that is left out has its default.
"""

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liquid_nav.events import SECOND

Fields = dict[str, Any]
"""Field names of a message to values."""

Numbers = Sequence[float] | NDArray[np.float64]

BODY, OPTICAL, WORLD = "base_link", "camera_optical_frame", "odom"
"""Frames of our messages: FLU, optical (x right, y down, z forward), ENU (REP-103, REP-105)."""

HEADING = "base_stabilized"
"""Frame of commands: FLU turned level."""

BEAM = "range_finder"
"""Frame of ranges: x points along the beam."""


def plain_frame(frame: str) -> str:
    """Return the name of a frame as tf2 has it: tf of ROS 1 began it with a slash."""
    return frame.lstrip("/")


def fill(message: Any, fields: Fields) -> Any:
    """Set the fields of a message of rclpy and return it.

    Raises:
        AttributeError: on a field that the message does not have.

    """
    for name, value in fields.items():
        if isinstance(value, dict):
            fill(getattr(message, name), value)
        elif isinstance(value, np.ndarray):
            setattr(message, name, _numbers(getattr(message, name), value))
        else:
            setattr(message, name, value)
    return message


def _numbers(default: Any, values: NDArray[Any]) -> Any:
    """Convert numbers to what rclpy checks fastest: an `array` if the length is not fixed.

    In any other form rclpy checks each byte of an image, which takes 40 ms.
    """
    if not isinstance(default, array):
        return values
    numbers = array(default.typecode)
    numbers.frombytes(np.ascontiguousarray(values, default.typecode).view(np.uint8).data)
    return numbers


def time(stamp: int) -> Fields:
    """Fields of ``builtin_interfaces/Time``; `stamp` in ns."""
    seconds, nanoseconds = divmod(stamp, SECOND)
    return {"sec": seconds, "nanosec": nanoseconds}


def header(stamp: int, frame_id: str) -> Fields:
    """Fields of ``std_msgs/Header``; `stamp` in ns."""
    return {"stamp": time(stamp), "frame_id": frame_id}


def vector3(vector: Numbers) -> Fields:
    """Fields of ``geometry_msgs/Vector3`` or ``Point``."""
    x, y, z = vector
    return {"x": float(x), "y": float(y), "z": float(z)}


def quaternion(orientation: Numbers) -> Fields:
    """Fields of ``geometry_msgs/Quaternion``, from x, y, z, w."""
    x, y, z, w = orientation
    return {"x": float(x), "y": float(y), "z": float(z), "w": float(w)}


def pose(position: Numbers, orientation: Numbers) -> Fields:
    """Fields of ``geometry_msgs/Pose``: metres, and a quaternion x, y, z, w."""
    return {"position": vector3(position), "orientation": quaternion(orientation)}


def twist(linear: Numbers, angular: Numbers) -> Fields:
    """Fields of ``geometry_msgs/Twist``: m/s and rad/s."""
    return {"linear": vector3(linear), "angular": vector3(angular)}


def twist_stamped(stamp: int, frame_id: str, velocity: Numbers, yaw_rate: float) -> Fields:
    """Fields of ``geometry_msgs/TwistStamped``, as commands are; `stamp` in ns, m/s and rad/s."""
    return {"header": header(stamp, frame_id), "twist": twist(velocity, (0.0, 0.0, yaw_rate))}
