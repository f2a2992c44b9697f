"""What readers of recordings give: topics, records, and an account of what could not be read."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

MAX_NOTES = 50
"""Notes kept of one recording; a file that is broken everywhere would fill the memory with them."""


@dataclass(frozen=True)
class Topic:
    """A topic of a recording.

    Attributes:
        name: as recorded, such as ``/imu/data_raw``.
        type: of its messages, such as ``sensor_msgs/msg/Imu``.
        encoding: of the data: ``cdr`` (ROS 2), ``ros1``, or ``object`` for what is decoded already.
        definition: text of the message definition, empty where the recording has none.
        is_idl: whether `definition` is OMG IDL and not a ROS message definition.

    """

    name: str
    type: str
    encoding: str = "cdr"
    definition: str = field(default="", repr=False)
    is_idl: bool = False


class Record(NamedTuple):
    """One record: its topic, log time in ns, and data as `Topic.encoding` says."""

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
    """What a recording lost, and how that is known.

    Attributes:
        read: records read per topic, decodable or not.
        declared: records per topic that the recording says it holds, where it says so; known once
            it was read to its end.
        unreadable: records known to have been there that were not read, beyond what `declared`
            tells: of no known topic, behind the reorder window, of a time out of all order.
        undecodable: records read per topic of which no message could be made.
        notes: in words, what is wrong with the files, the first `MAX_NOTES`.

    """

    read: Counter[str] = field(default_factory=Counter)
    declared: Counter[str] = field(default_factory=Counter)
    unreadable: int = 0
    undecodable: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Keep a note, once."""
        if text not in self.notes and len(self.notes) < MAX_NOTES:
            self.notes.append(text)

    @property
    def missing(self) -> int:
        """Records that the recording says it holds and that were not found."""
        return sum((self.declared - self.read).values())

    @property
    def lost(self) -> int:
        """Messages that are known to be lost."""
        return self.missing + self.unreadable + sum(self.undecodable.values())

    def reconcile(self) -> None:
        """Note where counts that a recording declares are not those found in it."""
        for topic in sorted(self.declared.keys() | self.read.keys()):
            declared, read = self.declared[topic], self.read[topic]
            if self.declared and declared != read:
                self.note(f"{topic}: {declared} messages declared, {read} found")
