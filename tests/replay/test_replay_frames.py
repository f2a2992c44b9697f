"""Frames and clocks of others: an IMU mounted askew, by /tf_static, and a logger's own clock."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as BagWriter
from scipy.spatial.transform import Rotation

from liquid_nav.bags.bag import Recording
from liquid_nav.cli.main import main
from liquid_nav.events import SECOND, CameraFrame, Event, ImuSample
from liquid_nav.messages.fields import header, vector3
from liquid_nav.onboard import Policy
from liquid_nav.recording.recorder import FlightRecorder
from liquid_nav.recording.writer import McapWriter, message
from liquid_nav.replay.calibration import find_imu_rotation
from liquid_nav.replay.run import replay
from liquid_nav.replay.timeline import Cut
from liquid_nav.replay.topics import Topics, find
from replay.replay_support import events, record, replayed, rewrite_bag
from ros.backend_support import build, typestore

SKEW = {
    "imu_plate": ("base_link", Rotation.from_euler("zyx", [40, -20, 10], degrees=True)),
    "imu_link": ("imu_plate", Rotation.from_euler("zyx", [-70, 15, 170], degrees=True)),
}
"""Child frame to parent frame and the rotation from the child's coordinates to the parent's."""

BODY_FROM_IMU = SKEW["imu_plate"][1] * SKEW["imu_link"][1]


def transforms(*children: str) -> object:
    stamped = []
    for child in children:
        parent, rotation = SKEW[child]
        x, y, z, w = rotation.as_quat()
        turn = message("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w)
        moved = message(
            "geometry_msgs/msg/Transform", translation=vector3((0.1, 0.2, 0.3)), rotation=turn
        )
        stamped.append(
            message(
                "geometry_msgs/msg/TransformStamped",
                header=header(0, parent),
                child_frame_id=child,
                transform=moved,
            )
        )
    return message("tf2_msgs/msg/TFMessage", transforms=stamped)


def imu_in(frame: str, sample: ImuSample) -> object:
    """The sample as a driver in the sensor's own frame publishes it."""
    turn = BODY_FROM_IMU.inv()
    unknown = np.zeros(9)
    unknown[0] = -1
    return message(
        "sensor_msgs/msg/Imu",
        header=header(sample.stamp, frame),
        orientation=message("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0),
        orientation_covariance=unknown,
        angular_velocity=vector3(turn.apply(sample.angular_velocity.copy())),
        angular_velocity_covariance=np.zeros(9),
        linear_acceleration=vector3(turn.apply(sample.specific_force.copy())),
        linear_acceleration_covariance=np.zeros(9),
    )


FLIGHT = [
    e for e in events(0.5) if isinstance(e, ImuSample) and np.abs(e.angular_velocity).max() < 1e3
]


def skewed(path: Path, *said: tuple[str, ...]) -> Path:
    """A bag of the IMU in its own frame, with a message on /tf_static for each of `said`."""
    with McapWriter(path) as writer:
        for children in said:
            writer.write("/tf_static", transforms(*children), FLIGHT[0].arrival)
        for sample in FLIGHT:
            writer.write("/imu", imu_in("imu_link", sample), sample.arrival)
    return path


def slashed(path: Path) -> Path:
    """The same as ROS 1 wrote frames, with transforms in a namespace of their own."""
    with McapWriter(path) as writer:
        said = transforms("imu_plate", "imu_link")
        for one in said.transforms:
            one.header.frame_id = f"/{one.header.frame_id}"
            one.child_frame_id = f"/{one.child_frame_id}"
        writer.write("/drone/tf_static", said, FLIGHT[0].arrival)
        for sample in FLIGHT:
            writer.write("/imu", imu_in("/imu_link", sample), sample.arrival)
    return path


def taken_in(path: Path, policy: Policy) -> tuple[list[ImuSample], str]:
    """Samples as the controller got them, and what was said of the rotation."""
    seen: list[Event] = []
    with Recording(path) as recording:
        topics = find(recording.topics, Topics(), comparing=False)
        rotation, why = find_imu_rotation(recording, topics)
        watch = lambda event, *_: seen.append(event)  # noqa: E731
        replay(recording, topics, policy, imu_rotation=rotation, watch=watch)
    return [event for event in seen if isinstance(event, ImuSample)], why


@pytest.mark.parametrize("said", [(("imu_plate", "imu_link"),), (("imu_link",), ("imu_plate",))])
@pytest.mark.parametrize("storage", [None, StoragePlugin.SQLITE3])
def test_the_imu_is_turned_by_tf_static(
    flow_policy: Policy,
    tmp_path: Path,
    said: tuple[tuple[str, ...], ...],
    storage: StoragePlugin | None,
) -> None:
    path = skewed(tmp_path / "skewed.mcap", *said)
    if storage is not None:
        rewrite_bag(path, tmp_path / "bag", storage)
        path = tmp_path / "bag"
    seen, why = taken_in(path, flow_policy)
    assert "tf_static" in why
    assert len(seen) == len(FLIGHT)
    for got, sample in zip(seen, FLIGHT, strict=True):
        np.testing.assert_allclose(got.angular_velocity, sample.angular_velocity, atol=1e-12)
        np.testing.assert_allclose(got.specific_force, sample.specific_force, atol=1e-12)


def test_the_imu_is_turned_by_frames_of_ros_1(flow_policy: Policy, tmp_path: Path) -> None:
    seen, why = taken_in(slashed(tmp_path / "slashed.mcap"), flow_policy)
    assert "turned from '/imu_link'" in why
    for got, sample in zip(seen, FLIGHT, strict=True):
        np.testing.assert_allclose(got.specific_force, sample.specific_force, atol=1e-12)


def test_without_a_way_to_the_body_the_imu_stays_and_it_is_said(
    flow_policy: Policy, tmp_path: Path
) -> None:
    seen, why = taken_in(skewed(tmp_path / "skewed.mcap", ("imu_link",)), flow_policy)
    assert "imu_link" in why
    turned = BODY_FROM_IMU.inv().apply(FLIGHT[0].specific_force.copy())
    np.testing.assert_allclose(seen[0].specific_force, turned, atol=1e-12)


def test_what_is_given_goes_before_tf_static(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = skewed(tmp_path / "skewed.mcap", ("imu_plate", "imu_link"))
    assert main(["replay", str(path)]) == 0
    assert "tf_static" in capsys.readouterr().out
    assert main(["replay", str(path), "--imu-rotation", "0", "0", "0", "1"]) == 0
    assert "the IMU is turned as was given" in capsys.readouterr().out
    assert main(["replay", str(path), "--no-imu-from-tf"]) == 0
    assert "the IMU is taken to be aligned with the body" in capsys.readouterr().out
    assert main(["replay", str(path), "--body-frame", "imu_plate"]) == 0
    assert "turned from 'imu_link' to imu_plate" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("given", [True, False])
def test_the_imu_of_px4_is_turned_as_was_given(
    given: bool, flow_policy: Policy, tmp_path: Path
) -> None:
    """A board that is turned by a quarter about the vertical: its nose points to the left."""
    store = typestore()
    quarter = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    kind, frd = "px4_msgs/msg/SensorCombined", np.diag([1.0, -1.0, -1.0])
    fields = dict.fromkeys(
        (
            *("gyro_integral_dt", "accelerometer_integral_dt", "accelerometer_clipping"),
            *("accelerometer_timestamp_relative", "gyro_clipping"),
            *("accel_calibration_count", "gyro_calibration_count"),
        ),
        0,
    )
    with BagWriter(tmp_path / "bag", version=9) as writer:
        topic = writer.add_connection("/fmu/out/sensor_combined", kind, typestore=store)
        for sample in FLIGHT:
            rates, force = (
                (frd @ quarter.T @ vector).astype(np.float32)
                for vector in (sample.angular_velocity, sample.specific_force)
            )
            turned = {"gyro_rad": rates, "accelerometer_m_s2": force}
            content = build(store, kind, fields | turned | {"timestamp": sample.stamp // 1000})
            writer.write(topic, sample.arrival, store.serialize_cdr(content, kind))
    seen: list[Event] = []
    with Recording(tmp_path / "bag") as recording:
        topics = find(recording.topics, Topics(), comparing=False)
        watch = lambda event, *_: seen.append(event)  # noqa: E731
        replay(recording, topics, flow_policy, imu_rotation=quarter if given else None, watch=watch)
    assert len(seen) == len(FLIGHT)
    for got, sample in zip(seen, FLIGHT, strict=True):
        expected = sample.specific_force if given else quarter.T @ sample.specific_force
        np.testing.assert_allclose(got.specific_force, expected, atol=1e-5)


OFFSET = 7_000 * SECOND + 123

# No two at one stamp, whose order would be that of their arrival.
ALONE = list({e.stamp: e for e in events(1.0) if isinstance(e, (CameraFrame, ImuSample))}.values())


def other_clock(policy: Policy, path: Path) -> None:
    """Record a flight by a logger whose clock is two hours ahead of the sensors', with jitter."""
    rng = np.random.default_rng(0)
    late = [e.stamp + OFFSET + int(rng.integers(0, SECOND // 50)) for e in ALONE]
    with FlightRecorder(path, policy.config.camera) as recorder:
        for when, event in sorted(zip(late, ALONE, strict=True), key=lambda pair: pair[0]):
            recorder.event(replace(event, arrival=when))


def test_by_stamps_arrivals_are_stamps_in_order(flow_policy: Policy, tmp_path: Path) -> None:
    other_clock(flow_policy, tmp_path / "other.mcap")
    by_log = replayed(tmp_path / "other.mcap", flow_policy, comparing=False)
    assert by_log.events == 0  # Two hours old, all of them.
    seen: list[Event] = []
    with Recording(tmp_path / "other.mcap") as recording:
        topics = find(recording.topics, Topics(), comparing=False)
        watch = lambda event, *_: seen.append(event)  # noqa: E731
        cut = Cut(clock="stamp")
        result = replay(recording, topics, flow_policy, cut=cut, watch=watch)
    assert [event.arrival for event in seen] == sorted(event.stamp for event in ALONE)
    assert all(event.arrival == event.stamp for event in seen)
    assert result.events == len(ALONE)
    assert result.damage.lost == 0


def test_by_stamps_the_clock_of_the_logger_does_not_matter(
    flow_policy: Policy, tmp_path: Path
) -> None:
    """Two recordings of one flight, by two loggers, replay to the same commands."""
    other_clock(flow_policy, tmp_path / "other.mcap")
    record(tmp_path / "own.mcap", flow_policy, sorted(ALONE, key=lambda e: e.arrival))
    digests = set()
    for name in ("own.mcap", "other.mcap"):
        with Recording(tmp_path / name) as recording:
            topics = find(recording.topics, Topics(), comparing=False)
            result = replay(recording, topics, flow_policy, cut=Cut(clock="stamp"))
            digests.add(result.digest)
    assert len(digests) == 1


def test_the_command_line_takes_the_clock(
    flow_policy: Policy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other_clock(flow_policy, tmp_path / "other.mcap")
    assert main(["replay", str(tmp_path / "other.mcap")]) == 2
    assert "--clock stamp takes" in capsys.readouterr().err
    assert main(["replay", str(tmp_path / "other.mcap"), "--clock", "stamp"]) == 0
    assert f"{len(ALONE)} events" in capsys.readouterr().out
