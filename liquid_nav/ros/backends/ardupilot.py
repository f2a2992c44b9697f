"""ArduPilot over DDS: ``/ap/cmd_vel``, by default in world ENU and not in the body frame.

ArduPilot takes exactly two values of frame_id. ``map`` is world ENU. ``base_link`` is documented
as forward, left, up, but AP_DDS_ExternalControl.cpp turns it by the whole attitude, so that
a vehicle that holds its nose down to fly forward also flies down; and without ArduPilot#34002 its
y points right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from liquid_nav.command import Command
from liquid_nav.errors import ConfigError
from liquid_nav.ros.backends.base import POSE_TIMEOUT, Backend
from liquid_nav.ros.backends.frames import Vector3
from liquid_nav.ros.backends.messages import Fields, twist_stamped
from liquid_nav.ros.parameters import Spec, name_fault

if TYPE_CHECKING:
    from rclpy.node import Node


def body_setpoint(command: Command, y_is_right: bool) -> Fields:
    """Fields of a ``base_link`` TwistStamped; `y_is_right` where the firmware takes y as right."""
    left = -command.vy if y_is_right else command.vy
    velocity = (command.vx, left, command.vz)
    return twist_stamped(command.stamp, "base_link", velocity, command.yaw_rate)


def world_setpoint(command: Command, velocity: Vector3) -> Fields:
    """Fields of a ``map`` TwistStamped; `velocity` in ENU, m/s."""
    return twist_stamped(command.stamp, "map", velocity, command.yaw_rate)


class ArdupilotBackend(Backend):
    """Sends TwistStamped to a vehicle in mode Guided.

    In frame ``map`` the velocity is turned by odometry, and without odometry the vehicle hovers.
    """

    name = "ardupilot"
    minimum_rate = 10.0
    setpoint_timeout = 3.0  # GUID_TIMEOUT: it stops, and stays in Guided.
    options = (
        Spec("topic", "/ap/cmd_vel", "Topic of the velocity commands.", fault=name_fault),
        Spec(
            "frame",
            "map",
            "map: world ENU, which needs odometry; base_link: the body, which needs none.",
            choices=("map", "base_link"),
        ),
        Spec(
            "y_is_right",
            False,
            "With base_link: the firmware lacks ArduPilot#34002, so that its y points right.",
        ),
        POSE_TIMEOUT,
    )

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.needs_odometry = self.values["frame"] == "map"
        if self.values["y_is_right"] and self.needs_odometry:
            raise ConfigError("back-end ardupilot: y_is_right needs frame base_link, got frame map")

    def configure(self, node: Node) -> None:
        """Make the publisher."""
        super().configure(node)
        self._advertise(self.values["topic"], "geometry_msgs/msg/TwistStamped")

    def _command(self, command: Command, heading: float | None, fresh: bool) -> Command:
        topic = self.values["topic"]
        if self.needs_odometry:
            command, velocity = self._world(command, heading)
            self._publish(topic, world_setpoint(command, velocity))
        else:
            self._publish(topic, body_setpoint(command, self.values["y_is_right"]))
        return command
