"""Read MCAP files from front to back: no index, footer or complete last chunk is needed.

A chunk with a broken checksum or compression is left out, because no message in it can be trusted.
A chunk that is cut by the end of the file is read up to there. After a record with a broken length,
reading goes on where a chunk certainly begins or, in a file without chunks, at a message that two
whole records follow. https://mcap.dev/spec
"""

import os
import re
import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from mcap.opcode import Opcode

from liquid_nav.bags.mcap_summary import HEAD, MAGIC, Channels, Summary, read_summary
from liquid_nav.bags.records import LEAP, Damage, Record, order_of
from liquid_nav.bags.unpacking import MAX_CHUNK, unpack
from liquid_nav.errors import ReplayError

_MESSAGE = struct.Struct("<HIQQ")
_CHUNK = struct.Struct("<QQQI")
_INDEX = struct.Struct("<HI")
_INDEX_ENTRY = 16
_KNOWN = frozenset(int(opcode) for opcode in Opcode)
# The head of a chunk up to its compression; `_certain` checks the lengths after it.
_CHUNK_HEAD = re.compile(rb"\x06(?=.{8}.{28}(?:\x00{4}|\x03\x00{3}lz4|\x04\x00{3}zstd))", re.DOTALL)
_MESSAGE_HEAD = re.compile(rb"\x05(?=..[\x00-\x0f]\x00{5})", re.DOTALL)
_SCAN = 1 << 20


class _Head(NamedTuple):
    """Type of a record, and where its content starts in the file and how long it is."""

    opcode: int
    start: int
    length: int


