"""A controller whose autopilot took the vehicle over, over real DDS."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ros.node_support import OK, Vehicle, save_small_bundle
from ros.ros_support import Spinner

pytest.importorskip("rclpy")

from geometry_msgs.msg import TwistStamped


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_bundle(tmp_path_factory.mktemp("models"))


@pytest.fixture
def ros() -> Iterator[Spinner]:
    with Spinner() as spinner:
        yield spinner


def test_after_a_silence_nothing_is_sent_until_the_operator_releases(
    ros: Spinner, bundle: Path
) -> None:
    vehicle = Vehicle(ros, bundle, backend="mavros", mavros__verify=False)
    setpoints: list[Any] = []
    reader = vehicle.world.create_subscription(
        TwistStamped, "/mavros/setpoint_velocity/cmd_vel", setpoints.append, 50
    )
    node = vehicle.node
    assert node.trigger_configure() == OK
    assert node.trigger_activate() == OK
    ros.until_matched(vehicle.image, vehicle.imu, reader, vehicle.reports)
    vehicle.nominal()
    vehicle.sensing = True
    vehicle.until(lambda: setpoints, "setpoints")
    backend = node._flight.backend
    with node._lock:  # As if the process stood still.
        while not backend.held:
            time.sleep(0.01)
    vehicle.until_reported("backend", "release by the service")
    setpoints.clear()
    vehicle.diagnostics.clear()
    vehicle.until_reported("controller", "hover: mavros: the autopilot took over after 1 s")
    assert not setpoints

    def released() -> bool:
        if backend.held:  # On a busy machine there may be another silence.
            vehicle.stop(False)
        return bool(setpoints)

    vehicle.until(released, "setpoints after the release")
