"""What the diagnostics of the controller say of its sensors and topics, over real DDS."""

import itertools
import json
import os
import subprocess
import sys
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ros.node_support import LOUD, OK, PICTURE, Vehicle, save_small_bundle
from ros.ros_support import Spinner

pytest.importorskip("rclpy")

from geometry_msgs.msg import TwistStamped
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Imu

from liquid_nav.events import SECOND, Channel
from liquid_nav.onboard.bundle import read_content, read_manifest, write_content
from liquid_nav.ros.controller.diagnostics.expectations import Expectation

WARN, STALE = b"\x01", b"\x03"
SHIPPED = Path(__file__).parents[3] / "models" / "target"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_bundle(tmp_path_factory.mktemp("models"))


@pytest.fixture
def ros() -> Iterator[Spinner]:
    with Spinner() as spinner:
        yield spinner


def until_level(vehicle: Vehicle, name: str, level: bytes, words: str) -> str:
    """Wait for diagnostics of this level that contain `words`; return their message."""

    def look() -> bool:
        status = vehicle.diagnostics.get(name)
        return status is not None and status.level == level and words in vehicle.words(name)

    vehicle.until(look, f"{words!r} at level {level!r} in {name}")
    return str(vehicle.diagnostics[name].message)


def test_a_channel_that_was_never_heard_is_not_ok(ros: Spinner, bundle: Path) -> None:
    vehicle = Vehicle(ros, bundle, staleness__camera__hover=0.3, staleness__camera__land=1.5)
    vehicle.fly()
    until_level(vehicle, "camera", WARN, "nothing received yet, for ")
    until_level(vehicle, "camera", STALE, "nothing received yet, for ")
    until_level(vehicle, "odometry", b"\x00", "nothing received yet; it is not needed")
    vehicle.nominal()
    vehicle.sensing = True
    until_level(vehicle, "camera", b"\x00", "OK")


def test_a_channel_that_falls_silent_is_a_warning_and_then_stale(
    ros: Spinner, bundle: Path
) -> None:
    vehicle = Vehicle(ros, bundle, staleness__imu__hover=0.5, staleness__imu__land=3.0)
    vehicle.fly().nominal()
    vehicle.world.create_timer(0.02, lambda: vehicle.image.publish(vehicle.picture()))
    until_level(vehicle, "imu", WARN, "stale after 0.5 s")
    until_level(vehicle, "imu", STALE, "nothing newer than ")
    assert vehicle.diagnostics["camera"].level == b"\x00"
    vehicle.sensing = True
    until_level(vehicle, "imu", b"\x00", "OK")


def test_a_channel_of_which_all_is_rejected_is_not_ok(ros: Spinner, bundle: Path) -> None:
    vehicle = Vehicle(ros, bundle, staleness__imu__hover=0.3, staleness__imu__land=1.0).fly()
    nan = float("nan")
    vehicle.world.create_timer(0.02, lambda: vehicle.imu.publish(vehicle.sample(force=nan)))
    until_level(vehicle, "imu", STALE, "nothing usable received yet")


def test_an_optional_channel_that_stops_is_a_warning(ros: Spinner, bundle: Path) -> None:
    from nav_msgs.msg import Odometry

    vehicle = Vehicle(ros, bundle)
    places = vehicle.world.create_publisher(Odometry, "odometry", LOUD)
    vehicle.fly()
    ros.until_matched(places)
    here = vehicle.stamp(Odometry())
    here.pose.pose.orientation.w = 1.0
    vehicle.tell(places, here, Channel.ODOMETRY)
    until_level(vehicle, "odometry", WARN, "stale after 0.5 s")


def with_rates(bundle: Path, folder: Path, **rates: Any) -> Path:
    """Copy of a bundle whose manifest says how often the channels came in training."""
    copy = folder / "rated"
    copy.mkdir()
    for file in bundle.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    content = read_content(copy)
    write_content(copy, content | {"training": {**content["training"], "rates": rates}})
    return copy