class McapFile:
    """One MCAP file.

    Attributes:
        topics: topics of its messages, from the summary, or from the whole file if the summary is
            missing or broken.
        span: log times of the first and last message, ns, from the same place; None if there are
            none.

    """

    def __init__(self, path: Path) -> None:
        self._path, self._damage = path, Damage()
        self._channels = Channels()
        self._declared: Counter[str] | None = None
        self._chunks: list[tuple[int, int]] | None = None
        self._late: int | None = None
        self._notes: list[str] = []
        # Messages of channels that are not declared, and where the data end.
        self._unknown, self._end = 0, 0
        summary = read_summary(path)
        if isinstance(summary, str):
            if summary:
                self._notes.append(f"{path.name}: {summary}")
            self._late, span = order_of(record.time for record in self.records(Damage()))
            # Bytes may be missing, or there may be more than there were.
            moved = read_summary(path, self._end) if summary and self._end else ""
            if isinstance(moved, Summary):
                self._declared = moved.declared
        else:
            self._channels, self._declared, span, self._chunks = summary
        self.span: tuple[int, int] | None = span
        self.topics = list(self._channels.topics.values())

    def records(self, damage: Damage) -> Iterator[Record]:
        """Yield all messages in file order; records that cannot be read are counted in `damage`."""
        self._damage, self._unknown = damage, 0
        for text in self._notes:
            damage.note(text)
        note, indexed, read = damage.note, Counter[str](), Counter[str]()
        undeclared = 0
        chunks, is_copy = set[tuple[int, int]](), False
        with self._path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if file.read(len(MAGIC)) != MAGIC:
                note(f"{self._path.name} does not start like an MCAP file")
                file.seek(0)
            for head, content in self._walk(file, size):
                if head.opcode == Opcode.CHUNK:
                    key = head.length, zlib.crc32(content)
                    is_copy = key in chunks
                    chunks.add(key)
                if is_copy and head.opcode in (Opcode.CHUNK, Opcode.MESSAGE_INDEX):
                    note(f"{self._path.name}: a chunk is there twice, and is read once")
                    continue
                try:
                    if head.opcode == Opcode.MESSAGE_INDEX:
                        number, count = _indexed(content)
                        topic = self._channels.topics.get(number)
                        if topic is None:
                            undeclared += count
                        else:
                            indexed[topic.name] += count
                        continue
                    batch = self._open(head, content)
                # On broken bytes mcap raises errors of any type.
                except Exception as error:
                    note(f"{self._path.name}: a broken record at byte {head.start}: {error!r:.120}")
                    continue
                for record in batch:
                    read[record.topic.name] += 1
                    yield record
        # A summary repeats these counts; without one, the indices still show lost chunks.
        damage.declared.update(indexed | read if self._declared is None else self._declared)
        damage.unattributed += max(undeclared, self._unknown)

    def lateness(self) -> int | None:
        """Largest time in ns by which a message is behind one read before it; None if unknown.

        After a clock has leapt it is unknown.
        """
        if self._late is None and self._chunks:
            # The messages of a chunk are sorted when it is read.
            self._late, _ = order_of(time for chunk in self._chunks for time in chunk)
        elif self._late is None:
            self._late, _ = order_of(self._times())
        return self._late if self._late <= LEAP else None

    def _times(self) -> Iterator[int]:
        """Log times of the messages outside chunks, read without their content."""
        with self._path.open("rb") as file:
            file.seek(len(MAGIC))
            while len(head := file.read(HEAD.size + _MESSAGE.size)) == HEAD.size + _MESSAGE.size:
                opcode, length = HEAD.unpack_from(head)
                if opcode == Opcode.MESSAGE:
                    yield _MESSAGE.unpack_from(head, HEAD.size)[2]
                elif opcode not in _KNOWN or opcode in (Opcode.DATA_END, Opcode.FOOTER):
                    return
                file.seek(length - _MESSAGE.size, os.SEEK_CUR)

    def _open(self, head: _Head, content: bytes) -> Iterator[Record]:
        """Yield the messages in one record; a schema or a channel has none and is remembered."""
        if head.opcode != Opcode.CHUNK:
            record = self._one(head.opcode, memoryview(content))
            return iter(() if record is None else (record,))
        whole = len(content) == head.length
        data = _unpack_chunk(content, whole)
        records = list(self._in_chunk(memoryview(data), head.start))
        if records and max(records, key=_time).time - min(records, key=_time).time <= LEAP:
            records.sort(key=_time)
        return iter(records)

    def _in_chunk(self, data: memoryview, start: int) -> Iterator[Record]:
        at = 0
        while at + HEAD.size <= len(data):
            opcode, length = HEAD.unpack_from(data, at)
            at += HEAD.size
            if at + length > len(data):
                break
            record = self._one(opcode, data[at : at + length])
            if record is not None:
                yield record
            at += length
        if at != len(data):
            self._damage.note(f"{self._path.name}: the chunk at byte {start} ends early")

    def _one(self, opcode: int, content: memoryview) -> Record | None:
        """Return the message in a record, or None."""
        if opcode == Opcode.MESSAGE:
            if len(content) < _MESSAGE.size:
                self._damage.unreadable += 1
                return None
            number, _, time, _ = _MESSAGE.unpack_from(content)
            topic = self._channels.topics.get(number)
            if topic is None:
                self._unknown += 1
                self._damage.note(
                    f"{self._path.name}: messages of channels that it does not declare"
                )
                return None
            return Record(topic, time, content[_MESSAGE.size :])
        if opcode in (Opcode.SCHEMA, Opcode.CHANNEL):
            defect = self._channels.learn(opcode, bytes(content))
            if defect:
                self._damage.note(f"{self._path.name}: {defect}")
        return None

    def _walk(self, file: BinaryIO, size: int) -> Iterator[tuple[_Head, bytes]]:
        """Yield the records outside chunks up to the end of the data; the last may be cut."""
        at = file.tell()
        while True:
            file.seek(at)
            head = file.read(HEAD.size)
            if not head:
                self._damage.note(f"{self._path.name} ends without a footer: it is cut short")
                return
            if len(head) == HEAD.size:
                opcode, length = HEAD.unpack(head)
                start = at + HEAD.size
                if opcode in (Opcode.DATA_END, Opcode.FOOTER) and length <= 20:
                    self._end = start + length
                    return
                if opcode in _KNOWN and length <= MAX_CHUNK and start + length <= size:
                    yield _Head(opcode, start, length), file.read(length)
                    at = start + length
                    continue
                if opcode == Opcode.CHUNK and (inner := _begin_of_records(file, start)):
                    name = self._path.name
                    self._damage.note(f"{name}: the chunk at byte {start} is cut, or broken")
                    at = inner
                    continue
                following = self._resync(file, at + 1, size)
                if following is None and opcode == Opcode.CHUNK and length <= MAX_CHUNK:
                    file.seek(start)
                    yield _Head(opcode, start, length), file.read()
            else:
                following = None
            if following is None:
                self._damage.note(
                    f"{self._path.name} cannot be read beyond byte {at} of {size}: "
                    "it is cut short or broken there"
                )
                if len(head) == HEAD.size and HEAD.unpack(head)[0] == Opcode.MESSAGE:
                    self._damage.unreadable += 1
                return
            self._damage.note(
                f"{self._path.name}: {following - at} bytes at byte {at} are not records"
            )
            at = following

    def _resync(self, file: BinaryIO, start: int, size: int) -> int | None:
        """Find the next byte, from `start` on, at which a record must begin."""
        overlap = 64
        while start < size:
            file.seek(start)
            block = file.read(_SCAN + overlap)
            found = [m.start() for p in (_CHUNK_HEAD, _MESSAGE_HEAD) for m in p.finditer(block)]
            for offset in sorted(found):
                if offset < _SCAN and _certain(file, start + offset, size):
                    return start + offset
            start += _SCAN
        return None


