"""ROS 1 bags that were cut, broken, or left by a recorder that was killed."""

import struct
from pathlib import Path

import pytest
from rosbags.rosbag1 import Writer

from liquid_nav.bags.bag import Recording
from liquid_nav.bags.records import Damage, Message
from liquid_nav.events import SECOND
from liquid_nav.onboard import Policy
from replay.replay_support import Entry, events, raw, record, write_ros1

BZ2, LZ4 = Writer.CompressionFormat.BZ2, Writer.CompressionFormat.LZ4
COMPRESSIONS = [None, BZ2, LZ4]
CHUNK = b"op=\x05"


def read(path: Path) -> tuple[list[Message], Damage]:
    damage = Damage()
    with Recording(path) as recording:
        return list(recording.messages(set(recording.topics), damage)), damage


def contents(messages: list[Message]) -> list[tuple[str, int]]:
    return [(message.topic.name, message.time) for message in messages]


@pytest.fixture(scope="module")
def entries(flow_policy: Policy, tmp_path_factory: pytest.TempPathFactory) -> list[Entry]:
    path = tmp_path_factory.mktemp("entries") / "flight.mcap"
    record(path, flow_policy, events(0.5))
    return list(raw(path))


def bag(
    path: Path,
    entries: list[Entry],
    compression: Writer.CompressionFormat | None,
    chunk_size: int = 1 << 15,
) -> tuple[bytes, list[tuple[str, int]]]:
    """Write a bag; return its bytes and what is in it."""
    write_ros1(path, entries, compression, chunk_size)
    messages, damage = read(path)
    assert (damage.lost, damage.notes) == (0, [])
    return path.read_bytes(), contents(messages)


def chunks(data: bytes) -> list[int]:
    """Where the headers of the chunks begin."""
    found, at = [], 13
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        header = data[at + 4 : at + 4 + length]
        if CHUNK in header:
            found.append(at)
        at += 4 + length
        at += 4 + struct.unpack_from("<I", data, at)[0]
    return found


def unclosed(data: bytes) -> bytes:
    """What a recorder leaves that is killed within its last chunk: no size, no index."""
    (length,) = struct.unpack_from("<I", data, chunks(data)[-1])
    begin = chunks(data)[-1]
    size = begin + 4 + length
    (stored,) = struct.unpack_from("<I", data, size)
    header = bytearray(data[begin:size])
    at = header.index(b"size=") + 5
    header[at : at + 4] = bytes(4)
    # No index was written yet, at the end or after the chunk.
    whole = bytearray(data[:begin] + header + bytes(4) + data[size + 4 : size + 4 + stored])
    at = whole.index(b"index_pos=") + 10
    whole[at : at + 8] = bytes(8)
    return bytes(whole)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("name", ["flight.bag.active", "flight.bag", "flight.bag.orig.active"])
def test_a_recorder_that_was_killed_loses_nothing_that_was_written(
    entries: list[Entry],
    tmp_path: Path,
    compression: Writer.CompressionFormat | None,
    name: str,
) -> None:
    data, complete = bag(tmp_path / "whole.bag", entries, compression)
    (tmp_path / name).write_bytes(unclosed(data))
    messages, damage = read(tmp_path / name)
    assert contents(messages) == complete
    assert damage.lost == 0
    assert any("was not closed" in note for note in damage.notes)


@pytest.mark.parametrize(("compression", "kept"), [(None, 0.85), (BZ2, 0.5), (LZ4, 0.8)])
def test_a_cut_chunk_gives_its_messages_before_the_cut(
    entries: list[Entry],
    tmp_path: Path,
    compression: Writer.CompressionFormat | None,
    kept: float,
) -> None:
    """A bag of one chunk, which is cut in its last tenth; bz2 has blocks of 900 kB."""
    long = [(e[0], e[1], e[2] + k * SECOND, e[3]) for k in range(12) for e in entries]
    data, complete = bag(tmp_path / "whole.bag", long, compression, 1 << 28)
    (begin,) = chunks(data)
    size = begin + 4 + struct.unpack_from("<I", data, begin)[0]
    (stored,) = struct.unpack_from("<I", data, size)
    (tmp_path / "cut.bag").write_bytes(data[: size + stored * 9 // 10])
    messages, damage = read(tmp_path / "cut.bag")
    assert kept * len(complete) < len(messages) < len(complete)
    # The bag holds them in the order in which they were written, which is not quite that of time.
    written = [(topic, time) for topic, _, time, _ in long[: len(messages)]]
    assert sorted(contents(messages)) == sorted(written)
    assert any("was not closed, or is cut" in note for note in damage.notes)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_broken_chunk_costs_what_the_index_counts(
    entries: list[Entry], tmp_path: Path, compression: Writer.CompressionFormat | None
) -> None:
    data, complete = bag(tmp_path / "whole.bag", entries, compression)
    middle = chunks(data)[len(chunks(data)) // 2]
    broken = bytearray(data)
    broken[middle + 100 : middle + 2000] = b"\xaa" * 1900
    (tmp_path / "broken.bag").write_bytes(broken)
    messages, damage = read(tmp_path / "broken.bag")
    assert set(contents(messages)) < set(complete)
    assert damage.lost == len(complete) - len(messages) > 0
    assert any("chunk" in note for note in damage.notes)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_after_a_broken_length_reading_goes_on(
    entries: list[Entry], tmp_path: Path, compression: Writer.CompressionFormat | None
) -> None:
    data, complete = bag(tmp_path / "whole.bag", entries, compression)
    second = chunks(data)[1]
    broken = bytearray(data)
    broken[second : second + 4] = b"\xff\xff\xff\x7f"
    (tmp_path / "broken.bag").write_bytes(broken)
    messages, damage = read(tmp_path / "broken.bag")
    assert len(messages) >= len(complete) * 0.7
    # Without compression its messages are found one by one.
    assert (len(messages) == len(complete)) == (compression is None)
    assert damage.lost == len(complete) - len(messages)
    assert any("are left out" in note for note in damage.notes)


def test_broken_first_bytes_do_not_matter(entries: list[Entry], tmp_path: Path) -> None:
    data, complete = bag(tmp_path / "whole.bag", entries, None)
    (tmp_path / "broken.bag").write_bytes(bytes(13) + data[13:])
    messages, damage = read(tmp_path / "broken.bag")
    assert contents(messages) == complete
    assert damage.lost == 0


def test_a_chunk_that_is_there_twice_is_read_once(entries: list[Entry], tmp_path: Path) -> None:
    data, complete = bag(tmp_path / "whole.bag", entries, None)
    first, second = chunks(data)[:2]
    (tmp_path / "twice.bag").write_bytes(data[:second] + data[first:second] + data[second:])
    messages, damage = read(tmp_path / "twice.bag")
    assert contents(messages) == complete
    assert damage.lost == 0
    assert damage.notes == ["twice.bag: a chunk is there twice, and is read once"]
