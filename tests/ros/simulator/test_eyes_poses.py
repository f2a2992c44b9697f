"""The poses that the eyes follow: which are refused, where a scene is, which frames seem wrong."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from liquid_nav.errors import ConfigError
from liquid_nav.events import SECOND
from liquid_nav.messages.decode import MessageError
from liquid_nav.ros.simulator.eyes.parameters import SPECS, EyesSettings
from liquid_nav.ros.simulator.eyes.place import Place
from liquid_nav.ros.simulator.eyes.poses import FrameCheck, Pose, Track
from liquid_nav.ros.simulator.eyes.sources import SOURCES
from liquid_nav.rotations import compose, yaw_of
from liquid_nav_sim.streams import Streams
from liquid_nav_sim.tasks.registry import make_task

LEVEL = (0.0, 0.0, 0.0, 1.0)
NOW = 1_700_000_000 * SECOND


def turned(yaw: float) -> tuple[float, float, float, float]:
    return (0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2))


def pose(time: float, x: float = 0.0, y: float = 0.0, z: float = 1.0, **more: Any) -> Pose:
    fields = {"orientation": LEVEL, **more}
    return Pose(round(time * SECOND), (x, y, z), **fields)


# Poses one after the other.


def test_a_way_between_two_poses_is_followed() -> None:
    track = Track(timeout=0.5, max_speed=30.0)
    assert track.add(pose(10.0)) == "this is the first pose"
    assert track.add(pose(10.2, x=1.0)) == ""
    assert track.last == pose(10.2, x=1.0)


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (pose(10.7), "no pose for 0.70 s"),
        (pose(10.1, x=4.0), "leapt by 4.00 m in 0.100 s"),
        (pose(10.01, orientation=turned(2.0)), "leapt by 115 degrees"),
        (pose(3.0), "went back by 7.00 s"),
    ],
)
def test_a_way_that_nobody_knows_is_told(after: Pose, words: str) -> None:
    track = Track(timeout=0.5, max_speed=30.0)
    track.add(pose(10.0))
    assert words in str(track.add(after))
    assert track.last == after


def test_a_pose_that_is_late_is_dropped_and_counted() -> None:
    track = Track(timeout=0.5, max_speed=30.0)
    track.add(pose(10.0))
    assert track.add(pose(10.0)) is None
    assert track.add(pose(9.9, x=9.0)) is None
    assert (track.last, track.late) == (pose(10.0), 2)


def test_a_small_correction_of_the_estimate_is_no_leap() -> None:
    track = Track(timeout=0.5, max_speed=30.0)
    track.add(pose(10.0))
    assert track.add(pose(10.004, x=0.4, orientation=turned(0.3))) == ""


# Frames that seem wrong.


def complaint_of(check: FrameCheck, *poses: Pose) -> str:
    for one in poses:
        check.add(one)
    return check.complaint


def flight(heading: float, twist: float, steps: int = 40) -> list[Pose]:
    """A flight at 1 m/s towards `heading`, whose velocity is said to point to `twist`, rad."""
    velocity = (math.cos(twist), math.sin(twist), 0.0)
    return [
        pose(t / 20, math.cos(heading) * t / 20, math.sin(heading) * t / 20, velocity=velocity)
        for t in range(steps)
    ]


@pytest.mark.parametrize("heading", [0.0, math.pi / 2, math.pi, -math.pi / 2])
def test_right_frames_raise_no_complaint(heading: float) -> None:
    assert complaint_of(FrameCheck(0.0), *flight(heading, heading)) == ""


def test_a_height_of_ned_is_told() -> None:
    check = FrameCheck(0.0)
    assert "1.5 m below the floor: is its pose in NED" in complaint_of(check, pose(0, z=-1.5))
    assert complaint_of(check, pose(1, z=1.5)) == ""
    assert complaint_of(FrameCheck(-2.0), pose(0, z=-1.5)) == ""


def test_a_body_in_frd_is_told() -> None:
    upside_down = compose(turned(0.4), (1.0, 0.0, 0.0, 0.0))
    assert "upside down: is its orientation that of a body in FRD" in complaint_of(
        FrameCheck(0.0), pose(0, orientation=upside_down)
    )


@pytest.mark.parametrize(("turn", "side"), [(math.pi / 2, "left"), (-math.pi / 2, "right")])
def test_a_heading_that_the_way_contradicts_is_told(turn: float, side: str) -> None:
    check = FrameCheck(0.0)
    assert f"90 degrees to the {side}" in complaint_of(check, *flight(0.3, 0.3 + turn))
    check.restart()
    assert complaint_of(check, *flight(0.3, 0.3)) == ""


# Where the scene is.


@pytest.mark.parametrize("heading", [0.0, 1.2, -2.9])
def test_a_scene_at_the_start_has_its_start_at_the_vehicle(heading: float) -> None:
    scene = make_task("target").sample(Streams(3)["scene"], "train", 0.2)
    begun = pose(0, 7.0, -4.0, 1.8, orientation=turned(heading))
    place = Place.at_start(scene, begun, 0.5)
    position, orientation = place.pose(begun)
    np.testing.assert_allclose(position, [*scene.start_position[:2], 1.3], atol=1e-12)
    assert math.cos(yaw_of(np.array(orientation)) - scene.start_yaw) == pytest.approx(1)
    assert scene.target is not None
    # What is ahead of the start in the scene is ahead of the vehicle.
    away = scene.target.position - scene.start_position
    moved = place.solid(scene.target)
    bearing = math.atan2(moved.position[1] + 4.0, moved.position[0] - 7.0) - heading
    assert math.cos(bearing - math.atan2(away[1], away[0]) + scene.start_yaw) == pytest.approx(1)
    assert moved.position[2] == pytest.approx(scene.target.position[2] + 0.5)


def test_a_scene_that_is_fixed_stays_where_it_was_put() -> None:
    place = Place.fixed([2.0, 1.0, 0.25], math.pi / 2)
    position, orientation = place.pose(pose(0, 2.0, 4.0, 1.25, orientation=turned(math.pi / 2)))
    np.testing.assert_allclose(position, [3.0, 0.0, 1.0], atol=1e-12)
    assert yaw_of(np.array(orientation)) == pytest.approx(0.0, abs=1e-12)
    # At the origin of the poses no digit changes.
    exact = pose(0, 0.1, 0.2, 0.3, orientation=(0.1, 0.2, 0.3, math.sqrt(0.86)))
    assert Place.fixed([0.0, 0.0, 0.0], 0.0).pose(exact) == (exact.position, exact.orientation)


# What tells the pose.


def odometry(**changes: Any) -> Any:
    point = SimpleNamespace(x=1.0, y=2.0, z=3.0)
    unit = SimpleNamespace(x=0.0, y=0.0, z=math.sqrt(0.5), w=math.sqrt(0.5))
    zero = SimpleNamespace(x=0.0, y=0.0, z=0.0)
    seconds, rest = divmod(NOW, SECOND)
    fields = {
        "header": SimpleNamespace(
            frame_id="odom", stamp=SimpleNamespace(sec=seconds, nanosec=rest)
        ),
        "child_frame_id": "base_link",
        "pose": SimpleNamespace(pose=SimpleNamespace(position=point, orientation=unit)),
        "twist": SimpleNamespace(
            twist=SimpleNamespace(linear=SimpleNamespace(x=1.0, y=0.0, z=0.0), angular=zero)
        ),
    }
    return SimpleNamespace(**(fields | changes))


def test_odometry_gives_a_pose_and_a_velocity_in_its_frame() -> None:
    source = SOURCES["odometry"]("odom", "base_link")
    decoded = source.decode(odometry(), NOW + SECOND // 100, by_arrival=False)
    assert decoded is not None
    assert (decoded.stamp, decoded.position) == (NOW, (1.0, 2.0, 3.0))
    assert decoded.velocity is not None
    np.testing.assert_allclose(decoded.velocity, [0.0, 1.0, 0.0], atol=1e-12)


def test_odometry_of_another_clock_is_refused_unless_its_arrival_counts() -> None:
    source, other = SOURCES["odometry"]("", ""), 5 * SECOND
    with pytest.raises(MessageError, match="in the future"):
        source.decode(odometry(), other, by_arrival=False)
    decoded = source.decode(odometry(), other, by_arrival=True)
    assert decoded is not None
    assert decoded.stamp == other


def test_odometry_that_makes_no_sense_is_refused() -> None:
    source = SOURCES["odometry"]("", "")
    broken = odometry()
    broken.pose.pose.position = SimpleNamespace(x=math.nan, y=0.0, z=0.0)
    with pytest.raises(MessageError, match="not finite"):
        source.decode(broken, NOW, by_arrival=False)
    for w in (2.0, math.nan, 0.0):
        broken = odometry()
        broken.pose.pose.orientation = SimpleNamespace(x=0.0, y=0.0, z=0.0, w=w)
        with pytest.raises(MessageError, match="unit quaternion"):
            source.decode(broken, NOW, by_arrival=False)
    with pytest.raises(MessageError, match="must be in ENU"):
        source.decode(odometry(child_frame_id="base_link_frd"), NOW, by_arrival=False)
    # A velocity that is not known is no reason to see nothing.
    silent = odometry()
    silent.twist.twist.linear = SimpleNamespace(x=math.nan, y=0.0, z=0.0)
    decoded = source.decode(silent, NOW, by_arrival=False)
    assert decoded is not None
    assert decoded.velocity is None


def test_px4_s_odometry_is_turned_to_enu_and_flu() -> None:
    heading_north = SimpleNamespace(
        timestamp_sample=NOW // 1000,
        pose_frame=1,
        velocity_frame=1,
        q=[1.0, 0.0, 0.0, 0.0],
        position=[3.0, 1.0, -2.0],
        velocity=[0.5, 0.0, -0.25],
        angular_velocity=[0.0, 0.0, 0.0],
    )
    source = SOURCES["px4"]("", "")
    decoded = source.decode(heading_north, NOW, by_arrival=False)
    assert decoded is not None
    np.testing.assert_allclose(decoded.position, [1.0, 3.0, 2.0], atol=1e-6)
    assert yaw_of(np.array(decoded.orientation)) == pytest.approx(math.pi / 2)
    assert decoded.velocity is not None
    np.testing.assert_allclose(decoded.velocity, [0.0, 0.5, 0.25], atol=1e-6)
    heading_north.q = [math.nan] * 4
    with pytest.raises(MessageError, match="unit quaternion"):
        source.decode(heading_north, NOW, by_arrival=False)
    heading_north.q, heading_north.pose_frame = [1.0, 0.0, 0.0, 0.0], 2
    with pytest.raises(MessageError, match="must be NED"):
        source.decode(heading_north, NOW, by_arrival=False)


def transforms(*links: tuple[str, str, tuple[float, float, float], float], stamp: int = NOW) -> Any:
    """A message of transforms: parent, child, translation, yaw of each."""
    seconds, rest = divmod(stamp, SECOND)
    made = []
    for parent, child, (x, y, z), yaw in links:
        qx, qy, qz, qw = turned(yaw)
        made.append(
            SimpleNamespace(
                header=SimpleNamespace(
                    frame_id=parent, stamp=SimpleNamespace(sec=seconds, nanosec=rest)
                ),
                child_frame_id=child,
                transform=SimpleNamespace(
                    translation=SimpleNamespace(x=x, y=y, z=z),
                    rotation=SimpleNamespace(x=qx, y=qy, z=qz, w=qw),
                ),
            )
        )
    return SimpleNamespace(transforms=made)


def test_a_chain_of_transforms_gives_a_pose() -> None:
    source: Any = SOURCES["tf"]("map", "base_link")
    moving = transforms(("odom", "base_footprint", (1.0, 0.0, 2.0), 0.5))
    assert source.decode(moving, NOW, by_arrival=False) is None  # The chain is not whole yet.
    source.add_static(transforms(("base_footprint", "base_link", (0.0, 0.0, 0.1), 0.0)))
    source.add_static(transforms(("/map", "odom", (10.0, 0.0, 0.0), math.pi / 2)))
    decoded = source.decode(moving, NOW, by_arrival=False)
    np.testing.assert_allclose(decoded.position, [10.0, 1.0, 2.1], atol=1e-12)
    assert yaw_of(np.array(decoded.orientation)) == pytest.approx(math.pi / 2 + 0.5)
    # Other frames change nothing, and the same transform is no new pose.
    other = transforms(("odom", "gimbal", (0.0, 0.0, 0.0), 0.0), stamp=NOW + 5)
    assert source.decode(other, NOW + 5, by_arrival=False) is None
    later = transforms(("odom", "base_footprint", (1.5, 0.0, 2.0), 0.5), stamp=NOW + SECOND)
    assert source.decode(later, NOW + SECOND, by_arrival=False).stamp == NOW + SECOND


def test_transforms_that_make_no_sense_are_refused() -> None:
    source: Any = SOURCES["tf"]("odom", "base_link")
    broken = transforms(("odom", "base_link", (math.nan, 0.0, 0.0), 0.0))
    with pytest.raises(MessageError, match="not finite"):
        source.decode(broken, NOW, by_arrival=False)
    broken.transforms[0].transform.rotation.w = 3.0
    with pytest.raises(MessageError, match="unit quaternion"):
        source.decode(broken, NOW, by_arrival=False)
    ring = transforms(("b", "base_link", (0, 0, 0), 0.0), ("base_link", "b", (0, 0, 0), 0.0))
    with pytest.raises(MessageError, match="ring"):
        source.decode(ring, NOW, by_arrival=False)


# Parameters.


def test_parameters_that_make_no_sense_are_refused() -> None:
    values = {spec.name: spec.default for spec in SPECS}
    assert EyesSettings.of(values).values["sensors"] == ["camera"]
    for name, value, words in (
        ("pose", "vicon", "pose must be one of odometry, px4, tf"),
        ("origin", [0.0, 1.0], "origin must be three finite numbers"),
        ("origin", [0.0, 1.0, math.nan], "origin must be three finite numbers"),
        ("sensors", [], "at least one sensor"),
        ("fault.kind", "camera_smear", "fault.kind"),
        ("pose_timeout", 0.0, "pose_timeout must be in"),
    ):
        with pytest.raises(ConfigError, match=words):
            EyesSettings.of(values | {name: value})
