"""What was recorded comes back bit for bit, from every kind of file."""

import hashlib
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from mcap.writer import CompressionType
from rosbags.rosbag2 import CompressionMode, Reader, StoragePlugin

from liquid_nav.bags.bag import Recording
from liquid_nav.bags.records import Damage
from liquid_nav.command import Command
from liquid_nav.controller import Controller
from liquid_nav.evaluation.flight import fly
from liquid_nav.events import Channel, Event
from liquid_nav.onboard import Policy
from liquid_nav.recording.recorder import FlightRecorder
from liquid_nav.replay.calibration import find_camera_info
from liquid_nav.replay.decoder import EventDecoder
from liquid_nav.replay.report.mcap import COMMAND, DIAGNOSTICS, STATE, TIME_CONSTANTS, ReplayOutput
from liquid_nav.replay.run import replay
from liquid_nav.replay.timeline import Cut, Recorded, timeline
from liquid_nav.replay.topics import Topics, find
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.tasks.target import TargetTask
from liquid_nav_sim.world import World
from replay.replay_support import (
    compress,
    events,
    others,
    record,
    replayed,
    rewrite_bag,
    rewrite_mcap,
    same,
    split_bag,
)

EVERY = (Channel.CAMERA, Channel.IMU, Channel.GOAL, Channel.RANGE)


def unchunked(source: Path, target: Path) -> Path:
    rewrite_mcap(source, target / "f.mcap", use_chunking=False)
    return target / "f.mcap"


def zstd(source: Path, target: Path) -> Path:
    rewrite_mcap(source, target / "f.mcap", CompressionType.ZSTD)
    return target / "f.mcap"


def lz4(source: Path, target: Path) -> Path:
    rewrite_mcap(source, target / "f.mcap", CompressionType.LZ4)
    return target / "f.mcap"


def mcap_directory(source: Path, target: Path) -> Path:
    rewrite_bag(source, target / "bag", StoragePlugin.MCAP)
    return target / "bag"


def mcap_compressed_storage(source: Path, target: Path) -> Path:
    rewrite_bag(source, target / "bag", StoragePlugin.MCAP, CompressionMode.STORAGE)
    return target / "bag"


def db3_directory(source: Path, target: Path) -> Path:
    rewrite_bag(source, target / "bag", StoragePlugin.SQLITE3)
    return target / "bag"


def db3_file(source: Path, target: Path) -> Path:
    return next(db3_directory(source, target).glob("*.db3"))


def db3_compressed_messages(source: Path, target: Path) -> Path:
    rewrite_bag(source, target / "bag", StoragePlugin.SQLITE3, CompressionMode.MESSAGE)
    return target / "bag"


def db3_compressed_file(source: Path, target: Path) -> Path:
    rewrite_bag(source, target / "bag", StoragePlugin.SQLITE3, CompressionMode.FILE)
    return target / "bag"


def mcap_compressed_file(source: Path, target: Path) -> Path:
    return compress(unchunked(source, target))


def split_mcap(source: Path, target: Path) -> Path:
    split_bag(source, target / "bag", StoragePlugin.MCAP)
    return target / "bag"


def split_db3(source: Path, target: Path) -> Path:
    split_bag(source, target / "bag", StoragePlugin.SQLITE3)
    return target / "bag"


@pytest.mark.parametrize(
    "rewrite",
    [
        unchunked,
        zstd,
        lz4,
        mcap_directory,
        mcap_compressed_storage,
        mcap_compressed_file,
        db3_directory,
        db3_file,
        db3_compressed_messages,
        db3_compressed_file,
        split_mcap,
        split_db3,
    ],
)
def test_commands_are_the_same_from_every_kind_of_file(
    flow_policy: Policy, tmp_path: Path, rewrite: Callable[[Path, Path], Path]
) -> None:
    flight = events()
    commands = record(tmp_path / "flight.mcap", flow_policy, flight)
    (tmp_path / "rewritten").mkdir()
    result = replayed(rewrite(tmp_path / "flight.mcap", tmp_path / "rewritten"), flow_policy)
    digest = hashlib.sha256()
    for command in commands:
        digest.update(struct.pack("<q4d", command.stamp, *command.vector))
    assert result.digest == digest.digest()
    assert result.comparison is not None
    assert result.comparison.identical
    assert len(result.comparison.times) == len(flight) == result.events
    assert (result.damage.lost, result.damage.notes) == (0, [])


