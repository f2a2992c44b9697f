"""The back-end mavlink: a scripted vehicle over UDP, and its sensors over real DDS."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from liquid_nav.command import Command, Mode
from liquid_nav.errors import ConfigError
from liquid_nav.mavlink.autopilots import HOLD
from liquid_nav.ros.backends import make_backend
from mavlink_support import GRAVITY, ScriptedVehicle
from ros.ros_support import Spinner

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from nav_msgs.msg import Odometry
from sensor_msgs.msg import Imu


@pytest.fixture
def ros() -> Iterator[Spinner]:
    with Spinner() as spinner:
        yield spinner


class Flight:
    """A back-end that commands a scripted vehicle in the air."""

    def __init__(self, ros: Spinner, vehicle: ScriptedVehicle, **options: Any) -> None:
        self.ros, self.vehicle = ros, vehicle
        self.backend = make_backend("mavlink", address=vehicle.address, **options)
        self.backend.configure(ros.node("controller"))

    def fly(self, condition: Any, what: str, mode: Mode = Mode.NOMINAL) -> None:
        speed = 1.0 if mode is Mode.NOMINAL else 0.0

        def step() -> Any:
            command = Command(time.time_ns(), speed, mode=mode, reason=mode.value)
            self.backend.command(command, None, fresh=True)
            return condition()

        self.ros.until(step, what=what)


@pytest.mark.parametrize("name", ["px4", "ardupilot"])
def test_it_flies_and_publishes_what_the_autopilot_measures(ros: Spinner, name: str) -> None:
    with ScriptedVehicle(name, flying=True) as vehicle:
        flight = Flight(ros, vehicle, imu="/fcu/imu", odometry="/fcu/odom")
        node, samples, poses = ros.node("reader"), [], []
        node.create_subscription(Imu, "/fcu/imu", samples.append, 10)
        node.create_subscription(Odometry, "/fcu/odom", poses.append, 10)
        flight.backend.activate(None)
        flight.fly(lambda: vehicle.position[0] > 0.5, "a flight forward")
        flight.fly(lambda: samples and poses and poses[-1].pose.pose.position.x > 0.3, "sensors")
        now = time.time()
        flight.backend.close()
    assert samples[-1].linear_acceleration.z == pytest.approx(GRAVITY, abs=0.2)
    stamp = samples[-1].header.stamp
    assert 0 <= now - stamp.sec - stamp.nanosec / 1e9 < 10
    assert poses[-1].twist.twist.linear.x > 0.3


def test_a_vehicle_that_was_lost_is_commanded_again_after_the_operators_stop(ros: Spinner) -> None:
    with ScriptedVehicle(flying=True) as vehicle:
        flight = Flight(ros, vehicle)
        flight.backend.activate(None)
        flight.fly(lambda: vehicle.position[0] > 0.3, "a flight forward")
        vehicle.set_mode(HOLD)
        flight.fly(lambda: "went from OFFBOARD" in flight.backend.fault, "the loss")
        vehicle.set_mode("OFFBOARD")
        x = vehicle.position[0]
        flight.fly(lambda: "OFFBOARD" not in flight.backend.fault, "the release", Mode.STOP)
        flight.fly(lambda: vehicle.position[0] > x + 0.3, "a flight on")
        flight.backend.close()


def test_two_nodes_at_one_address_hand_the_vehicle_over(ros: Spinner) -> None:
    with ScriptedVehicle(flying=True) as vehicle:
        first, second = Flight(ros, vehicle), Flight(ros, vehicle)
        assert first.backend.topics == second.backend.topics == (f"mavlink:{vehicle.address}",)
        first.backend.activate(None)
        first.fly(lambda: vehicle.position[0] > 0.3, "a flight forward")
        held = first.backend.handover()
        first.backend.deactivate()
        second.backend.take_over(held)
        second.fly(lambda: vehicle.setpoints[-1].vx == 0, "a hover", Mode.HOVER)
        second.fly(lambda: vehicle.velocity[0] < 0.05, "the vehicle at rest", Mode.HOVER)
        second.backend.close()
        first.backend.close()


def test_nothing_is_sent_before_activation_nor_after_it(ros: Spinner) -> None:
    with ScriptedVehicle(flying=True) as vehicle:
        flight = Flight(ros, vehicle)
        flight.backend.command(Command(0), None, fresh=True)
        assert "not active" in flight.backend.fault
        flight.backend.activate(None)
        flight.fly(lambda: vehicle.setpoints, "a setpoint")
        flight.backend.deactivate()
        count = len(vehicle.setpoints)
        assert flight.backend.command(Command(0), None, fresh=True) is None
        assert len(vehicle.setpoints) <= count + 1
        flight.backend.close()


def test_an_address_that_is_none_is_refused_before_take_off(ros: Spinner) -> None:
    backend = make_backend("mavlink", address="tcp:1")
    with pytest.raises(ConfigError, match="back-end mavlink: address must be udp:"):
        backend.configure(ros.node("controller"))
    with pytest.raises(ConfigError, match="system must be in"):
        make_backend("mavlink", system=300)