def test_a_rate_far_from_that_of_training_is_told_with_both_figures(
    ros: Spinner, bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rated = with_rates(bundle, tmp_path, imu=200.0, camera=30.0)
    vehicle = Vehicle(ros, rated).fly()
    vehicle.sensing = True  # At 50 Hz.
    message = until_level(vehicle, "imu", WARN, "the policy was trained with 80 to 600 Hz")
    said = float(message.partition("comes at ")[2].split()[0])
    assert 25 < said < 55
    assert "trained_rates_hz=80.0 to 600.0" in vehicle.words("imu")
    until_level(vehicle, "camera", b"\x00", "trained_rates_hz=12.0 to 90.0")
    vehicle.diagnostics.clear()
    until_level(vehicle, "imu", WARN, "the policy was trained with 80 to 600 Hz")
    log = [line for line in capfd.readouterr().err.splitlines() if "trained with" in line]
    assert len(log) == 1
    assert "imu: comes at" in log[0]


def test_the_shipped_policy_knows_the_rates_of_its_training() -> None:
    rates = read_manifest(SHIPPED).rates
    assert rates.keys() == {Channel.CAMERA, Channel.IMU}
    for channel, usual in ((Channel.CAMERA, 30.0), (Channel.IMU, 200.0)):
        slowest, fastest = rates[channel]
        assert 0.1 * usual < slowest < usual < fastest < 10 * usual


@pytest.mark.parametrize(
    "odd", [None, [1], {"imu": "fast", "a b": 3.0, "range": -1.0, "camera": [5.0]}]
)
def test_odd_rates_in_a_manifest_are_no_rates(bundle: Path, tmp_path: Path, odd: Any) -> None:
    copy = with_rates(bundle, tmp_path)
    content = read_content(copy)
    write_content(copy, content | {"training": {"rates": odd}})
    assert read_manifest(copy).rates == {}


@pytest.mark.parametrize(
    ("rate", "told"), [(10.0, True), (79.0, True), (81.0, False), (599.0, False), (601.0, True)]
)
def test_which_rates_are_far_from_those_of_training(rate: float, told: bool) -> None:
    expected = Expectation(Channel.IMU, True, trained_rates=(80.0, 600.0))
    assert bool(expected.rate_fault(rate)) == told
    assert not Expectation(Channel.IMU, True).rate_fault(rate)


def test_a_recovery_that_never_ends_names_its_cause(ros: Spinner, bundle: Path) -> None:
    """Samples that come less often than staleness allows: each gap begins the recovery anew."""
    vehicle = Vehicle(
        ros, bundle, staleness__imu__hover=0.2, staleness__imu__land=9.0, recovery=0.5
    ).fly()
    vehicle.world.create_timer(0.02, lambda: vehicle.image.publish(vehicle.picture()))
    # No part of the second between two reports, which would always come in the same gap.
    vehicle.world.create_timer(0.27, lambda: vehicle.imu.publish(vehicle.sample()))
    vehicle.until_reported("controller", "imu: recovering, again stale after 0.2 s")


def active(vehicle: Vehicle) -> Vehicle:
    """Configure and activate, without waiting for sensors."""
    assert vehicle.node.trigger_configure() == OK
    assert vehicle.node.trigger_activate() == OK
    return vehicle


@contextmanager
def other_process(domain_node: str, *lines: str) -> Iterator[None]:
    """A node of another process, which may use a topic with another type."""
    program = "\n".join(
        [
            "import rclpy",
            "from sensor_msgs.msg import *",
            "from geometry_msgs.msg import *",
            "rclpy.init()",
            f"node = rclpy.create_node({json.dumps(domain_node)})",
            *lines,
            "print('ready', flush=True)",
            "rclpy.spin(node)",
        ]
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield
        finally:
            process.kill()


def test_two_publishers_of_one_topic_are_told(ros: Spinner, bundle: Path) -> None:
    vehicle = Vehicle(ros, bundle).fly().nominal()
    vehicle.sensing = True
    until_level(vehicle, "topics", b"\x00", "/drone/imu=/drone/world (sensor_msgs/msg/Imu)")
    second = ros.node("second").create_publisher(Imu, "/drone/imu", LOUD)
    ros.until_matched(second)
    message = until_level(vehicle, "topics", WARN, "/drone/imu has 2 publishers")
    assert "/drone/world" in message
    assert "/second" in message
    assert "topics.imu" in message


def test_a_wrong_type_on_a_topic_is_told(ros: Spinner, bundle: Path) -> None:
    vehicle = active(Vehicle(ros, bundle, topics__imu="field"))
    with other_process("compass", "node.create_publisher(MagneticField, '/drone/field', 1)"):
        message = until_level(vehicle, "topics", WARN, "publishes sensor_msgs/msg/MagneticField")
    assert "/compass" in message
    assert "topics.imu is for sensor_msgs/msg/Imu" in message


def test_a_topic_that_nobody_publishes_is_told_and_where_its_type_is(
    ros: Spinner, bundle: Path
) -> None:
    vehicle = active(Vehicle(ros, bundle, topics__imu="imu/data"))
    message = until_level(vehicle, "topics", WARN, "nobody publishes /drone/imu/data")
    assert "(topics.imu); sensor_msgs/msg/Imu is published on /drone/imu" in message


def test_another_source_of_commands_is_told(ros: Spinner, bundle: Path) -> None:
    vehicle = Vehicle(ros, bundle).fly().nominal()
    teleop = ros.node("teleop").create_publisher(TwistStamped, "/drone/cmd_vel", 1)
    ros.until_matched(teleop)
    until_level(
        vehicle,
        "topics",
        WARN,
        "/drone/cmd_vel, where the commands go, is published by /teleop too",
    )


@pytest.mark.parametrize("encoding", ["rgb8", "mono8"])
def test_a_grey_camera_is_told_before_take_off(
    ros: Spinner, bundle: Path, capfd: pytest.CaptureFixture[str], encoding: str
) -> None:
    vehicle = Vehicle(ros, bundle).fly()
    count = itertools.count()

    def sense() -> None:
        grey = np.roll(PICTURE[:, :, :1], next(count))
        pixels = np.repeat(grey, 3, 2) if encoding == "rgb8" else grey
        data = array("B", pixels.tobytes())
        vehicle.image.publish(
            vehicle.picture(encoding=encoding, step=64 * pixels.shape[2], data=data)
        )
        vehicle.imu.publish(vehicle.sample())

    timer = vehicle.world.create_timer(0.02, sense)
    message = until_level(vehicle, "camera", WARN, "grey")
    assert "topics.image" in message
    vehicle.diagnostics.clear()
    until_level(vehicle, "camera", WARN, "grey")
    log = [line for line in capfd.readouterr().err.splitlines() if "pictures are grey" in line]
    assert len(log) == 1
    timer.cancel()
    vehicle.sensing = True
    until_level(vehicle, "camera", b"\x00", "OK")


def test_an_imu_in_units_of_g_is_told_with_what_mends_it(ros: Spinner, bundle: Path) -> None:
    vehicle = Vehicle(ros, bundle).fly()
    vehicle.world.create_timer(0.02, lambda: vehicle.image.publish(vehicle.picture()))
    vehicle.world.create_timer(
        0.02, lambda: vehicle.imu.publish(vehicle.sample(force=1.0, rate=0.0))
    )
    assert "looks like g" in until_level(vehicle, "imu", WARN, "looks like g")
    vehicle.until_reported("controller", "unfit=imu: ")
    assert vehicle.last("mode") == "hover"


def test_static_transforms_are_not_missed(ros: Spinner, bundle: Path) -> None:
    vehicle = Vehicle(ros, bundle, imu_from_tf=True).fly().nominal()
    assert until_level(vehicle, "topics", b"\x00", "OK") == "OK"


def calibration() -> CameraInfo:
    return CameraInfo(
        width=64,
        height=48,
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=[50.0, 0, 31.5, 0, 50, 23.5, 0, 0, 1],
    )


@pytest.mark.parametrize("reliability", list(ReliabilityPolicy)[1:3])
def test_a_calibration_that_was_published_once_and_latched_is_received(
    ros: Spinner, bundle: Path, reliability: ReliabilityPolicy
) -> None:
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    driver = ros.node("driver", namespace="drone")
    infos = driver.create_publisher(CameraInfo, "camera/camera_info", latched)
    infos.publish(calibration())
    vehicle = Vehicle(
        ros, bundle, use_camera_info=True, sensor_reliability=reliability.name.lower()
    )
    vehicle.fly().nominal()
    assert "qos" not in vehicle.diagnostics or vehicle.diagnostics["qos"].level == b"\x00"


def test_a_calibration_that_is_latched_in_flight_is_received(ros: Spinner, bundle: Path) -> None:
    """Its driver starts after the controller, publishes once and for all, and is found late."""
    vehicle = Vehicle(ros, bundle, use_camera_info=True).fly()
    vehicle.until_reported("topics", "nobody publishes /drone/camera/camera_info")
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    driver = ros.node("driver", namespace="drone")
    driver.create_publisher(CameraInfo, "camera/camera_info", latched).publish(calibration())
    vehicle.nominal()


def test_a_volatile_calibration_is_received_and_is_no_fault_of_qos(
    ros: Spinner, bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    vehicle = Vehicle(ros, bundle, use_camera_info=True).fly()
    infos = vehicle.world.create_publisher(CameraInfo, "camera/camera_info", 1)
    ros.until_matched(infos)
    count = itertools.count()
    vehicle.world.create_timer(0.1, lambda: (next(count), infos.publish(calibration())))
    vehicle.nominal()
    vehicle.until(lambda: next(count) > 8, "some more calibrations")
    status = vehicle.until_reported("qos", "OK")
    assert status.level == b"\x00"
    said = capfd.readouterr().err
    assert said.count("camera: calibrated") == 1
    assert "incompatible" not in said


def test_stamps_that_are_old_are_silence_too(ros: Spinner, bundle: Path) -> None:
    vehicle = Vehicle(ros, bundle, staleness__imu__hover=0.3, staleness__imu__land=1.0).fly()
    vehicle.world.create_timer(0.05, lambda: vehicle.imu.publish(vehicle.sample(offset=-2.0)))
    until_level(vehicle, "imu", STALE, "nothing newer than 2.")
    assert vehicle.controller.health.channels[Channel.IMU].accepted > 0
    assert vehicle.node._now() > SECOND
