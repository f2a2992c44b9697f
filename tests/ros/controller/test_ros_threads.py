"""The two threads of a controller: neither starves or blocks the other, whatever it does."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ros.node_support import Vehicle, is_rest, save_small_bundle
from ros.ros_support import Spinner

pytest.importorskip("rclpy")

from nav_msgs.msg import Odometry
from std_srvs.srv import SetBool

from liquid_nav.events import Channel
from liquid_nav.ros.backends.messages import message_class
from liquid_nav.ros.controller.lock import FairLock
from liquid_nav.ros.heartbeat import TYPE as HEARTBEAT_TYPE


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_bundle(tmp_path_factory.mktemp("models"))


@pytest.fixture
def ros() -> Iterator[Spinner]:
    with Spinner() as spinner:
        yield spinner


def test_a_thread_that_waits_for_the_lock_comes_before_one_that_just_had_it() -> None:
    lock, ended, held = FairLock(), threading.Event(), [0]

    def hold_nearly_always() -> None:
        while not ended.is_set():
            with lock:
                held[0] += 1
                time.sleep(0.002)

    other = threading.Thread(target=hold_nearly_always)
    other.start()
    try:
        for _ in range(20):
            before = held[0]
            with lock:
                assert held[0] - before <= 2
    finally:
        ended.set()
        other.join()


def test_a_lock_that_is_held_is_not_waited_for_any_longer_than_asked() -> None:
    lock = FairLock()
    with lock, lock.within(0.01) as held:
        assert not held
    with lock.within(0.01) as held:
        assert held


class Hanging:
    """A policy runtime that hangs at an event until it is released."""

    def __init__(self, runtime: Any):
        self.runtime, self.released = runtime, threading.Event()

    def on_event(self, *arguments: Any) -> Any:
        self.released.wait()
        return self.runtime.on_event(*arguments)

    def query(self, *arguments: Any) -> Any:
        return self.runtime.query(*arguments)


def test_a_policy_that_hangs_ends_the_heartbeat_and_the_stop_waits_for_it(
    ros: Spinner, bundle: Path
) -> None:
    vehicle = Vehicle(ros, bundle).fly().nominal()
    beats: list[float] = []
    vehicle.world.create_subscription(
        message_class(HEARTBEAT_TYPE),
        "liquid_nav_node/heartbeat",
        lambda _: beats.append(time.monotonic()),
        10,
    )
    vehicle.until(lambda: beats, "a heartbeat")
    policy = vehicle.node._flight.policy
    policy.runtime = hanging = Hanging(policy.runtime)
    try:
        vehicle.imu.publish(vehicle.sample())
        vehicle.until(lambda: time.monotonic() - beats[-1] > 1.0, "the end of the heartbeat")
        client = vehicle.world.create_client(SetBool, "liquid_nav_node/stop")
        ros.until_matched(client)
        future = client.call_async(SetBool.Request(data=True))
        vehicle.until(future.done, "an answer")
        assert not future.result().success
        assert "hangs" in future.result().message
        vehicle.until_reported("controller", "hangs")
    finally:
        hanging.released.set()
    count = len(beats)
    vehicle.until(lambda: len(beats) > count, "the heartbeat")
    vehicle.tell(vehicle.imu, vehicle.sample(), Channel.IMU)
    vehicle.until_reported("controller", "stop: operator stop")
    assert is_rest(vehicle.commands[-1])


class Raising:
    """A policy runtime that has come to raise at every event."""

    def __init__(self, runtime: Any):
        self.query = runtime.query

    def on_event(self, *_: Any) -> Any:
        raise RuntimeError("out of order")


def test_inference_that_always_fails_is_not_fresh(ros: Spinner, bundle: Path) -> None:
    vehicle = Vehicle(ros, bundle, staleness__imu__hover=0.5, staleness__camera__hover=0.5).fly()
    vehicle.sensing = True
    vehicle.until(lambda: vehicle.last("fresh") == "true", "fresh inference")
    policy = vehicle.node._flight.policy
    policy.runtime = Raising(policy.runtime)
    vehicle.until_reported("controller", "fresh=false")
    vehicle.until_reported("controller", "out of order")
    vehicle.commands.clear()
    vehicle.until(lambda: len(vehicle.commands) > 10, "commands")
    assert all(map(is_rest, vehicle.commands))


def test_odometry_alone_causes_no_command_and_a_measurement_of_the_policy_does(
    ros: Spinner, bundle: Path
) -> None:
    vehicle = Vehicle(ros, bundle).fly().nominal()
    odometry = vehicle.world.create_publisher(Odometry, "odometry", 10)
    ros.until_matched(odometry)
    answers, message = vehicle.monitor.latencies, Odometry()
    message.pose.pose.orientation.w = 1.0

    def move() -> None:
        message.pose.pose.position.x += 0.1
        vehicle.tell(odometry, vehicle.stamp(message), Channel.ODOMETRY)

    move()  # It comes in a turn of the receiver after that whose measurements are answered last.
    before = len(answers)
    for _ in range(3):
        move()
    assert len(answers) == before
    vehicle.imu.publish(vehicle.sample())
    vehicle.until(lambda: len(answers) > before, "a command that answers the IMU")


def test_heartbeats_come_with_the_answers_when_their_timer_does_not(
    ros: Spinner, bundle: Path
) -> None:
    vehicle = Vehicle(ros, bundle).fly().nominal()
    heartbeats: list[Any] = []
    reader = vehicle.world.create_subscription(
        message_class(HEARTBEAT_TYPE), "liquid_nav_node/heartbeat", heartbeats.append, 10
    )
    ros.until_matched(reader)
    vehicle.node._flight_timers[1].cancel()
    vehicle.sensing = True
    heartbeats.clear()
    vehicle.until(lambda: len(heartbeats) >= 5, "heartbeats")
