"""The controller node over real DDS: lifecycle, commands, parameters, wrong messages."""

import itertools
import math
import re
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ros.node_support import (
    LOUD,
    OK,
    PARAMETERS,
    PICTURE,
    Vehicle,
    is_rest,
    overrides,
    save_small_bundle,
    vector,
)
from ros.ros_support import Spinner

pytest.importorskip("rclpy")

import cv2
from geometry_msgs.msg import PoseStamped, TwistStamped
from nav_msgs.msg import Odometry
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, Imu, JointState

from liquid_nav.command import CommandLimits
from liquid_nav.errors import ConfigError
from liquid_nav.events import Channel
from liquid_nav.messages.decode import stamp_of
from liquid_nav.onboard import Manifest, PolicyConfig
from liquid_nav.policy import PolicyNetwork, save_bundle
from liquid_nav.ros.backends import BACKENDS, backend_specs
from liquid_nav.ros.backends.twist import TwistBackend
from liquid_nav.ros.controller.node import ControllerNode
from liquid_nav.ros.controller.parameters import SPECS
from liquid_nav.ros.parameters import read

ALL_SPECS = (*SPECS, *backend_specs())


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_bundle(tmp_path_factory.mktemp("models"))


@pytest.fixture
def ros() -> Iterator[Spinner]:
    with Spinner() as spinner:
        yield spinner


def test_the_whole_life_of_a_node(ros: Spinner, bundle: Path) -> None:
    vehicle = Vehicle(ros, bundle)
    node = vehicle.node
    for _ in range(2):
        assert node.trigger_configure() == OK
        assert node.trigger_activate() == OK
        ros.until_matched(vehicle.image, vehicle.imu, vehicle.command_reader)
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
        (images, lambda: v.picture(height=49), "bytes"),
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
        counts = v.monitor.counts[channel]
        rejected = counts.rejected
        v.tell(publisher, build(), channel)
        assert counts.rejected == rejected + 1, reason
        assert reason in counts.last_rejection
    v.until_reported("camera", "rejected=7")
    v.until_reported("imu", "rejected=5")
    v.nominal()
    magnitude = CommandLimits().magnitude
    for command in v.commands:
        assert all(abs(x) <= m for x, m in zip(vector(command), magnitude, strict=True))


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
    vehicle.nominal()


def test_what_the_camera_lacks_is_reported(ros: Spinner, bundle: Path) -> None:
    """Rectified images by their topic, first without a calibration."""
    rectified = {"topics__image": "camera/image_rect", "use_camera_info": True}
    vehicle = Vehicle(ros, bundle, **rectified)
    vehicle.image = vehicle.world.create_publisher(Image, "camera/image_rect", LOUD)
    vehicle.fly()
    infos = vehicle.world.create_publisher(CameraInfo, "camera/camera_info", 1)
    ros.until_matched(infos)
    infos.publish(CameraInfo())
    vehicle.sensing = True
    vehicle.until_reported("camera", "K is zero")
    calibration = {"width": 64, "height": 48, "distortion_model": "plumb_bob"}
    k = [50.0, 0, 31.5, 0, 50, 23.5, 0, 0, 1]
    p = [32.0, 0, 31.5, 0, 0, 32, 23.5, 0, 0, 0, 1, 0]
    infos.publish(CameraInfo(**calibration, d=[-0.3, 0.1, 0.0, 0.0, 0.0], k=k, p=p))
    events: list[Any] = []
    original = vehicle.controller.on_event
    vehicle.controller.on_event = lambda event: (events.append(event), original(event))
    vehicle.nominal()
    vehicle.until_reported("camera", "OK")
    # P is that of the model's camera: the image, whose bytes turn round, is as it came.
    frame = [event for event in events if event.channel is Channel.CAMERA][-1]
    assert sorted(frame.image.ravel().tolist()) == sorted(PICTURE.ravel().tolist())


