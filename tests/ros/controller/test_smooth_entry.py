"""A vehicle that is taken over in motion does not leap to the speed of the policy; without ROS."""

import importlib.machinery
import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest

from liquid_nav.command import Command, CommandLimits, Mode
from liquid_nav.events import SECOND, Odometry
from liquid_nav.ros.controller.entry import REASON, SmoothEntry
from ros.backend_support import NOW, quaternion
from ros.backends.test_ros_backend_rules import make, message_packages

__all__ = ["message_packages"]  # A fixture that pytest finds by its name.

LIMITS = CommandLimits()
STEP = SECOND // 50
CRUISE = (2.3, 0.5, -0.4, 0.8)


def flying(velocity: tuple[float, float, float], yaw: float = 0.0, pitch: float = 0.0) -> Odometry:
    turning = np.array((0.0, 0.0, 0.2))
    return Odometry(NOW, NOW, np.zeros(3), quaternion(yaw, pitch), np.array(velocity), turning)


def sent(entry, tick, pose, engaged, vector=CRUISE, mode=Mode.NOMINAL):
    return entry.command(Command(NOW + tick * STEP, *vector, mode=mode), pose, engaged, LIMITS)


@pytest.mark.parametrize("yaw", [0.0, 1.5, 3.1, -1.5])
def test_the_first_setpoints_begin_at_the_velocity_of_the_vehicle_and_slew(yaw):
    entry, pose = SmoothEntry(), flying((-0.6, 0.3, 0.1), yaw)
    before = sent(entry, 0, pose, False)
    assert before.vector == pytest.approx((-0.6, 0.3, 0.1, 0.2))
    assert before.reason == REASON
    vectors = [before.vector]
    vectors += [sent(entry, tick, pose, True).vector for tick in range(1, 100)]
    most = np.array(LIMITS.slew) * STEP / SECOND + 1e-9
    for a, b in itertools.pairwise(vectors):
        assert (np.abs(np.subtract(b, a)) <= most).all()
    assert vectors[-1] == CRUISE


def test_once_the_command_is_reached_the_entry_changes_nothing_more():
    entry = SmoothEntry()
    sent(entry, 0, None, False)
    for tick in range(1, 60):
        last = sent(entry, tick, None, True)
    assert last.vector == CRUISE
    leap = sent(entry, 60, None, True, (-1.0, 0.0, 0.0, 0.0))
    assert (leap.vx, leap.reason) == (-1.0, "")


def test_the_velocity_is_taken_level_however_the_vehicle_pitches():
    level = sent(SmoothEntry(), 0, flying((1.0, 0.0, 0.0), 0.7, math.pi / 6), False)
    assert (level.vx, level.vy) == pytest.approx((math.cos(math.pi / 6), 0.0))
    assert level.vz == pytest.approx(-0.5)  # Pitch is positive with the nose down.


def test_a_vehicle_that_is_faster_than_the_limits_is_met_at_the_limits():
    fast = sent(SmoothEntry(), 0, flying((30.0, -30.0, 9.0)), False)
    assert fast.vector[:3] == (LIMITS.vx, -LIMITS.vy, LIMITS.vz)


@pytest.mark.parametrize("engaged", [True, False])
def test_the_operators_stop_is_never_delayed(engaged):
    entry = SmoothEntry()
    sent(entry, 0, flying((2.0, 0.0, 0.0)), False)
    stop = sent(entry, 1, flying((2.0, 0.0, 0.0)), engaged, (0.0,) * 4, Mode.STOP)
    assert stop.vector == (0.0,) * 4


def test_a_hover_right_after_the_switch_brakes_from_the_velocity_of_the_vehicle():
    entry, pose = SmoothEntry(), flying((1.0, 0.0, 0.0))
    idle = sent(entry, 0, pose, False, (0.0,) * 4, Mode.HOVER)
    assert idle.vector == (0.0,) * 4  # Nobody follows, and nothing must move by a wrong status.
    braking = sent(entry, 1, pose, True, (0.0,) * 4, Mode.HOVER)
    assert braking.vx == pytest.approx(1.0 - LIMITS.acceleration * STEP / SECOND)


def test_an_autopilot_that_does_not_say_whether_it_follows_gets_the_command_itself():
    assert sent(SmoothEntry(), 0, flying((1.0, 0.0, 0.0)), None).vector == CRUISE


@pytest.mark.parametrize(
    ("name", "topic", "package", "following", "idle"),
    [
        (
            "px4",
            "/fmu/out/vehicle_status",
            "px4_msgs",
            {"arming_state": 2, "nav_state": 14},
            [{"arming_state": 1, "nav_state": 14}, {"arming_state": 2, "nav_state": 4}],
        ),
        (
            "mavros",
            "/mavros/state",
            "mavros_msgs",
            {"armed": True, "mode": "OFFBOARD"},
            [{"armed": False, "mode": "OFFBOARD"}, {"armed": True, "mode": "POSCTL"}],
        ),
    ],
)
def test_a_back_end_knows_from_the_autopilot_whether_it_follows(
    name, topic, package, following, idle, monkeypatch
):
    pytest.importorskip("rclpy")
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    spec = importlib.machinery.ModuleSpec(package, None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: spec)
    monkeypatch.setattr("liquid_nav.ros.backends.base.message_class", lambda _: SimpleNamespace)
    backend, node = make(name)
    assert backend.engaged is None
    for fields, engaged in ((following, True), *((other, False) for other in idle)):
        node.readers[topic](SimpleNamespace(**fields))
        assert backend.engaged is engaged
    now[0] += 10
    assert backend.engaged is None
    backend.close()
    assert not node.readers
