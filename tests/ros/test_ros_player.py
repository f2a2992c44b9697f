"""A bag played onto topics: all of it, in order, with its clock, and the commands aside."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ros.ros_support import Spinner

pytest.importorskip("rclpy")
pytest.importorskip("rosbags")

from geometry_msgs.msg import TwistStamped
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Imu

from liquid_nav.bags.bag import Recording
from liquid_nav.bags.records import Damage
from liquid_nav.errors import ConfigError
from liquid_nav.events import SECOND
from liquid_nav.messages.decode import stamp_of
from liquid_nav.ros.player import PlayerNode
from replay.replay_support import raw, write_mcap, write_ros1

STORE = get_typestore(Stores.ROS2_JAZZY)
START = 5_000 * SECOND
PERIOD = SECOND // 200
COUNT = 40


@pytest.fixture
def ros() -> Iterator[Spinner]:
    with Spinner() as spinner:
        yield spinner


def message(kind: str, stamp: int, **fields: Any) -> bytes:
    types = STORE.types
    seconds, rest = divmod(stamp, SECOND)
    header = types["std_msgs/msg/Header"](
        types["builtin_interfaces/msg/Time"](seconds, rest), "base_link"
    )
    vector, quaternion = types["geometry_msgs/msg/Vector3"], types["geometry_msgs/msg/Quaternion"]
    if kind == "sensor_msgs/msg/Imu":
        nine = np.zeros(9)
        built = types[kind](
            header, quaternion(0, 0, 0, 1), nine, vector(fields["x"], 0, 0), nine,
            vector(0, 0, 9.81), nine,
        )  # fmt: skip
    elif kind == "geometry_msgs/msg/TwistStamped":
        twist = types["geometry_msgs/msg/Twist"](vector(1, 0, 0), vector(0, 0, 0))
        built = types[kind](header, twist)
    elif kind == "sensor_msgs/msg/CameraInfo":
        nine, region = np.zeros(9), types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
        built = types[kind](
            header, 480, fields["width"], "", np.zeros(0), nine, nine, np.zeros(12), 0, 0, region
        )
    else:
        built = types[kind](types["builtin_interfaces/msg/Time"](seconds, rest))
    return bytes(STORE.serialize_cdr(built, kind))


@pytest.fixture(params=["SQLITE3", "MCAP"])
def bag(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / "flight"
    plugin = StoragePlugin[request.param]
    with Writer(path, version=9, storage_plugin=plugin) as writer:
        topics = {
            "/imu": "sensor_msgs/msg/Imu",
            "/cmd_vel": "geometry_msgs/msg/TwistStamped",
            "/clock": "rosgraph_msgs/msg/Clock",
        }
        out = {
            topic: writer.add_connection(topic, kind, typestore=STORE)
            for topic, kind in topics.items()
        }
        strange = writer.add_connection(
            "/strange", "odd_msgs/msg/Odd", msgdef="int32 x\n", rihs01="RIHS01_" + 64 * "0"
        )
        for index in range(COUNT):
            stamp = START + index * PERIOD
            for topic, kind in topics.items():
                writer.write(out[topic], stamp, message(kind, stamp, x=float(index)))
        writer.write(strange, START, b"\x00\x01\x00\x00\x01\x00\x00\x00")
    return path


def play(ros: Spinner, **values: Any) -> PlayerNode:
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    player = Outlived(context=ros.context, parameter_overrides=overrides)
    ros.add(player)
    return player


class Outlived(PlayerNode):
    """The context, which other nodes of the test need, outlives the bag."""

    def _shut_down(self) -> None:
        pass


def test_everything_is_played_in_order_with_its_time(ros: Spinner, bag: Path) -> None:
    listener = ros.node("listener")
    samples: list[Imu] = []
    clocks: list[int] = []
    commands: list[TwistStamped] = []
    deep = QoSProfile(depth=1000)
    listener.create_subscription(Imu, "/imu", samples.append, deep)
    listener.create_subscription(Clock, "/clock", lambda m: clocks.append(stamp_of(m.clock)), deep)
    listener.create_subscription(TwistStamped, "/recorded/cmd_vel", commands.append, deep)
    astray: list[TwistStamped] = []
    listener.create_subscription(TwistStamped, "/cmd_vel", astray.append, deep)
    player = play(ros, bag=str(bag))
    ros.until(lambda: player.over, what="the end of the bag")
    ros.until(lambda: len(samples) == COUNT and len(commands) == COUNT, what="all messages")
    assert [sample.angular_velocity.x for sample in samples] == list(range(COUNT))
    assert [stamp_of(s.header.stamp) for s in samples] == [START + i * PERIOD for i in range(COUNT)]
    ticks = {START + i * PERIOD for i in range(COUNT)}
    ros.until(lambda: ticks <= set(clocks), what="the clock of every message")
    assert clocks == sorted(clocks)
    assert astray == []
    assert player.skipped == {"/strange": 1}
    assert player.sent == 2 * COUNT


def test_the_start_can_be_skipped(ros: Spinner, bag: Path) -> None:
    listener = ros.node("listener")
    samples: list[Imu] = []
    listener.create_subscription(Imu, "/imu", samples.append, QoSProfile(depth=1000))
    player = play(ros, bag=str(bag), start_offset=0.1)
    ros.until(lambda: player.over, what="the end of the bag")
    ros.until(lambda: len(samples) == COUNT // 2, what="the second half")
    assert samples[0].angular_velocity.x == COUNT // 2


def test_a_calibration_from_before_the_start_is_played_and_kept_for_late_readers(
    ros: Spinner, tmp_path: Path
) -> None:
    kind = "sensor_msgs/msg/Imu"
    entries = [
        ("/imu", kind, START + k * PERIOD, message(kind, START + k * PERIOD, x=float(k)))
        for k in range(COUNT)
    ]
    for when, width in ((START, 640), (START + 3 * PERIOD, 320)):
        said = message("sensor_msgs/msg/CameraInfo", when, width=width)
        entries.append(("/camera_info", "sensor_msgs/msg/CameraInfo", when, said))
    entries.sort(key=lambda entry: entry[2])
    write_mcap(tmp_path / "once.mcap", entries)
    listener = ros.node("listener")
    samples: list[Imu] = []
    listener.create_subscription(Imu, "/imu", samples.append, QoSProfile(depth=1000))
    player = play(ros, bag=str(tmp_path / "once.mcap"), start_offset=0.1)
    ros.until(lambda: player.over, what="the end of the bag")
    ros.until(lambda: len(samples) == COUNT // 2, what="the second half")
    infos: list[CameraInfo] = []
    latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    listener.create_subscription(CameraInfo, "/camera_info", infos.append, latched)
    ros.until(lambda: infos, what="the calibration")
    assert [info.width for info in infos] == [320]


def damaged(bag: Path, way: str) -> Path:
    """Break the bag in one of the ways that happen; return what is to be played."""
    file = next(path for path in bag.iterdir() if path.suffix in (".mcap", ".db3"))
    data = file.read_bytes()
    if way == "metadata":
        (bag / "metadata.yaml").unlink()
    elif way == "file":
        return file
    elif way == "cut":
        file.write_bytes(data[: len(data) * 3 // 4])
    elif way == "broken message":
        # In the middle of the bag, in a message of the IMU.
        at = data.index(message("sensor_msgs/msg/Imu", START + 20 * PERIOD, x=20.0)[:24])
        length = at + 12
        file.write_bytes(data[:length] + b"\xff\xff\xff\x7f" + data[length + 4 :])
    return bag


@pytest.mark.parametrize("way", ["metadata", "file", "cut", "broken message"])
def test_what_a_replay_reads_is_played(ros: Spinner, bag: Path, way: str) -> None:
    listener = ros.node("listener")
    samples: list[Imu] = []
    listener.create_subscription(Imu, "/imu", samples.append, QoSProfile(depth=1000))
    damage = Damage()
    path = damaged(bag, way)
    with Recording(path) as recording:
        expected = [m.content.angular_velocity.x for m in recording.messages({"/imu"}, damage)]
    assert len(expected) > COUNT // 4
    player = play(ros, bag=str(path))
    ros.until(lambda: player.over, what="the end of the bag")
    ros.until(lambda: len(samples) == len(expected), what="all messages")
    assert [sample.angular_velocity.x for sample in samples] == expected
    assert player.damage.lost >= damage.lost
    assert bool(player.damage.notes) == (way != "file")


def test_a_ros1_bag_is_played_in_the_form_of_ros2(ros: Spinner, bag: Path, tmp_path: Path) -> None:
    path = tmp_path / "flight.bag"
    entries = [entry for entry in raw(bag) if entry[0] in ("/imu", "/cmd_vel")]
    write_ros1(path, entries)
    listener = ros.node("listener")
    samples: list[Imu] = []
    listener.create_subscription(Imu, "/imu", samples.append, QoSProfile(depth=1000))
    player = play(ros, bag=str(path))
    ros.until(lambda: player.over, what="the end of the bag")
    ros.until(lambda: len(samples) == COUNT, what="all messages")
    assert [sample.angular_velocity.x for sample in samples] == list(range(COUNT))
    assert [stamp_of(s.header.stamp) for s in samples] == [START + i * PERIOD for i in range(COUNT)]


def test_what_ros2_has_no_name_for_is_skipped(ros: Spinner, tmp_path: Path) -> None:
    kind = "sensor_msgs/msg/Imu"
    entries = [
        ("/imu", kind, START, message(kind, START, x=1.0)),
        ("/imu raw#1", kind, START, message(kind, START, x=2.0)),
        ("imu.left", kind, START, message(kind, START, x=3.0)),
    ]
    write_mcap(tmp_path / "odd.mcap", entries)
    player = play(ros, bag=str(tmp_path / "odd.mcap"), wait_for_reader=False)
    ros.until(lambda: player.over, what="the end of the bag")
    assert player.skipped == {"/imu raw#1": 1, "imu.left": 1}
    assert player.sent == 1


def test_a_clock_that_leaps_does_not_hold_the_player_up(ros: Spinner, tmp_path: Path) -> None:
    listener = ros.node("listener")
    samples: list[Imu] = []
    listener.create_subscription(Imu, "/imu", samples.append, QoSProfile(depth=1000))
    times = [START + index * PERIOD for index in range(COUNT)]
    times[10:] = [time + 10**18 for time in times[10:]]
    times[20:] = [time - 2 * 10**18 // 3 for time in times[20:]]
    kind = "sensor_msgs/msg/Imu"
    entries = [("/imu", kind, t, message(kind, t, x=float(k))) for k, t in enumerate(times)]
    write_mcap(tmp_path / "leaps.mcap", entries)
    player = play(ros, bag=str(tmp_path / "leaps.mcap"))
    ros.until(lambda: player.over, what="the end of the bag")
    ros.until(lambda: len(samples) == COUNT, what="all messages")
    assert [sample.angular_velocity.x for sample in samples] == list(range(COUNT))


def test_a_recording_that_goes_away_ends_the_bag(ros: Spinner, bag: Path) -> None:
    listener = ros.node("listener")
    samples: list[Imu] = []
    listener.create_subscription(Imu, "/imu", samples.append, QoSProfile(depth=1000))
    player = play(ros, bag=str(bag))

    def fails() -> Any:
        yield from islice(messages, 10)
        raise OSError("the disk is gone")

    messages, player._messages = player._messages, fails()
    ros.until(lambda: player.over, what="the end of the bag")
    assert player.sent == 11


def test_nothing_is_played_to_nobody(ros: Spinner, bag: Path) -> None:
    player = play(ros, bag=str(bag))
    ticks: list[None] = []
    listener = ros.node("listener")
    listener.create_timer(0.05, lambda: ticks.append(None))
    ros.until(lambda: len(ticks) > 20, what="time to pass")
    assert player.sent == 0
    assert not player.over


def test_nothing_is_played_while_another_clock_is_there(ros: Spinner, bag: Path) -> None:
    listener = ros.node("listener")
    samples: list[Imu] = []
    listener.create_subscription(Imu, "/imu", samples.append, QoSProfile(depth=1000))
    other = ros.node("simulator")
    other.create_publisher(Clock, "/clock", 1)
    player = play(ros, bag=str(bag))
    ros.until(lambda: "/simulator publishes /clock, too" in player._obstacle, what="the reason")
    assert player.sent == 0
    ros.executor.remove_node(other)
    other.destroy_node()
    ros.until(lambda: player.over, what="the end of the bag")


@pytest.mark.parametrize("bag_name", ["", "/nowhere/at/all"])
def test_a_bag_that_cannot_be_read_is_one_error(ros: Spinner, bag_name: str) -> None:
    with pytest.raises(ConfigError, match=r"bag|/nowhere"):
        play(ros, bag=bag_name)
