"""ArduPilot over DDS: ``/ap/cmd_vel``, world ENU by default, and why not the body frame.

ArduPilot knows two frame_ids, letter by letter. ``map`` is world ENU. ``base_link`` is documented
as forward, left, up, but (AP_DDS_ExternalControl.cpp) is turned by the whole attitude, so that
a nose held down to fly forward also flies down; and without ArduPilot#34002 its y points right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from liquid_nav.command import Command
from liquid_nav.errors import ConfigError
from liquid_nav.ros.backends.base import Backend
from liquid_nav.ros.backends.frames import Vector3
from liquid_nav.ros.backends.messages import Fields, twist_stamped

if TYPE_CHECKING:
    from rclpy.node import Node

FRAMES = ("map", "base_link")


def body_setpoint(command: Command, y_is_right: bool) -> Fields:
    """Fields of a ``base_link`` TwistStamped; `y_is_right` for a firmware that reads y so."""
    left = -command.vy if y_is_right else command.vy
    velocity = (command.vx, left, command.vz)
    return twist_stamped(command.stamp, "base_link", velocity, command.yaw_rate)


def world_setpoint(command: Command, velocity: Vector3) -> Fields:
    """Fields of a ``map`` TwistStamped; `velocity` in ENU, m/s."""
    return twist_stamped(command.stamp, "map", velocity, command.yaw_rate)


class ArdupilotBackend(Backend):
    """Sends TwistStamped to a vehicle in mode Guided.

    Args:
        node: makes the publisher.
        topic: where to.
        frame: ``map``, turned by odometry, a hover without; or ``base_link``, which needs none.
        y_is_right: only in ``base_link``: the firmware is without ArduPilot#34002, and its y points
            right.
        pose_timeout: age in seconds past which odometry no longer tells the heading.

    """

    name = "ardupilot"
    messages = "geometry_msgs"
    how_to_get = "it comes with every ROS 2; with pip: ros-jazzy-geometry-msgs"
    rate = 10.0  # ArduPilot stops after GUID_TIMEOUT, 3 s.

    def __init__(
        self,
        node: Node,
        *,
        topic: str = "/ap/cmd_vel",
        frame: str = "map",
        y_is_right: bool = False,
        pose_timeout: float = 0.5,
    ) -> None:
        if frame not in FRAMES:
            raise ConfigError(f"frame must be one of {', '.join(FRAMES)}, got {frame!r}")
        if y_is_right and frame != "base_link":
            raise ConfigError("y_is_right is a matter of frame base_link; leave it off with map")
        super().__init__(node, pose_timeout=pose_timeout)
        self._topic, self._frame, self._y_is_right = topic, frame, y_is_right
        self._advertise(topic, "geometry_msgs/msg/TwistStamped")

    def _send(self, command: Command, heading: float | None, fresh: bool) -> Command:
        if self._frame == "map":
            command, velocity = self._world(command, heading)
            self._publish(self._topic, world_setpoint(command, velocity))
        else:
            self._publish(self._topic, body_setpoint(command, self._y_is_right))
        return command
