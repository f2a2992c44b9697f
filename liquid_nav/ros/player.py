"""A bag played onto ROS 2 topics, with its clock: what `replay.launch.py` feeds the controller.

`ros2 bag play` starts when it likes and keeps no order between topics. This one waits for a reader,
and publishes message after message in the order of the recording, each right after its time on
``/clock``; the messages go out as the bytes they were recorded as.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.node import Node

from liquid_nav.errors import ConfigError
from liquid_nav.events import SECOND
from liquid_nav.ros.backends.messages import message_class
from liquid_nav.ros.controller.parameters import EXECUTOR, Spec, declare, read

CLOCK = "/clock"
_CLOCK_PERIOD = SECOND // 200
"""ns of the recording between two ticks of the clock, at most."""

_TICK = 0.002
"""s of the wall between two looks at what is due."""

_DEPTH = 100
"""Messages that may wait for a reader: after a pause of this process many go out at once."""

_SETTLE = 0.5
"""s of the wall from the first reader on in which the others may come."""

SPECS = (
    Spec("bag", "", "The bag: a ROS 2 folder, an mcap or db3 file."),
    Spec("rate", 1.0, "Seconds played in one second.", (0.01, 100.0)),
    Spec("start_offset", 0.0, "Seconds of the bag to skip.", (0.0, 1e6)),
    Spec("commands", "cmd_vel", "Topic of the recorded commands, which go to /recorded/... ."),
    Spec("wait_for_reader", True, "Begin when some topic of the bag has a reader, and not before."),
    EXECUTOR,
)


class PlayerNode(Node):  # type: ignore[misc, unused-ignore]
    """`liquid_nav_player`.

    Args:
        options: of `rclpy.node.Node`.

    Attributes:
        sent: messages published.
        skipped: messages of types that this machine has no definition of, by topic.
        over: whether the bag has come to its end.

    Raises:
        ConfigError: if the bag cannot be read, or its reader is not installed.

    """

    def __init__(self, **options: Any) -> None:
        super().__init__("liquid_nav_player", **options)
        declare(self, SPECS)
        self._values = read(self, SPECS)
        self.sent, self.over = 0, False
        self.skipped: dict[str, int] = {}
        self._out: dict[str, Any] = {}
        self._clock = self.create_publisher(message_class("rosgraph_msgs/msg/Clock"), CLOCK, _DEPTH)
        self._reader = _open(self._values["bag"])
        self._messages = self._recorded()
        self._next = next(self._messages, None)
        self._met: float | None = None
        self._begun: float | None = None
        self._origin = self._told = 0 if self._next is None else self._next[0]
        self.create_timer(_TICK, self._on_timer, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def close(self) -> None:
        """Close the bag and end."""
        self._reader.close()
        self.destroy_node()

    def _recorded(self) -> Iterator[tuple[int, Any, bytes]]:
        """Log time in ns, publisher and bytes of every message that can be published."""
        reader = self._reader
        start = reader.start_time + round(self._values["start_offset"] * SECOND)
        # Every topic is announced before the first message, or its readers would miss that.
        for connection in reader.connections:
            self._announce(connection.topic, connection.msgtype)
        for connection, stamp, data in reader.messages(start=start):
            publisher = self._out.get(connection.topic)
            if publisher is not None:
                yield stamp, publisher, bytes(data)
            elif connection.topic in self.skipped:
                self.skipped[connection.topic] += 1

    def _announce(self, topic: str, kind: str) -> None:
        if topic == CLOCK or topic in self._out:
            return  # The clock is ours.
        try:
            definition = message_class(kind)
        except (ImportError, AttributeError):
            self.skipped.setdefault(topic, 0)
            self.get_logger().warning(f"{topic} is not played: {kind} is not installed")
            return
        commands = self.resolve_topic_name(self._values["commands"])
        name = f"/recorded{topic}" if topic == commands else topic
        self._out[topic] = self.create_publisher(definition, name, _DEPTH)

    def _on_timer(self) -> None:
        if self.over:
            return
        if self._begun is None:
            if not self._may_begin():
                return
            self._begun = time.monotonic()
        flown = (time.monotonic() - self._begun) * self._values["rate"]
        now = self._origin + round(flown * SECOND)
        while self._next is not None and self._next[0] <= now:
            stamp, publisher, data = self._next
            self._tell(stamp)
            publisher.publish(data)
            self.sent += 1
            self._next = next(self._messages, None)
        if self._next is None:
            self.over = True
            lost = sum(self.skipped.values())
            self.get_logger().info(f"the bag is over: {self.sent} messages played, {lost} skipped")
            self._end()
        elif now - self._told >= _CLOCK_PERIOD:
            self._tell(now)

    def _may_begin(self) -> bool:
        if not self._values["wait_for_reader"]:
            return True
        if self._met is None and any(p.get_subscription_count() for p in self._out.values()):
            self._met = time.monotonic()
        return self._met is not None and time.monotonic() - self._met >= _SETTLE

    def _end(self) -> None:
        """End the process, once the last messages are read."""
        for publisher in self._out.values():
            publisher.wait_for_all_acked(Duration(seconds=0.5))
        self.context.try_shutdown()

    def _tell(self, now: int) -> None:
        clock = self._clock.msg_type()
        clock.clock.sec, clock.clock.nanosec = divmod(now, SECOND)
        self._clock.publish(clock)
        self._told = now


def _open(bag: str) -> Any:
    try:
        from rosbags.rosbag2 import Reader, ReaderError
    except ImportError as error:
        raise ConfigError(
            "playing a bag needs rosbags: pip install 'liquid_nav[replay]'"
        ) from error
    if not bag:
        raise ConfigError("name the bag to play: bag:=/path/to/bag")
    try:
        reader = Reader(Path(bag).expanduser())
        reader.open()
    except (ReaderError, OSError) as error:
        raise ConfigError(f"{bag} cannot be read: {error}") from error
    return reader
