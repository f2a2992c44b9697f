"""What readers of recordings give: topics, records, messages, and a count of what was lost."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

MAX_NOTES = 50
"""Most notes kept of one recording: a file that is broken everywhere must not fill the memory."""


@dataclass(frozen=True)
class Topic:
    """A topic of a recording.

    Attributes:
        name: as recorded, such as ``/imu/data_raw``.
        type: type of its messages, such as ``sensor_msgs/msg/Imu``.
        encoding: of the data: ``cdr`` (ROS 2), ``ros1``, or ``object`` for decoded messages.
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
        declared: records per topic that the recording declares to hold; empty when it declares
            none, and complete when it was read to its end.
        unreadable: records that were there and not read, in addition to those that `declared`
            shows: of an unknown topic, later than the reorder window, or with a broken time.
        undecodable: records read per topic that could not be decoded into a message.
        notes: what is wrong with the files, in words; the first `MAX_NOTES`.

    """

    read: Counter[str] = field(default_factory=Counter)
    declared: Counter[str] = field(default_factory=Counter)
    unreadable: int = 0
    undecodable: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Keep a note, unless it is known already."""
        if text not in self.notes and len(self.notes) < MAX_NOTES:
            self.notes.append(text)

    @property
    def missing(self) -> int:
        """Records that the recording declares and that were not found."""
        return sum((self.declared - self.read).values())

    @property
    def lost(self) -> int:
        """Messages that are known to be lost."""
        return self.missing + self.unreadable + sum(self.undecodable.values())

    def reconcile(self) -> None:
        """Note every topic whose declared count differs from the count found."""
        for topic in sorted(self.declared.keys() | self.read.keys()):
            declared, read = self.declared[topic], self.read[topic]
            if self.declared and declared != read:
                self.note(f"{topic}: {declared} messages declared, {read} found")
