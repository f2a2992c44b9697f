"""Messages of ROS by their type, and the fields that back-ends fill them with."""

import importlib
from typing import Any

from liquid_nav.messages.fields import Fields, fill, header, twist_stamped, vector3
from liquid_nav.ros.backends.frames import Vector3

__all__ = ["Fields", "fill", "header", "message_class", "twist", "twist_stamped", "vector3"]


def message_class(message_type: str) -> type[Any]:
    """Import the class of a type such as ``geometry_msgs/msg/Twist``, or of a service's."""
    package, kind, name = message_type.split("/")
    return getattr(importlib.import_module(f"{package}.{kind}"), name)  # type: ignore[no-any-return]


def twist(velocity: Vector3, yaw_rate: float) -> Fields:
    """Fields of ``geometry_msgs/Twist``; m/s and rad/s, positive to the left."""
    return {"linear": vector3(velocity), "angular": vector3((0.0, 0.0, yaw_rate))}
