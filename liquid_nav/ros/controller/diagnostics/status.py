"""Mode and reason of the controller on a topic, at every change."""

from __future__ import annotations

import time
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile

from liquid_nav.command import Command, Mode
from liquid_nav.events import SECOND
from liquid_nav.ros.backends.messages import message_class
from liquid_nav.ros.controller.diagnostics import WARN, Status, level_of, status_message

TOPIC = "~/status"

_DEPTH = 50
"""Changes kept for a reader that is busy, or that comes later."""

_SHORTEST_PAUSE = 0.05
"""s. In nominal flight the limits act and cease from one command to the next; such changes of the
reason alone are published no more often than this. Every other change is published at once."""


class StatusPublisher:
    """Publishes ``diagnostic_msgs/DiagnosticStatus``, transient local, when mode or reason change.

    The values are `mode`, `reason`, and `stamp`, the time of the change on the node's clock in s.
    While the node is not active, the mode is the state of its lifecycle, such as "inactive".

    Args:
        node: publishes.

    """

    def __init__(self, node: Node) -> None:
        qos = QoSProfile(depth=_DEPTH, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        kind = message_class("diagnostic_msgs/msg/DiagnosticStatus")
        self._node, self._publisher = node, node.create_publisher(kind, TOPIC, qos)
        self._mode, self._reason, self._published_at = "", "", 0.0

    def offer(self, command: Command) -> None:
        """Publish mode and reason of a command if they are not those of the last one."""
        mode, reason = command.mode.value, command.reason
        if mode == self._mode:
            if reason == self._reason:
                return
            pause = time.monotonic() - self._published_at
            if command.mode is Mode.NOMINAL and pause < _SHORTEST_PAUSE:
                return
        self._publish(level_of(command.mode), mode, reason, command.stamp)

    def lifecycle(self, state: str, reason: str) -> None:
        """Publish the state of a node that is not active, and why it is in that state."""
        if (state, reason) == (self._mode, self._reason):
            return
        now = int(self._node.get_clock().now().nanoseconds)
        self._publish(WARN, state, reason, now)

    def _publish(self, level: int, mode: str, reason: str, stamp: int) -> None:
        self._mode, self._reason, self._published_at = mode, reason, time.monotonic()
        text = f"{mode}: {reason}" if reason else mode
        seconds, rest = divmod(stamp, SECOND)
        values = {"mode": mode, "reason": reason, "stamp": f"{seconds}.{rest:09d}"}
        name: Any = self._node.get_fully_qualified_name()
        self._publisher.publish(status_message(name, Status(level, "status", text, values)))
