"""A back-end for drivers that take a Twist in stick deflections, from -1 to 1, such as Tello's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from liquid_nav.command import Command
from liquid_nav.ros.backends import Backend, Spec
from liquid_nav.ros.backends.messages import twist

if TYPE_CHECKING:
    from rclpy.node import Node


class StickBackend(Backend):
    """Divides each speed by the speed at full deflection.

    A command beyond full deflection is sent at full deflection: the command that `command` returns
    then has the speed that was sent, and says so in its reason.
    """

    name = "stick"
    minimum_rate = 5.0  # The driver hovers after 0.5 s without a command.
    options = (
        Spec("topic", "cmd_vel", "Topic of the driver, a geometry_msgs/Twist."),
        Spec("full_speed", 2.0, "Speed in m/s at full deflection.", (0.1, 30.0)),
        Spec("full_yaw_rate", 1.5, "Yaw rate in rad/s at full deflection.", (0.1, 10.0)),
    )

    def configure(self, node: Node) -> None:
        """Make the publisher."""
        super().configure(node)
        self._advertise(self.values["topic"], "geometry_msgs/msg/Twist")

    def _command(self, command: Command, heading: float | None, fresh: bool) -> Command:
        speed, yaw_rate = self.values["full_speed"], self.values["full_yaw_rate"]
        full = (speed, speed, speed, yaw_rate)
        vx, vy, vz, turn = (min(max(v, -f), f) for v, f in zip(command.vector, full, strict=True))
        sent = replace(command, vx=vx, vy=vy, vz=vz, yaw_rate=turn)
        if sent != command:
            self.fault = "sent at full deflection"
            sent = self._with_reason(sent, self.fault)
        self._publish(
            self.values["topic"], twist((vx / speed, vy / speed, vz / speed), turn / yaw_rate)
        )
        return sent
