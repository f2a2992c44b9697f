"""Messages as plain fields, so that what is sent can be computed and tested without ROS."""

import importlib
from typing import Any

from liquid_nav.events import SECOND
from liquid_nav.ros.backends.frames import Vector3

Fields = dict[str, Any]
"""Field names of a message to values; a nested message is a nested dict."""


def message_class(message_type: str) -> type[Any]:
    """Import the class of a type such as ``geometry_msgs/msg/Twist``, or of a service's."""
    package, kind, name = message_type.split("/")
    return getattr(importlib.import_module(f"{package}.{kind}"), name)  # type: ignore[no-any-return]


def fill(message: Any, fields: Fields) -> Any:
    """Set the fields of a message and return it.

    Raises:
        AttributeError: on a field that the message does not have.

    """
    for name, value in fields.items():
        if isinstance(value, dict):
            fill(getattr(message, name), value)
        else:
            setattr(message, name, value)
    return message


def header(stamp: int, frame_id: str) -> Fields:
    """Fields of ``std_msgs/Header``; `stamp` in ns."""
    seconds, nanoseconds = divmod(stamp, SECOND)
    return {"stamp": {"sec": seconds, "nanosec": nanoseconds}, "frame_id": frame_id}


def vector3(vector: Vector3) -> Fields:
    """Fields of ``geometry_msgs/Vector3``."""
    return dict(zip("xyz", vector, strict=True))


def twist(velocity: Vector3, yaw_rate: float) -> Fields:
    """Fields of ``geometry_msgs/Twist``; m/s and rad/s, positive to the left."""
    return {"linear": vector3(velocity), "angular": vector3((0.0, 0.0, yaw_rate))}


def twist_stamped(stamp: int, frame_id: str, velocity: Vector3, yaw_rate: float) -> Fields:
    """Fields of ``geometry_msgs/TwistStamped``; `stamp` in ns."""
    return {"header": header(stamp, frame_id), "twist": twist(velocity, yaw_rate)}
