"""The back-end in the real controller node and supervisor, over DDS, found by its entry point."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from plugin_support import plugged
from ros.node_support import OK, Process, Vehicle, save_small_bundle
from ros.ros_support import Spinner

pytest.importorskip("rclpy")

from geometry_msgs.msg import Twist

from liquid_nav.command import Command
from liquid_nav.errors import ConfigError
from liquid_nav.ros.backends import make_backend
from liquid_nav.ros.heartbeat import HeartbeatSender


@pytest.fixture(autouse=True)
def installed(tmp_path: Path) -> Iterator[None]:
    (tmp_path / "site").mkdir()
    with plugged("backend_stick", tmp_path / "site"):
        yield


@pytest.fixture
def ros() -> Iterator[Spinner]:
    with Spinner() as spinner:
        yield spinner


def parts(message: Twist) -> tuple[float, ...]:
    return (message.linear.x, message.linear.y, message.linear.z, message.angular.z)


def test_the_controller_flies_it_with_its_options_as_parameters(
    ros: Spinner, tmp_path: Path
) -> None:
    options = {"stick__topic": "stick", "stick__full_speed": 0.5, "stick__full_yaw_rate": 4.0}
    vehicle = Vehicle(ros, save_small_bundle(tmp_path), backend="stick", **options)
    described = vehicle.node.describe_parameter("stick.full_speed")
    assert described.description == "Back-end stick: Speed in m/s at full deflection."
    assert described.floating_point_range[0].to_value == 30.0
    assert vehicle.node.get_parameter("stick.full_yaw_rate").value == 4.0

    sticks: list[Twist] = []
    driver = vehicle.world.create_subscription(Twist, "stick", sticks.append, 50)
    assert vehicle.node.trigger_configure() == OK
    assert vehicle.node.trigger_activate() == OK
    ros.until_matched(vehicle.image, vehicle.imu, driver, vehicle.reports)
    vehicle.nominal()
    # What the controller asks for now, as the driver takes it.
    command = vehicle.controller.command(vehicle.node.get_clock().now().nanoseconds)
    full = (0.5, 0.5, 0.5, 4.0)
    asked = [min(max(v / f, -1), 1) for v, f in zip(command.vector, full, strict=True)]
    assert any(asked)
    vehicle.until(
        lambda: sticks and parts(sticks[-1]) == pytest.approx(asked, abs=0.05), "the command"
    )
    assert vehicle.node.trigger_deactivate() == OK
    vehicle.until(lambda: not any(parts(sticks[-1])), "the last command, which is zero")


def test_the_supervisor_sends_its_zero_commands(ros: Spinner) -> None:
    world = ros.node("world")
    sticks: list[Twist] = []
    driver = world.create_subscription(Twist, "stick", sticks.append, 50)
    controller = HeartbeatSender(world, "liquid_nav_node/heartbeat")
    with Process("supervisor", "-p", "backend:=stick", "-p", "stick.topic:=stick"):
        ros.until_matched(driver, controller.publisher)
        controller.send(True)
        ros.until(lambda: len(sticks) > 2, what="zero commands")
    assert not any(any(parts(stick)) for stick in sticks)


def test_a_command_beyond_full_deflection_says_what_was_sent(ros: Spinner) -> None:
    backend = make_backend("stick", full_speed=2.0)
    backend.configure(ros.node("controller"))
    backend.activate(None)
    sent = backend.command(Command(0, vx=3.0, vz=-1.0), None, fresh=True)
    assert sent == Command(0, vx=2.0, vz=-1.0, reason="stick: sent at full deflection")
    assert backend.fault == "sent at full deflection"
    assert backend.command(Command(0, vx=1.0), None, fresh=True) == Command(0, vx=1.0)
    assert backend.fault == ""


def test_options_are_checked() -> None:
    with pytest.raises(ConfigError, match=r"back-end stick: full_speed must be in \[0.1, 30.0\]"):
        make_backend("stick", full_speed=0.0)
    with pytest.raises(ConfigError, match="no option speed; its options: topic, full_speed"):
        make_backend("stick", speed=1.0)
