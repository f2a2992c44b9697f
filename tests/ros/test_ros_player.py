"""A bag played onto topics: all of it, in order, with its clock, and the commands aside."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ros.ros_support import Spinner

pytest.importorskip("rclpy")
pytest.importorskip("rosbags")

from geometry_msgs.msg import TwistStamped
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Imu

from liquid_nav.errors import ConfigError
from liquid_nav.events import SECOND
from liquid_nav.messages.decode import stamp_of
from liquid_nav.ros.player import PlayerNode

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
