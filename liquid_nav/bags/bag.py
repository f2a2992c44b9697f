"""A recorded flight in any format: its topics and, in order of log time, its messages."""

import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol

import zstandard

from liquid_nav.bags.db3 import Db3File
from liquid_nav.bags.deserializing import Deserializer, to_cdr
from liquid_nav.bags.folder import METADATA, check_one, follows, read_folder
from liquid_nav.bags.mcap import McapFile
from liquid_nav.bags.order import WINDOW, in_order
from liquid_nav.bags.records import LEAP, Damage, Message, Record, Topic, order_of
from liquid_nav.bags.ros1 import Ros1File
from liquid_nav.bags.ulog import UlogFile
from liquid_nav.errors import ReplayError
from liquid_nav.files import naming

_COMPRESSED = ".zstd"

_ACTIVE = ".active"
"""End of the name of a ROS 1 bag that its recorder did not close."""

_ZSTD = b"\x28\xb5\x2f\xfd"


class RecordFile(Protocol):
    """A file of records in one format."""

    topics: list[Topic]
    span: tuple[int, int] | None

    def lateness(self) -> int | None:
        """Largest ns by which a record is behind one before it; None if the file cannot tell."""

    def records(self, damage: Damage) -> Iterator[Record]:
        """Yield all records in file order; records that cannot be read are counted in `damage`."""


FORMATS: dict[str, Callable[[Path], RecordFile]] = {
    ".mcap": McapFile,
    ".db3": Db3File,
    ".bag": Ros1File,
    ".ulg": UlogFile,
}
"""Readers by the suffix of the file; a further suffix ``.zstd`` means that it is compressed."""

MAGICS = {
    b"\x89MCAP0\r\n": ".mcap",
    b"SQLite f": ".db3",
    b"#ROSBAG ": ".bag",
    b"ULog\x01\x12\x35\x01": ".ulg",
}
"""Formats by the first bytes of a file."""

_MAGIC_SIZE = 8


