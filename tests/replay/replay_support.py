"""Flights for the tests of replay: events by hand, recorded, and rewritten in other formats."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import zstandard
from mcap.writer import CompressionType
from mcap.writer import Writer as McapFileWriter
from rosbags.interfaces import Nodetype
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.rosbag2 import Writer as BagWriter
from rosbags.typesys import Stores, get_typestore

from liquid_nav.bags.bag import Recording
from liquid_nav.bags.deserializing import STORE
from liquid_nav.bags.records import Damage
from liquid_nav.command import Command
from liquid_nav.controller import Controller
from liquid_nav.events import Event, Goal, ImuSample, Odometry, OperatorStop
from liquid_nav.onboard import Policy
from liquid_nav.recording.recorder import FlightRecorder
from liquid_nav.replay.calibration import find_camera_info
from liquid_nav.replay.run import Replay, replay
from liquid_nav.replay.topics import Topics, find
from support import frame, sample

STORE1 = get_typestore(Stores.ROS1_NOETIC)


def events(seconds: float = 1.0) -> list[Event]:
    """IMU at 200 Hz and frames at 20 Hz that come late, by arrival; numbers of all kinds."""
    made: list[Event] = []
    for k in range(round(200 * seconds)):
        made.append(sample(1 + k / 200, 0.001 + 1e-9 * k, seed=k))
        if k % 10 == 0:
            made.append(frame(1 + k / 200, 0.03, seed=k))
    rest = np.array([-0.0, 5e-324, 1e300])
    made.append(ImuSample(1_500_000_000, 1_500_000_000, rest, np.array([0.1, 1 / 3, 9.81])))
    # Equal stamps, and equal arrivals.
    made.append(sample(1.5, 0.0, seed=7))
    return sorted(made, key=lambda event: event.arrival)


def others() -> list[Event]:
    """One event of each further kind."""
    turn = np.array([0.1, -0.2, 0.3, 0.9])
    turn = turn / np.linalg.norm(turn)
    return [
        Odometry(1_000_000_000, 1_010_000_001, [1, 2, 3.3], turn, [0.1, 0, 0], [0, 0.7, 0]),
        Goal(1_100_000_000, 1_100_000_003, [5, 1 / 7, 2]),
        OperatorStop(1_200_000_000, 1_200_000_000, True),
    ]


def record(path: Path, policy: Policy, flight: list[Event]) -> list[Command]:
    """Fly `flight` open loop, record it, and give the commands."""
    controller, commands = Controller(policy), []
    with FlightRecorder(path, policy.config.camera) as recorder:
        for event in flight:
            controller.on_event(event)
            commands.append(controller.command(event.arrival))
            recorder.event(event)
            recorder.command(commands[-1])
    return commands


def replayed(path: Path, policy: Policy, comparing: bool = True) -> Replay:
    """Replay as the command line does."""
    with Recording(path) as recording:
        topics = find(recording.topics, Topics(), comparing)
        info = find_camera_info(recording, topics)
        return replay(recording, topics, policy, camera_info=info)


def raw(path: Path) -> Iterator[tuple[str, str, int, bytes]]:
    """Topic, type, log time and data of every message, in order."""
    with Recording(path) as recording:
        for file in recording._files:
            for entry in file.records(Damage()):
                yield entry.topic.name, entry.topic.type, entry.time, bytes(entry.data)


Entry = tuple[str, str, int, bytes]
"""Topic, type, log time in ns and data in CDR of a message."""


def rewrite_mcap(
    source: Path, target: Path, compression: CompressionType = CompressionType.NONE, **options: bool
) -> None:
    """Rewrite as MCAP by the reference writer, in chunks of 32 KiB or none."""
    write_mcap(target, raw(source), compression, **options)


def write_mcap(
    target: Path,
    entries: Iterable[Entry],
    compression: CompressionType = CompressionType.NONE,
    **options: bool,
) -> None:
    """Write entries as MCAP, see `rewrite_mcap`."""
    with target.open("wb") as file:
        writer = McapFileWriter(file, chunk_size=1 << 15, compression=compression, **options)
        writer.start("ros2")
        channels: dict[str, int] = {}
        for topic, kind, time, data in entries:
            if topic not in channels:
                text, _ = STORE.generate_msgdef(kind, ros_version=2)
                schema = writer.register_schema(kind, "ros2msg", text.encode())
                channels[topic] = writer.register_channel(topic, "cdr", schema)
            writer.add_message(channels[topic], time, data, time)
        writer.finish()


def rewrite_bag(
    source: Path,
    target: Path,
    storage: StoragePlugin,
    mode: CompressionMode = CompressionMode.NONE,
    part: tuple[int, int] = (0, 1),
) -> None:
    """Rewrite as a rosbag2 directory by rosbags; `part` (i, n) is the i-th of n equal parts."""
    entries = list(raw(source))
    index, count = part
    entries = entries[len(entries) * index // count : len(entries) * (index + 1) // count]
    write_bag(target, entries, storage, mode)


def write_bag(
    target: Path,
    entries: Iterable[Entry],
    storage: StoragePlugin,
    mode: CompressionMode = CompressionMode.NONE,
) -> None:
    """Write entries as a rosbag2 directory by rosbags."""
    writer = BagWriter(target, version=9, storage_plugin=storage)
    if mode is not CompressionMode.NONE:
        writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        connections = {}
        for topic, kind, time, data in entries:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=STORE)
            writer.write(connections[topic], time, data)


def write_ros1(
    target: Path,
    entries: Iterable[Entry],
    compression: Writer1.CompressionFormat | None = None,
    chunk_size: int = 1 << 15,
) -> None:
    """Write entries as a ROS 1 bag by rosbags; messages that differ in ROS 1 are left out."""
    writer = Writer1(target)
    if compression is not None:
        writer.set_compression(compression)
    writer.chunk_threshold = chunk_size
    with writer:
        connections = {}
        for topic, kind, time, data in entries:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=STORE1)
            message = as_ros1(kind, STORE.deserialize_cdr(data, kind))
            writer.write(connections[topic], time, STORE1.serialize_ros1(message, kind))


def as_ros1(kind: str, message: Any) -> Any:
    """Give the message by ROS 1's definition, which has other names for some fields."""
    values = {}
    for name, (form, content) in STORE1.fielddefs[kind][1]:
        value = getattr(message, name, getattr(message, name.lower(), 0))
        values[name] = as_ros1(content, value) if form is Nodetype.NAME else value
    return STORE1.types[kind](**values)