def test_compressed_images_goals_and_odometry(ros: Spinner, bundle: Path) -> None:
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
    channels = vehicle.controller.health.channels
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
    assert "before the node is configured" in refused(backend="px4")
    assert "before the node is configured" in refused(twist__topic="elsewhere")
    low = {"limits__vx": 0.02, "limits__vy": 0.02, "limits__vz": 0.02, "limits__yaw_rate": 0.02}
    assert node.set_parameters_atomically(
        overrides(**low, landing_speed=0.01, minimum_rate=40.0)
    ).successful
    vehicle.nominal()
    vehicle.commands.clear()
    vehicle.nominal()
    assert all(abs(x) <= 0.02 for command in vehicle.commands for x in vector(command))


def test_the_rate_of_commands_stays_above_what_the_back_end_needs(
    ros: Spinner, bundle: Path
) -> None:
    node = Vehicle(ros, bundle, backend="ardupilot").node
    assert node.set_parameters_atomically(overrides(minimum_rate=5.0)).successful
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert node.set_parameters_atomically(overrides(minimum_rate=10.0)).successful
    assert node.trigger_configure() == OK
    result = node.set_parameters_atomically(overrides(minimum_rate=5.0))
    assert not result.successful
    assert "minimum_rate is 5 Hz, but back-end ardupilot needs commands at 10 Hz" in result.reason


def test_the_shipped_parameter_file_has_every_parameter_at_its_default(ros: Spinner) -> None:
    arguments = ["--ros-args", "--params-file", str(PARAMETERS)]
    node = ros.add(ControllerNode(context=ros.context, cli_args=arguments))
    assert read(node, ALL_SPECS) == {spec.name: spec.default for spec in ALL_SPECS}
    assert {spec.name for spec in ALL_SPECS} <= node._parameter_overrides.keys()


