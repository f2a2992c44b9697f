"""Read ROS 1 bags, format 2.0, from front to back: the index at their end is not needed.

A recorder that was killed leaves a last chunk that is not closed, whose messages stand in the file
like any others. A chunk that is cut or broken gives its messages up to there, and after a broken
record reading goes on at the next header. http://wiki.ros.org/Bags/Format/2.0
"""

import mmap
import re
import struct
import zlib
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import NamedTuple

from liquid_nav.bags.records import LEAP, Damage, Record, Topic, order_of, type_name
from liquid_nav.bags.unpacking import unpack
from liquid_nav.errors import ReplayError
from liquid_nav.events import SECOND

MAGIC = b"#ROSBAG V2.0\n"

_MESSAGE, _BAG, _INDEX, _CHUNK, _CHUNK_INFO, _CONNECTION = range(2, 8)
_LENGTH = struct.Struct("<I")
_TWO = struct.Struct("<II")

_OPERATION = re.compile(rb"\x04\x00\x00\x00op=[\x02-\x07]")
_NAMES = frozenset(
    b"op conn topic time compression size ver count chunk_pos start_time end_time index_pos "
    b"conn_count chunk_count encryptor latching callerid".split()
)
"""Names of the fields in the headers of records."""

_MAX_HEADER = 1 << 12
"""Size of the largest header that is looked for after a broken record, bytes."""

_Fields = dict[bytes, bytes]
_Buffer = bytes | mmap.mmap
_Message = tuple[int, int, bytes]
"""Number of the connection, log time in ns and data of a message."""


class _Head(NamedTuple):
    """The header of a record, and where its data begin and end by it."""

    fields: _Fields
    start: int
    end: int


