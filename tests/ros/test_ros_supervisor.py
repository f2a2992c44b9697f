"""The supervisor in its own process, and what it does when the controller's dies."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ros.ros_support import Spinner

pytest.importorskip("rclpy")

from geometry_msgs.msg import TwistStamped
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.parameter import Parameter

from liquid_nav.policy import Manifest, save_bundle
from liquid_nav.ros.supervisor import SupervisorNode, heartbeat
from support import small_network

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def ros() -> Iterator[Spinner]:
    with Spinner() as spinner:
        yield spinner


@pytest.fixture
def start(ros: Spinner) -> Iterator[Start]:
    """Start a node of ours in a process; whatever happens, it is ended."""
    processes: list[subprocess.Popen[bytes]] = []

    def run(module: str, **parameters: object) -> "subprocess.Popen[bytes]":
        code = f"from liquid_nav.ros.{module} import main; main()"
        options = [f"-p{name}:={value}" for name, value in parameters.items()]
        arguments = [part for option in options for part in ("-p", option[2:])]
        process = subprocess.Popen(
            [sys.executable, "-c", code, "--ros-args", *arguments],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.wait()


def is_rest(message: TwistStamped) -> bool:
    twist = message.twist
    return not any((twist.linear.x, twist.linear.y, twist.linear.z, twist.angular.z))


def end(ros: Spinner, process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    process.send_signal(number)
    ros.until(lambda: process.poll() is not None, what="the end of the process")
    assert process.returncode == 0


def test_a_killed_controller_is_followed_by_a_zero_command(
    ros: Spinner, start: Start, tmp_path: Path
) -> None:
    config, network = small_network()
    save_bundle(tmp_path / "small", network, Manifest("test", config, {}, {}))
    world = ros.node("world")
    heard: list[tuple[float, TwistStamped]] = []
    ear = world.create_subscription(
        TwistStamped, "cmd_vel", lambda m: heard.append((time.monotonic(), m)), 50
    )
    controller = start("node", model=tmp_path / "small")
    supervisor = start("supervisor")
    client = world.create_client(ChangeState, "liquid_nav_node/change_state")
    ros.until(client.service_is_ready, 60, "the controller's process")
    for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
        future = client.call_async(ChangeState.Request(transition=Transition(id=transition)))
        ros.until(future.done, 60, "the transition")
        assert future.result().success
    topic = "liquid_nav_node/heartbeat"
    beats: list[State] = []
    pulse = world.create_subscription(State, topic, beats.append, 1)
    ros.until_matched(pulse)
    ros.until(lambda: world.count_subscribers(topic) == 2, 60, "the supervisor")
    ros.until(lambda: world.count_publishers("cmd_vel") == 2, 60, "both speakers")
    ros.until(lambda: ear.handle.get_publisher_count() == 2, 60, "a match with both")
    beats.clear()
    ros.until(lambda: len(beats) > 5, what="heartbeats that the supervisor hears too")
    controller.send_signal(signal.SIGKILL)
    controller.wait()
    killed = time.monotonic()
    # What the controller said before its end is read here, and does not count.
    heard.clear()
    ros.until(lambda: any(at > killed + 0.1 for at, _ in heard), what="the zero command")
    silence = next(at for at, _ in heard if at > killed + 0.1) - killed
    assert silence < 0.5
    assert all(is_rest(message) for _, message in heard)
    end(ros, supervisor, signal.SIGTERM)


class Guard:
    """A supervisor, and a controller's heart made by hand."""

    def __init__(self, ros: Spinner, **parameters: Any):
        self.ros, self.commands = ros, []
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        node = SupervisorNode(context=ros.context, parameter_overrides=overrides)
        ros.add(node)
        world = ros.node("world")
        self.heart = world.create_publisher(State, "liquid_nav_node/heartbeat", 1)
        self.ear = world.create_subscription(TwistStamped, "cmd_vel", self.commands.append, 50)
        self.ticks, self.beating = 0, False
        world.create_timer(0.05, self._tick)
        ros.until_matched(self.heart, self.ear)

    def _tick(self) -> None:
        self.ticks += 1
        if self.beating:
            self.heart.publish(heartbeat(True))

    def silent(self) -> bool:
        """Whether nothing comes for well over the timeout."""
        self.commands.clear()
        start = self.ticks
        self.ros.until(lambda: self.ticks > start + 15, what="time to pass")
        return not self.commands


def test_no_life_no_death(ros: Spinner) -> None:
    assert Guard(ros).silent()


def test_an_orderly_leave_is_no_death(ros: Spinner) -> None:
    guard = Guard(ros)
    guard.heart.publish(heartbeat(True))
    ros.until(lambda: guard.commands, what="the zero command")
    guard.heart.publish(heartbeat(False))
    ros.until(guard.silent, what="silence")


def test_the_command_goes_back_with_the_heartbeat(ros: Spinner) -> None:
    guard = Guard(ros)
    guard.heart.publish(heartbeat(True))
    ros.until(lambda: len(guard.commands) > 2, what="zero commands")
    assert all(map(is_rest, guard.commands))
    guard.beating = True
    ros.until(guard.silent, what="silence")
    guard.beating = False
    ros.until(lambda: guard.commands, what="the second zero command")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it(ros: Spinner, start: Start, number: signal.Signals) -> None:
    world = ros.node("world")
    process = start("supervisor")
    topic = "liquid_nav_node/heartbeat"
    ros.until(lambda: world.count_subscribers(topic) == 1, 60, "the supervisor")
    end(ros, process, number)


def test_a_back_end_that_cannot_be_made_is_one_line(start: Start) -> None:
    assert start("supervisor", backend="px4").wait(60) == 1
