"""Files that are broken in any way: one error or a count of what is lost, and nothing else."""

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from mcap.writer import CompressionType
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin

from liquid_nav.bags.bag import Recording
from liquid_nav.bags.records import Damage
from liquid_nav.errors import ReplayError
from liquid_nav.onboard import Policy
from replay.replay_support import (
    compress,
    events,
    raw,
    record,
    rewrite_bag,
    rewrite_mcap,
    split_bag,
    write_ros1,
)
from replay.test_replay_recorded_flights import ulog

COUNT = 60
"""Ways of breaking each kind of file."""

Contents = Counter[tuple[str, int]]


def read(path: Path) -> tuple[Contents, Damage]:
    damage = Damage()
    with Recording(path) as recording:
        messages = recording.messages(set(recording.topics), damage)
        return Counter((message.topic.name, message.time) for message in messages), damage


@pytest.fixture(scope="module")
def files(flow_policy: Policy, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    path = tmp_path_factory.mktemp("files")
    flight = path / "flight.mcap"
    record(flight, flow_policy, events(0.3))
    rewrite_mcap(flight, path / "none.mcap")
    rewrite_mcap(flight, path / "zstd.mcap", CompressionType.ZSTD)
    rewrite_mcap(flight, path / "lz4.mcap", CompressionType.LZ4)
    rewrite_mcap(flight, path / "unchunked.mcap", use_chunking=False)
    rewrite_mcap(flight, path / "packed.mcap")
    compress(path / "packed.mcap")
    rewrite_bag(flight, path / "db", StoragePlugin.SQLITE3)
    (path / "db" / "db.db3").rename(path / "flight.db3")
    entries = list(raw(flight))
    write_ros1(path / "none.bag", entries)
    write_ros1(path / "bz2.bag", entries, Writer1.CompressionFormat.BZ2)
    write_ros1(path / "lz4.bag", entries, Writer1.CompressionFormat.LZ4)
    (path / "px4.ulg").write_bytes(ulog(200))
    return {name: (path / name).read_bytes() for name in KINDS}


KINDS = [
    *("none.mcap", "zstd.mcap", "lz4.mcap", "unchunked.mcap", "packed.mcap.zstd", "flight.db3"),
    *("none.bag", "bz2.bag", "lz4.bag", "px4.ulg"),
]


def place(rng: random.Random, data: bytearray) -> tuple[int, int]:
    """A piece of the file: where it begins and ends."""
    length = rng.choice([1, 4, 100, 512, 4096, 33_000])
    begin = rng.randrange(max(len(data) - length, 1))
    return begin, min(begin + length, len(data))


def cut(rng: random.Random, data: bytearray) -> None:
    del data[rng.randrange(len(data)) :]


def flip(rng: random.Random, data: bytearray) -> None:
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def scatter(rng: random.Random, data: bytearray) -> None:
    for _ in range(rng.randrange(2, 50)):
        data[rng.randrange(len(data))] = rng.randrange(256)


def erase(rng: random.Random, data: bytearray) -> None:
    begin, end = place(rng, data)
    data[begin:end] = rng.choice([b"\0", b"\xff", b"\xaa"]) * (end - begin)


def remove(rng: random.Random, data: bytearray) -> None:
    begin, end = place(rng, data)
    del data[begin:end]


def insert(rng: random.Random, data: bytearray) -> None:
    begin, end = place(rng, data)
    data[begin:begin] = rng.randbytes(end - begin)


def repeat(rng: random.Random, data: bytearray) -> None:
    begin, end = place(rng, data)
    where = rng.randrange(len(data))
    data[where:where] = data[begin:end]


def swap(rng: random.Random, data: bytearray) -> None:
    begin, end = place(rng, data)
    other = rng.randrange(max(len(data) - (end - begin), 1))
    if abs(begin - other) >= end - begin:
        piece = data[begin:end]
        data[begin:end] = data[other : other + len(piece)]
        data[other : other + len(piece)] = piece


WAYS: list[Callable[[random.Random, bytearray], None]] = [
    *(cut, flip, scatter, erase, remove, insert, repeat, swap)
]


@pytest.mark.parametrize("kind", KINDS)
def test_no_way_of_breaking_a_file_loses_messages_in_silence(
    files: dict[str, bytes], tmp_path: Path, kind: str
) -> None:
    path = tmp_path / kind
    path.write_bytes(files[kind])
    complete, _ = read(path)
    for seed in range(COUNT):
        rng = random.Random(seed)
        data = bytearray(files[kind])
        way = rng.choice(WAYS)
        way(rng, data)
        path.write_bytes(data)
        try:
            found, damage = read(path)
        except ReplayError:
            continue
        # A time that was altered is a message less and another one more.
        missing = (complete - found).total() - (found - complete).total()
        told = bool(damage.notes)
        # Nothing tells that a log of PX4 ends where a message does, or of which kind one was.
        assert told or missing <= (1 if kind == "px4.ulg" and way is not cut else 0), (seed, way)


METADATA = [
    "null",
    "[]",
    "\t",
    "&a *a",
    "rosbag2_bagfile_information: []",
    "rosbag2_bagfile_information: {relative_file_paths: 7, topics_with_message_count: {}}",
    "rosbag2_bagfile_information: {relative_file_paths: [7, {}], topics_with_message_count: [7]}",
    "rosbag2_bagfile_information: {relative_file_paths: [x], topics_with_message_count: []}",
    "rosbag2_bagfile_information: {relative_file_paths: ['', '.', ..], "
    "topics_with_message_count: []}",
    "rosbag2_bagfile_information: !!python/object:os.system x",
    "\0\xff",
]


@pytest.mark.parametrize("text", METADATA)
def test_no_metadata_hide_a_recording(flow_policy: Policy, tmp_path: Path, text: str) -> None:
    record(tmp_path / "f.mcap", flow_policy, events(0.2))
    split_bag(tmp_path / "f.mcap", tmp_path / "bag", StoragePlugin.MCAP)
    complete, _ = read(tmp_path / "f.mcap")
    (tmp_path / "bag" / "metadata.yaml").write_text(text, encoding="latin-1")
    found, damage = read(tmp_path / "bag")
    assert found == complete
    assert any("metadata.yaml" in note or "is missing" in note for note in damage.notes)
