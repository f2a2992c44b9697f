"""A recorded flight in any format: its topics and, in order of log time, its messages."""

import re
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import zstandard
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from liquid_nav.bags.db3 import Db3File
from liquid_nav.bags.deserializing import Deserializer
from liquid_nav.bags.mcap import McapFile
from liquid_nav.bags.order import WINDOW, in_order
from liquid_nav.bags.records import Damage, Message, Record, Topic
from liquid_nav.bags.ros1 import Ros1File
from liquid_nav.bags.ulog import UlogFile
from liquid_nav.errors import ReplayError
from liquid_nav.files import naming

METADATA = "metadata.yaml"
_COMPRESSED = ".zstd"


class RecordFile(Protocol):
    """A file of records in one format."""

    topics: list[Topic]
    span: tuple[int, int] | None

    def records(self, damage: Damage) -> Iterator[Record]:
        """Yield all records in file order; records that cannot be read are counted in `damage`."""


FORMATS: dict[str, Callable[[Path], RecordFile]] = {
    ".mcap": McapFile,
    ".db3": Db3File,
    ".bag": Ros1File,
    ".ulg": UlogFile,
}
"""Readers by the suffix of the file; a further suffix ``.zstd`` means that it is compressed."""


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
        for note in self._notes:
            damage.note(note)
        for record in in_order(self._chosen(topics, damage, limit), damage, window):
            message = self._deserialized(record, damage)
            if message is not None:
                yield message
        damage.settle(self._declared)

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

    def _open(self, path: Path) -> list[RecordFile]:
        if not path.exists():
            raise ReplayError(f"{path} does not exist")
        paths = self._files_of(path) if path.is_dir() else [path]
        if not paths:
            raise ReplayError(
                f"{path} holds no recording: it has no file that ends in {', '.join(FORMATS)}"
            )
        outcomes = [self._attempt(file) for file in paths]
        files = [outcome for outcome in outcomes if not isinstance(outcome, str)]
        self._notes += [outcome for outcome in outcomes if isinstance(outcome, str)]
        if not files:
            raise ReplayError("; ".join(self._notes))
        if not any(file.topics for file in files):
            raise ReplayError(f"{path} holds no topic that can be read: it is empty or broken")
        return files

    def _attempt(self, path: Path) -> RecordFile | str:
        """Open a file, or return why it cannot be read."""
        try:
            return self._open_file(path)
        except (ReplayError, OSError) as error:
            return str(error)

    def _open_file(self, path: Path) -> RecordFile:
        suffix = path.suffix
        if suffix == _COMPRESSED:
            suffix = path.with_suffix("").suffix
        if suffix not in FORMATS:
            raise ReplayError(
                f"{path}: unknown format of recording, the known ones are {', '.join(FORMATS)}"
            )
        if path.stat().st_size == 0:
            raise ReplayError(f"{path} has no bytes")
        if path.suffix == _COMPRESSED:
            path = self._unpack(path)
        return FORMATS[suffix](path)

    def _unpack(self, path: Path) -> Path:
        """Unpack a compressed file to disk; if it is cut short, keep what can be unpacked."""
        unpacked = Path(self._unpacked.name) / path.with_suffix("").name
        with naming(unpacked), path.open("rb") as source, unpacked.open("wb") as target:
            try:
                zstandard.ZstdDecompressor().copy_stream(source, target)
            except zstandard.ZstdError as error:
                self._notes.append(f"{path.name} unpacks to {target.tell()} bytes only: {error}")
        return unpacked

    def _files_of(self, path: Path) -> list[Path]:
        """Return the files of a rosbag2 directory: those in its metadata, then any others."""
        there = [file for file in path.iterdir() if _is_recording(file)]
        # Sorted by the numbers in their names: 10 comes after 9.
        there.sort(key=lambda f: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", f.name)])
        named: list[Path] = []
        try:
            information = _metadata(path / METADATA)
            named = [path / Path(str(name)).name for name in information["relative_file_paths"]]
            self._declared = Counter(
                {
                    str(entry["topic_metadata"]["name"]): int(entry["message_count"])
                    for entry in information["topics_with_message_count"]
                }
            )
        except FileNotFoundError:
            self._notes.append(f"{METADATA} is missing, all files found are read")
        except (OSError, YAMLError, KeyError, TypeError, ValueError) as error:
            self._notes.append(f"{METADATA} is broken, all files found are read: {error!r:.120}")
        self._notes += [f"{file.name} is missing" for file in named if file not in there]
        strays = [file for file in there if file not in named]
        if named and strays:
            names = ", ".join(file.name for file in strays)
            self._notes.append(f"{METADATA} does not name {names}, which was read too")
        return [file for file in named if file in there] + strays


def _is_recording(path: Path) -> bool:
    suffixes = path.suffixes[-2:]
    return path.is_file() and (
        path.suffix in FORMATS or (path.suffix == _COMPRESSED and suffixes[0] in FORMATS)
    )


def _metadata(path: Path) -> Any:
    with path.open(encoding="utf-8") as file:
        return YAML(typ="safe").load(file)["rosbag2_bagfile_information"]
