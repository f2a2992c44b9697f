"""A vehicle that its autopilot took over stays with it until the operator releases it; no ROS."""

import math
import time

import pytest

from liquid_nav.command import Command, Mode
from liquid_nav.events import Channel
from liquid_nav.ros.backends.loss import LossHold
from liquid_nav.ros.backends.px4_parameters import loss_warnings
from liquid_nav.safety.freshness import Staleness
from ros.backend_support import NOW, pose
from ros.backends.test_ros_backend_rules import FORWARD, make, message_packages

__all__ = ["message_packages"]  # A fixture that pytest finds by its name.

HOVER = Command(NOW, mode=Mode.HOVER, reason="camera: stale")
PROOF = {"px4": "/fmu/in/offboard_control_mode", "mavros": "/setpoint_velocity/cmd_vel"}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_offboard_that_was_lost_is_not_entered_again_before_the_operator_releases_it(clock):
    """A camera that returns after 1.3 s: PX4 flew on by itself 40 to 50 ms later."""
    backend, node = make("px4")
    for fresh in [True] * 20 + [False] * 26:
        clock[0] += 0.05
        backend.command(FORWARD if fresh else HOVER, pose(), fresh)
    proofs = len(node.sent(PROOF["px4"]))
    for _ in range(100):
        clock[0] += 0.05
        assert backend.command(FORWARD, pose(), True) is None
    assert len(node.sent(PROOF["px4"])) == proofs == 20
    assert "release" in backend.held
    assert backend.fault == backend.held
    backend.release()
    assert backend.command(FORWARD, pose(), True) == FORWARD
    assert len(node.sent(PROOF["px4"])) == proofs + 1
    assert backend.held == backend.fault == ""


def test_a_gap_that_the_autopilot_waits_for_holds_nothing(clock):
    backend, node = make("px4")
    for _ in range(5):
        assert backend.command(FORWARD, pose(), True) == FORWARD
        clock[0] += 0.8
    assert len(node.sent(PROOF["px4"])) == 5


def test_a_vehicle_that_was_never_commanded_was_not_lost(clock):
    backend, _ = make("px4")
    backend.command(HOVER, pose(), False)
    clock[0] += 60
    assert backend.command(FORWARD, pose(), True) == FORWARD


def test_the_hold_is_an_option_and_the_timeout_that_of_the_vehicle(clock):
    free, _ = make("px4", hold_after_loss=False)
    patient, _ = make("px4", setpoint_timeout=5.0)
    for backend in (free, patient):
        backend.command(FORWARD, pose(), True)
    clock[0] += 4
    for backend in (free, patient):
        assert backend.command(FORWARD, pose(), True) == FORWARD


def test_by_mavros_every_setpoint_proves_life_and_only_silence_loses_the_vehicle(clock):
    backend, node = make("mavros")
    backend.command(FORWARD, pose(), True)
    for _ in range(100):
        clock[0] += 0.05
        assert backend.command(HOVER, pose(), False) == HOVER
    clock[0] += 2.0
    sent = len(node.sent(PROOF["mavros"]))
    assert backend.command(HOVER, pose(), False) is None
    assert len(node.sent(PROOF["mavros"])) == sent


@pytest.mark.parametrize(("dead_for", "held"), [(0.3, False), (3.0, True)])
def test_a_controller_that_is_started_again_knows_from_the_supervisor_that_it_lost_the_vehicle(
    clock, dead_for, held
):
    dying, _ = make("px4")
    dying.command(FORWARD, pose(), True)
    clock[0] += 0.02
    last_words = dying.handover()
    clock[0] += 0.31
    supervisor, _ = make("px4")
    supervisor.take_over({**last_words, "silence": "0.31"})
    clock[0] += dead_for
    born, _ = make("px4")
    born.take_over(supervisor.handover())
    assert bool(born.held) is held
    assert (born.command(FORWARD, pose(), True) is None) is held


