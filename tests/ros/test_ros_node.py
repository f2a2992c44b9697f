"""The controller node over real DDS: lifecycle, commands, failsafes, and wrong messages."""

import math
import os
import signal
import subprocess
import sys
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ros.ros_support import Spinner

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, TwistStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from nav_msgs.msg import Odometry
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, Imu
from std_srvs.srv import SetBool

from liquid_nav.command import CommandLimits
from liquid_nav.events import SECOND, Channel
from liquid_nav.policy import Manifest, save_bundle
from liquid_nav.ros.messages import stamp_of
from liquid_nav.ros.node import ControllerNode
from liquid_nav.ros.parameters import SPECS, read
from support import small_network

OK = TransitionCallbackReturn.SUCCESS
LOUD = QoSProfile(depth=20, reliability=ReliabilityPolicy.RELIABLE)
PARAMETERS = Path(__file__).parents[2] / "config" / "liquid_nav.yaml"
PICTURE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "small"
    config, network = small_network()
    save_bundle(path, network, Manifest("test", config, {}, {}))
    return path


@pytest.fixture
def ros() -> Iterator[Spinner]:
    with Spinner() as spinner:
        yield spinner


def overrides(**values: Any) -> list[Parameter]:
    return [Parameter(name.replace("__", "."), value=value) for name, value in values.items()]


