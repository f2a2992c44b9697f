"""Topics, records and messages of recordings, and a count of what a recording lost."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

MAX_NOTES = 50
"""Largest number of notes on one recording, so that a broken file does not fill the memory."""


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
            missing by `declared`: of an unknown topic, later than the reorder window, or with a
            broken time.
        undecodable: records read per topic that could not be decoded into a message.
        notes: what is wrong with the files, in words; the first `MAX_NOTES`.

    """

    read: Counter[str] = field(default_factory=Counter)
    declared: Counter[str] = field(default_factory=Counter)
    unreadable: int = 0
    undecodable: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Add a note, unless it is there already."""
        if text not in self.notes and len(self.notes) < MAX_NOTES:
            self.notes.append(text)

    @property
    def missing(self) -> int:
        """Number of records that the recording declares and that were not found."""
        return sum((self.declared - self.read).values())

    @property
    def lost(self) -> int:
        """Number of messages that are known to be lost."""
        return self.missing + self.unreadable + sum(self.undecodable.values())

    def reconcile(self) -> None:
        """Add a note for every topic whose declared count differs from the count found."""
        for topic in sorted(self.declared.keys() | self.read.keys()):
            declared, read = self.declared[topic], self.read[topic]
            if self.declared and declared != read:
                self.note(f"{topic}: {declared} messages declared, {read} found")
