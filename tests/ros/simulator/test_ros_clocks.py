"""Several simulated vehicles in one domain: each has a clock of its own, or the later one waits."""

import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from ros.node_support import Process
from ros.ros_support import Spinner

pytest.importorskip("rclpy")

from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock

from liquid_nav.messages.decode import stamp_of

FREE = ("-p", "wait_for_controller:=false", "-p", "sensors:=[imu]")


@pytest.fixture
def ros() -> Iterator[Spinner]:
    with Spinner() as spinner:
        yield spinner


class Clocks:
    """Keeps the times of every clock."""

    def __init__(self, ros: Spinner, *topics: str):
        self.times: dict[str, list[int]] = defaultdict(list)
        node = ros.node("listener")
        for topic in topics:
            node.create_subscription(Clock, topic, self._keep(topic), QoSProfile(depth=1000))

    def _keep(self, topic: str):
        return lambda message: self.times[topic].append(stamp_of(message.clock))

    def fly(self, topic: str, since: int = 0) -> bool:
        """Whether a flight is under way, for a second since."""
        return bool(self.times[topic]) and self.times[topic][-1] > since + 10**9


def simulator(namespace: str, *arguments: str, **options) -> Process:
    return Process("simulator", "-r", f"__ns:=/{namespace}", *FREE, *arguments, **options)


def test_each_simulator_flies_by_a_clock_of_its_own(ros: Spinner) -> None:
    clocks = Clocks(ros, "/one/clock", "/two/clock")
    with (
        simulator("one", "-r", "/clock:=/one/clock"),
        simulator("two", "-r", "/clock:=/two/clock"),
    ):
        ros.until(lambda: clocks.fly("/one/clock") and clocks.fly("/two/clock"), what="two flights")
    for times in clocks.times.values():
        assert times == sorted(times)


def test_a_second_simulator_on_one_clock_says_whose_it_is_and_disturbs_nothing(
    ros: Spinner, tmp_path: Path
) -> None:
    clocks, log = Clocks(ros, "/clock"), tmp_path / "log"
    with simulator("one"):
        # A simulator that is older than a few seconds knows that it was there first.
        ros.until(lambda: clocks.fly("/clock", 3 * 10**9), what="four seconds of the first flight")
        with log.open("w") as sink, simulator("two", stderr=sink):
            reason = "no flight begins: /one/liquid_nav_sim_node publishes /clock, too"
            ros.until(lambda: reason in log.read_text(), what="the reason")
            clocks.times.clear()
            ros.until(lambda: clocks.fly("/clock"), what="the first flight")
            now = clocks.times["/clock"][-1]
            ros.until(lambda: clocks.fly("/clock", now), what="the first flight to go on")
    assert clocks.times["/clock"] == sorted(clocks.times["/clock"])


def test_a_flight_says_when_another_clock_appears(ros: Spinner) -> None:
    clocks = Clocks(ros, "/clock")
    with simulator("one", stderr=subprocess.PIPE) as first:
        ros.until(lambda: clocks.fly("/clock"), what="the flight")
        ros.node("stranger").create_publisher(Clock, "/clock", 1)
        assert first.popen.stderr is not None
        lines = iter(first.popen.stderr.readline, b"")
        assert any(b"the time may leap to and fro: /stranger publishes /clock" in x for x in lines)