def split_bag(source: Path, target: Path, storage: StoragePlugin) -> None:
    """Rewrite as a rosbag2 directory of three files, as ``ros2 bag record`` splits it."""
    target.mkdir()
    names = []
    for index in range(3):
        part = target.with_name(f"part{index}")
        rewrite_bag(source, part, storage, part=(index, 3))
        file = next(path for path in part.iterdir() if path.name != "metadata.yaml")
        names.append(f"{target.name}_{index}{file.suffix}")
        file.rename(target / names[-1])
    counts: dict[str, tuple[str, int]] = {}
    for topic, kind, _, _ in raw(source):
        counts[topic] = (kind, counts.get(topic, (kind, 0))[1] + 1)
    write_metadata(target, names, counts)


def write_metadata(target: Path, names: list[str], counts: dict[str, tuple[str, int]]) -> None:
    """Write ``metadata.yaml`` that says so."""
    lines = ["rosbag2_bagfile_information:", "  version: 5", "  relative_file_paths:"]
    lines += [f"    - {name}" for name in names]
    lines += ["  topics_with_message_count:"]
    for topic, (kind, count) in counts.items():
        lines += ["    - topic_metadata:", f"        name: {topic}", f"        type: {kind}"]
        lines += [f"      message_count: {count}"]
    (target / "metadata.yaml").write_text("\n".join(lines) + "\n")


def compress(path: Path) -> Path:
    """Replace a file by its zstd form, as rosbag2's file compression does."""
    target = path.with_name(f"{path.name}.zstd")
    target.write_bytes(zstandard.ZstdCompressor().compress(path.read_bytes()))
    path.unlink()
    return target


def same(a: Event, b: Event) -> bool:
    """Whether two events are one, bit for bit."""
    if type(a) is not type(b) or (a.stamp, a.arrival) != (b.stamp, b.arrival):
        return False
    arrays = [name for name, value in vars(a).items() if isinstance(value, np.ndarray)]
    plain = [name for name in vars(a) if name not in arrays]
    return all(getattr(a, n).tobytes() == getattr(b, n).tobytes() for n in arrays) and all(
        getattr(a, n) == getattr(b, n) for n in plain
    )