class Vehicle:
    """A controller node, and all that is around it on a vehicle."""

    def __init__(self, ros: Spinner, bundle: Path, namespace: str = "drone", **parameters: Any):
        # Loose ages, so that a busy machine does not trip a failsafe that a test does not mean.
        parameters = {
            "model": str(bundle),
            "use_camera_info": False,
            "staleness__camera__hover": 5.0,
            "staleness__camera__land": 9.0,
            "staleness__imu__hover": 5.0,
            "staleness__imu__land": 9.0,
            "recovery": 0.0,
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
        self.ear = self.world.create_subscription(TwistStamped, "cmd_vel", self.commands.append, 50)
        self.reports = self.world.create_subscription(
            DiagnosticArray, "/diagnostics", self._on_report, 50
        )

        self.sensing = False
        self.world.create_timer(0.02, lambda: self.sense() if self.sensing else None)

    def _on_report(self, array: DiagnosticArray) -> None:
        prefix = f"{self.node.get_fully_qualified_name()}: "
        for status in array.status:
            if status.name.startswith(prefix):
                self.diagnostics[status.name.removeprefix(prefix)] = status

    def fly(self) -> "Vehicle":
        assert self.node.trigger_configure() == OK
        assert self.node.trigger_activate() == OK
        self.ros.until_matched(self.image, self.imu, self.ear, self.reports)
        return self

    def nominal(self) -> "Vehicle":
        """Sense until the diagnostics say so, and until the last message sensed was taken in."""
        self.diagnostics.clear()
        self.sensing = True
        self.until(lambda: self.last("mode") == "nominal", "nominal mode")
        self.sensing = False
        image, imu = self.picture(), self.sample()
        self.image.publish(image)
        self.imu.publish(imu)
        for channel, message in ((Channel.CAMERA, image), (Channel.IMU, imu)):
            stamp = stamp_of(message.header.stamp)
            health = self.node._controller.health.channels[channel]
            self.until(lambda h=health, s=stamp: h.stamp >= s, f"the last on {channel.value}")
        return self

    def until(self, predicate: Any, what: str) -> None:
        self.ros.until(predicate, what=what)

    def until_reported(self, name: str, words: str) -> Any:
        """Wait for diagnostics of `name` that have `words` in them."""
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
        message.data = array("B", PICTURE.tobytes())
        for name, value in changes.items():
            setattr(message, name, value)
        return self.stamp(message, offset)

    def sample(self, offset: float = 0.0, force: float = 9.81, rate: float = 0.1) -> Imu:
        message = Imu()
        message.linear_acceleration.z, message.angular_velocity.x = force, rate
        return self.stamp(message, offset)

    def sense(self) -> None:
        self.image.publish(self.picture())
        self.imu.publish(self.sample())

    def received(self, channel: Channel) -> int:
        return self.node._monitor.intakes[channel].received

    def tell(self, publisher: Any, message: Any, channel: Channel) -> None:
        """Publish and wait until the node has it."""
        count = self.received(channel)
        publisher.publish(message)
        self.until(lambda: self.received(channel) > count, f"the message on {channel.value}")

    def stop(self, engaged: bool) -> None:
        client = self.world.create_client(SetBool, "liquid_nav_node/stop")
        self.ros.until_matched(client)
        future = client.call_async(SetBool.Request(data=engaged))
        self.until(future.done, "the stop service")
        assert future.result().success


def vector(message: TwistStamped) -> tuple[float, ...]:
    linear, angular = message.twist.linear, message.twist.angular
    return (linear.x, linear.y, linear.z, angular.z)


def is_rest(message: TwistStamped) -> bool:
    return vector(message) == (0, 0, 0, 0)


def test_the_whole_life_of_a_node(ros: Spinner, bundle: Path) -> None:
    vehicle = Vehicle(ros, bundle)
    node = vehicle.node
    for _ in range(2):
        assert node.trigger_configure() == OK
        assert node.trigger_activate() == OK
        ros.until_matched(vehicle.image, vehicle.imu, vehicle.ear)
        vehicle.until(lambda: vehicle.commands, "a hover")
        assert all(map(is_rest, vehicle.commands))
        vehicle.nominal()
        vehicle.until(lambda: any(not is_rest(c) for c in vehicle.commands), "a command")
        assert node.trigger_deactivate() == OK
        vehicle.until(lambda: is_rest(vehicle.commands[-1]), "the zero command")
        count = len(vehicle.commands)
        vehicle.until_reported("controller", "not active")
        assert len(vehicle.commands) == count
        assert node.trigger_cleanup() == OK
        vehicle.commands.clear()
        vehicle.diagnostics.clear()
    assert node.trigger_configure() == OK
    assert node.trigger_activate() == OK
    vehicle.nominal()
    assert node.trigger_shutdown() == OK
    vehicle.until(lambda: is_rest(vehicle.commands[-1]), "the zero command")


def test_messages_in_commands_out_within_limits(ros: Spinner, bundle: Path) -> None:
    vehicle = Vehicle(ros, bundle).fly().nominal()
    vehicle.commands.clear()
    for _ in range(5):
        vehicle.tell(vehicle.image, vehicle.picture(), Channel.CAMERA)
        for _ in range(5):
            vehicle.tell(vehicle.imu, vehicle.sample(), Channel.IMU)
    vehicle.until(lambda: len(vehicle.commands) >= 30, "a command for each message")
    magnitude = CommandLimits().magnitude
    for command in vehicle.commands:
        assert all(abs(x) <= m for x, m in zip(vector(command), magnitude, strict=True))
        assert command.header.frame_id == "base_link"
    vehicle.until(lambda: vehicle.last("event_to_command_p99_us").isdigit(), "latencies")
    assert float(vehicle.last("event_to_command_p50_us")) > 0
    assert "rate_hz" in vehicle.words("imu")


def test_bad_messages_are_counted_and_reported_and_nothing_else(ros: Spinner, bundle: Path) -> None:
    vehicle = Vehicle(ros, bundle).fly().nominal()
    v, images, imus = vehicle, vehicle.image, vehicle.imu
    cases = [
        (images, lambda: v.picture(width=0, height=0, step=0, data=array("B")), "0x0"),
        (images, lambda: v.picture(step=1), "image step is 1"),
        (images, lambda: v.picture(encoding="32FC1"), "'32FC1'"),
        (images, lambda: v.picture(height=47), "bytes"),
        (images, lambda: v.picture(offset=60), "in the future"),
        (images, lambda: v.picture(offset=-60), "old"),
        (images, lambda: Image(encoding="rgb8", width=64, height=48, step=192), "old"),
        (imus, lambda: v.sample(force=math.nan), "not finite"),
        (imus, lambda: v.sample(rate=math.inf), "not finite"),
        (imus, lambda: v.sample(force=0.0), "linear_acceleration of zero"),
        (imus, lambda: v.sample(offset=60), "in the future"),
        (imus, lambda: Imu(), "old"),
    ]
    v.commands.clear()
    for publisher, build, reason in cases:
        channel = Channel.CAMERA if publisher is images else Channel.IMU
        intake = v.node._monitor.intakes[channel]
        rejected = intake.rejected
        v.tell(publisher, build(), channel)
        assert intake.rejected == rejected + 1, reason
        assert reason in intake.last_rejection
    v.until_reported("camera", "rejected=7")
    v.until_reported("imu", "rejected=5")
    v.nominal()
    magnitude = CommandLimits().magnitude
    for command in v.commands:
        assert all(abs(x) <= m for x, m in zip(vector(command), magnitude, strict=True))


def test_a_stale_camera_hovers_and_recovers(ros: Spinner, bundle: Path) -> None:
    vehicle = Vehicle(ros, bundle, staleness__camera__hover=0.3, staleness__camera__land=60.0)
    vehicle.fly().nominal()

    vehicle.world.create_timer(0.02, lambda: vehicle.imu.publish(vehicle.sample()))
    vehicle.until_reported("controller", "camera: stale for more than 0.3 s")
    assert vehicle.last("mode") == "hover"
    assert vehicle.last("fresh") == "false"
    vehicle.until(lambda: is_rest(vehicle.commands[-1]), "rest")
    vehicle.nominal()
    vehicle.until(lambda: any(not is_rest(c) for c in vehicle.commands[-50:]), "the policy again")


def test_silence_of_all_sensors_lands_by_the_timer(ros: Spinner, bundle: Path) -> None:
    vehicle = Vehicle(ros, bundle, staleness__imu__hover=0.3, staleness__imu__land=0.5)
    vehicle.fly().nominal()
    vehicle.until(lambda: vector(vehicle.commands[-1]) == (0, 0, -0.5, 0), "the landing")
    vehicle.until_reported("controller", "land: imu: stale")


def test_the_operators_stop_wins_and_outlives_a_restart(ros: Spinner, bundle: Path) -> None:
    vehicle = Vehicle(ros, bundle).fly().nominal()
    vehicle.stop(True)
    vehicle.until_reported("controller", "stop: operator stop")
    vehicle.commands.clear()
    for _ in range(5):
        vehicle.tell(vehicle.image, vehicle.picture(), Channel.CAMERA)
        vehicle.tell(vehicle.imu, vehicle.sample(), Channel.IMU)
    assert vehicle.node.trigger_deactivate() == OK
    assert vehicle.node.trigger_activate() == OK
    ros.until_matched(vehicle.image, vehicle.imu)
    vehicle.tell(vehicle.image, vehicle.picture(), Channel.CAMERA)
    vehicle.tell(vehicle.imu, vehicle.sample(), Channel.IMU)
    vehicle.until(lambda: len(vehicle.commands) >= 12, "the commands")
    assert all(map(is_rest, vehicle.commands))
    vehicle.stop(False)
    vehicle.nominal()


def test_incompatible_qos_is_reported_on_both_sides(ros: Spinner, bundle: Path) -> None:
    vehicle = Vehicle(ros, bundle, sensor_reliability="reliable").fly()
    quiet = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    vehicle.world.create_publisher(Imu, "imu", quiet)
    vehicle.until_reported("qos", "imu=RELIABILITY")
    vehicle.world.create_subscription(TwistStamped, "cmd_vel", print, latched)
    status = vehicle.until_reported("qos", "cmd_vel=DURABILITY")
    assert status.level == b"\x01"


def test_two_vehicles_do_not_hear_each_other(ros: Spinner, bundle: Path) -> None:
    one, two = (Vehicle(ros, bundle, name).fly() for name in ("one", "two"))
    one.nominal()
    two.until(lambda: two.commands, "the hover of the other")
    assert two.received(Channel.CAMERA) == two.received(Channel.IMU) == 0
    assert all(map(is_rest, two.commands))
    one.stop(True)
    two.until_reported("controller", "operator_stop=false")
    assert two.last("mode") == "hover"


def test_a_clock_that_restarts_restarts_the_controller(ros: Spinner, bundle: Path) -> None:
    vehicle = Vehicle(ros, bundle, use_sim_time=True)
    clock = vehicle.world.create_publisher(Clock, "/clock", 10)

    def tick(second: int) -> None:
        message = Clock()
        message.clock.sec = second
        clock.publish(message)
        now = second * SECOND
        vehicle.until(lambda: vehicle.node.get_clock().now().nanoseconds == now, "the clock")

    ros.until_matched(clock)
    tick(100)
    vehicle.fly().nominal()
    tick(3)
    vehicle.until_reported("controller", "clock_resets=1")
    vehicle.nominal()
    assert vehicle.node._controller.health.time == 3 * SECOND


def test_camera_info_comes_first(ros: Spinner, bundle: Path) -> None:
    vehicle = Vehicle(ros, bundle, use_camera_info=True).fly()
    infos = vehicle.world.create_publisher(CameraInfo, "camera/camera_info", 1)
    ros.until_matched(infos)
    vehicle.tell(vehicle.image, vehicle.picture(), Channel.CAMERA)
    vehicle.until_reported("camera", "no camera_info has come yet")
    vehicle.tell(
        infos,
        CameraInfo(distortion_model="odd", k=[50.0, 0, 32, 0, 50, 24, 0, 0, 1]),
        Channel.CAMERA,
    )
    infos.publish(
        CameraInfo(
            width=64,
            height=48,
            distortion_model="plumb_bob",
            d=[0.0] * 5,
            k=[50.0, 0, 31.5, 0, 50, 23.5, 0, 0, 1],
        )
    )
    vehicle.until(lambda: vehicle.node._adapter is not None, "the calibration")
    vehicle.nominal()


def test_compressed_images_goals_and_odometry(ros: Spinner, bundle: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    vehicle = Vehicle(ros, bundle, image_transport="compressed", geofence__enabled=True)
    vehicle.image = vehicle.world.create_publisher(
        CompressedImage, "camera/image_raw/compressed", LOUD
    )
    vehicle.fly()
    goals = vehicle.world.create_publisher(PoseStamped, "goal", 1)
    places = vehicle.world.create_publisher(Odometry, "odometry", 1)
    ros.until_matched(goals, places)
    jpeg = array("B", cv2.imencode(".jpg", PICTURE)[1].tobytes())
    compressed = vehicle.stamp(CompressedImage(format="jpeg", data=jpeg))
    vehicle.tell(vehicle.image, compressed, Channel.CAMERA)
    vehicle.tell(vehicle.imu, vehicle.sample(), Channel.IMU)
    vehicle.tell(goals, vehicle.stamp(PoseStamped()), Channel.GOAL)
    vehicle.until_reported("controller", "odometry: nothing received yet")
    here = vehicle.stamp(Odometry())
    here.pose.pose.orientation.w, here.pose.pose.position.z = 1.0, 1.0
    vehicle.tell(places, here, Channel.ODOMETRY)
    channels = vehicle.node._controller.health.channels
    accepted = {channel.value: health.accepted for channel, health in channels.items()}
    assert accepted == {"camera": 1, "imu": 1, "goal": 1, "odometry": 1, "operator": 0}


def test_parameters_are_checked_and_some_may_change_in_flight(ros: Spinner, bundle: Path) -> None:
    vehicle = Vehicle(ros, bundle, staleness__camera__land=8.0).fly().nominal()
    node = vehicle.node

    def refused(**values: Any) -> str:
        result = node.set_parameters_atomically(overrides(**values))
        assert not result.successful
        return result.reason

    assert "limits.vx" in refused(limits__vx=-1.0)
    assert "limits.vx" in refused(limits__vx=math.nan)
    assert "0 < hover <= land" in refused(staleness__camera__hover=9.0)
    assert "landing_speed" in refused(landing_speed=5.0)
    assert "before the node is configured" in refused(model="target")
    low = {"limits__vx": 0.02, "limits__vy": 0.02, "limits__vz": 0.02, "limits__yaw_rate": 0.02}
    assert node.set_parameters_atomically(
        overrides(**low, landing_speed=0.01, minimum_rate=40.0)
    ).successful
    vehicle.nominal()
    vehicle.commands.clear()
    vehicle.nominal()
    assert all(abs(x) <= 0.02 for command in vehicle.commands for x in vector(command))


def test_the_shipped_parameter_file_has_every_parameter_at_its_default(ros: Spinner) -> None:
    arguments = ["--ros-args", "--params-file", str(PARAMETERS)]
    node = ros.add(ControllerNode(context=ros.context, cli_args=arguments))
    assert read(node, SPECS) == {spec.name: spec.default for spec in SPECS}
    assert {spec.name for spec in SPECS} <= node._parameter_overrides.keys()


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": "/nowhere/at/all"},
        {"backend": "px4"},
        {"landing_speed": 9.0},
        {"imu_rotation": [0.0, 0.0, 0.0, 2.0]},
    ],
)
def test_a_configuration_that_cannot_be_is_refused(ros: Spinner, bundle: Path, wrong: Any) -> None:
    vehicle = Vehicle(ros, bundle, **wrong)
    assert vehicle.node.trigger_configure() == TransitionCallbackReturn.FAILURE
    vehicle.until_reported("controller", "not active")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_with_a_zero_command(
    ros: Spinner, bundle: Path, number: signal.Signals
) -> None:
    world = ros.node("world")
    commands: list[TwistStamped] = []
    ear = world.create_subscription(TwistStamped, "cmd_vel", commands.append, 50)
    process = start(bundle)
    try:
        activate(ros, world)
        ros.until_matched(ear)
        ros.until(lambda: commands, what="the first hover")
        # A transition that is none is answered by nobody, and ends nothing.
        client = world.create_client(ChangeState, "liquid_nav_node/change_state")
        ros.until_matched(client)
        client.call_async(
            ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CLEANUP))
        )
        commands.clear()
        ros.until(lambda: len(commands) > 5, what="commands all the same")
        commands.clear()
        process.send_signal(number)
        ros.until(lambda: process.poll() is not None, what="the end")
        assert process.returncode == 0
        ros.until(lambda: commands, what="the last command")
        assert is_rest(commands[-1])
    finally:
        process.kill()
        process.wait()


def start(bundle: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from liquid_nav.ros.node import main; main()",
            "--ros-args",
            "--params-file",
            str(PARAMETERS),
            "-p",
            f"model:={bundle}",
        ],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def activate(ros: Spinner, world: Any) -> None:
    client = world.create_client(ChangeState, "liquid_nav_node/change_state")
    ros.until(client.service_is_ready, 60, "the controller's process")
    for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
        future = client.call_async(ChangeState.Request(transition=Transition(id=transition)))
        ros.until(future.done, 60, "the transition")
        assert future.result().success
