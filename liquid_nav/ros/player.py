"""Plays a bag onto ROS 2 topics, with its clock: the input of `replay.launch.py`.

`ros2 bag play` starts at once and keeps no order between topics. This player waits for a
subscriber, and publishes one message after the other in the order of the recording, each right
after its time on ``/clock``. It reads what `liquid-nav replay` reads, in the same way: any format,
also damaged. Messages are published as the bytes that were recorded, those of ROS 1 in the form
that ROS 2 has for them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.exceptions import NameValidationException
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from liquid_nav.bags.records import LEAP, Damage, Record
from liquid_nav.errors import ConfigError, LiquidNavError, ReplayError
from liquid_nav.events import SECOND, Channel
from liquid_nav.messages.plug import channel_types
from liquid_nav.ros.backends.messages import message_class
from liquid_nav.ros.clock import CLOCK_TYPE, ClockPublisher
from liquid_nav.ros.parameters import (
    EXECUTOR,
    Spec,
    declare,
    name_fault,
    read_checked,
    refuse_changes,
)

if TYPE_CHECKING:
    from liquid_nav.bags.bag import Recording

_CLOCK_PERIOD = SECOND // 200
"""ns of the recording, the longest time between two messages on ``/clock``."""

_LONGEST_SILENCE = 3600 * SECOND
"""ns of the recording between two messages above which its clock has leapt."""

_TICK = 0.002
"""s of real time between two checks for messages that are due."""

_DEPTH = 100
"""Depth of the publishers' queues: after a pause of this process many messages are due at once."""

_LATCHED = QoSProfile(
    depth=_DEPTH,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
    reliability=ReliabilityPolicy.RELIABLE,
)
"""Of what a flight may say only once: calibrations and static transforms."""

_SETTLE = 0.5
"""s of real time after the first subscriber in which the others may come."""

_CALIBRATION, _TRANSFORMS = "sensor_msgs/msg/CameraInfo", "tf2_msgs/msg/TFMessage"

SPECS = (
    Spec("bag", "", "The recording: a ROS 2 folder, or a file .mcap, .db3, .bag or .ulg."),
    Spec("rate", 1.0, "Seconds played in one second.", (0.01, 100.0)),
    Spec("start_offset", 0.0, "Seconds of the bag to skip.", (0.0, 1e6)),
    Spec(
        "commands",
        "cmd_vel",
        "Topic of the recorded commands, which are played to /recorded/... .",
        fault=name_fault,
    ),
    Spec("wait_for_reader", True, "Begin when a topic of the bag has a subscriber, not before."),
    EXECUTOR,
)


