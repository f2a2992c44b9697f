"""Each failsafe entered and left by real messages over real DDS; the table is docs/safety.md."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ros.node_support import OK, SimulatedTime, Vehicle, is_rest, save_small_bundle, vector
from ros.ros_support import Spinner

pytest.importorskip("rclpy")

from nav_msgs.msg import Odometry

from liquid_nav.events import Channel


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_bundle(tmp_path_factory.mktemp("models"))


@pytest.fixture
def ros() -> Iterator[Spinner]:
    with Spinner() as spinner:
        yield spinner


def flies(vehicle: Vehicle) -> None:
    """Sense until a command of the policy has come."""
    vehicle.nominal()
    vehicle.until(lambda: any(not is_rest(c) for c in vehicle.commands[-50:]), "the policy again")


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


def test_a_clock_that_restarts_restarts_the_controller(ros: Spinner, bundle: Path) -> None:
    vehicle = Vehicle(ros, bundle, use_sim_time=True)
    clock = SimulatedTime(vehicle)
    clock.set(100.0)
    vehicle.fly().nominal()
    clock.set(3.0)
    vehicle.until_reported("controller", "hover: clock: went back")
    vehicle.until(lambda: is_rest(vehicle.commands[-1]), "rest")
    vehicle.nominal()
    flies(vehicle)
    vehicle.until_reported("controller", "clock_resets=1")


def test_a_stale_imu_hovers_and_recovers(ros: Spinner, bundle: Path) -> None:
    vehicle = Vehicle(ros, bundle, staleness__imu__hover=0.3, staleness__imu__land=60.0)
    vehicle.fly().nominal()
    vehicle.world.create_timer(0.02, lambda: vehicle.image.publish(vehicle.picture()))
    vehicle.until_reported("controller", "hover: imu: stale for more than 0.3 s")
    vehicle.until(lambda: is_rest(vehicle.commands[-1]), "rest")
    flies(vehicle)


def test_a_landing_is_left_when_the_camera_is_back(ros: Spinner, bundle: Path) -> None:
    vehicle = Vehicle(ros, bundle, staleness__camera__hover=0.2, staleness__camera__land=0.4)
    vehicle.fly().nominal()
    vehicle.world.create_timer(0.02, lambda: vehicle.imu.publish(vehicle.sample()))
    vehicle.until_reported("controller", "land: camera: stale for more than 0.4 s")
    assert vehicle.diagnostics["controller"].level == b"\x02"
    vehicle.until(lambda: vector(vehicle.commands[-1]) == (0, 0, -0.5, 0), "the landing")
    flies(vehicle)


def test_hysteresis_keeps_the_hover_for_the_time_of_recovery(ros: Spinner, bundle: Path) -> None:
    vehicle = Vehicle(
        ros, bundle, staleness__imu__hover=0.3, staleness__imu__land=60.0, recovery=3.0
    )
    vehicle.fly().nominal()
    vehicle.until_reported("controller", "imu: stale")
    vehicle.sensing = True
    vehicle.until_reported("controller", "imu: recovering")
    flies(vehicle)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"force": math.nan}, "not finite"),
        ({"force": 1e30}, "specific force"),
        ({"rate": 1e6}, "angular velocity"),
    ],
)
def test_an_imu_that_gives_nonsense_is_stale(
    ros: Spinner, bundle: Path, wrong: dict[str, float], words: str
) -> None:
    vehicle = Vehicle(ros, bundle, staleness__imu__hover=0.3, staleness__imu__land=60.0)
    vehicle.fly().nominal()
    nonsense = vehicle.world.create_timer(
        0.02, lambda: vehicle.imu.publish(vehicle.sample(**wrong))
    )
    vehicle.until_reported("controller", "imu: stale")
    assert words in vehicle.until_reported("imu", "rejected: ").message
    nonsense.cancel()
    flies(vehicle)


def test_a_frozen_imu_is_rejected_and_hovers_and_recovers(ros: Spinner, bundle: Path) -> None:
    vehicle = Vehicle(ros, bundle, staleness__imu__hover=0.3, staleness__imu__land=60.0)
    vehicle.fly().nominal()
    same = vehicle.sample()
    repeat = vehicle.world.create_timer(0.02, lambda: vehicle.imu.publish(vehicle.stamp(same)))
    vehicle.until_reported("controller", "imu: stale")
    vehicle.until_reported("imu", "frozen: unchanged for more than 0.1 s")
    vehicle.until(lambda: is_rest(vehicle.commands[-1]), "rest")
    repeat.cancel()
    flies(vehicle)


def test_a_frozen_camera_is_rejected_and_hovers_and_recovers(ros: Spinner, bundle: Path) -> None:
    vehicle = Vehicle(
        ros, bundle, staleness__camera__hover=0.3, staleness__camera__land=60.0, frozen__camera=0.2
    )
    vehicle.fly().nominal()
    same = vehicle.picture()

    def repeat() -> None:
        vehicle.imu.publish(vehicle.sample())
        vehicle.image.publish(vehicle.stamp(same))

    timer = vehicle.world.create_timer(0.02, repeat)
    vehicle.until_reported("controller", "camera: stale")
    vehicle.until_reported("camera", "frozen: unchanged for more than 0.2 s")
    timer.cancel()
    flies(vehicle)


def place(vehicle: Vehicle, x: float, z: float) -> Odometry:
    message = vehicle.stamp(Odometry())
    message.pose.pose.position.x, message.pose.pose.position.z = x, z
    message.pose.pose.orientation.w = 1.0
    return message


@pytest.mark.parametrize(
    ("where", "axis"), [((9.99999, 2.0), 0), ((-9.99999, 2.0), 0), ((0.0, 0.30001), 2)]
)
def test_a_wall_is_not_flown_through_and_the_way_back_is_free(
    ros: Spinner, bundle: Path, where: tuple[float, float], axis: int
) -> None:
    """At the wall nothing leads out; the lowest z is the minimum height."""
    vehicle = Vehicle(
        ros,
        bundle,
        geofence__enabled=True,
        staleness__odometry__hover=5.0,
        staleness__odometry__land=9.0,
    )
    places = vehicle.world.create_publisher(Odometry, "odometry", 1)
    vehicle.fly()
    ros.until_matched(places)
    here = [where]
    vehicle.world.create_timer(0.02, lambda: places.publish(place(vehicle, *here[0])))
    vehicle.nominal()
    out = -1.0 if where[0] < 0 or axis == 2 else 1.0
    # A policy that pushes out for ever.
    push = [0.0, 0.0, 0.0, 0.0]
    push[axis] = out
    vehicle.node._flight.policy.runtime = Pushing(push)
    vehicle.sensing = True
    vehicle.until_reported("controller", "reason=geofence")
    vehicle.commands.clear()
    vehicle.until(lambda: len(vehicle.commands) > 20, "commands")
    assert max(out * vector(command)[axis] for command in vehicle.commands) < 0.01
    here[0] = (0.0, 2.0)
    vehicle.until(lambda: abs(vector(vehicle.commands[-1])[axis] - out) < 1e-3, "freedom")


class Pushing:
    """A policy runtime that always wants the same."""

    def __init__(self, command: list[float]):
        self.command = tuple(command)

    def on_event(self, memory: Any, *_: Any) -> Any:
        return memory, self.command

    def query(self, *_: Any) -> Any:
        return self.command


def test_stale_odometry_with_a_fence_hovers_and_recovers(ros: Spinner, bundle: Path) -> None:
    vehicle = Vehicle(
        ros,
        bundle,
        geofence__enabled=True,
        staleness__odometry__hover=0.4,
        staleness__odometry__land=60.0,
    )
    places = vehicle.world.create_publisher(Odometry, "odometry", 1)
    vehicle.fly()
    ros.until_matched(places)
    located = vehicle.world.create_timer(0.02, lambda: places.publish(place(vehicle, 0.0, 2.0)))
    flies(vehicle)
    located.cancel()
    vehicle.sensing = True
    vehicle.until_reported("controller", "hover: odometry: stale for more than 0.4 s")
    located.reset()
    vehicle.until(lambda: vehicle.last("mode") == "nominal", "recovery")


def test_a_clock_that_leaps_ahead_hovers_and_recovers(ros: Spinner, bundle: Path) -> None:
    vehicle = Vehicle(ros, bundle, use_sim_time=True)
    clock = SimulatedTime(vehicle)
    clock.set(100.0)
    vehicle.fly().nominal()
    clock.set(107.0)
    vehicle.until_reported("controller", "hover: camera: stale")
    flies(vehicle)
