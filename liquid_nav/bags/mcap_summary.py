"""What an MCAP file says of itself: channels, and the summary at its end (https://mcap.dev/spec)."""

import os
import struct
import zlib
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.records import Channel, ChunkIndex, Footer, Schema, Statistics

from liquid_nav.bags.records import Topic, type_name
from liquid_nav.bags.unpacking import MAX_CHUNK

MAGIC = b"\x89MCAP0\r\n"
HEAD = struct.Struct("<BQ")
"""Type of a record, and length of its content."""

_FOOTER_LENGTH = HEAD.size + 20 + len(MAGIC)


class Channels:
    """The schemas and channels of a file, as far as they have been read.

    Attributes:
        topics: topic of each channel, by the channel's number.

    """

    def __init__(self) -> None:
        self.topics: dict[int, Topic] = {}
        self._schemas: dict[int, Schema] = {}

    def learn(self, opcode: int, content: bytes) -> str:
        """Take in a schema or channel, and say what is wrong with it, or nothing."""
        try:
            stream = ReadDataStream(BytesIO(content))
            if opcode == Opcode.SCHEMA:
                schema = Schema.read(stream)
                self._schemas.setdefault(schema.id, schema)
                return ""
            return self._learn_channel(Channel.read(stream))
        except Exception as error:  # On broken bytes mcap raises errors of any type.
            return f"a broken schema or channel: {error!r:.120}"

    def _learn_channel(self, channel: Channel) -> str:
        if channel.id in self.topics:
            return ""
        schema = self._schemas.get(channel.schema_id)
        kind, text, encoding = "", "", ""
        if schema is not None:
            kind, encoding = type_name(schema.name), schema.encoding
            text = schema.data.decode(errors="replace")
        self.topics[channel.id] = Topic(
            channel.topic, kind, channel.message_encoding, text, encoding == "ros2idl"
        )
        return "" if schema else f"the type of {channel.topic} is not declared"


class Summary(NamedTuple):
    """The summary of a file.

    Attributes:
        channels: all channels.
        declared: messages per topic.
        span: log times of the first and last message, ns; None without messages.
        chunks: the same of each chunk, in the order of the file; None if they are not listed.

    """

    channels: Channels
    declared: Counter[str]
    span: tuple[int, int] | None
    chunks: list[tuple[int, int]] | None


def read_summary(path: Path, begin: int | None = None) -> Summary | str:
    """Read the summary at the end of a file.

    Args:
        path: the file.
        begin: the byte where it begins; None for where the file says.

    Returns:
        The summary, or what is wrong with it; an empty text if the file has none by its own word.

    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - _FOOTER_LENGTH, 0))
        end = file.read()
        if len(end) != _FOOTER_LENGTH or not end.endswith(MAGIC):
            return ""  # Reading up to there will tell.
        try:
            footer = Footer.read(ReadDataStream(BytesIO(end[HEAD.size :])))
            begin = footer.summary_start if begin is None else begin
            length = size - _FOOTER_LENGTH - begin
            if not footer.summary_start:
                return ""
            if not 0 < length <= MAX_CHUNK:
                return "its summary is not where its end says"
            file.seek(begin)
            content = file.read(length)
            if footer.summary_crc not in (0, zlib.crc32(content + end[: HEAD.size + 16])):
                return "the checksum of its summary is wrong"
            return _read(content) or "its summary is broken"
        # On broken bytes mcap raises errors of any type.
        except Exception as error:
            return f"its summary is broken: {error!r:.120}"


def _read(content: bytes) -> Summary | None:
    at, statistics = 0, None
    channels, chunks = Channels(), list[ChunkIndex]()
    while at + HEAD.size <= len(content):
        opcode, length = HEAD.unpack_from(content, at)
        at += HEAD.size
        record = content[at : at + length]
        at += length
        if opcode in (Opcode.SCHEMA, Opcode.CHANNEL):
            channels.learn(opcode, record)
        elif opcode == Opcode.CHUNK_INDEX:
            chunks.append(ChunkIndex.read(ReadDataStream(BytesIO(record))))
        elif opcode == Opcode.STATISTICS:
            statistics = Statistics.read(ReadDataStream(BytesIO(record)))
    if at != len(content) or statistics is None:
        return None
    if statistics.channel_count != len(channels.topics):
        return None
    declared = Counter[str]()
    for number, count in statistics.channel_message_counts.items():
        if number in channels.topics:
            declared[channels.topics[number].name] += count
    span = (statistics.message_start_time, statistics.message_end_time)
    chunks.sort(key=lambda chunk: chunk.chunk_start_offset)
    spans = [(chunk.message_start_time, chunk.message_end_time) for chunk in chunks]
    return Summary(
        channels,
        declared,
        span if statistics.message_count else None,
        spans if len(chunks) == statistics.chunk_count else None,
    )