def test_a_parameter_that_is_none_is_ignored_with_a_warning(
    ros: Spinner, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "typo.yaml"
    file.write_text("/**:\n  ros__parameters:\n    limits: {vxx: 0.5, vy: 0.25}\n    gain: 3.0\n")
    arguments = ["--ros-args", "--params-file", str(file)]
    node = ros.add(ControllerNode(context=ros.context, cli_args=arguments))
    assert read(node, SPECS)["limits.vy"] == 0.25
    said = capfd.readouterr().err
    assert "limits.vxx is no parameter of this node, ignored; did you mean limits.vx?" in said
    assert "gain is no parameter of this node, ignored" in said
    assert said.count("ignored") == 2


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"model": "/nowhere/at/all"}, "/nowhere/at/all"),
        ({"backend": "px4"}, "px4_msgs"),
        ({"backend": "dronekit"}, "twist, mavros, ardupilot, mavlink, px4, crazyswarm2"),
        ({"landing_speed": 9.0}, "landing_speed"),
        ({"imu_rotation": [0.0, 0.0, 0.0, 2.0]}, "imu_rotation"),
        ({"backend": "ardupilot", "minimum_rate": 5.0}, "5 Hz, but back-end ardupilot .* 10 Hz"),
        ({"backend": "ardupilot", "topics__odometry": ""}, "needs odometry.*topics.odometry"),
        ({"backend": "ardupilot", "ardupilot__y_is_right": True}, "y_is_right needs frame"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(
    ros: Spinner, bundle: Path, wrong: Any, reason: str
) -> None:
    vehicle = Vehicle(ros, bundle, **wrong)
    assert vehicle.node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert re.search(reason, vehicle.node._failure)
    vehicle.until_reported("controller", "not active")


class StartsAtPose(TwistBackend):
    """A back-end that remembers where it was activated."""

    name = "starts_at_pose"
    starts_at_pose = True

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.heights: list[float | None] = []

    def activate(self, pose: Any) -> None:
        super().activate(pose)
        self.heights.append(None if pose is None else float(pose.position[2]))


def test_a_back_end_is_activated_where_the_vehicle_is_each_time(
    ros: Spinner, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BACKENDS._parts, "starts_at_pose", StartsAtPose)
    monkeypatch.setattr("liquid_nav.ros.controller.commanding._POSE_TIMEOUT", 60.0)
    vehicle = Vehicle(ros, bundle, backend="starts_at_pose")
    assert vehicle.node.trigger_configure() == OK
    backend = vehicle.node._flight.backend
    places = vehicle.world.create_publisher(Odometry, "odometry", 1)

    def arrive(height: float) -> None:
        here = vehicle.stamp(Odometry())
        here.pose.pose.orientation.w, here.pose.pose.position.z = 1.0, height
        vehicle.tell(places, here, Channel.ODOMETRY)

    for height in (1.8, 0.6):
        activated = vehicle.node.get_clock().now().nanoseconds
        assert vehicle.node.trigger_activate() == OK
        ros.until_matched(vehicle.image, vehicle.imu, vehicle.command_reader, places)
        vehicle.tell(vehicle.imu, vehicle.sample(), Channel.IMU)
        vehicle.until_reported("backend", "not active")
        assert not backend.active
        # Those of the activation before may arrive late.
        assert all(stamp_of(c.header.stamp) < activated for c in vehicle.commands)
        arrive(height)
        vehicle.until(lambda: backend.active, "an active back-end")
        assert backend.heights[-1] == height
        vehicle.until(
            lambda now=activated: (
                vehicle.commands and stamp_of(vehicle.commands[-1].header.stamp) > now
            ),
            "commands",
        )
        arrive(5.0)
        assert vehicle.node.trigger_deactivate() == OK
        vehicle.diagnostics.clear()
    assert backend.heights == [1.8, 0.6]


def test_a_back_end_does_not_wait_for_odometry_that_does_not_come(
    ros: Spinner, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BACKENDS._parts, "starts_at_pose", StartsAtPose)
    for topic in ("odometry", ""):
        vehicle = Vehicle(ros, bundle, backend="starts_at_pose", topics__odometry=topic)
        assert vehicle.node.trigger_configure() == OK
        backend = vehicle.node._flight.backend
        assert vehicle.node.trigger_activate() == OK
        vehicle.until(lambda b=backend: b.active, "an active back-end")
        assert backend.heights == [None]
        vehicle.node.close()


def test_the_node_starts_by_itself_when_asked_to(ros: Spinner, bundle: Path) -> None:
    vehicle = Vehicle(ros, bundle, autostart=True)
    ros.until_matched(vehicle.image, vehicle.imu, vehicle.command_reader, vehicle.reports)
    vehicle.nominal()
    assert vehicle.node.trigger_deactivate() == OK
    with pytest.raises(ConfigError, match="/nowhere"):
        Vehicle(ros, Path("/nowhere/at/all"), namespace="other", autostart=True)


def test_liquid_state_is_published_within_its_bounds(ros: Spinner, bundle: Path) -> None:
    states: list[JointState] = []
    vehicle = Vehicle(ros, bundle, liquid_state_rate=500.0)
    topic = "liquid_nav_node/liquid_state"
    ear = vehicle.world.create_subscription(JointState, topic, states.append, 100)
    vehicle.fly()
    ros.until_matched(ear)
    vehicle.nominal()
    vehicle.until(lambda: len(states) > 5, "liquid states")
    units = vehicle.node._flight.policy.config.units
    for state in states:
        assert len(state.name) == len(state.position) == len(state.effort) == units
        assert all(tau > 0 for tau in state.effort)
    memory = vehicle.controller.memory
    _, time_constant = vehicle.node._flight.policy.core_state(memory)
    assert len(time_constant) == units
    stamps = [state.header.stamp.sec * 10**9 + state.header.stamp.nanosec for state in states]
    assert all(b - a >= 2_000_000 for a, b in itertools.pairwise(stamps))


def test_a_policy_without_time_constants_publishes_its_state(ros: Spinner, tmp_path: Path) -> None:
    config = PolicyConfig.of_channels(("camera", "imu"), units=12, cell="gru")
    save_bundle(tmp_path / "gru", PolicyNetwork(config).eval(), Manifest("test", config, {}, {}))
    states: list[JointState] = []
    vehicle = Vehicle(ros, tmp_path / "gru", liquid_state_rate=500.0)
    reader = vehicle.world.create_subscription(
        JointState, "liquid_nav_node/liquid_state", states.append, 100
    )
    vehicle.fly()
    ros.until_matched(reader)
    vehicle.nominal()
    vehicle.until(lambda: len(states) > 5, "states")
    assert all(len(s.position) == 12 and not s.effort for s in states)


def test_a_policy_without_a_liquid_state_flies_and_says_so_once(
    ros: Spinner, bundle: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def raising(*_: Any) -> Any:
        raise AttributeError("no state here")

    monkeypatch.setattr("liquid_nav.onboard.policy.Policy.core_state", raising)
    Vehicle(ros, bundle, liquid_state_rate=500.0).fly().nominal()
    said = capfd.readouterr().err
    assert said.count("nothing is published on ~/liquid_state") == 1
    assert "Traceback" not in said


def test_an_imu_that_no_transform_joins_to_the_body_is_reported(ros: Spinner, bundle: Path) -> None:
    """With or without the package of the transforms: nobody publishes any here."""
    vehicle = Vehicle(ros, bundle).fly()
    sample = vehicle.sample()
    sample.header.frame_id = "imu_link"
    vehicle.tell(vehicle.imu, sample, Channel.IMU)
    vehicle.until_reported("imu", "no static transform joins frame 'imu_link' to 'base_link'")
    sample = vehicle.sample()
    sample.header.frame_id = "drone/base_link"
    vehicle.tell(vehicle.imu, sample, Channel.IMU)
    vehicle.nominal()


def test_px4s_imu_is_turned_as_it_is_mounted(ros: Spinner, bundle: Path) -> None:
    """Its messages name no frame, so that static transforms say nothing about it."""
    half = {"imu_rotation": [1.0, 0.0, 0.0, 0.0]}
    for given, expected in (({}, None), (half, np.diag([1.0, -1.0, -1.0]))):
        vehicle = Vehicle(ros, bundle, f"drone{len(given)}", **given)
        assert vehicle.node.trigger_configure() == OK
        rotation = vehicle.node._flight.sensors._setup.imu_rotation(None)
        np.testing.assert_array_equal(rotation, expected)


def test_the_imu_is_turned_into_the_body_frame(ros: Spinner, bundle: Path) -> None:
    """A driver that reports in FRD: half a turn about x."""
    events: list[Any] = []
    vehicle = Vehicle(ros, bundle, imu_rotation=[1.0, 0.0, 0.0, 0.0]).fly()
    original = vehicle.controller.on_event
    vehicle.controller.on_event = lambda event: (events.append(event), original(event))
    vehicle.tell(vehicle.imu, vehicle.sample(force=-9.81, rate=0.2), Channel.IMU)
    (event,) = [e for e in events if e.channel is Channel.IMU]
    assert event.specific_force == pytest.approx([0, 0, 9.81])
    assert event.angular_velocity[0] == pytest.approx(0.2)


def test_what_is_missing_around_the_node_is_reported(ros: Spinner, bundle: Path) -> None:
    vehicle = Vehicle(ros, bundle).fly()
    vehicle.until_reported("supervisor", "no supervisor is alive: none was heard yet")
    vehicle.until_reported("camera", "nothing received yet")


def test_a_huge_image_is_refused_and_the_node_goes_on(ros: Spinner, bundle: Path) -> None:
    vehicle = Vehicle(ros, bundle).fly().nominal()
    huge = vehicle.picture(width=12_000, height=2_800, step=36_000)
    huge.data = array("B", bytes(36_000 * 2_800))
    vehicle.tell(vehicle.image, huge, Channel.CAMERA)
    assert "pixels" in vehicle.monitor.counts[Channel.CAMERA].last_rejection
    vehicle.nominal()


def test_every_parameter_is_described_with_its_range_and_its_choices(ros: Spinner) -> None:
    node = ros.add(ControllerNode(context=ros.context))
    for spec in ALL_SPECS:
        descriptor = node.describe_parameter(spec.name)
        assert descriptor.description.endswith("."), spec.name
        assert len(descriptor.description) > 10
        assert all(choice in descriptor.additional_constraints for choice in spec.choices)
        ranges = [*descriptor.floating_point_range, *descriptor.integer_range]
        bounds = [(bound.from_value, bound.to_value) for bound in ranges]
        assert bounds == ([] if spec.bounds is None else [spec.bounds]), spec.name
        if isinstance(spec.default, float):
            assert spec.bounds is not None, f"{spec.name} may be any number"