def test_while_somebody_else_flies_no_silence_loses_the_vehicle(clock):
    backend, _ = make("px4")
    backend.command(FORWARD, pose(), True)
    clock[0] += 0.1
    backend._engaged, backend._engaged_at = False, clock[0]
    backend.command(FORWARD, pose(), True)
    clock[0] += 2
    assert backend.command(FORWARD, pose(), True) == FORWARD
    backend._engaged, backend._engaged_at = True, clock[0]
    backend.command(FORWARD, pose(), True)
    clock[0] += 2
    assert backend.command(FORWARD, pose(), True) is None


def test_a_controller_that_stood_still_while_its_supervisor_sent_setpoints_lost_nothing(clock):
    controller, _ = make("mavros")
    controller.command(FORWARD, pose(), True)
    supervisor, _ = make("mavros")
    supervisor.take_over({**controller.handover(), "silence": "0.3"})
    for _ in range(60):
        clock[0] += 0.05
        assert supervisor.command(HOVER, None, False) == HOVER
    assert controller.held
    controller.take_over(supervisor.handover())
    assert controller.command(FORWARD, pose(), True) == FORWARD


@pytest.mark.parametrize("age", ["", "nan", "young"])
def test_a_handover_that_cannot_be_read_holds_nothing(clock, age):
    backend, _ = make("px4")
    backend.take_over({"proof_age": age})
    assert not backend.held
    assert backend.command(FORWARD, pose(), True) == FORWARD


def test_deactivation_ends_the_hold(clock):
    backend, _ = make("px4")
    backend.command(FORWARD, pose(), True)
    clock[0] += 9
    assert backend.held
    backend.deactivate()
    backend.activate(None)
    assert not backend.held


def test_a_hold_without_a_timeout_never_holds():
    hold = LossHold(None)
    hold.prove(0.0)
    assert not hold.lost(math.inf)
    assert hold.handover(1.0) == {}


@pytest.mark.parametrize(
    ("name", "land", "late"),
    [("px4", 2.0, True), ("px4", 1.3, True), ("px4", 1.2, False), ("mavros", 2.0, False)],
)
def test_a_landing_that_comes_after_the_autopilots_own_action_is_told(name, land, late):
    backend, _ = make(name)
    text = backend.timing_warning({Channel.CAMERA: Staleness(0.3, land)})
    assert ("staleness.camera.land" in text) is late
    assert ("at 1.3 s" in text) is late


def test_each_back_end_knows_how_long_its_autopilot_waits():
    timeouts = {name: make(name)[0].setpoint_timeout for name in ("px4", "mavros", "ardupilot")}
    assert timeouts == {"px4": 1.0, "mavros": 1.0, "ardupilot": 3.0}
    assert make("px4", setpoint_timeout=0.5)[0].setpoint_timeout == 0.5


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, []),
        ({"COM_OF_LOSS_T": 1.0, "COM_OBL_RC_ACT": 4, "COM_RCL_EXCEPT": 4}, []),
        ({"COM_OF_LOSS_T": 1.0, "COM_OBL_RC_ACT": 5, "COM_RCL_EXCEPT": 7}, []),
        ({"COM_OF_LOSS_T": 2.0}, ["set both alike"]),
        ({"COM_OF_LOSS_T": 0.1}, ["short silences", "set both alike"]),
        ({"COM_OBL_RC_ACT": 0}, ["without sticks becomes NAV_RCL_ACT"]),
        ({"COM_OBL_RC_ACT": 3}, ["climbs to RTL_RETURN_ALT"]),
        ({"COM_OBL_RC_ACT": 7}, ["stops the motors"]),
        ({"COM_RCL_EXCEPT": 3}, ["without bit 2"]),
    ],
)
def test_parameters_of_px4_that_make_a_loss_end_badly_are_named(values, words):
    found = loss_warnings(values, 1.0)
    assert len(found) == len(words)
    for word, text in zip(words, found, strict=True):
        assert word in text


def test_over_dds_the_user_is_told_what_cannot_be_read():
    assert "COM_OBL_RC_ACT" in make("px4")[0].parameters_note
