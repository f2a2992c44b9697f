"""A controller node and the rest of a vehicle around it, for tests over real DDS."""

import itertools
import os
import subprocess
import sys
import time
from array import array
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ros.ros_support import Spinner

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TwistStamped
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, Imu
from std_srvs.srv import SetBool

from liquid_nav.events import SECOND, Channel
from liquid_nav.messages.decode import stamp_of
from liquid_nav.onboard import Manifest
from liquid_nav.policy import save_bundle
from liquid_nav.ros.controller.node import ControllerNode
from support import small_network

OK = TransitionCallbackReturn.SUCCESS
LOUD = QoSProfile(depth=20, reliability=ReliabilityPolicy.RELIABLE)
PARAMETERS = Path(__file__).parents[2] / "config" / "liquid_nav.yaml"
PICTURE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def save_small_bundle(folder: Path) -> Path:
    """Bundle of an untrained policy in a new folder `small`."""
    config, network = small_network()
    save_bundle(folder / "small", network, Manifest("test", config, {}, {}))
    return folder / "small"


def overrides(**values: Any) -> list[Parameter]:
    return [Parameter(name.replace("__", "."), value=value) for name, value in values.items()]


class Vehicle:
    """A controller node and the rest of a vehicle: sensors, and readers of what it publishes."""

    def __init__(self, ros: Spinner, bundle: Path, namespace: str = "drone", **parameters: Any):
        # Generous limits, so that a busy machine does not trip a failsafe that a test is not about.
        parameters = {
            "model": str(bundle),
            "use_camera_info": False,
            "staleness__camera__hover": 5.0,
            "staleness__camera__land": 9.0,
            "staleness__imu__hover": 5.0,
            "staleness__imu__land": 9.0,
            "recovery": 0.0,
            "black_box__seconds": 0.0,
            # No measurement is lost, however busy the machine is.
            "sensor_reliability": "reliable",
        } | parameters
        self.ros = ros
        self.node = ControllerNode(
            context=ros.context, namespace=namespace, parameter_overrides=overrides(**parameters)
        )
        ros.add(self.node)
        self.world = ros.node("world", namespace=namespace)
        self.commands: list[TwistStamped] = []
        self.diagnostics: dict[str, Any] = {}
        self.image = self.world.create_publisher(Image, "camera/image_raw", LOUD)
        self.imu = self.world.create_publisher(Imu, "imu", LOUD)
        self.command_reader = self.world.create_subscription(
            TwistStamped, "cmd_vel", self.commands.append, 50
        )
        self.reports = self.world.create_subscription(
            DiagnosticArray, "/diagnostics", self._on_report, 50
        )

        self.sensing = False
        # No two measurements are alike, or they would count as frozen.
        self._count = itertools.count()
        self.world.create_timer(0.02, lambda: self.sense() if self.sensing else None)

    def _on_report(self, array: DiagnosticArray) -> None:
        prefix = f"{self.node.get_fully_qualified_name()}: "
        for status in array.status:
            if status.name.startswith(prefix):
                self.diagnostics[status.name.removeprefix(prefix)] = status

    def fly(self) -> "Vehicle":
        assert self.node.trigger_configure() == OK
        assert self.node.trigger_activate() == OK
        self.ros.until_matched(self.image, self.imu, self.command_reader, self.reports)
        return self

    def nominal(self) -> "Vehicle":
        """Publish sensors until the diagnostics report nominal mode and the last message is in."""
        self.diagnostics.clear()
        self.sensing = True
        self.until(lambda: self.last("mode") == "nominal", "nominal mode")
        self.sensing = False
        image, imu = self.picture(), self.sample()
        self.image.publish(image)
        self.imu.publish(imu)
        for channel, message in ((Channel.CAMERA, image), (Channel.IMU, imu)):
            stamp = stamp_of(message.header.stamp)
            health = self.controller.health.channels[channel]
            self.until(lambda h=health, s=stamp: h.stamp >= s, f"the last on {channel.value}")
        return self

    def until(self, predicate: Any, what: str) -> None:
        self.ros.until(predicate, what=what)

    def until_reported(self, name: str, words: str) -> Any:
        """Wait for diagnostics of `name` that contain `words`."""
        self.until(lambda: words in self.words(name), f"{words!r} in diagnostics of {name}")
        return self.diagnostics[name]

    def words(self, name: str) -> str:
        if name not in self.diagnostics:
            return ""
        status = self.diagnostics[name]
        return " ".join([status.message, *(f"{v.key}={v.value}" for v in status.values)])

    def last(self, key: str) -> str:
        controller = self.diagnostics.get("controller")
        values = {} if controller is None else {v.key: v.value for v in controller.values}
        return values.get(key, "")

    def stamp(self, message: Any, offset: float = 0.0) -> Any:
        now = self.node.get_clock().now().nanoseconds + round(offset * SECOND)
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(now, SECOND)
        return message

    def picture(self, offset: float = 0.0, **changes: Any) -> Image:
        message = Image(encoding="rgb8", width=64, height=48, step=192)
        message.data = array("B", np.roll(PICTURE, next(self._count)).tobytes())
        for name, value in changes.items():
            setattr(message, name, value)
        return self.stamp(message, offset)

    def sample(self, offset: float = 0.0, force: float = 9.81, rate: float = 0.1) -> Imu:
        message, noise = Imu(), next(self._count) * 1e-6
        turned, felt = message.angular_velocity, message.linear_acceleration
        turned.x, turned.y, turned.z = rate + noise, noise, noise
        if force:  # Without any, the accelerometer is not there.
            felt.x, felt.y, felt.z = noise, noise, force + noise
        return self.stamp(message, offset)

    def sense(self) -> None:
        self.image.publish(self.picture())
        self.imu.publish(self.sample())

    @property
    def controller(self) -> Any:
        return self.node._flight.controller

    @property
    def monitor(self) -> Any:
        return self.node._flight.monitor

    def received(self, channel: Channel) -> int:
        return self.monitor.counts[channel].received

    def tell(self, publisher: Any, message: Any, channel: Channel) -> None:
        """Publish a message and wait until the node has received it."""
        count = self.received(channel)
        publisher.publish(message)
        self.until(lambda: self.received(channel) > count, f"the message on {channel.value}")

    def stop(self, engaged: bool) -> None:
        client = self.world.create_client(SetBool, "liquid_nav_node/stop")
        self.ros.until_matched(client)
        future = client.call_async(SetBool.Request(data=engaged))
        self.until(future.done, "the stop service")
        assert future.result().success


