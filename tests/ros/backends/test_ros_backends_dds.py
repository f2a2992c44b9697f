"""Back-ends whose messages come with ROS 2, over real DDS."""

import itertools
from typing import Any

import pytest

from liquid_nav.command import Command, Mode
from liquid_nav.events import SECOND
from liquid_nav.ros.backends import make_backend
from ros.ros_support import Spinner, matched

pytest.importorskip("rosbags", reason="rosbags is not installed")

from geometry_msgs.msg import Twist, TwistStamped
from rclpy.parameter import Parameter
from rclpy.serialization import serialize_message

from ros.backend_support import NOW, pose, typestore

COMMAND = Command(NOW, 1.0, 0.5, -0.25, 0.125)


@pytest.fixture
def ros():
    with Spinner() as spinner:
        yield spinner


class Flight:
    """A back-end, and the subscription of an autopilot to its topic."""

    def __init__(self, ros: Spinner, kind: type[Any], topic: str, name: str, /, **options: Any):
        self.ros = ros
        self.heard: list[Any] = []
        self.backend = make_backend(name, **options)
        self.backend.configure(ros.node("controller"))
        self.backend.activate(None)
        self.subscription = ros.node("autopilot").create_subscription(
            kind, topic, self.heard.append, 10
        )
        ros.until_matched(self.subscription, *self.backend._publishers.values())

    def send(self, command: Command, odometry: Any = None, fresh: bool = True) -> Any:
        count = len(self.heard)
        self.backend.command(command, odometry, fresh)
        self.ros.until(lambda: len(self.heard) > count, what="the setpoint")
        return self.heard[-1]


def vector(twist: Twist) -> tuple[float, ...]:
    return (twist.linear.x, twist.linear.y, twist.linear.z, twist.angular.z)


def test_twist_stamped_carries_the_command_its_time_and_frame(ros):
    flight = Flight(ros, TwistStamped, "/cmd_vel", "twist", frame_id="body")
    message = flight.send(COMMAND)
    assert vector(message.twist) == COMMAND.vector
    assert message.header.frame_id == "body"
    assert message.header.stamp.sec * SECOND + message.header.stamp.nanosec == NOW


def test_plain_twist_carries_the_command(ros):
    flight = Flight(ros, Twist, "/drone/cmd", "twist", stamped=False, topic="/drone/cmd")
    assert vector(flight.send(COMMAND)) == COMMAND.vector


def test_a_stale_nominal_command_is_not_heard_and_the_hover_after_it_is(ros):
    flight = Flight(ros, TwistStamped, "/cmd_vel", "twist")
    flight.backend.command(COMMAND, None, False)
    hover = Command(NOW + SECOND, mode=Mode.HOVER, reason="camera: stale")
    assert vector(flight.send(hover, fresh=False).twist) == (0, 0, 0, 0)
    assert len(flight.heard) == 1


@pytest.mark.parametrize(
    ("options", "frame_id", "expected"),
    [
        ({}, "map", (-0.5, 1.0, -0.25, 0.125)),  # Facing north: forward is north, left is west.
        ({"frame": "base_link"}, "base_link", (1.0, 0.5, -0.25, 0.125)),
        ({"frame": "base_link", "y_is_right": True}, "base_link", (1.0, -0.5, -0.25, 0.125)),
    ],
)
def test_ardupilot_hears_its_frame_letter_by_letter(ros, options, frame_id, expected):
    flight = Flight(ros, TwistStamped, "/ap/cmd_vel", "ardupilot", **options)
    message = flight.send(COMMAND, pose(yaw=1.5707963267948966))
    assert message.header.frame_id == frame_id
    assert vector(message.twist) == pytest.approx(expected)


class Mavros:
    """MAVROS's plugin, as far as its parameter goes."""

    def __init__(self, ros: Spinner, mav_frame: str) -> None:
        self.node = ros.node("setpoint_velocity", namespace="/mavros")
        self.node.declare_parameter("mav_frame", mav_frame)

    def set(self, mav_frame: str) -> None:
        self.node.set_parameters([Parameter("mav_frame", value=mav_frame)])


