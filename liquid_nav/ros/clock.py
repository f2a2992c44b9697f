"""Simulated time, for the simulator and the player: one node publishes it, and no other."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from liquid_nav.messages.fields import fill
from liquid_nav.messages.fields import time as encode_time
from liquid_nav.ros.backends.messages import message_class

if TYPE_CHECKING:
    from rclpy.node import Node

CLOCK = "/clock"
CLOCK_TYPE = "rosgraph_msgs/msg/Clock"

_DISCOVERY = 2.0
"""Wall-clock s after its start before which a node mostly does not know the other publishers."""

_YOUTH = 5.0
"""Wall-clock s after its start in which a publisher that a node discovers was there before it."""

_PERIODS = 0.05, 0.5
"""Wall-clock s between two looks for other publishers: of a young node, and afterwards."""


def clock(now: int) -> Any:
    """``rosgraph_msgs/Clock`` at `now` ns."""
    return fill(message_class(CLOCK_TYPE)(), {"clock": encode_time(now)})


class ClockPublisher:
    """Publishes simulated time on ``/clock``.

    Nodes on simulated time cannot tell two clocks on one topic apart: their time would leap to and
    fro. So a node asks `obstacle` before it begins to publish.

    Args:
        node: publishes.
        depth: of the publisher's queue.

    """

    def __init__(self, node: Node, depth: int) -> None:
        self._node = node
        self._publisher: Any = node.create_publisher(message_class(CLOCK_TYPE), CLOCK, depth)
        self._made_at = time.monotonic()
        self._looked_at = -_PERIODS[1]
        self._others: list[str] = []

    def publish(self, now: int | bytes) -> None:
        """Publish a time, ns, or a serialised message."""
        self._publisher.publish(now if isinstance(now, bytes) else clock(now))

    @property
    def settled(self) -> bool:
        """Whether the node has existed for long enough to look for other publishers."""
        return time.monotonic() - self._made_at > _DISCOVERY

    @property
    def young(self) -> bool:
        """Whether the node is so new that others must have been there before it."""
        return time.monotonic() - self._made_at < _YOUTH

    def obstacle(self) -> str:
        """Why this node must not publish the time: who else does; empty if nobody does."""
        now = time.monotonic()
        if now - self._looked_at >= _PERIODS[0 if self.young else 1]:
            self._looked_at = now
            self._others = self._other_publishers()
        if not self._others:
            return ""
        topic = self._publisher.topic_name
        return (
            f"{' and '.join(self._others)} publishes {topic}, too: give each simulation its own "
            f"clock, for example by -r {CLOCK}:=NAMESPACE{CLOCK} for each of its nodes"
        )

    def _other_publishers(self) -> list[str]:
        found = self._node.get_publishers_info_by_topic(self._publisher.topic_name)
        names = [f"{i.node_namespace.rstrip('/')}/{i.node_name}" for i in found]
        # DDS may know a publisher before it knows its node.
        names = ["another node" if "_UNKNOWN_" in name else name for name in names]
        own = self._node.get_fully_qualified_name()
        if own in names:  # Another node may have the same name.
            names.remove(own)
        return sorted(set(names))
