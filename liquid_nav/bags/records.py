"""Topics, records and messages of recordings, and a count of what a recording lost."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from liquid_nav.events import SECOND

MAX_NOTES = 50
"""Largest number of notes on one recording, so that a broken file does not fill the memory."""

LEAP = 60 * SECOND
"""Nanoseconds by which the clock of a recording may change between two records without a leap."""


@dataclass(frozen=True)
class Topic:
    """A topic of a recording.

    Attributes:
        name: as recorded, such as ``/imu/data_raw``.
        type: type of its messages, such as ``sensor_msgs/msg/Imu``.
        encoding: encoding of the data: ``cdr`` (ROS 2), ``ros1``, or ``object`` for messages.
        definition: text of the message definition; empty when the recording has none.
        is_idl: whether `definition` is OMG IDL and not a ROS message definition.

    """

    name: str
    type: str
    encoding: str = "cdr"
    definition: str = field(default="", repr=False)
    is_idl: bool = False


class Record(NamedTuple):
    """One record: its topic, log time in ns, and data in the encoding of the topic."""

    topic: Topic
    time: int
    data: Any


class Message(NamedTuple):
    """One message: its topic, log time in ns, and the content, read by attribute."""

    topic: Topic
    time: int
    content: Any


@dataclass
class Damage:
    """What a recording lost.

    Attributes:
        read: records read per topic, decodable or not.
        declared: records per topic that the recording says it has; empty if it does not say, and
            complete when it was read to its end.
        unreadable: records that were found but could not be used, in addition to those that are
            missing by `declared`: later than the reorder window, or with a broken time.
        unattributed: records whose topic is not known, and that are missing or could not be used.
            While a recording is read, `declared` may count them as well; `settle` then leaves
            those that it does not count.
        undecodable: records read per topic that could not be decoded into a message.
        notes: what is wrong with the files, in words; the first `MAX_NOTES`.

    """

    read: Counter[str] = field(default_factory=Counter)
    declared: Counter[str] = field(default_factory=Counter)
    unreadable: int = 0
    unattributed: int = 0
    undecodable: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Add a note, unless it is there already."""
        if text not in self.notes and len(self.notes) < MAX_NOTES:
            self.notes.append(text)

    @property
    def missing(self) -> int:
        """Number of records that the recording has by its own account and that were not found."""
        return sum((self.declared - self.read).values()) + self.unattributed

    @property
    def lost(self) -> int:
        """Number of messages that are known to be lost."""
        return self.missing + self.unreadable + sum(self.undecodable.values())

    def settle(self, declared: Counter[str] | None) -> None:
        """Compare what was read with what was declared, and note every difference.

        Args:
            declared: records per topic by the metadata of the recording, which count those of all
                files; None without metadata.

        """
        by_files = self.missing
        if declared is not None:
            self.declared |= declared
            self.unattributed = 0
            self.unattributed = max(by_files - self.missing, 0)
        for topic in sorted(self.declared.keys() | self.read.keys()):
            expected, read = self.declared[topic], self.read[topic]
            if self.declared and expected != read:
                self.note(f"{topic}: {expected} messages declared, {read} found")


def order_of(times: Iterable[int]) -> tuple[int, tuple[int, int] | None]:
    """Give the largest ns by which a time is behind one before it, and the first and last time."""
    late, first, newest = 0, None, None
    for time in times:
        if first is None or newest is None:
            first = newest = time
        late = max(late, newest - time)
        first, newest = min(first, time), max(newest, time)
    return late, None if first is None or newest is None else (first, newest)


def type_name(name: str) -> str:
    """Give the name of a message type as ROS 2 writes it, such as ``sensor_msgs/msg/Imu``.

    ROS 1 writes ``sensor_msgs/Imu``, and DDS ``sensor_msgs::msg::dds_::Imu_``.
    """
    parts = [part for part in name.replace("::", "/").split("/") if part != "dds_"]
    if "::" in name:
        parts[-1] = parts[-1].removesuffix("_")
    return f"{parts[0]}/msg/{parts[1]}" if len(parts) == 2 else "/".join(parts)
