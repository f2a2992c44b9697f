"""Drivers and simulators that take a body velocity as ``geometry_msgs/Twist`` or TwistStamped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liquid_nav.command import Command
from liquid_nav.ros.backends.base import Backend, velocity_of
from liquid_nav.ros.backends.messages import twist, twist_stamped

if TYPE_CHECKING:
    from rclpy.node import Node


class TwistBackend(Backend):
    """Sends the command as it is, in the heading frame (REP-147), m/s and rad/s.

    Args:
        node: makes the publisher.
        topic: where to.
        stamped: TwistStamped, which says when and in which frame, or plain Twist.
        frame_id: of the stamped message.

    """

    name = "twist"
    messages = "geometry_msgs"
    how_to_get = "it comes with every ROS 2; with pip: ros-jazzy-geometry-msgs"
    rate = 10.0

    def __init__(
        self,
        node: Node,
        *,
        topic: str = "cmd_vel",
        stamped: bool = True,
        frame_id: str = "base_link",
    ) -> None:
        super().__init__(node)
        self._topic, self._stamped, self._frame_id = topic, stamped, frame_id
        self._advertise(topic, f"geometry_msgs/msg/{'TwistStamped' if stamped else 'Twist'}")

    def _send(self, command: Command, heading: float | None, fresh: bool) -> Command:
        velocity = velocity_of(command)
        if self._stamped:
            fields = twist_stamped(command.stamp, self._frame_id, velocity, command.yaw_rate)
        else:
            fields = twist(velocity, command.yaw_rate)
        self._publish(self._topic, fields)
        return command
