"""What a vehicle is commanded when the process that commands it changes: Crazyflie, over DDS.

Controller and supervisor are processes of their own. A Crazyflie is commanded by its height, which
shows a process that does not know where the vehicle is.
"""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ros.crazyflie_support import TOPIC, install_messages
from ros.node_support import Process, bring_up, save_small_bundle
from ros.ros_support import Spinner

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from sensor_msgs.msg import Imu
from std_srvs.srv import SetBool

from liquid_nav.events import SECOND
from liquid_nav.messages.decode import stamp_of

BACKEND = ("-p", "backend:=crazyswarm2")
WITHOUT_ODOMETRY = ("-p", "topics.odometry:=''")


@pytest.fixture
def ros() -> Iterator[Spinner]:
    with Spinner() as spinner:
        yield spinner


class Crazyflie:
    """The vehicle: it publishes odometry, and keeps the setpoints that it receives."""

    def __init__(self, ros: Spinner, folder: Path, height: float):
        self.ros, self.height = ros, height
        self.bundle = save_small_bundle(folder)
        self.world = ros.node("world")
        self.setpoints: list[TwistStamped] = []
        self.words: dict[str, str] = {}
        self.values: dict[str, dict[str, str]] = {}
        self.reader = self.world.create_subscription(
            TwistStamped, TOPIC, self.setpoints.append, 100
        )
        self.odometry = self.world.create_publisher(Odometry, "odometry", 1)
        self.imu = self.world.create_publisher(Imu, "imu", 1)
        self.sensing = False
        self.world.create_timer(0.02, self._sense)
        self.world.create_subscription(DiagnosticArray, "/diagnostics", self._on_report, 50)

    def _on_report(self, array: DiagnosticArray) -> None:
        for status in array.status:
            self.words[status.name] = status.message
            self.values[status.name] = {pair.key: pair.value for pair in status.values}

    def _sense(self) -> None:
        now = time.time_ns()
        here = Odometry()
        here.header.stamp.sec, here.header.stamp.nanosec = divmod(now, SECOND)
        here.pose.pose.orientation.w, here.pose.pose.position.z = 1.0, self.height
        self.odometry.publish(here)
        if self.sensing:
            sample = Imu()
            sample.header.stamp = here.header.stamp
            sample.linear_acceleration.z, sample.angular_velocity.x = 9.81, now % SECOND * 1e-12
            self.imu.publish(sample)

    def value(self, key: str, name: str = "controller") -> str:
        """A value of the controller's diagnostics."""
        return self.values.get(f"/liquid_nav_node: {name}", {}).get(key, "")

    @contextmanager
    def controller(self, *arguments: str) -> Iterator[Process]:
        """An active controller."""
        with Process(
            "controller", *BACKEND, "-p", f"model:={self.bundle}", *arguments
        ) as controller:
            bring_up(self.ros, self.world)
            yield controller

    def said(self, words: str, name: str = "/liquid_nav_supervisor: controller") -> None:
        self.ros.until(lambda: words in self.words.get(name, ""), what=f"{words!r} of {name}")

    def heights_after(self, stamp: int) -> list[float]:
        return [m.twist.linear.z for m in self.setpoints if stamp_of(m.header.stamp) > stamp]

    def kill(self, controller: Process) -> int:
        """Kill the controller when its supervisor knows it, and return when."""
        self.said("alive")
        controller.popen.send_signal(signal.SIGKILL)
        controller.popen.wait()
        return time.time_ns()

    def taken_over(self, controller: Process) -> list[float]:
        """Kill the controller, and return the setpoints of its supervisor."""
        killed = self.kill(controller)
        self.ros.until(lambda: len(self.heights_after(killed)) > 5, what="the supervisor")
        return self.heights_after(killed)


@pytest.fixture
def vehicle(ros: Spinner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Crazyflie:
    install_messages(tmp_path / "site", monkeypatch)
    return Crazyflie(ros, tmp_path, height=1.8)


def test_a_supervisor_keeps_the_height_of_the_controller_that_died(vehicle: Crazyflie) -> None:
    with Process("supervisor", *BACKEND), vehicle.controller() as controller:
        vehicle.ros.until(lambda: len(vehicle.setpoints) > 5, what="the controller")
        assert set(vehicle.heights_after(0)) == {1.8}
        assert vehicle.taken_over(controller) == pytest.approx([1.8] * 6, abs=1e-6)


def test_a_landing_goes_on_when_the_controller_dies(vehicle: Crazyflie) -> None:
    soon = ("-p", "staleness.imu.land:=0.3")
    with Process("supervisor", *BACKEND), vehicle.controller(*soon) as controller:
        vehicle.sensing = True
        vehicle.ros.until(lambda: vehicle.value("accepted", "imu") not in ("", "0"), what="the IMU")
        vehicle.sensing = False
        vehicle.ros.until(
            lambda: vehicle.setpoints and 0.05 < vehicle.setpoints[-1].twist.linear.z < 1.0,
            what="a landing",
        )
        killed = vehicle.kill(controller)
        vehicle.said("its landing goes on")
        vehicle.ros.until(lambda: 0.0 in vehicle.heights_after(killed), what="the ground")
    heights = vehicle.heights_after(killed)
    assert heights == sorted(heights, reverse=True)


def test_an_operators_stop_outlives_the_controller_and_reaches_the_next_one(
    vehicle: Crazyflie,
) -> None:
    with Process("supervisor", *BACKEND):
        with vehicle.controller() as controller:
            client = vehicle.world.create_client(SetBool, "liquid_nav_node/stop")
            vehicle.ros.until_matched(client)
            future = client.call_async(SetBool.Request(data=True))
            vehicle.ros.until(future.done, what="the stop")
            vehicle.ros.until(lambda: vehicle.value("mode") == "stop", what="the stop")
            vehicle.kill(controller)
        vehicle.said("the operator's stop stays")
        vehicle.values.clear()
        with vehicle.controller():
            vehicle.ros.until(lambda: vehicle.value("mode") == "stop", what="the stop")
            assert vehicle.value("operator_stop") == "true"


def test_a_controller_that_is_started_again_keeps_the_height_of_the_supervisor(
    vehicle: Crazyflie,
) -> None:
    with Process("supervisor", *BACKEND):
        with vehicle.controller() as controller:
            heights = vehicle.taken_over(controller)
        assert heights[-1] == pytest.approx(1.8)
        again = time.time_ns()
        with vehicle.controller(*WITHOUT_ODOMETRY):
            vehicle.said("alive")
            vehicle.ros.until(lambda: len(vehicle.heights_after(again)) > 40, what="commands")
            assert vehicle.setpoints[-1].twist.linear.z == pytest.approx(1.8)


@pytest.mark.parametrize("height", [1.7, 0.3])
def test_a_controller_begins_at_the_height_of_the_odometry_at_every_start(
    vehicle: Crazyflie, height: float
) -> None:
    vehicle.height = height
    for _ in range(2):
        vehicle.setpoints.clear()
        with vehicle.controller("-p", "autostart:=true"):
            vehicle.ros.until(lambda: len(vehicle.setpoints) > 5, what="the controller")
        assert set(vehicle.heights_after(0)) == {height}
