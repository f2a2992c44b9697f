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
from liquid_nav.ros.backends import px4_parameters
from liquid_nav.ros.backends.base import POSE_TIMEOUT, Backend, velocity_of
from liquid_nav.ros.backends.loss import HOLD_AFTER_LOSS, SETPOINT_TIMEOUT
from liquid_nav.ros.backends.messages import message_class, twist_stamped
from liquid_nav.ros.parameters import Spec, namespace_fault

if TYPE_CHECKING:
    from rclpy.node import Node

FRAMES = {"BODY_NED": "base_link", "LOCAL_NED": "map"}
"""The frame_id that is true of a message, by the value of ``mav_frame``."""

SETPOINT_MODES = ("OFFBOARD", "GUIDED")
"""Modes of PX4 and of ArduPilot that follow setpoints."""

ASK_AGAIN = SECOND
"""ns between two questions: MAVROS may be restarted with another parameter file."""


def follows_setpoints(state: Any) -> bool:
    """Whether a ``mavros_msgs/State`` shows an armed vehicle in a mode for setpoints."""
    return bool(state.armed and state.mode in SETPOINT_MODES)


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
        SETPOINT_TIMEOUT,
        HOLD_AFTER_LOSS,
    )

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.needs_odometry = self.values["mav_frame"] == "LOCAL_NED"
        self._plugin = f"{self.values['namespace'].rstrip('/')}/setpoint_velocity"
        self._topic = f"{self._plugin}/cmd_vel"
        self._parameter: RemoteParameter | None = None
        self._autopilot: dict[str, RemoteParameter] = {}

    def configure(self, node: Node) -> None:
        """Make the publisher and the client that asks MAVROS, and read the vehicle's mode."""
        super().configure(node)
        state = f"{self.values['namespace'].rstrip('/')}/state"
        self._read_status(state, "mavros_msgs/msg/State", follows_setpoints)
        self._advertise(self._topic, "geometry_msgs/msg/TwistStamped")
        if self.values["verify"]:
            self._parameter = RemoteParameter(self._node, self._plugin, "mav_frame")
            # The node `param` of MAVROS has the parameters of the autopilot as its own.
            others = f"{self.values['namespace'].rstrip('/')}/param"
            self._autopilot = {
                name: RemoteParameter(self._node, others, name) for name in px4_parameters.NAMES
            }

    def parameter_warnings(self, now: int) -> list[str]:
        """What PX4's parameters make of our loss; nothing is known of another autopilot's."""
        values = {name: parameter.value(now) for name, parameter in self._autopilot.items()}
        known = {name: v for name, v in values.items() if isinstance(v, int | float)}
        assert self.setpoint_timeout is not None
        return px4_parameters.loss_warnings(known, self.setpoint_timeout)

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
        """Destroy the publisher and the clients."""
        super().close()
        if self._parameter is not None:
            self._parameter.close()
            self._parameter = None
        for parameter in self._autopilot.values():
            parameter.close()
        self._autopilot.clear()


class RemoteParameter:
    """A parameter of another node, asked for again and again without waiting for it.

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
        self._value: Any = None
        self._asked: int | None = None
        self._future: Any = None

    def value(self, now: int) -> Any:
        """Newest value; None if there is no answer yet or the other is gone. `now` in ns.

        A parameter that the other does not have is an empty text.
        """
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
        self._value = _plain(values[0]) if values else ""

    def close(self) -> None:
        """Destroy the client."""
        self._node.destroy_client(self._client)


def _plain(value: Any) -> Any:
    """The number or the text in a ``rcl_interfaces/ParameterValue``; empty for another type."""
    fields = {2: "integer_value", 3: "double_value", 4: "string_value"}
    return getattr(value, fields[value.type]) if value.type in fields else ""