def mavros(ros: Spinner, **options: Any) -> Flight:
    return Flight(ros, TwistStamped, "/mavros/setpoint_velocity/cmd_vel", "mavros", **options)


def fly_until(flight: Flight, fault: str, odometry: Any = None) -> Any:
    """Send, half a second of the command's clock apart, until `fault` is what is said."""
    steps = iter(range(1, 400))

    def said() -> bool:
        flight.send(Command(NOW + next(steps) * SECOND // 2, *COMMAND.vector), odometry)
        return fault in flight.backend.fault if fault else not flight.backend.fault

    flight.ros.until(said, what=f"the fault {fault!r}, last {flight.backend.fault!r}")
    return flight.heard[-1]


def test_mavros_is_not_flown_before_it_has_said_its_frame(ros):
    flight = mavros(ros)
    assert vector(flight.send(COMMAND).twist) == (0, 0, 0, 0)
    assert "not said" in flight.backend.fault
    Mavros(ros, "BODY_NED")
    message = fly_until(flight, "")
    assert vector(message.twist) == COMMAND.vector
    assert message.header.frame_id == "base_link"


def test_mavros_in_another_frame_is_a_fault_that_hovers_until_it_is_mended(ros):
    plugin, flight = Mavros(ros, "LOCAL_NED"), mavros(ros)
    message = fly_until(flight, "mav_frame is 'LOCAL_NED', expected 'BODY_NED'")
    assert vector(message.twist) == (0, 0, 0, 0)
    plugin.set("BODY_NED")
    assert vector(fly_until(flight, "").twist) == COMMAND.vector
    plugin.set("LOCAL_NED")
    assert vector(fly_until(flight, "LOCAL_NED").twist) == (0, 0, 0, 0)


def test_mavros_tells_which_parameters_of_px4_do_not_fit(ros):
    flight = mavros(ros)
    values = {"COM_OF_LOSS_T": 1.0, "COM_OBL_RC_ACT": 0, "COM_RCL_EXCEPT": 4}
    node = ros.node("param", namespace="/mavros")
    for name, value in values.items():
        node.declare_parameter(name, value)
    steps = itertools.count()

    def warnings() -> list[str]:
        return flight.backend.parameter_warnings(NOW + next(steps) * SECOND // 50)

    ros.until(warnings, what="a warning about COM_OBL_RC_ACT")
    assert "COM_OBL_RC_ACT is 0" in warnings()[0]
    node.set_parameters([Parameter("COM_OBL_RC_ACT", value=4)])
    ros.until(lambda: not warnings(), what="the end of the warning")
    node.set_parameters([Parameter("COM_RCL_EXCEPT", value=0)])
    ros.until(lambda: any("COM_RCL_EXCEPT" in text for text in warnings()), what="another one")


def test_mavros_in_the_world_frame_hears_east_and_north(ros):
    flight = mavros(ros, mav_frame="LOCAL_NED", verify=False)
    message = flight.send(COMMAND, pose(yaw=1.5707963267948966))
    assert vector(message.twist) == pytest.approx((-0.5, 1.0, -0.25, 0.125))
    assert message.header.frame_id == "map"


def test_what_ros_serialises_rosbags_reads(ros):
    flight = Flight(ros, TwistStamped, "/cmd_vel", "twist")
    raw = serialize_message(flight.send(COMMAND))
    read = typestore().deserialize_cdr(raw, "geometry_msgs/msg/TwistStamped")
    assert vector(read.twist) == COMMAND.vector
    assert read.header.stamp.sec * SECOND + read.header.stamp.nanosec == NOW


def test_closing_leaves_no_publisher_behind(ros):
    flight = mavros(ros)
    flight.backend.close()
    ros.until(lambda: not matched(flight.subscription), what="the publisher to go")