def test_events_come_back_bit_for_bit(flow_policy: Policy, tmp_path: Path) -> None:
    flight = sorted([*events(), *others()], key=lambda event: event.arrival)
    record(tmp_path / "flight.mcap", flow_policy, flight)
    with Recording(tmp_path / "flight.mcap") as recording:
        topics = find(recording.topics, Topics(), comparing=False, reads=EVERY)
        info = find_camera_info(recording, topics)
        decoder = EventDecoder(topics, flow_policy.config.camera, info, None)
        items = list(timeline(recording, topics, decoder, Cut(), Damage()))
    back = [item for item in items if not isinstance(item, Recorded)]
    assert len(back) == len(flight)
    assert [type(a) for a, b in zip(flight, back, strict=True) if not same(a, b)] == []


def test_a_simulated_flight_replays_to_the_same_commands(
    flow_policy: Policy, tmp_path: Path
) -> None:
    world = World(WorldConfig(task=TargetTask(time_limit=1.5)))
    try:
        with FlightRecorder(tmp_path / "flight.mcap", flow_policy.config.camera) as recorder:

            def watch(event: Event, command: Command) -> None:
                recorder.event(event)
                recorder.command(command)

            flight = fly(world, Controller(flow_policy), 3, watch)
    finally:
        world.close()
    result = replayed(tmp_path / "flight.mcap", flow_policy)
    assert result.digest == flight.digest
    assert result.comparison is not None
    assert result.comparison.identical


def test_a_replay_is_the_same_twice_with_and_without_queries(
    flow_policy: Policy, tmp_path: Path
) -> None:
    record(tmp_path / "flight.mcap", flow_policy, events(0.3))
    with Recording(tmp_path / "flight.mcap") as recording:
        topics = find(recording.topics, Topics(), comparing=False)
        digests = {replay(recording, topics, flow_policy, rate=r).digest for r in (0, 20, 5000, 20)}
    assert len(digests) == 1


def test_recordings_and_results_are_files_for_rosbags(flow_policy: Policy, tmp_path: Path) -> None:
    flight = events(0.2)
    record(tmp_path / "flight.mcap", flow_policy, flight)
    with Recording(tmp_path / "flight.mcap") as recording:
        topics = find(recording.topics, Topics(), comparing=False)
        with ReplayOutput(tmp_path / "replay.mcap", flow_policy) as output:
            replay(recording, topics, flow_policy, watch=output.watch)
    with Reader(tmp_path / "flight.mcap") as bag:
        assert {c.topic: c.msgcount for c in bag.connections}["/imu/data_raw"] == 42
    with Reader(tmp_path / "replay.mcap") as bag:
        counts = {c.topic: c.msgcount for c in bag.connections}
        assert [counts[topic] for topic in (COMMAND, STATE, TIME_CONSTANTS)] == [len(flight)] * 3
        assert counts[DIAGNOSTICS] >= 1
    with Recording(tmp_path / "replay.mcap") as recording:
        messages = list(recording.messages({TIME_CONSTANTS}))
    assert [message.time for message in messages] == [event.arrival for event in flight]
    assert (messages[0].content.data > 0).all()


def test_a_recording_appears_whole_or_not_at_all(flow_policy: Policy, tmp_path: Path) -> None:
    def fail() -> None:
        with FlightRecorder(tmp_path / "flight.mcap", flow_policy.config.camera) as recorder:
            recorder.event(events(0.01)[0])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []
