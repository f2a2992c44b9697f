"""What a back-end sends, withholds and refuses, on stand-ins for message packages: no ROS."""

import copy
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liquid_nav.command import Command, Mode
from liquid_nav.errors import ConfigError
from liquid_nav.events import SECOND
from liquid_nav.ros.backends import BACKENDS, Backend, Spec, backend_specs, make_backend
from ros.backend_support import NOW, pose, stand_in, typestore

# MAVLink goes over no topic: its rules are in tests/mavlink and test_ros_mavlink.py.
NAMES = tuple(name for name in BACKENDS if name != "mavlink")
OPTIONS: dict[str, dict[str, Any]] = {name: {} for name in NAMES} | {"mavros": {"verify": False}}
FORWARD = Command(NOW, vx=1.0)
LANDING = Command(NOW, vx=0.3, vz=-0.5, mode=Mode.LAND, reason="camera")


@dataclass
class Publisher:
    msg_type: Any
    topic: str
    sent: list[Any] = field(default_factory=list)

    def publish(self, message: Any) -> None:
        self.sent.append(copy.deepcopy(message))


class FakeNode:
    """Keeps what is published."""

    def __init__(self) -> None:
        self.publishers: list[Publisher] = []
        self.readers: dict[str, Any] = {}

    def create_publisher(self, msg_type: Any, topic: str, depth: int) -> Publisher:
        self.publishers.append(Publisher(msg_type, topic))
        return self.publishers[-1]

    def destroy_publisher(self, publisher: Publisher) -> None:
        self.publishers.remove(publisher)

    def create_subscription(self, msg_type: Any, topic: str, callback: Any, qos: Any) -> str:
        self.readers[topic] = callback
        return topic

    def destroy_subscription(self, topic: str) -> None:
        del self.readers[topic]

    def sent(self, topic: str = "") -> list[Any]:
        return [m for p in self.publishers if p.topic.endswith(topic) for m in p.sent]


@pytest.fixture(autouse=True)
def message_packages(monkeypatch):
    store = typestore()
    monkeypatch.setattr(
        "liquid_nav.ros.backends.base.message_class", lambda name: stand_in(store, name)
    )


def make(name: str, **options: Any) -> tuple[Any, FakeNode]:
    """A back-end that is active, at no known pose."""
    node, backend = FakeNode(), BACKENDS.get(name)(**OPTIONS[name] | options)
    backend.configure(node)
    backend.activate(None)
    return backend, node


def numbers(message: Any) -> list[float]:
    """Every speed and rate in a message, and a Crazyflie's height."""
    found: list[float] = []
    for name in message.__slots__:
        value = getattr(message, name, None)
        if hasattr(value, "__slots__"):
            found += numbers(value) if name != "header" else []
        elif name in {"x", "y", "z", "vx", "vy", "yaw_rate", "z_distance", "velocity", "yawspeed"}:
            found += [n for n in np.ravel(value).tolist() if not isinstance(n, bool)]
    return found


@pytest.mark.parametrize("name", NAMES)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None
)
@given(
    vector=st.tuples(*[st.floats(width=64)] * 4),
    mode=st.sampled_from(Mode),
)
def test_what_is_not_finite_never_leaves(name, vector, mode):
    backend, node = make(name)
    sent = backend.command(Command(NOW, *vector, mode=mode), pose(0.4), True)
    (message,) = node.sent()[-1:]
    assert all(abs(number) <= 150 for number in numbers(message))
    if not all(map(math.isfinite, vector)):
        assert sent.vector == (0, 0, 0, 0)
        assert sent.mode is (Mode.HOVER if mode is Mode.NOMINAL else mode)
        assert "not finite" in sent.reason
        assert "not finite" in backend.fault


