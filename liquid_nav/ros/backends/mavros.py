"""MAVROS: ``setpoint_velocity/cmd_vel``, in the frame that MAVROS's own parameter sets.

MAVROS ignores the message's frame_id. Its parameter ``mav_frame`` says what the numbers mean:
``LOCAL_NED``, the default, reads them as world ENU; ``BODY_NED`` as forward, left, up. A velocity
that is sent in the wrong frame points anywhere, so MAVROS is asked, and only zero velocity is sent
until its answer agrees. Source: MAVROS's ``setpoint_velocity.cpp``, branch ros2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from liquid_nav.command import Command
from liquid_nav.events import SECOND
from liquid_nav.ros.backends.base import POSE_TIMEOUT, Backend, velocity_of
from liquid_nav.ros.backends.messages import message_class, twist_stamped
from liquid_nav.ros.parameters import Spec, namespace_fault

if TYPE_CHECKING:
    from rclpy.node import Node

FRAMES = {"BODY_NED": "base_link", "LOCAL_NED": "map"}
"""The frame_id that is true of a message, by the value of ``mav_frame``."""

ASK_AGAIN = SECOND
"""ns between two questions: MAVROS may be restarted with another parameter file."""


class MavrosBackend(Backend):
    """Sends TwistStamped, in the heading frame or in world ENU, as MAVROS is set to read it.

    MAVROS is asked for its parameter; until it answers as expected, the vehicle hovers.
    """

    name = "mavros"
    minimum_rate = 20.0  # PX4 leaves OFFBOARD below 2 Hz.
    options = (
        Spec("namespace", "/mavros", "Namespace of MAVROS.", fault=namespace_fault),
        Spec(
            "mav_frame",
            "BODY_NED",
            "The value that MAVROS's parameter mav_frame must have; LOCAL_NED needs odometry.",
            choices=tuple(FRAMES),
        ),
        Spec(
            "verify",
            True,
            "Ask MAVROS for mav_frame, and hover until it agrees; false only where its parameter "
            "services are switched off.",
        ),
        POSE_TIMEOUT,
    )

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.needs_odometry = self.values["mav_frame"] == "LOCAL_NED"
        self._plugin = f"{self.values['namespace'].rstrip('/')}/setpoint_velocity"
        self._topic = f"{self._plugin}/cmd_vel"
        self._parameter: RemoteParameter | None = None

    def configure(self, node: Node) -> None:
        """Make the publisher and the client that asks MAVROS."""
        super().configure(node)
        self._advertise(self._topic, "geometry_msgs/msg/TwistStamped")
        if self.values["verify"]:
            self._parameter = RemoteParameter(self._node, self._plugin, "mav_frame")

    def _command(self, command: Command, heading: float | None, fresh: bool) -> Command:
        mismatch = self._mismatch(command.stamp)
        if mismatch:
            command = self._refuse(command, mismatch)
        velocity = velocity_of(command)
        if self.needs_odometry:
            command, velocity = self._world(command, heading)
        frame_id = FRAMES[self.values["mav_frame"]]
        self._publish(
            self._topic, twist_stamped(command.stamp, frame_id, velocity, command.yaw_rate)
        )
        return command

    def _mismatch(self, now: int) -> str:
        """Why MAVROS may read a velocity in another frame; empty when it reads it as meant."""
        if self._parameter is None:
            return ""
        expected, actual = self.values["mav_frame"], self._parameter.value(now)
        if actual is None:
            return f"MAVROS has not said yet what {self._parameter.label} is"
        if actual != expected:
            return f"{self._parameter.label} is {actual!r}, expected {expected!r}"
        return ""

    def close(self) -> None:
        """Destroy the publisher and the client."""
        super().close()
        if self._parameter is not None:
            self._parameter.close()
            self._parameter = None


class RemoteParameter:
    """A string parameter of another node, asked for again and again without waiting for it.

    Args:
        node: makes the client.
        other: fully qualified name of the node that has the parameter.
        parameter: its name.

    Attributes:
        label: node and parameter, for texts.

    """

    def __init__(self, node: Node, other: str, parameter: str) -> None:
        service: Any = message_class("rcl_interfaces/srv/GetParameters")
        self.label = f"{other} {parameter}"
        self._node = node
        self._request = service.Request(names=[parameter])
        self._client: Any = node.create_client(service, f"{other}/get_parameters")
        self._value: str | None = None
        self._asked: int | None = None
        self._future: Any = None

    def value(self, now: int) -> str | None:
        """Newest value; None if there is no answer yet or the other is gone. `now` in ns."""
        if self._asked is None or not 0 <= now - self._asked < ASK_AGAIN:
            self._asked = now
            if self._future is not None:
                self._client.remove_pending_request(self._future)
                self._future = None
            if self._client.service_is_ready():
                self._future = self._client.call_async(self._request)
                self._future.add_done_callback(self._on_answer)
            else:
                self._value = None
        return self._value

    def _on_answer(self, future: Any) -> None:
        values = future.result().values
        self._value = values[0].string_value if values else ""

    def close(self) -> None:
        """Destroy the client."""
        self._node.destroy_client(self._client)