class PlayerNode(Node):  # type: ignore[misc, unused-ignore]
    """`liquid_nav_player`.

    Args:
        options: of `rclpy.node.Node`.

    Attributes:
        sent: number of messages published.
        skipped: number of messages that are not played, by topic: their type is not installed, or
            the name of their topic is none in ROS 2.
        damage: what the recording lost.
        over: whether the end of the bag has been reached.

    Raises:
        ConfigError: if the bag cannot be read, or its reader is not installed.

    """

    def __init__(self, **options: Any) -> None:
        super().__init__("liquid_nav_player", **options)
        declare(self, SPECS)
        self._values = read_checked(self, SPECS)
        refuse_changes(self, SPECS)
        self.sent, self.over = 0, False
        self.skipped: dict[str, int] = {}
        self._types: dict[str, str] = {}  # By topic.
        self._publishers_by_topic: dict[str, Any] = {}
        self._clock = ClockPublisher(self, _DEPTH)
        self._obstacle = ""
        self.damage = Damage()
        self._recording: Recording = _open(self._values["bag"])
        self._messages = self._recorded()
        self._next = self._read()
        # Steady clock, s: when the first subscriber was there, and when playing began.
        self._first_reader_at: float | None = None
        self._begun_at: float | None = None
        # Clock of the recording, ns: its start, and what was last published on /clock.
        self._start = self._clock_time = 0 if self._next is None else self._next[0]
        self.create_timer(_TICK, self._on_timer, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def close(self) -> None:
        """Close the bag and destroy the node."""
        self.destroy_node()

    def destroy_node(self) -> None:
        """As the base class; closes the bag, too."""
        self._recording.close()
        super().destroy_node()

    def _read(self) -> tuple[int, Any, Any] | None:
        """Return the next message, see `_recorded`; None at the end, or where reading fails."""
        try:
            return next(self._messages, None)
        except (LiquidNavError, OSError) as error:
            self.get_logger().error(f"the recording cannot be read any further: {error}")
            return None

    def _recorded(self) -> Iterator[tuple[int, Any, Any]]:
        """Log time in ns, publisher and content of every message that can be published.

        The content is bytes in CDR, or a message.
        """
        # Every publisher is made before the first message, or subscribers would miss that.
        for topic in self._recording.topics.values():
            self._advertise(topic.name, topic.type)
        names = {*self._publishers_by_topic, *self.skipped}
        skip = round(self._values["start_offset"] * SECOND)
        start = None
        # What was said once, before the start, by topic; of transforms all.
        early: dict[tuple[str, int], Record] = {}
        for record in self._recording.serialized(names, self.damage):
            start = record.time + skip if start is None else start
            if record.time < start:
                if _is_latched(record.topic.name, record.topic.type):
                    number = len(early) if record.topic.type == _TRANSFORMS else 0
                    early[record.topic.name, number] = record
                continue
            for said in early.values():
                yield from self._playable(said._replace(time=record.time))
            early.clear()
            yield from self._playable(record)

    def _playable(self, record: Record) -> Iterator[tuple[int, Any, Any]]:
        """Give a record as `_recorded` does, or nothing if it cannot be published."""
        topic = record.topic
        publisher = self._publishers_by_topic.get(topic.name)
        # A topic may have another type in another part of the recording.
        if publisher is None or topic.type != self._types[topic.name]:
            self.skipped[topic.name] = self.skipped.get(topic.name, 0) + 1
        elif topic.encoding == "object":
            try:
                yield record.time, publisher, filled(publisher.msg_type(), record.data)
            # The installed type may have other fields than the logged one.
            except (AssertionError, TypeError, ValueError) as error:
                self.damage.undecodable[topic.name] += 1
                self.damage.note(f"{topic.name}: {error}")
        else:
            yield record.time, publisher, record.data

    def _advertise(self, topic: str, kind: str) -> None:
        if kind == CLOCK_TYPE or topic in self._publishers_by_topic:
            return  # This node publishes the clock itself.
        commands = self.resolve_topic_name(self._values["commands"])
        name = f"/recorded{topic}" if topic == commands else topic
        qos = _LATCHED if _is_latched(topic, kind) else _DEPTH
        try:
            publisher = self.create_publisher(message_class(kind), name, qos)
        # A recording may hold any type, and names that ROS 2 does not allow.
        except (ImportError, AttributeError, ValueError, NameValidationException) as error:
            self.skipped.setdefault(topic, 0)
            self.get_logger().warning(f"{topic} ({kind}) is not played: {_first_line(error)}")
            return
        self._types[topic] = kind
        self._publishers_by_topic[topic] = publisher

    def _on_timer(self) -> None:
        if self.over:
            return
        if self._begun_at is None:
            if not self._may_begin():
                return
            self._begun_at = time.monotonic()
            self._warn_of_unread_topics()
        elapsed = (time.monotonic() - self._begun_at) * self._values["rate"]
        now = self._start + round(elapsed * SECOND)
        while self._next is not None and self._next[0] <= now:
            stamp, publisher, data = self._next
            self._publish_clock(stamp)
            publisher.publish(data)
            self.sent += 1
            self._next = self._read()
            if self._next is not None and not -LEAP < self._next[0] - stamp < _LONGEST_SILENCE:
                leap = self._next[0] - stamp
                self.get_logger().warning(f"the clock of the bag leaps by {leap / SECOND:.3f} s")
                self._start += leap
                now += leap
        if self._next is None:
            self.over = True
            self._tell_end()
            self._shut_down()
        elif now - self._clock_time >= _CLOCK_PERIOD:
            self._publish_clock(now)

    def _tell_end(self) -> None:
        skipped, lost = sum(self.skipped.values()), self.damage.lost
        self.get_logger().info(
            f"end of the bag: {self.sent} messages played, {skipped} skipped, {lost} lost"
        )
        for note in self.damage.notes:
            self.get_logger().warning(note)

    def _may_begin(self) -> bool:
        if not self._clock.settled:
            return False
        before, self._obstacle = self._obstacle, self._clock.obstacle()
        if self._obstacle:
            if self._obstacle != before:
                self.get_logger().error(f"playing does not begin: {self._obstacle}")
            return False
        if not self._values["wait_for_reader"]:
            return True
        publishers = self._publishers_by_topic.values()
        if self._first_reader_at is None and any(p.get_subscription_count() for p in publishers):
            self._first_reader_at = time.monotonic()
            self.get_logger().info("a topic of the bag has a subscriber: playing begins")
        return (
            self._first_reader_at is not None
            and time.monotonic() - self._first_reader_at >= _SETTLE
        )

    def _warn_of_unread_topics(self) -> None:
        """Log the topics that a controller could read, and that nobody reads."""
        for channel, types in channel_types().items():
            for topic, publisher in self._publishers_by_topic.items():
                unread = self._types[topic] in types and not publisher.get_subscription_count()
                if unread and channel != Channel.OPERATOR:
                    self.get_logger().warning(
                        f"nobody reads {topic} ({self._types[topic]}); if it is the "
                        f"{channel.value}, the controller must listen to it, by its topics.*"
                    )

    def _shut_down(self) -> None:
        """End the process, once the last messages have been delivered."""
        for publisher in self._publishers_by_topic.values():
            publisher.wait_for_all_acked(Duration(seconds=0.5))
        self.context.try_shutdown()

    def _publish_clock(self, now: int) -> None:
        self._clock.publish(now)
        self._clock_time = now


def _is_latched(topic: str, kind: str) -> bool:
    """Whether a topic says what holds from then on: a calibration, or static transforms."""
    return kind == _CALIBRATION or (kind == _TRANSFORMS and topic.endswith("/tf_static"))


def filled(message: Any, content: Any) -> Any:
    """Fill the fields of a message that `content` has, too."""
    for name in message.get_fields_and_field_types():
        if hasattr(content, name):
            setattr(message, name, getattr(content, name))
    return message


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _open(bag: str) -> Recording:
    if not bag:
        raise ConfigError("no bag is named; give its path: bag:=/path/to/bag")
    try:
        from liquid_nav.bags.bag import Recording
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"playing a bag needs {error.name}: pip install 'liquid_nav[replay]'"
        ) from error
    try:
        return Recording(Path(bag).expanduser())
    except (ReplayError, OSError) as error:
        raise ConfigError(f"the bag {bag} cannot be read: {error}") from error