class Ros1File:
    """One ROS 1 bag.

    Args:
        path: the file.

    Attributes:
        topics: topics of its messages.
        span: log times of the first and last message, ns; None if there are none.

    Raises:
        ReplayError: when it is not a ROS 1 bag of format 2.0.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._topics: dict[int, Topic] = {}
        self._damage = Damage()
        # Messages by topic, as the indices after the chunks count them, and those at the end.
        self._indexed: Counter[int] = Counter()
        self._listed: Counter[int] = Counter()
        # Length and checksum of each chunk so far, and whether the last one is a copy.
        self._chunks: set[tuple[int, int]] = set()
        self._is_copy = False
        with path.open("rb") as file:
            begin = file.read(1 << 16)
        # The first bytes may be broken, too.
        if not begin.startswith(MAGIC) and not _OPERATION.search(begin):
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
        self._damage, read = damage, Counter[int]()
        self._indexed, self._listed = Counter(), Counter()
        self._chunks.clear()
        with (
            self._path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            start = len(MAGIC) if data[: len(MAGIC)] == MAGIC else 0
            for number, time, content in self._walk(data, start, "it"):
                read[number] += 1
                topic = self._topics.get(number)
                if topic is None:
                    damage.note(f"{self._path.name}: messages of a connection it does not declare")
                else:
                    yield Record(topic, time, content)
        for number, count in (self._indexed | self._listed | read).items():
            topic = self._topics.get(number)
            if topic is None:
                damage.unattributed += count
            else:
                damage.declared[topic.name] += count

    def _walk(self, data: _Buffer, at: int, what: str) -> Iterator[_Message]:
        """Yield connection, time in ns and content of all messages from byte `at` on."""
        name, size = self._path.name, len(data)
        # In the compressed bytes of a cut chunk stands now and then a whole message that could not
        # be compressed, and has been read already.
        compressed = False
        while at < size:
            head = _head(data, at)
            if head is None:
                following = _resync(data, at + 1)
                where = f"{name}: {what} cannot be read at byte {at} of {size}"
                if following is None:
                    self._damage.note(f"{where}, nor beyond: cut or broken")
                    return
                self._damage.note(f"{where}: {following - at} bytes are left out")
                at = following
                continue
            fields, start, end = head
            operation = fields[b"op"][0]
            if operation == _CHUNK and (end > size or end == start):
                # It is cut, or was not closed: its end is not known.
                self._damage.note(f"{name}: the chunk at byte {at} was not closed, or is cut")
                at = yield from self._open_chunk(fields, data, start, size)
                compressed = fields.get(b"compression", b"none") != b"none"
                continue
            if end > size:
                self._damage.note(f"{name}: {what} ends in a record at byte {at}: cut or broken")
                at = _resync(data, start) or size
                continue
            try:
                if operation == _CHUNK:
                    compressed = False
                    yield from self._in_chunk(fields, data[start:end], at)
                elif (operation == _MESSAGE and compressed) or (
                    operation == _INDEX and self._is_copy
                ):
                    pass
                elif operation == _MESSAGE:
                    seconds, fraction = _TWO.unpack(fields[b"time"])
                    number = _LENGTH.unpack(fields[b"conn"])[0]
                    yield number, seconds * SECOND + fraction, data[start:end]
                else:
                    self._learn(operation, fields, data[start:end])
            # Broken fields raise errors of any type.
            except (ReplayError, KeyError, ValueError, IndexError, struct.error) as error:
                self._damage.note(f"{name}: a broken record at byte {at}: {error!r:.120}")
            at = end

    def _in_chunk(self, fields: _Fields, data: bytes, at: int) -> Iterator[_Message]:
        """Yield the messages in a chunk, as far as it can be unpacked."""
        key = len(data), zlib.crc32(data)
        self._is_copy = key in self._chunks
        self._chunks.add(key)
        if self._is_copy:
            self._damage.note(f"{self._path.name}: a chunk is there twice, and is read once")
            return
        unpacked, _, defect = unpack(fields[b"compression"], data)
        if defect:
            self._damage.note(f"{self._path.name}: the chunk at byte {at} is broken: {defect}")
        yield from self._walk(unpacked, 0, f"the chunk at byte {at}")

    def _open_chunk(
        self, fields: _Fields, data: _Buffer, start: int, size: int
    ) -> Generator[_Message, None, int]:
        """Yield the messages in a chunk whose end is not known; return where reading goes on."""
        compression = fields.get(b"compression", b"none")
        if compression == b"none":
            return start  # Its records follow like any others.
        try:
            unpacked, taken, defect = unpack(compression, data[start:size])
        except ReplayError as error:
            self._damage.note(f"{self._path.name}: the chunk at byte {start}: {error}")
            return _resync(data, start) or size
        yield from self._walk(unpacked, 0, f"the chunk at byte {start}")
        return (_resync(data, start) or size) if defect else start + taken

    def _learn(self, operation: int, fields: _Fields, data: bytes) -> None:
        """Take in a record that is no message."""
        if operation == _CONNECTION:
            number = _LENGTH.unpack(fields[b"conn"])[0]
            if number not in self._topics:
                details = _fields(data)
                self._topics[number] = Topic(
                    fields[b"topic"].decode(),
                    type_name(details[b"type"].decode()),
                    "ros1",
                    details[b"message_definition"].decode(errors="replace"),
                )
        elif operation == _INDEX:
            number = _LENGTH.unpack(fields[b"conn"])[0]
            self._indexed[number] += _LENGTH.unpack(fields[b"count"])[0]
        elif operation == _CHUNK_INFO:
            for number, count in _TWO.iter_unpack(data):
                self._listed[number] += count


def _head(data: _Buffer, at: int) -> _Head | None:
    """Read the header at byte `at`; None if there is none."""
    try:
        (length,) = _LENGTH.unpack_from(data, at)
        start = at + _LENGTH.size + length
        if start + _LENGTH.size > len(data):
            return None
        fields = _fields(data[at + _LENGTH.size : start])
        if len(fields[b"op"]) != 1 or not _MESSAGE <= fields[b"op"][0] <= _CONNECTION:
            return None
        (size,) = _LENGTH.unpack_from(data, start)
    except (KeyError, ValueError, struct.error):
        return None
    return _Head(fields, start + _LENGTH.size, start + _LENGTH.size + size)


def _resync(data: _Buffer, at: int) -> int | None:
    """Find the next byte, from `at` on, at which a header begins."""
    for found in _OPERATION.finditer(data, at):
        # The field of the operation may stand anywhere in its header.
        for begin in range(found.start() - _LENGTH.size, at - 1, -1):
            if found.start() - begin > _MAX_HEADER:
                break
            (length,) = _LENGTH.unpack_from(data, begin)
            if not found.end() <= begin + _LENGTH.size + length <= begin + _MAX_HEADER:
                continue
            head = _head(data, begin)
            if head is not None and head.fields.keys() <= _NAMES:
                return begin
    return None


def _fields(header: bytes) -> _Fields:
    """Split a header into its fields; raises ValueError or struct.error on a broken one."""
    fields, at = {}, 0
    while at < len(header):
        (length,) = _LENGTH.unpack_from(header, at)
        at += _LENGTH.size
        name, sign, value = header[at : at + length].partition(b"=")
        if not sign or at + length > len(header):
            raise ValueError
        fields[name] = value
        at += length
    return fields