class Recording:
    """A recording: a file, or a directory of rosbag2 with one or more files.

    It is a context manager that removes unpacked files at its end.

    Args:
        path: the file or directory.

    Attributes:
        path: the same.
        topics: topics of all files, by name.
        span: log times of the first message and the last, ns, as the files declare them.

    Raises:
        ReplayError: when nothing can be read.

    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._unpacked = tempfile.TemporaryDirectory(prefix="liquid-nav-")
        self._notes: list[str] = []
        self._declared: Counter[str] | None = None
        self._deserializer = Deserializer()
        try:
            self._files = self._open(path)
        except BaseException:
            self._unpacked.cleanup()
            raise
        spans = [file.span for file in self._files if file.span is not None] or [(0, 0)]
        self.span = (min(first for first, _ in spans), max(last for _, last in spans))
        self.topics: dict[str, Topic] = {}
        for file in self._files:
            for topic in file.topics:
                known = self.topics.setdefault(topic.name, topic)
                if known.type != topic.type:
                    self._notes.append(f"{topic.name} is {known.type} and also {topic.type}")

    def __enter__(self) -> "Recording":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the unpacked files."""
        self._unpacked.cleanup()

    def messages(
        self,
        topics: Collection[str],
        damage: Damage | None = None,
        window: int = WINDOW,
        limit: int | None = None,
    ) -> Iterator[Message]:
        """Yield the messages of `topics` in order of log time, see `in_order`.

        Args:
            topics: names of the topics to decode; records of others are only counted.
            damage: counts what is lost; complete when the iterator has ended.
            window: reorder window, ns, see `in_order`.
            limit: largest number of records to read, over all topics.

        """
        damage = damage if damage is not None else Damage()
        for record in self._ordered(topics, damage, window, limit):
            message = self._deserialized(record, damage)
            if message is not None:
                yield message

    def serialized(self, topics: Collection[str], damage: Damage) -> Iterator[Record]:
        """Yield the records of `topics` in order of log time, as ROS 2 would send them.

        The data of a record is in CDR, or, for a log of PX4, an object with the message's fields.
        Records that are not a message of their type are left out.

        Args:
            topics: names of the topics.
            damage: counts what is lost; complete when the iterator has ended.

        """
        for record in self._ordered(topics, damage, WINDOW, None):
            if self._deserialized(record, damage) is None:
                continue
            if record.topic.encoding == "object":
                yield record
                continue
            try:
                yield record._replace(data=to_cdr(record))
            except ReplayError as error:
                damage.undecodable[record.topic.name] += 1
                damage.note(str(error))

    def _ordered(
        self, topics: Collection[str], damage: Damage, window: int, limit: int | None
    ) -> Iterator[Record]:
        for note in self._notes:
            damage.note(note)
        chosen = self._chosen(topics, damage, limit)
        yield from in_order(chosen, damage, window, self._lateness)
        damage.settle(self._declared)

    def _lateness(self) -> int | None:
        """Largest ns by which a record is behind one before it; None if the files cannot tell."""
        spans = [file.span for file in self._files if file.span is not None]
        late, _ = order_of(time for span in spans for time in span)
        known = [file.lateness() for file in self._files]
        numbers = [each for each in known if each is not None]
        return max(late, *numbers) if len(numbers) == len(known) and late <= LEAP else None

    def _chosen(
        self, topics: Collection[str], damage: Damage, limit: int | None
    ) -> Iterator[Record]:
        for file in self._files:
            for record in file.records(damage):
                if limit is not None and sum(damage.read.values()) >= limit:
                    return
                damage.read[record.topic.name] += 1
                if record.topic.name in topics:
                    yield record

    def _deserialized(self, record: Record, damage: Damage) -> Message | None:
        try:
            return Message(record.topic, record.time, self._deserializer.message(record))
        except ReplayError as error:
            damage.undecodable[record.topic.name] += 1
            damage.note(str(error))
            return None
        finally:
            for note in self._deserializer.notes:
                damage.note(note)

    def _open(self, path: Path) -> list[RecordFile]:
        if not path.exists():
            raise ReplayError(f"{path} does not exist")
        files = self._open_folder(path) if path.is_dir() else self._opened([path])
        if not files:
            raise ReplayError("; ".join(self._notes))
        if not any(file.topics for _, file in files):
            raise ReplayError(f"{path} holds no topic that can be read: it is empty or broken")
        return [file for _, file in files]

    def _open_folder(self, path: Path) -> list[tuple[Path, RecordFile]]:
        """Open the files of a rosbag2 directory: those in its metadata, and parts beside them."""
        there = [file for file in path.iterdir() if file.is_file() and _suffix(file)]
        if not there:
            below = sorted(f.parent.name for f in path.glob("*/*") if f.is_file() and _suffix(f))
            raise ReplayError(
                f"{path} holds no recording: it has no file that ends in {', '.join(FORMATS)}"
                + (f". Its folders {', '.join(dict.fromkeys(below))} do" if below else "")
            )
        folder = read_folder(path, there)
        self._notes += folder.notes
        self._declared = folder.declared
        files, others = self._opened(folder.named), self._opened(folder.others)
        if not files:
            check_one(path, [(name, file.span) for name, file in others])
            return others
        for name, file in others:
            if follows(files[-1][0], files[-1][1].span, name, file.span):
                files.append((name, file))
                self._notes.append(f"{METADATA} does not name {name.name}, which was read too")
            else:
                self._notes.append(f"{METADATA} does not name {name.name}, which was left out")
        return files

    def _opened(self, paths: list[Path]) -> list[tuple[Path, RecordFile]]:
        """Open files, and note why others cannot be read."""
        files = []
        for path in paths:
            outcome = self._attempt(path)
            if isinstance(outcome, str):
                self._notes.append(outcome)
            else:
                files.append((path, outcome))
        return files

    def _attempt(self, path: Path) -> RecordFile | str:
        """Open a file, or return why it cannot be read."""
        try:
            return self._open_file(path)
        except (ReplayError, OSError) as error:
            return str(error)

    def _open_file(self, path: Path) -> RecordFile:
        if not path.is_file():
            raise ReplayError(f"{path} is not a file")
        if path.stat().st_size == 0:
            raise ReplayError(f"{path} has no bytes")
        file = self._unpack(path) if _begin(path).startswith(_ZSTD) else path
        # Names may lie, and the beginning of a file may be broken.
        suffix = MAGICS.get(_begin(file)[:_MAGIC_SIZE]) or _suffix(path)
        if not suffix:
            raise ReplayError(
                f"{path}: unknown format of recording, the known ones are {', '.join(FORMATS)}"
            )
        return FORMATS[suffix](file)

    def _unpack(self, path: Path) -> Path:
        """Unpack a compressed file to disk; if it is cut short, keep what can be unpacked."""
        unpacked = Path(self._unpacked.name) / path.name.removesuffix(_COMPRESSED)
        with naming(unpacked), path.open("rb") as source, unpacked.open("wb") as target:
            try:
                zstandard.ZstdDecompressor().copy_stream(source, target)
            except zstandard.ZstdError as error:
                self._notes.append(f"{path.name} unpacks to {target.tell()} bytes only: {error}")
        return unpacked


def _begin(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MAGIC_SIZE)


def _suffix(path: Path) -> str:
    """Give the format of a recording by its name, as a key of `FORMATS`; empty for another file."""
    name = path.name.lower().removesuffix(_COMPRESSED).removesuffix(_ACTIVE)
    return next((suffix for suffix in FORMATS if name.endswith(suffix)), "")
