"""Policies of other channels than camera and IMU in the node, over real DDS."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ros.node_support import LOUD, Vehicle
from ros.ros_support import Spinner

pytest.importorskip("rclpy")

from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from rclpy.lifecycle import TransitionCallbackReturn
from sensor_msgs.msg import Range

from liquid_nav.events import Channel
from liquid_nav.onboard import Manifest, PolicyConfig
from liquid_nav.policy import PolicyNetwork, save_bundle

ALL = ("camera", "imu", "goal", "range", "odometry")


def bundle_of(folder: Path, *channels: str, optional: tuple[str, ...] = ()) -> Path:
    """Bundle of an untrained policy of these channels."""
    config = PolicyConfig.of_channels(channels, units=12, optional=optional)
    torch.manual_seed(0)
    network = PolicyNetwork(config).eval()
    save_bundle(folder / "model", network, Manifest("test", config, {}, {}))
    return folder / "model"


@pytest.fixture
def ros() -> Iterator[Spinner]:
    with Spinner() as spinner:
        yield spinner


def fed(vehicle: Vehicle) -> dict[str, Any]:
    """Publishers of goal, range and odometry, once the node reads them."""
    world = vehicle.world
    publishers = {
        "goal": world.create_publisher(PoseStamped, "goal", LOUD),
        "range": world.create_publisher(Range, "range", LOUD),
        "odometry": world.create_publisher(Odometry, "odometry", LOUD),
    }
    vehicle.ros.until_matched(*publishers.values())
    return publishers


def at_place(vehicle: Vehicle) -> Odometry:
    here = vehicle.stamp(Odometry())
    here.pose.pose.orientation.w, here.pose.pose.position.z = 1.0, 1.0
    return here


def test_a_policy_of_all_channels_flies_on_their_messages(ros: Spinner, tmp_path: Path) -> None:
    loose = {f"staleness__{c}__{a}": 9.0 for c in ("range", "odometry") for a in ("hover", "land")}
    vehicle = Vehicle(ros, bundle_of(tmp_path, *ALL), **loose).fly()
    publishers = fed(vehicle)
    goal = vehicle.stamp(PoseStamped())
    goal.pose.position.x = 5.0
    vehicle.tell(publishers["goal"], goal, Channel.GOAL)
    near = vehicle.stamp(Range(range=2.5, max_range=10.0))
    vehicle.tell(publishers["range"], near, Channel.RANGE)
    vehicle.tell(publishers["odometry"], at_place(vehicle), Channel.ODOMETRY)
    vehicle.nominal()
    accepted = {c.value: h.accepted for c, h in vehicle.controller.health.channels.items()}
    assert accepted["goal"] == accepted["range"] == accepted["odometry"] == 1
    vehicle.until_reported("range", "accepted=1")
    before = vehicle.controller.command(vehicle.node._now())
    far = vehicle.stamp(Range(range=9.0, max_range=10.0))
    vehicle.tell(publishers["range"], far, Channel.RANGE)
    assert vehicle.controller.command(vehicle.node._now()).vector != before.vector


def test_a_range_finder_that_falls_silent_is_a_failsafe(ros: Spinner, tmp_path: Path) -> None:
    policy = bundle_of(tmp_path, "camera", "imu", "range")
    vehicle = Vehicle(ros, policy, staleness__range__hover=0.2, staleness__range__land=9.0).fly()
    ranges = vehicle.world.create_publisher(Range, "range", LOUD)
    ros.until_matched(ranges)
    vehicle.sensing = True
    vehicle.until_reported("controller", "range: nothing received yet")
    count = iter(range(10**6))

    def sense() -> None:
        if not silent:
            ranges.publish(vehicle.stamp(Range(range=2.0 + next(count) * 1e-3, max_range=9.0)))

    silent = False
    vehicle.world.create_timer(0.02, sense)
    vehicle.until(lambda: vehicle.last("mode") == "nominal", "nominal mode")
    silent = True
    vehicle.until_reported("controller", "range: stale for more than 0.2 s")


def test_an_optional_range_finder_is_used_while_it_comes(ros: Spinner, tmp_path: Path) -> None:
    policy = bundle_of(tmp_path, "camera", "imu", "range", optional=("range",))
    vehicle = Vehicle(ros, policy, staleness__range__hover=0.2, staleness__range__land=9.0).fly()
    vehicle.sensing = True
    vehicle.until(lambda: vehicle.last("mode") == "nominal", "nominal mode")
    vehicle.until_reported("range", "nothing received yet; it is not needed")
    vehicle.until_reported("range", "use=optional")
    vehicle.until_reported("imu", "use=needed")
    counted = vehicle.last("slew_limited").partition(" of ")
    assert int(counted[0]) <= int(counted[2])
    assert int(counted[2]) > 0
    place = PolicyConfig.of_channels(("camera", "imu", "range")).layout[Channel.RANGE]

    def latched() -> bool:
        return bool(vehicle.controller.memory.latch[place].any())

    assert not latched()
    ranges = vehicle.world.create_publisher(Range, "range", LOUD)
    ros.until_matched(ranges)
    vehicle.tell(ranges, vehicle.stamp(Range(range=2.0, max_range=9.0)), Channel.RANGE)
    vehicle.until(lambda: not latched(), "the range forgotten")
    assert vehicle.controller.health.channels[Channel.RANGE].accepted == 1
    vehicle.until_reported("range", "nothing newer than")
    vehicle.until(lambda: vehicle.last("mode") == "nominal", "nominal mode")


def test_a_policy_without_a_camera_needs_no_images(ros: Spinner, tmp_path: Path) -> None:
    policy = bundle_of(tmp_path, "imu", "range")
    vehicle = Vehicle(
        ros, policy, use_camera_info=True, staleness__range__hover=9.0, staleness__range__land=9.0
    )
    assert vehicle.node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert vehicle.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    ranges = vehicle.world.create_publisher(Range, "range", LOUD)
    ros.until_matched(ranges, vehicle.imu)
    assert vehicle.image.get_subscription_count() == 0
    vehicle.tell(ranges, vehicle.stamp(Range(range=2.0, max_range=9.0)), Channel.RANGE)
    vehicle.tell(vehicle.imu, vehicle.sample(), Channel.IMU)
    vehicle.until(lambda: vehicle.last("mode") == "nominal", "nominal mode")


def test_a_channel_of_the_policy_without_a_topic_is_refused(ros: Spinner, tmp_path: Path) -> None:
    vehicle = Vehicle(ros, bundle_of(tmp_path, "imu", "range"), topics__range="")
    assert vehicle.node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert "topics.range is empty, but the policy needs range" in vehicle.node._failure


def test_an_optional_channel_needs_no_topic(ros: Spinner, tmp_path: Path) -> None:
    policy = bundle_of(tmp_path, "imu", "range", optional=("range",))
    vehicle = Vehicle(ros, policy, topics__range="")
    assert vehicle.node.trigger_configure() == TransitionCallbackReturn.SUCCESS