@pytest.mark.parametrize("name", NAMES)
def test_a_nominal_command_needs_fresh_inference_and_a_failsafe_does_not(name):
    backend, node = make(name)
    assert backend.command(FORWARD, pose(), False) is None
    assert "fresh" in backend.fault
    assert node.sent() == []
    hover = Command(NOW, mode=Mode.HOVER, reason="camera: stale")
    assert backend.command(hover, pose(), False) == hover
    assert backend.fault == ""
    assert len(node.sent()) == 1
    assert backend.command(FORWARD, pose(), True) == FORWARD
    assert len(node.sent()) > 1


@pytest.mark.parametrize("name", NAMES)
def test_stop_is_zero_velocity_with_or_without_odometry(name):
    backend, node = make(name)
    stop = Command(NOW, mode=Mode.STOP, reason="operator stop")
    for odometry in (None, pose(1.0)):
        assert backend.command(stop, odometry, True) == stop
    for message in node.sent():
        if name == "crazyswarm2":
            assert message.z_distance > 0
            message.z_distance = 0.0
        assert not any(numbers(message))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mavros", {"mav_frame": "LOCAL_NED"}),
        ("ardupilot", {}),
        ("crazyswarm2", {"topic": "cmd_velocity_world"}),
    ],
)
@pytest.mark.parametrize("odometry", [None, pose(stamp=NOW - SECOND), pose(stamp=NOW + SECOND)])
def test_without_fresh_odometry_a_world_velocity_becomes_a_hover(name, options, odometry):
    backend, node = make(name, **options)
    sent = backend.command(FORWARD, odometry, True)
    assert (sent.mode, sent.vector) == (Mode.HOVER, (0, 0, 0, 0))
    assert "odometry" in backend.fault
    assert "odometry" in sent.reason
    assert not any(numbers(node.sent()[-1]))
    landing = backend.command(LANDING, odometry, True)
    assert (landing.mode, landing.vector) == (Mode.LAND, (0, 0, -0.5, 0))
    assert -0.5 in numbers(node.sent()[-1])
    assert backend.command(FORWARD, pose(stamp=NOW - SECOND // 4), True) == FORWARD
    assert backend.fault == ""


def test_px4_proof_of_life_leaves_only_with_fresh_inference_and_a_setpoint():
    backend, node = make("px4")
    heartbeat, setpoint = "/fmu/in/offboard_control_mode", "/fmu/in/trajectory_setpoint"

    def counts() -> tuple[int, int]:
        return len(node.sent(heartbeat)), len(node.sent(setpoint))

    backend.command(FORWARD, pose(), True)
    assert counts() == (1, 1)
    backend.command(FORWARD, pose(), False)
    backend.command(FORWARD, None, True)
    assert "odometry" in backend.fault
    backend.command(FORWARD, pose(stamp=NOW - SECOND), True)
    assert counts() == (1, 1)
    backend.command(Command(NOW, mode=Mode.HOVER), pose(), False)
    assert counts() == (1, 2)
    backend.command(Command(NOW, vz=-0.5, mode=Mode.LAND), None, True)
    assert counts() == (2, 3)
    np.testing.assert_allclose(node.sent(setpoint)[-1].velocity, (0, 0, 0.5))


def test_a_crazyflie_begins_at_its_height_climbs_within_bounds_and_lands():
    backend, node = make("crazyswarm2", highest=1.5)
    last: list[float] = []

    def fly(seconds: float, vz: float, mode: Mode = Mode.NOMINAL) -> float:
        for _ in range(round(seconds * 20)):
            last.append(last[-1] + 0.05 if last else 0.0)
            stamp = NOW + round(last[-1] * SECOND)
            backend.command(Command(stamp, vz=vz, mode=mode), None, True)
        return node.sent("/cf1/cmd_hover")[-1].z_distance

    backend.activate(pose(height=0.8))
    assert fly(0.05, 1.0) == 0.8  # The first command has no past to climb from.
    assert fly(1.0, 0.3) == pytest.approx(1.1)
    assert fly(5.0, 1.0) == 1.5
    assert fly(5.0, -1.0) == pytest.approx(0.2)
    assert fly(1.0, -0.5, Mode.LAND) == 0.0
    assert fly(0.5, 0.2) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("here", "begins_at"),
    [
        (pose(height=1.2), 1.2),
        (pose(height=0.05), 0.2),
        (pose(height=7.0), 2.0),
        (None, 0.5),
    ],
)
def test_a_crazyflie_reactivated_elsewhere_begins_there_and_not_at_the_old_height(here, begins_at):
    backend, node = make("crazyswarm2")
    backend.activate(pose(height=1.8))
    backend.command(FORWARD, None, True)
    assert node.sent()[-1].z_distance == 1.8
    backend.deactivate()
    backend.activate(here)
    later = NOW + 100 * SECOND
    backend.command(Command(later, vz=1.0), None, True)
    assert node.sent()[-1].z_distance == pytest.approx(begins_at)


def setpoint_after(backend, node, command, here=None):
    """Height setpoint of a Crazyflie after a command."""
    backend.command(command, here, True)
    return node.sent("/cf1/cmd_hover")[-1].z_distance


@pytest.mark.parametrize("height", [1.8, 0.07, 0.0, 3.5])
def test_a_crazyflie_that_is_taken_over_keeps_its_height_also_out_of_the_bounds(height):
    dying, _ = make("crazyswarm2", highest=100.0)
    dying.take_over({"height": repr(height)})
    backend, node = make("crazyswarm2")
    backend.take_over(dying.handover())
    for second in range(3):
        hover = Command(NOW + second * SECOND // 20, mode=Mode.HOVER)
        assert setpoint_after(backend, node, hover) == height
    landing = Command(NOW + SECOND // 5, vz=-0.5, mode=Mode.LAND)
    assert setpoint_after(backend, node, landing) == pytest.approx(max(height - 0.05, 0.0))


@pytest.mark.parametrize("values", [{}, {"height": "high"}, {"height": "nan"}, {"height": "-1"}])
def test_a_height_that_cannot_be_read_is_as_if_none_was_handed_over(values):
    backend, node = make("crazyswarm2")
    backend.activate(pose(height=1.8))
    backend.take_over(values)
    assert setpoint_after(backend, node, Command(NOW, mode=Mode.HOVER)) == 0.5


@pytest.mark.parametrize("name", NAMES)
def test_every_back_end_can_be_taken_over_by_another_process(name):
    dying, _ = make(name)
    backend, node = make(name)
    backend.deactivate()
    backend.take_over(dying.handover())
    landing = Command(NOW, vz=-0.5, mode=Mode.LAND)
    assert backend.active
    assert backend.command(landing, None, False) == landing
    assert len(node.sent()) == 1


def land(backend, node, height):
    """Land a Crazyflie from a height; returns the stamp of the last command."""
    backend.activate(pose(height=height))
    for tick in range(81):
        stamp = NOW + tick * SECOND // 20
        above = max(height - 0.025 * tick, 0.0)
        command = Command(stamp, vz=-0.5, mode=Mode.LAND)
        setpoint = setpoint_after(backend, node, command, pose(stamp=stamp, height=above))
        assert setpoint == pytest.approx(above)
    assert setpoint == 0.0
    return stamp


def test_a_new_flight_after_a_landing_is_commanded_where_it_is():
    """Also when the odometry comes late, and when the clock of a simulation begins once more."""
    backend, node = make("crazyswarm2")
    for later in (SECOND // 20, 60 * SECOND, -NOW):
        now = land(backend, node, 1.0) + later
        hover = Command(now, mode=Mode.HOVER)
        assert setpoint_after(backend, node, hover) == 0.0
        assert setpoint_after(backend, node, hover, pose(stamp=now, height=0.9)) == 0.9
        now += SECOND // 20
        # From here on the setpoint leads, and the vehicle follows with its lag.
        climbing = Command(now, vz=1.0)
        assert setpoint_after(backend, node, climbing, pose(stamp=now, height=0.8)) > 0.94


def test_a_crazyflie_that_landed_and_stands_there_does_not_take_off():
    backend, node = make("crazyswarm2")
    now = land(backend, node, 1.0) + SECOND // 20
    hover = Command(now, mode=Mode.HOVER)
    assert setpoint_after(backend, node, hover, pose(stamp=now, height=0.02)) == 0.02
    hover = Command(now + SECOND // 20, mode=Mode.HOVER)
    assert setpoint_after(backend, node, hover, pose(stamp=now, height=0.02)) == 0.02


def test_odometry_that_comes_late_corrects_a_height_that_was_guessed():
    backend, node = make("crazyswarm2")
    assert setpoint_after(backend, node, Command(NOW, mode=Mode.HOVER)) == 0.5
    later = NOW + SECOND // 20
    hover = Command(later, mode=Mode.HOVER)
    assert setpoint_after(backend, node, hover, pose(stamp=later, height=1.7)) == 1.7


@pytest.mark.parametrize("away", [0.35, -0.35, 0.45, -0.45, 1.0, -1.0])
def test_a_setpoint_begins_at_a_vehicle_that_is_elsewhere(away):
    backend, node = make("crazyswarm2", highest=3.0)
    backend.activate(pose(height=1.5))
    expected = 1.5 if abs(away) < 0.4 else 1.5 + away
    here = pose(height=1.5 + away)
    assert setpoint_after(backend, node, Command(NOW), here) == pytest.approx(expected)


@pytest.mark.parametrize("vz", [1.2, -1.2])
def test_a_vehicle_that_follows_its_setpoint_with_a_lag_is_where_it_should_be(vz):
    """Through a climb or descent of 1 s and the rest after it; odometry is 0.1 s old."""
    backend, node = make("crazyswarm2", highest=9.0)
    backend.activate(pose(height=4.0))
    height = setpoint = 4.0
    measured = [height] * 3
    for tick in range(60):
        stamp = NOW + tick * SECOND // 20
        speed = vz if tick < 20 else 0.0
        here = pose(stamp=stamp - SECOND // 10, height=measured[-3])
        before = setpoint
        setpoint = setpoint_after(backend, node, Command(stamp, vz=speed), here)
        assert setpoint == pytest.approx(before + (speed / 20 if tick else 0.0))
        height += (setpoint - height) / 20 / 0.4  # A lag of 0.4 s.
        measured.append(height)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_sent_by_a_back_end_that_is_not_active(name):
    node, backend = FakeNode(), BACKENDS.get(name)(**OPTIONS[name])
    with pytest.raises(ConfigError, match="configured before"):
        backend.activate(None)
    hover = Command(NOW, mode=Mode.HOVER, reason="camera: stale")
    backend.configure(node)
    assert backend.command(hover, pose(), True) is None
    assert "not active" in backend.fault
    backend.activate(pose())
    assert backend.fault == ""
    assert backend.command(hover, pose(), True) == hover
    count = len(node.sent())
    assert count > 0
    backend.deactivate()
    assert backend.command(hover, pose(), True) is None
    assert len(node.sent()) == count
    backend.activate(None)
    assert backend.command(hover, pose(), True) == hover
    backend.close()
    assert backend.command(hover, pose(), True) is None


@pytest.mark.parametrize(
    ("name", "options", "needs_odometry"),
    [
        ("twist", {}, False),
        ("mavros", {}, False),
        ("mavros", {"mav_frame": "LOCAL_NED"}, True),
        ("ardupilot", {}, True),
        ("ardupilot", {"frame": "base_link"}, False),
        ("px4", {}, True),
        ("crazyswarm2", {}, False),
        ("crazyswarm2", {"topic": "cmd_velocity_world"}, True),
    ],
)
def test_what_a_back_end_needs_is_known_before_it_is_connected(name, options, needs_odometry):
    backend = BACKENDS.get(name)(**options)
    assert backend.needs_odometry is needs_odometry
    backend.check_rate("minimum_rate", backend.minimum_rate)
    too_slow = backend.minimum_rate - 0.5
    with pytest.raises(ConfigError, match=rf"rate is {too_slow:g} Hz.*{backend.minimum_rate:g} Hz"):
        backend.check_rate("rate", too_slow)


def test_closing_destroys_the_publishers_once():
    backend, node = make("px4")
    assert len(node.publishers) == 2
    backend.close()
    backend.close()
    assert node.publishers == []


def test_an_unknown_back_end_is_told_the_names():
    with pytest.raises(
        ConfigError, match=r"'betaflight'.*twist, mavros, ardupilot, mavlink, px4, crazyswarm2"
    ):
        make_backend("betaflight")


def test_an_unknown_option_is_told_the_options():
    with pytest.raises(ConfigError, match=r"no option frame.*topic, stamped, frame_id"):
        make_backend("twist", frame="map")
    assert make_backend("twist").values == {
        "topic": "cmd_vel",
        "stamped": True,
        "frame_id": "base_link",
    }


class Other(Backend):
    name = "other"
    minimum_rate = 1.0

    def _command(self, command, heading, fresh):
        return command


@pytest.mark.parametrize(
    ("part", "complaint"),
    [
        (FakeNode, "must be a subclass of Backend"),
        (Other, "named 'other'"),
        ("no_such_module:Backend", "cannot be imported"),
    ],
)
def test_a_plug_that_is_no_back_end_is_refused_and_keeps_no_other_from_flying(
    part, complaint, monkeypatch, caplog
):
    monkeypatch.setitem(BACKENDS._parts, "odd", part)
    with pytest.raises(ConfigError, match=complaint):
        make_backend("odd")
    names = [spec.name for spec in backend_specs()]
    assert "twist.topic" in names
    assert not any(name.startswith("odd.") for name in names)
    assert complaint in caplog.text


@pytest.mark.parametrize("name", NAMES)
def test_every_option_has_a_text_and_every_number_its_bounds(name):
    for spec in BACKENDS.get(name).options:
        assert spec.description.endswith(".")
        assert isinstance(spec.default, float) == (spec.bounds is not None)
        assert spec.check(spec.default) == spec.default


@pytest.mark.parametrize(
    ("spec", "value", "complaint"),
    [
        (Spec("gain", 1.0, "Gain.", (0.0, 2.0)), 2.5, r"gain must be in \[0.0, 2.0\], got 2.5"),
        (Spec("gain", 1.0, "Gain.", (0.0, 2.0)), math.nan, "got nan"),
        (Spec("gain", 1.0, "Gain."), math.inf, "must be finite"),
        (Spec("gain", 1.0, "Gain."), "high", "must be of type float, got 'high'"),
        (Spec("count", 1, "Count."), True, "must be of type int, got True"),
        (Spec("on", True, "On."), 1, "must be of type bool"),
        (Spec("side", "left", "Side.", choices=("left", "")), "up", "one of left, ''"),
    ],
)
def test_a_value_out_of_its_table_is_refused(spec, value, complaint):
    with pytest.raises(ConfigError, match=complaint):
        spec.check(value)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_message_package_says_how_to_get_it(name, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda package: None)
    backend = BACKENDS.get(name)
    with pytest.raises(ConfigError) as error:
        make_backend(name)
    assert backend.message_package in str(error.value)
    assert str(error.value).endswith(backend.install_hint)


@pytest.mark.parametrize(
    ("name", "options", "complaint"),
    [
        ("mavros", {"mav_frame": "BODY"}, "BODY_NED, LOCAL_NED"),
        ("mavros", {"pose_timeout": 0.0}, "pose_timeout"),
        ("ardupilot", {"frame": "odom"}, "map, base_link"),
        ("ardupilot", {"y_is_right": True}, "y_is_right"),
        ("crazyswarm2", {"topic": "cmd_vel"}, "cmd_hover, cmd_velocity_world"),
        ("crazyswarm2", {"server": "sim"}, "cpp, cflib"),
        ("crazyswarm2", {"lowest": 3.0}, "lowest"),
    ],
)
def test_a_bad_option_is_refused_before_take_off(name, options, complaint):
    with pytest.raises(ConfigError, match=complaint):
        make(name, **options)
