"""MAVROS: ``setpoint_velocity/cmd_vel``, in the frame that its own parameter decides.

MAVROS ignores the message's frame_id. Its parameter ``mav_frame`` says what the numbers mean:
``LOCAL_NED``, the default, reads them as world ENU; ``BODY_NED`` as forward, left, up. Sent in the
wrong frame a velocity points anywhere, so MAVROS is asked, and nothing but rest is sent until its
answer agrees. Read from MAVROS's ``setpoint_velocity.cpp``, branch ros2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from liquid_nav.command import Command
from liquid_nav.errors import ConfigError
from liquid_nav.events import SECOND
from liquid_nav.ros.backends.base import Backend, velocity_of
from liquid_nav.ros.backends.messages import message_class, twist_stamped

if TYPE_CHECKING:
    from rclpy.node import Node

FRAMES = {"BODY_NED": "base_link", "LOCAL_NED": "map"}
"""MAVROS's frames to the frame_id that is true of the message."""

ASK_AGAIN = SECOND
"""ns. MAVROS may be restarted with another parameter file."""


class MavrosBackend(Backend):
    """Sends TwistStamped, heading frame or world ENU as MAVROS is set to read it.

    Args:
        node: makes the publisher and the client.
        namespace: of MAVROS.
        mav_frame: what MAVROS's parameter is expected to be: ``BODY_NED`` or ``LOCAL_NED``.
            The latter needs odometry, and hovers without.
        verify: ask MAVROS, and refuse to fly in another frame or before it has answered. Turn this
            off only where its parameter services are.
        pose_timeout: age in seconds past which odometry no longer tells the heading.

    """

    name = "mavros"
    messages = "geometry_msgs"
    how_to_get = "it comes with every ROS 2; with pip: ros-jazzy-geometry-msgs"
    rate = 20.0  # PX4 leaves OFFBOARD below 2 Hz.

    def __init__(
        self,
        node: Node,
        *,
        namespace: str = "/mavros",
        mav_frame: str = "BODY_NED",
        verify: bool = True,
        pose_timeout: float = 0.5,
    ) -> None:
        if mav_frame not in FRAMES:
            raise ConfigError(f"mav_frame must be one of {', '.join(FRAMES)}, got {mav_frame!r}")
        super().__init__(node, pose_timeout=pose_timeout)
        plugin = f"{namespace.rstrip('/')}/setpoint_velocity"
        self._mav_frame = mav_frame
        self._topic = f"{plugin}/cmd_vel"
        self._advertise(self._topic, "geometry_msgs/msg/TwistStamped")
        self._question = ParameterQuestion(node, plugin, "mav_frame") if verify else None

    def _send(self, command: Command, heading: float | None, fresh: bool) -> Command:
        doubt = self._doubt(command.stamp)
        if doubt:
            command = self._refuse(command, doubt)
        velocity = velocity_of(command)
        if self._mav_frame == "LOCAL_NED":
            command, velocity = self._world(command, heading)
        frame_id = FRAMES[self._mav_frame]
        self._publish(
            self._topic, twist_stamped(command.stamp, frame_id, velocity, command.yaw_rate)
        )
        return command

    def _doubt(self, now: int) -> str:
        if self._question is None:
            return ""
        actual = self._question.answer(now)
        if actual is None:
            return f"MAVROS has not said yet what {self._question.subject} is"
        if actual != self._mav_frame:
            return f"{self._question.subject} is {actual!r}, expected {self._mav_frame!r}"
        return ""

    def close(self) -> None:
        """Destroy the publisher and the client."""
        if self._question is not None:
            self._question.close()
        super().close()


class ParameterQuestion:
    """What a string parameter of another node is, asked again and again and never waited for."""

    def __init__(self, node: Node, other: str, parameter: str) -> None:
        service: Any = message_class("rcl_interfaces/srv/GetParameters")
        self.subject = f"{other} {parameter}"
        self._node = node
        self._request = service.Request(names=[parameter])
        self._client: Any = node.create_client(service, f"{other}/get_parameters")
        self._answer: str | None = None
        self._asked: int | None = None
        self._future: Any = None

    def answer(self, now: int) -> str | None:
        """Newest answer, or None: not yet, or the other is gone. `now` in ns."""
        if self._asked is None or not 0 <= now - self._asked < ASK_AGAIN:
            self._asked = now
            if self._future is not None:
                self._client.remove_pending_request(self._future)
                self._future = None
            if self._client.service_is_ready():
                self._future = self._client.call_async(self._request)
                self._future.add_done_callback(self._answered)
            else:
                self._answer = None
        return self._answer

    def _answered(self, future: Any) -> None:
        values = future.result().values
        self._answer = values[0].string_value if values else ""

    def close(self) -> None:
        """Destroy the client."""
        self._node.destroy_client(self._client)