class SimulatedTime:
    """Publishes ``/clock`` for a vehicle: time that can be set, and that runs on unless stopped."""

    def __init__(self, vehicle: Vehicle):
        self.vehicle, self._now, self.runs = vehicle, 0, True
        self.publisher = vehicle.world.create_publisher(Clock, "/clock", 10)
        vehicle.ros.until_matched(self.publisher)
        vehicle.world.create_timer(0.02, self._run)

    def _run(self) -> None:
        if self.runs:
            self._now += SECOND // 50
        if self._now:
            message = Clock()
            message.clock.sec, message.clock.nanosec = divmod(self._now, SECOND)
            self.publisher.publish(message)

    @property
    def now(self) -> float:
        """The time, s."""
        return self._now / SECOND

    @staticmethod
    def stamp(message: Any) -> float:
        """Stamp of a message, s."""
        return stamp_of(message.header.stamp) / SECOND

    def back(self, seconds: float) -> None:
        """Set the time back at the next message."""
        self._now -= round(seconds * SECOND)

    def set(self, seconds: float) -> None:
        """Set the time, and wait until the node knows it."""
        self._now = before = round(seconds * SECOND)
        read = self.vehicle.node.get_clock().now
        self.vehicle.until(lambda: 0 <= read().nanoseconds - before < SECOND // 2, "the clock")


def vector(message: TwistStamped) -> tuple[float, ...]:
    linear, angular = message.twist.linear, message.twist.angular
    return (linear.x, linear.y, linear.z, angular.z)


def is_rest(message: TwistStamped) -> bool:
    return vector(message) == (0, 0, 0, 0)


class Process:
    """One of the project's nodes in a process of its own; ``with`` ends it whatever happens.

    Options are those of `subprocess.Popen`.
    """

    def __init__(self, name: str, *arguments: str, **options: Any):
        self.popen = subprocess.Popen(
            [
                sys.executable,
                "-c",
                f"from liquid_nav.ros.executables import {name}; {name}()",
                "--ros-args",
                # A test that fails must not leave a file in the home directory.
                *(("-p", "black_box.seconds:=0.0") if name == "controller" else ()),
                *arguments,
            ],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            **options,
        )

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.popen.kill()
        with self.popen:  # Waits for its end, and closes its pipes.
            pass

    def end(self, ros: Spinner, number: int) -> int:
        """Send a signal and wait for the exit status."""
        self.popen.send_signal(number)
        ros.until(lambda: self.popen.poll() is not None, 60, "the end of the process")
        return int(self.popen.returncode)


def bring_up(ros: Spinner, world: Any, node: str = "liquid_nav_node") -> None:
    """Configure and activate a node of another process by its lifecycle services.

    A response is lost when the server has not yet discovered the client's reader, although the
    client has discovered the server; and a node that was killed is discovered until its lease
    ends, so that a request may go to it alone. So the state is requested again until it is active,
    for a minute at most: how many requests that takes depends on how soon the process starts.
    """
    asked = world.create_client(GetState, f"{node}/get_state")
    change = world.create_client(ChangeState, f"{node}/change_state")
    ros.until(lambda: asked.service_is_ready() and change.service_is_ready(), 60, node)
    wanted = {
        State.PRIMARY_STATE_UNCONFIGURED: Transition.TRANSITION_CONFIGURE,
        State.PRIMARY_STATE_INACTIVE: Transition.TRANSITION_ACTIVATE,
    }
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        state = _answer(ros, asked, GetState.Request())
        if state is not None and state.current_state.id == State.PRIMARY_STATE_ACTIVE:
            return
        if state is not None and state.current_state.id in wanted:
            transition = Transition(id=wanted[state.current_state.id])
            _answer(ros, change, ChangeState.Request(transition=transition))
    pytest.fail(f"{node} could not be brought up")


def _answer(ros: Spinner, client: Any, request: Any) -> Any:
    """Response of a service, or None if none arrives within a second."""
    future = client.call_async(request)
    last = time.monotonic() + 1
    ros.until(lambda: future.done() or time.monotonic() > last, 60, "a response or the last try")
    return future.result() if future.done() else None