def _time(record: Record) -> int:
    return record.time


def _indexed(content: bytes) -> tuple[int, int]:
    """Return the channel of a message index, and the number of messages in it."""
    number, size = _INDEX.unpack_from(content)
    if size != len(content) - _INDEX.size or size % _INDEX_ENTRY:
        raise ReplayError(f"a message index has {len(content)} bytes, but says {size}")
    return number, size // _INDEX_ENTRY


def _unpack_chunk(content: bytes, whole: bool) -> bytes:
    """Unpack the records of a chunk, or, if it is cut, those before the cut."""
    _, _, size, crc = _CHUNK.unpack_from(content)
    at = _CHUNK.size
    (length,) = struct.unpack_from("<I", content, at)
    compression = content[at + 4 : at + 4 + length]
    at += 4 + length + 8
    data = content[at:]
    if size > MAX_CHUNK:
        raise ReplayError(f"a chunk has {size} bytes, at most {MAX_CHUNK} are read")
    unpacked, _, defect = unpack(compression, data)
    if whole and defect:
        raise ReplayError(f"a chunk cannot be unpacked: {defect}")
    if whole and len(unpacked) != size:
        raise ReplayError(f"a chunk unpacks to {len(unpacked)} bytes, its header says {size}")
    if whole and crc and zlib.crc32(unpacked) != crc:
        raise ReplayError("the checksum of a chunk is wrong")
    return unpacked


def _begin_of_records(file: BinaryIO, start: int) -> int | None:
    """Where the records begin in a chunk that is not compressed; they read like any others."""
    file.seek(start + _CHUNK.size)
    empty = bytes(4)
    return start + _CHUNK.size + 4 + 8 if file.read(4) == empty else None


def _certain(file: BinaryIO, at: int, size: int) -> bool:
    """Whether a record begins at `at`: a chunk whose lengths agree, or messages in a row."""
    file.seek(at)
    head = file.read(HEAD.size + _CHUNK.size + 12)
    if len(head) < HEAD.size + _MESSAGE.size:
        return False
    opcode, length = HEAD.unpack_from(head)
    if at + HEAD.size + length > size:
        return False
    if opcode == Opcode.CHUNK:
        (name,) = struct.unpack_from("<I", head, HEAD.size + _CHUNK.size)
        file.seek(at + HEAD.size + _CHUNK.size + 4 + name)
        (inner,) = struct.unpack("<Q", file.read(8).ljust(8, b"\xff"))
        return bool(length == _CHUNK.size + 4 + name + 8 + inner)
    for _ in range(2):
        at += HEAD.size + length
        file.seek(at)
        following = file.read(HEAD.size)
        if len(following) < HEAD.size:
            return False
        opcode, length = HEAD.unpack(following)
        if opcode not in _KNOWN or length > MAX_CHUNK or at + HEAD.size + length > size:
            return False
    return True
