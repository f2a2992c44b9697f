"""Read ROS 1 bags, format 2.0, from front to back: the index at their end is not needed.

http://wiki.ros.org/Bags/Format/2.0
"""

import bz2
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import lz4.frame
from rosbags.typesys.msg import normalize_msgtype

from liquid_nav.bags.records import LEAP, Damage, Record, Topic, order_of
from liquid_nav.errors import ReplayError
from liquid_nav.events import SECOND

MAGIC = b"#ROSBAG V2.0\n"
MAX_RECORD = 1 << 28
"""Size of the largest record that is read, and of the largest unpacked chunk, bytes."""

_MESSAGE, _BAG, _INDEX, _CHUNK, _CHUNK_INFO, _CONNECTION = range(2, 8)
_LENGTH = struct.Struct("<I")

_Fields = dict[bytes, bytes]


class Ros1File:
    """One ROS 1 bag.

    Attributes:
        topics: topics of its messages.
        span: log times of the first and last message, ns; None if there are none.

    Raises:
        ReplayError: when it is not a ROS 1 bag of format 2.0.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._topics: dict[int, Topic] = {}
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise ReplayError(f"{path} does not start like a ROS 1 bag of format 2.0")
        self._late, self.span = order_of(record.time for record in self.records(Damage()))
        self.topics = list(self._topics.values())

    def lateness(self) -> int | None:
        """Largest time in ns by which a message is behind one read before it; None if unknown.

        After a clock has leapt it is unknown.
        """
        return self._late if self._late <= LEAP else None

    def records(self, damage: Damage) -> Iterator[Record]:
        """Yield all messages in file order; records that cannot be read are counted in `damage`."""
        name, parsed, indexed = self._path.name, 0, 0
        with self._path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(len(MAGIC))
            while (at := file.tell()) < size:
                try:
                    fields, data = _read_record(file, size)
                    operation = fields[b"op"][0]
                    if operation == _INDEX:
                        indexed += _LENGTH.unpack(fields[b"count"])[0]
                        continue
                    batch = self._open(operation, fields, data)
                except EOFError:
                    damage.note(f"{name} cannot be read beyond byte {at} of {size}: cut or broken")
                    break
                # Broken fields and compressed data raise errors of any type.
                except Exception as error:
                    damage.note(f"{name}: a broken record at byte {at}: {error!r:.120}")
                    continue
                for record in batch:
                    parsed += 1
                    damage.declared[record.topic.name] += 1
                    yield record
        if indexed > parsed:
            damage.unreadable += indexed - parsed
            damage.note(f"{name}: {indexed} messages are indexed, {parsed} found")

    def _open(self, operation: int, fields: _Fields, data: bytes) -> list[Record]:
        """Return the messages in one record."""
        if operation == _CONNECTION:
            self._learn(fields, data)
        elif operation == _MESSAGE:
            seconds, fraction = struct.unpack("<II", fields[b"time"])
            topic = self._topics[_LENGTH.unpack(fields[b"conn"])[0]]
            return [Record(topic, seconds * SECOND + fraction, data)]
        elif operation == _CHUNK:
            (size,) = _LENGTH.unpack(fields[b"size"])
            unpacked = memoryview(_unpack(fields[b"compression"], data, size))
            records, at = [], 0
            while at < len(unpacked):
                inner, content, at = _parse(unpacked, at)
                records += self._open(inner[b"op"][0], inner, content)
            return records
        return []

    def _learn(self, fields: _Fields, data: bytes) -> None:
        number = _LENGTH.unpack(fields[b"conn"])[0]
        if number not in self._topics:
            details = _fields(data)
            self._topics[number] = Topic(
                fields[b"topic"].decode(),
                normalize_msgtype(details[b"type"].decode()),
                "ros1",
                details[b"message_definition"].decode(errors="replace"),
            )


def _read_record(file: BinaryIO, size: int) -> tuple[_Fields, bytes]:
    """Read one record of the file; raises EOFError when no whole record is left."""
    header = _sized(file, size)
    return _fields(header), _sized(file, size)


def _sized(file: BinaryIO, size: int) -> bytes:
    prefix = file.read(_LENGTH.size)
    if len(prefix) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(prefix)
    if length > min(MAX_RECORD, size - file.tell()):
        raise EOFError
    return file.read(length)


def _parse(data: memoryview, at: int) -> tuple[_Fields, bytes, int]:
    """Return header and data of the record at `at`, and where the next one begins."""
    parts = []
    for _ in range(2):
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        if at + length > len(data):
            raise ReplayError("a record runs past the end of its chunk")
        parts.append(bytes(data[at : at + length]))
        at += length
    return _fields(parts[0]), parts[1], at


def _fields(header: bytes) -> _Fields:
    fields, at = {}, 0
    while at < len(header):
        (length,) = _LENGTH.unpack_from(header, at)
        at += _LENGTH.size
        name, _, value = header[at : at + length].partition(b"=")
        fields[name] = value
        at += length
    return fields


def _unpack(compression: bytes, data: bytes, size: int) -> bytes:
    if size > MAX_RECORD:
        raise ReplayError(f"a chunk has {size} bytes, at most {MAX_RECORD} are read")
    if compression == b"bz2":
        data = bz2.BZ2Decompressor().decompress(data, size + 1)
    elif compression == b"lz4":
        data = lz4.frame.LZ4FrameDecompressor().decompress(data, size + 1)
    elif compression != b"none":
        raise ReplayError(f"compression is {compression!r:.40}, it must be none, bz2 or lz4")
    if len(data) != size:
        raise ReplayError(f"a chunk does not unpack to {size} bytes as its header says")
    return data
