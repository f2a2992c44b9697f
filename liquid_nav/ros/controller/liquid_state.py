"""The liquid core's state and time constants on a topic, for plots."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node

from liquid_nav.events import SECOND, Event
from liquid_nav.onboard import Memory, Policy
from liquid_nav.ros.backends.messages import fill, header, message_class


class LiquidStatePublisher:
    """Publishes ``sensor_msgs/JointState`` on ``~/liquid_state``, or nothing at a rate of zero.

    JointState is the only standard message that is a stamped list of named numbers, which every
    plotting tool can draw: `position` is the state and `effort` the time constant in seconds of
    neuron `name`, right after the event that arrived at `header.stamp`. `effort` is empty for cells
    without time constants, see `Policy.core_state`.

    Args:
        node: publishes.
        rate: messages per second at most, on the controller's clock, Hz.

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
        """Publish the state right after `event`, if that is due; it is when the clock went back.

        A policy whose core has no such state is told once in the log, and nothing is published.
        """
        if self._publisher is None or 0 <= event.arrival - self._last < self._period:
            return
        self._last = event.arrival
        try:
            state, time_constant = policy.core_state(memory)
        except Exception as error:  # A policy without such a state must fly all the same.
            self._node.get_logger().warning(
                f"nothing is published on ~/liquid_state: the cell {policy.config.cell} gives no "
                f"state and time constants ({type(error).__name__}: {error})"
            )
            self.close()
            return
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
