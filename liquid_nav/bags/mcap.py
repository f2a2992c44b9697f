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
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.records import Channel, ChunkIndex, Footer, Schema, Statistics

from liquid_nav.bags.records import LEAP, Damage, Record, Topic, order_of, type_name
from liquid_nav.bags.unpacking import MAX_CHUNK, unpack
from liquid_nav.errors import ReplayError

MAGIC = b"\x89MCAP0\r\n"
_HEAD = struct.Struct("<BQ")
_MESSAGE = struct.Struct("<HIQQ")
_CHUNK = struct.Struct("<QQQI")
_INDEX = struct.Struct("<HI")
_INDEX_ENTRY = 16
_FOOTER_LENGTH = _HEAD.size + 20 + len(MAGIC)
_KNOWN = frozenset(int(opcode) for opcode in Opcode)
# The head of a chunk up to its compression; `_certain` checks the lengths after it.
_CHUNK_HEAD = re.compile(rb"\x06(?=.{8}.{28}(?:\x00{4}|\x03\x00{3}lz4|\x04\x00{3}zstd))", re.DOTALL)
_MESSAGE_HEAD = re.compile(rb"\x05(?=..[\x00-\x0f]\x00{5})", re.DOTALL)
_SCAN = 1 << 20

_T = TypeVar("_T")


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
        self._schemas: dict[int, Schema] = {}
        self._channels: dict[int, Topic] = {}
        self._declared: Counter[str] | None = None
        self.span: tuple[int, int] | None = None
        # Log times of the first and last message of each chunk, ns, in the order of the file.
        self._chunks: list[tuple[int, int]] = []
        self._late: int | None = None
        if not self._read_summary():
            self._chunks = []
            self._late, self.span = order_of(record.time for record in self.records(Damage()))
        self.topics = list(self._channels.values())

    def records(self, damage: Damage) -> Iterator[Record]:
        """Yield all messages in file order; records that cannot be read are counted in `damage`."""
        self._damage = damage
        note, indexed, read = damage.note, Counter[str](), Counter[str]()
        undeclared = 0
        with self._path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if file.read(len(MAGIC)) != MAGIC:
                note(f"{self._path.name} does not start like an MCAP file")
                file.seek(0)
            for head, content in self._walk(file, size):
                try:
                    if head.opcode == Opcode.MESSAGE_INDEX:
                        number, count = _indexed(content)
                        topic = self._channels.get(number)
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
        damage.unreadable += undeclared

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
            while len(head := file.read(_HEAD.size + _MESSAGE.size)) == _HEAD.size + _MESSAGE.size:
                opcode, length = _HEAD.unpack_from(head)
                if opcode == Opcode.MESSAGE:
                    yield _MESSAGE.unpack_from(head, _HEAD.size)[2]
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
        while at + _HEAD.size <= len(data):
            opcode, length = _HEAD.unpack_from(data, at)
            at += _HEAD.size
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
            topic = self._channels.get(number)
            if topic is None:
                self._damage.unreadable += 1
                self._damage.note(
                    f"{self._path.name}: messages of channels that it does not declare"
                )
                return None
            return Record(topic, time, content[_MESSAGE.size :])
        if opcode == Opcode.SCHEMA:
            self._attempt(lambda: self._learn_schema(bytes(content)))
        elif opcode == Opcode.CHANNEL:
            self._attempt(lambda: self._learn_channel(bytes(content)))
        return None

    def _attempt(self, read: Callable[[], _T]) -> _T | None:
        try:
            return read()
        except Exception as error:  # On broken bytes mcap raises errors of any type.
            self._damage.note(f"{self._path.name}: a broken schema or channel: {error!r:.120}")
            return None

    def _learn_schema(self, content: bytes) -> None:
        schema = Schema.read(ReadDataStream(BytesIO(content)))
        self._schemas.setdefault(schema.id, schema)

    def _learn_channel(self, content: bytes) -> None:
        channel = Channel.read(ReadDataStream(BytesIO(content)))
        if channel.id in self._channels:
            return
        schema = self._schemas.get(channel.schema_id)
        if schema is None:
            self._damage.note(f"{channel.topic}: {self._path.name} does not declare its type")
            kind, text, encoding = "", "", ""
        else:
            kind, encoding = type_name(schema.name), schema.encoding
            text = schema.data.decode(errors="replace")
        self._channels[channel.id] = Topic(
            channel.topic, kind, channel.message_encoding, text, encoding == "ros2idl"
        )

    def _walk(self, file: BinaryIO, size: int) -> Iterator[tuple[_Head, bytes]]:
        """Yield the records outside chunks up to the end of the data; the last may be cut."""
        at = file.tell()
        while True:
            file.seek(at)
            head = file.read(_HEAD.size)
            if not head:
                self._damage.note(f"{self._path.name} ends without a footer: it is cut short")
                return
            if len(head) == _HEAD.size:
                opcode, length = _HEAD.unpack(head)
                start = at + _HEAD.size
                if opcode in (Opcode.DATA_END, Opcode.FOOTER) and length <= 20:
                    return
                if opcode in _KNOWN and length <= MAX_CHUNK and start + length <= size:
                    yield _Head(opcode, start, length), file.read(length)
                    at = start + length
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
                if len(head) == _HEAD.size and _HEAD.unpack(head)[0] == Opcode.MESSAGE:
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

    def _read_summary(self) -> bool:
        """Read topics and counts from the end of the file; False when it is missing or broken."""
        try:
            with self._path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(size - _FOOTER_LENGTH, 0))
                end = file.read()
                if len(end) != _FOOTER_LENGTH or not end.endswith(MAGIC):
                    return False
                footer = Footer.read(ReadDataStream(BytesIO(end[_HEAD.size :])))
                length = size - _FOOTER_LENGTH - footer.summary_start
                if not (footer.summary_start and 0 < length <= MAX_CHUNK):
                    return False
                file.seek(footer.summary_start)
                summary = file.read(length)
            checked = summary + end[: _HEAD.size + 16]
            if footer.summary_crc and zlib.crc32(checked) != footer.summary_crc:
                self._damage.note(f"{self._path.name}: the summary's checksum is wrong")
                return False
            return self._learn_summary(summary)
        except OSError:
            raise
        except Exception:  # The summary is broken: the whole file is read instead.
            self._schemas, self._channels = {}, {}
            return False

    def _learn_summary(self, summary: bytes) -> bool:
        at, statistics = 0, None
        chunks: list[ChunkIndex] = []
        while at + _HEAD.size <= len(summary):
            opcode, length = _HEAD.unpack_from(summary, at)
            at += _HEAD.size
            content = summary[at : at + length]
            at += length
            if opcode == Opcode.SCHEMA:
                self._learn_schema(content)
            elif opcode == Opcode.CHANNEL:
                self._learn_channel(content)
            elif opcode == Opcode.CHUNK_INDEX:
                chunks.append(ChunkIndex.read(ReadDataStream(BytesIO(content))))
            elif opcode == Opcode.STATISTICS:
                statistics = Statistics.read(ReadDataStream(BytesIO(content)))
        if at != len(summary) or statistics is None:
            return False
        if statistics.channel_count != len(self._channels):
            self._schemas, self._channels = {}, {}
            return False
        chunks.sort(key=lambda chunk: chunk.chunk_start_offset)
        if len(chunks) == statistics.chunk_count:
            self._chunks = [(c.message_start_time, c.message_end_time) for c in chunks]
        if statistics.message_count:
            self.span = (statistics.message_start_time, statistics.message_end_time)
        self._declared = Counter()
        for number, count in statistics.channel_message_counts.items():
            if number in self._channels:
                self._declared[self._channels[number].name] += count
        return True


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


def _certain(file: BinaryIO, at: int, size: int) -> bool:
    """Whether a record begins at `at`: a chunk whose lengths agree, or messages in a row."""
    file.seek(at)
    head = file.read(_HEAD.size + _CHUNK.size + 12)
    if len(head) < _HEAD.size + _MESSAGE.size:
        return False
    opcode, length = _HEAD.unpack_from(head)
    if at + _HEAD.size + length > size:
        return False
    if opcode == Opcode.CHUNK:
        (name,) = struct.unpack_from("<I", head, _HEAD.size + _CHUNK.size)
        file.seek(at + _HEAD.size + _CHUNK.size + 4 + name)
        (inner,) = struct.unpack("<Q", file.read(8).ljust(8, b"\xff"))
        return bool(length == _CHUNK.size + 4 + name + 8 + inner)
    for _ in range(2):
        at += _HEAD.size + length
        file.seek(at)
        following = file.read(_HEAD.size)
        if len(following) < _HEAD.size:
            return False
        opcode, length = _HEAD.unpack(following)
        if opcode not in _KNOWN or length > MAX_CHUNK or at + _HEAD.size + length > size:
            return False
    return True
