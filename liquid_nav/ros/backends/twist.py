"""Drivers and simulators that take a body velocity as ``geometry_msgs/Twist`` or TwistStamped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liquid_nav.command import Command
from liquid_nav.ros.backends.base import Backend, velocity_of
from liquid_nav.ros.backends.messages import twist, twist_stamped
from liquid_nav.ros.parameters import Spec, name_fault

if TYPE_CHECKING:
    from rclpy.node import Node


class TwistBackend(Backend):
    """Sends the command as it is, in the heading frame (REP-147), m/s and rad/s."""

    name = "twist"
    minimum_rate = 1.0  # How long a driver waits for the next command is not known here.
    options = (
        Spec("topic", "cmd_vel", "Topic of the velocity commands.", fault=name_fault),
        Spec("stamped", True, "TwistStamped, which has a time and a frame; false: plain Twist."),
        Spec("frame_id", "base_link", "frame_id of the TwistStamped."),
    )

    def configure(self, node: Node) -> None:
        """Make the publisher."""
        super().configure(node)
        kind = "TwistStamped" if self.values["stamped"] else "Twist"
        self._advertise(self.values["topic"], f"geometry_msgs/msg/{kind}")

    def _command(self, command: Command, heading: float | None, fresh: bool) -> Command:
        velocity = velocity_of(command)
        if self.values["stamped"]:
            frame_id = self.values["frame_id"]
            fields = twist_stamped(command.stamp, frame_id, velocity, command.yaw_rate)
        else:
            fields = twist(velocity, command.yaw_rate)
        self._publish(self.values["topic"], fields)
        return command
