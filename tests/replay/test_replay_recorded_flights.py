"""Flights that others recorded: a PX4 flight beside the checkout, a PX4 log, a ROS 1 bag."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.typesys import Stores, get_typestore

from liquid_nav.bags.bag import Recording
from liquid_nav.command import Mode
from liquid_nav.errors import ReplayError
from liquid_nav.events import SECOND, Channel, ImuSample
from liquid_nav.onboard import Policy
from liquid_nav.replay.run import replay
from liquid_nav.replay.timeline import Cut
from liquid_nav.replay.topics import Topics, find
from replay.replay_support import events, record, replayed

BAGS = Path(os.environ.get("LIQUID_NAV_BAGS", Path(__file__).parents[2] / "../shared/bags"))
PX4 = BAGS / "px4_sitl_flight_mcap"


@pytest.mark.skipif(not PX4.is_dir(), reason="no recorded flights: set LIQUID_NAV_BAGS")
def test_a_px4_flight_without_a_camera_hovers_and_says_so(flow_policy: Policy) -> None:
    with Recording(PX4) as recording:
        with pytest.raises(ReplayError, match=r"--cmd.*/velocity_enu"):
            find(recording.topics, Topics(), comparing=True)
        topics = find(recording.topics, Topics(command="/velocity_enu"), True)
        result = replay(recording, topics, flow_policy)
    assert result.channels[Channel.IMU].rate == pytest.approx(250, abs=1)
    assert result.channels[Channel.IMU].events == 7783
    assert [(f.mode, f.reason) for f in result.failsafes] == [
        (Mode.HOVER, "camera: nothing received yet")
    ]
    assert any("no topic of the camera" in note for note in result.notes)
    assert (result.damage.lost, result.policy_faults) == (0, 0)


def test_a_ros1_bag(flow_policy: Policy, tmp_path: Path) -> None:
    store = get_typestore(Stores.ROS1_NOETIC)
    types = store.types
    with Ros1Writer(tmp_path / "flight.bag") as bag:
        connection = bag.add_connection("/imu", "sensor_msgs/msg/Imu", typestore=store)
        for k in range(100):
            stamp = types["builtin_interfaces/msg/Time"](sec=5, nanosec=5_000_000 * k)
            message = types["sensor_msgs/msg/Imu"](
                types["std_msgs/msg/Header"](seq=k, stamp=stamp, frame_id="imu"),
                types["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0),
                np.zeros(9),
                types["geometry_msgs/msg/Vector3"](0.1, 0.0, k / 3),
                np.zeros(9),
                types["geometry_msgs/msg/Vector3"](0.0, 0.1, 9.81),
                np.zeros(9),
            )
            data = store.serialize_ros1(message, "sensor_msgs/msg/Imu")
            bag.write(connection, 5 * SECOND + 5_000_000 * k + 1000, data)
    result = replayed(tmp_path / "flight.bag", flow_policy, comparing=False)
    assert result.channels[Channel.IMU].events == 100
    assert result.channels[Channel.IMU].latency_max == pytest.approx(1e-6)
    assert result.damage.lost == 0
    data = (tmp_path / "flight.bag").read_bytes()
    for size in range(0, len(data), 997):
        (tmp_path / "cut.bag").write_bytes(data[:size])
        try:
            cut = replayed(tmp_path / "cut.bag", flow_policy, comparing=False)
        except ReplayError:
            continue
        assert cut.events == 100 or cut.damage.notes


def test_dropping_and_delaying_a_channel(flow_policy: Policy, tmp_path: Path) -> None:
    record(tmp_path / "f.mcap", flow_policy, events())
    with Recording(tmp_path / "f.mcap") as recording:
        topics = find(recording.topics, Topics(), comparing=False)
        as_it_was = replay(recording, topics, flow_policy)
        silent = replay(recording, topics, flow_policy, cut=Cut(drop=frozenset({Channel.CAMERA})))
        late = replay(recording, topics, flow_policy, cut=Cut(delay={Channel.CAMERA: SECOND // 20}))
        part = replay(recording, topics, flow_policy, cut=Cut(start=0.25, duration=0.5))
    assert silent.channels[Channel.CAMERA].events == 0
    assert {f.mode for f in silent.failsafes} == {Mode.HOVER}
    assert late.channels[Channel.CAMERA].latency_p50 == pytest.approx(0.08)
    assert late.events == as_it_was.events
    assert (np.diff(late.times) >= 0).all()
    assert late.digest != as_it_was.digest
    assert part.duration == pytest.approx(0.5, abs=0.01)
    assert part.damage.lost == 0


def test_a_silence_is_a_failsafe_to_the_nanosecond(flow_policy: Policy, tmp_path: Path) -> None:
    flight = [e for e in events(3.0) if not 2 * SECOND < e.stamp < 3 * SECOND]
    record(tmp_path / "f.mcap", flow_policy, flight)
    result = replayed(tmp_path / "f.mcap", flow_policy, comparing=False)
    last = max(e.stamp for e in flight if e.channel is Channel.IMU and e.stamp <= 2 * SECOND)
    entered = [f for f in result.failsafes if f.reason == "imu: stale for more than 0.1 s"]
    assert [f.start for f in entered] == [last + SECOND // 10 + 1]


def ulog(samples: int) -> bytes:
    """A PX4 log of an IMU at 250 Hz (docs.px4.io, ULog file format)."""

    def message(kind: bytes, content: bytes) -> bytes:
        return struct.pack("<H", len(content)) + kind + content

    fields = b"uint64_t timestamp;float[3] gyro_rad;int32_t accelerometer_timestamp_relative;"
    fields += b"float[3] accelerometer_m_s2;"
    log = b"ULog\x01\x12\x35\x01" + struct.pack("<Q", 1_000_000)
    log += message(b"B", bytes(40)) + message(b"F", b"sensor_combined:" + fields)
    log += message(b"A", struct.pack("<BH", 0, 0) + b"sensor_combined")
    for k in range(samples):
        values = (1_000_000 + 4000 * k, 0.1, 0.2, 0.3, 0, 0.5, 1.0, -9.75)
        log += message(b"D", struct.pack("<HQ3fi3f", 0, *values))
    return log


def test_a_px4_log_is_turned_to_flu(flow_policy: Policy, tmp_path: Path) -> None:
    (tmp_path / "flight.ulg").write_bytes(ulog(500))
    seen: list[ImuSample] = []
    with Recording(tmp_path / "flight.ulg") as recording:
        topics = find(recording.topics, Topics(), comparing=False)
        result = replay(recording, topics, flow_policy, watch=lambda e, c, k: seen.append(e))
    assert result.events == 500
    assert result.channels[Channel.IMU].rate == pytest.approx(250)
    assert seen[0].stamp == SECOND
    np.testing.assert_allclose(seen[0].angular_velocity, (0.1, -0.2, -0.3), rtol=1e-6)
    np.testing.assert_array_equal(seen[0].specific_force, (0.5, -1.0, 9.75))
    (tmp_path / "flight.ulg").write_bytes(ulog(500)[:-3000])
    cut = replayed(tmp_path / "flight.ulg", flow_policy, comparing=False)
    assert 400 < cut.events < 500
    assert any("ends within a message" in note for note in cut.damage.notes)


@pytest.mark.parametrize("kind", "xFB")
def test_a_message_of_px4_that_is_no_longer_one_is_told(
    flow_policy: Policy, tmp_path: Path, kind: str
) -> None:
    data = bytearray(ulog(500))
    size = 3 + 2 + 8 + 12 + 4 + 12
    data[len(data) - 10 * size + 2] = ord(kind)
    (tmp_path / "flight.ulg").write_bytes(data)
    broken = replayed(tmp_path / "flight.ulg", flow_policy, comparing=False)
    assert broken.events == 499
    assert any("1 messages are of unknown kinds" in note for note in broken.damage.notes)


@pytest.mark.parametrize("place", [0.3, 0.6, 0.9])
def test_a_broken_px4_log_says_so_and_prints_nothing(
    flow_policy: Policy, tmp_path: Path, place: float, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bytearray(ulog(500))
    begin = int(len(data) * place)
    data[begin : begin + 300] = b"\xff" * 300
    (tmp_path / "flight.ulg").write_bytes(data)
    broken = replayed(tmp_path / "flight.ulg", flow_policy, comparing=False)
    assert broken.events < 500
    assert any("flight.ulg" in note for note in broken.damage.notes)
    assert capsys.readouterr() == ("", "")
