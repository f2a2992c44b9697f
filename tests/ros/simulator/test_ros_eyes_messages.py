"""The eyes node with messages that are not on PyPI: poses of PX4 and of transforms, and markers.

Each test runs where its package can be imported: in a ROS installation, or where it was built.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from ros.node_support import overrides
from ros.ros_support import Spinner

pytest.importorskip("rclpy")

from nav_msgs.msg import Odometry
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock

from liquid_nav.events import SECOND
from liquid_nav.ros.simulator.eyes.node import EyesNode, Phase
from liquid_nav_sim.scenes.scene import Shape

BEGIN = 70 * SECOND
HEADING = 2.0
BEST_EFFORT = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)


@pytest.fixture
def ros() -> Iterator[Spinner]:
    with Spinner() as spinner:
        yield spinner


class Climb:
    """An eyes node, and a vehicle at (2, 3) that climbs and faces `HEADING`."""

    def __init__(self, ros: Spinner, kind: type[Any], topic: str, qos: Any, **parameters: Any):
        self.ros, self.now = ros, BEGIN
        parameters = {"use_sim_time": True, "task": "follow", "seed": 5} | parameters
        self.node: Any = ros.add(
            EyesNode(context=ros.context, parameter_overrides=overrides(**parameters))
        )
        self.body = ros.node("body")
        self.clock = self.body.create_publisher(Clock, "/clock", 10)
        self.poses = self.body.create_publisher(kind, topic, qos)
        ros.until_matched(self.clock, self.poses)

    def fly(self, pose: Any) -> None:
        """Climb to 1.2 m by poses that `pose` makes of time, ns, and height."""
        for step in range(31):
            self.now += SECOND // 25
            message = Clock()
            message.clock.sec, message.clock.nanosec = divmod(self.now, SECOND)
            self.clock.publish(message)
            clock = self.node.get_clock()
            self.ros.until(lambda c=clock: c.now().nanoseconds == self.now, what="the clock")
            before = self.node._track.last
            self.poses.publish(pose(self.now, 0.04 * step))
            self.ros.until(lambda b=before: self.node._track.last != b, what="the pose")


def check(climb: Climb) -> None:
    """The flight has begun where the vehicle is, in a frame with z up."""
    node = climb.node
    assert (node.phase, node.refused, node._frames.complaint) == (Phase.FLYING, 0, "")
    begun = node._track.last
    np.testing.assert_allclose(begun.position[:2], (2.0, 3.0), atol=1e-5)
    position, _ = node._place.pose(begun)
    np.testing.assert_allclose(position[:2], node.world.scene.start_position[:2], atol=1e-5)
    assert node._place.yaw == pytest.approx(node.world.scene.start_yaw - HEADING, abs=1e-5)


def test_px4_s_odometry_begins_a_flight(ros: Spinner) -> None:
    messages = pytest.importorskip("px4_msgs.msg", reason="px4_msgs is not installed")
    topic = "/fmu/out/vehicle_odometry"
    climb = Climb(ros, messages.VehicleOdometry, topic, BEST_EFFORT, pose="px4")
    yaw = math.pi / 2 - HEADING  # Clockwise from north.

    def pose(stamp: int, height: float) -> Any:
        made = messages.VehicleOdometry(timestamp=stamp // 1000, timestamp_sample=stamp // 1000)
        made.pose_frame = made.velocity_frame = 1
        made.q = np.array([math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)], np.float32)
        made.position = np.array([3.0, 2.0, -height], np.float32)
        made.velocity = np.array([0.0, 0.0, -1.0], np.float32)
        made.angular_velocity = np.zeros(3, np.float32)
        return made

    climb.fly(pose)
    check(climb)


def test_transforms_begin_a_flight(ros: Spinner) -> None:
    messages = pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs is not installed")
    from geometry_msgs.msg import TransformStamped

    def transform(stamp: int, parent: str, child: str, height: float) -> Any:
        made = TransformStamped(child_frame_id=child)
        made.header.frame_id = parent
        made.header.stamp.sec, made.header.stamp.nanosec = divmod(stamp, SECOND)
        made.transform.translation.z = height
        return made

    climb = Climb(ros, messages.TFMessage, "/tf", 100, pose="tf", world_frame="map")
    latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    static = climb.body.create_publisher(messages.TFMessage, "/tf_static", latched)
    still = transform(0, "footprint", "base_link", 0.1)
    static.publish(messages.TFMessage(transforms=[still]))
    ros.until(lambda: "base_link" in climb.node._source._links, what="the static transform")

    def pose(stamp: int, height: float) -> Any:
        made = transform(stamp, "map", "footprint", height)
        made.transform.translation.x, made.transform.translation.y = 2.0, 3.0
        made.transform.rotation.z = math.sin(HEADING / 2)
        made.transform.rotation.w = math.cos(HEADING / 2)
        return messages.TFMessage(transforms=[made])

    climb.fly(pose)
    check(climb)
    assert climb.node._track.last.position[2] == pytest.approx(1.3)


def test_the_scene_is_drawn_around_the_vehicle(ros: Spinner) -> None:
    messages = pytest.importorskip("visualization_msgs.msg", reason="not installed")
    climb = Climb(ros, Odometry, "odom", 10)
    arrays: list[Any] = []
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    topic = "liquid_nav_eyes_node/scene"
    climb.body.create_subscription(messages.MarkerArray, topic, arrays.append, latched)

    def pose(stamp: int, height: float) -> Any:
        made = Odometry(child_frame_id="base_link")
        made.header.stamp.sec, made.header.stamp.nanosec = divmod(stamp, SECOND)
        point, turn = made.pose.pose.position, made.pose.pose.orientation
        point.x, point.y, point.z = 2.0, 3.0, height
        turn.z, turn.w = math.sin(HEADING / 2), math.cos(HEADING / 2)
        return made

    climb.fly(pose)
    check(climb)
    begun, scene = climb.node._origin, climb.node.world.scene

    def seconds(array: Any) -> float:
        stamp = array.markers[-1].header.stamp
        return float((stamp.sec * SECOND + stamp.nanosec - begun) / SECOND)

    ros.until(lambda: any(seconds(array) > 0 for array in arrays), what="the moving target")
    array = next(array for array in arrays if seconds(array) > 0)
    markers = {marker.id: marker for marker in array.markers}
    assert len(markers) == len(scene.solids) + 1
    assert markers[0].header.frame_id == "odom"
    # The vehicle sees each solid where its marker is.
    place = scene.target_position(seconds(array))
    away = place - scene.start_position
    target = markers[1].pose.position
    bearing = math.atan2(target.y - 3.0, target.x - 2.0) - HEADING
    expected = math.atan2(away[1], away[0]) - scene.start_yaw
    assert math.cos(bearing - expected) == pytest.approx(1, abs=1e-6)
    assert math.hypot(target.x - 2.0, target.y - 3.0) == pytest.approx(math.hypot(*away[:2]))
    kinds = {Shape.BOX: 1, Shape.SPHERE: 2, Shape.CYLINDER: 3}
    assert markers[1].type == kinds[scene.target.shape]
