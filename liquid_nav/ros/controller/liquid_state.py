"""The liquid core's state and time constants on a topic, for plots."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node

from liquid_nav.events import SECOND, Event
from liquid_nav.onboard import Memory, Policy
from liquid_nav.ros.backends.messages import fill, header, message_class


class LiquidStatePublisher:
    """Publishes ``sensor_msgs/JointState`` on ``~/liquid_state``, or nothing at a rate of zero.

    JointState is the standard message for a stamped list of named numbers, which plotting tools
    understand: `position` is the state and `effort` the time constant in seconds of neuron `name`,
    right after the event that arrived at `header.stamp`.

    Args:
        node: makes the publisher.
        rate: largest rate, Hz of the controller's clock.

    """

    def __init__(self, node: Node, rate: float) -> None:
        self._node = node
        self._publisher: Any = None
        self._period, self._last = 0, -(2**63)
        if rate > 0:
            self._period = round(SECOND / rate)
            self._publisher = node.create_publisher(
                message_class("sensor_msgs/msg/JointState"), "~/liquid_state", 10
            )

    def offer(self, policy: Policy, memory: Memory, event: Event) -> None:
        """Publish the state of the core right after `event`, if the period has passed.

        After the clock went back it is published at once.
        """
        if self._publisher is None or 0 <= event.arrival - self._last < self._period:
            return
        self._last = event.arrival
        state, time_constant = policy.core_state(memory)
        fields = {
            "header": header(event.arrival, ""),
            "name": [f"neuron_{index:03d}" for index in range(len(state))],
            "position": state,
            "effort": time_constant,
        }
        self._publisher.publish(fill(self._publisher.msg_type(), fields))

    def close(self) -> None:
        """Destroy the publisher."""
        if self._publisher is not None:
            self._node.destroy_publisher(self._publisher)
            self._publisher = None
