"""A drone on ROS 2 behind the boundary of a vehicle, over DDS: the node of our simulator."""

from collections.abc import Iterator

import pytest

from ros.node_support import overrides
from ros.ros_support import Spinner

pytest.importorskip("rclpy")

from rclpy.parameter import Parameter

from liquid_nav.evaluation.abroad.checks import check_vehicle
from liquid_nav.events import Channel
from liquid_nav.ros.backends import make_backend
from liquid_nav.ros.simulator.node import SimulatorNode
from liquid_nav.ros.vehicle import RosVehicle
from liquid_nav.vehicle import Equipment


@pytest.fixture
def ros(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spinner]:
    monkeypatch.setattr("liquid_nav.ros.clock._DISCOVERY", 0.0)
    with Spinner() as spinner:
        yield spinner


def test_a_drone_on_ros_passes_the_checks_of_a_vehicle(ros: Spinner) -> None:
    drone = SimulatorNode(
        context=ros.context,
        parameter_overrides=overrides(pace="lock_step", lock_step_timeout=300.0, seed=7),
    )
    ros.add(drone)
    pilot = ros.node("pilot", parameter_overrides=[Parameter("use_sim_time", value=True)])
    vehicle = RosVehicle(
        pilot,
        lambda seconds: ros.executor.spin_once(timeout_sec=seconds),
        make_backend("twist", topic="cmd_vel"),
        {"imu": "imu", "image": "camera/image_raw"},
        Equipment({Channel.IMU: 200.0, Channel.CAMERA: 30.0}, 50.0),
        silence=60.0,
    )
    verdicts = {check.name: check for check in check_vehicle(vehicle)}
    drone.close()
    # A drone does not know its true place.
    assert verdicts.pop("velocity").passed is None
    for check in verdicts.values():
        assert check.passed, f"{check.name}: {check.found}"
    assert len(verdicts) == 4
    assert vehicle.refused == 0, vehicle.last_refusal
