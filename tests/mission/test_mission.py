"""Missions from take-off to landing: every hand-over, and every way to end."""

import math
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from liquid_nav.errors import ConfigError
from liquid_nav.events import Channel
from liquid_nav.mavlink.autopilots import HOLD, LAND, RETURN
from liquid_nav.mission.checks import SLOWEST
from liquid_nav.mission.plan import MissionConfig, Outcome, Result, State
from liquid_nav.safety.freshness import Staleness
from mavlink_support import ScriptedVehicle
from mission_support import SAFETY, Eye, Flown

WHOLE = [
    State.CONNECTING,
    State.CHECKING,
    State.ARMING,
    State.TAKING_OFF,
    State.HANDING_OVER,
    State.FLYING,
    State.TAKING_BACK,
    State.LANDING,
    State.OVER,
]

AUTOPILOTS = pytest.mark.parametrize("name", ["px4", "ardupilot"])


@pytest.fixture(autouse=True)
def busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the machine stand still for seconds without a test about something else failing."""
    monkeypatch.setitem(SLOWEST, Channel.IMU, 0.1)
    monkeypatch.setattr("liquid_nav.mavlink.authority.LINK_TIMEOUT", 4.0)
    monkeypatch.setattr("liquid_nav.mission.mission.SILENT", 20.0)
    monkeypatch.setattr("liquid_nav.mission.mission.SLOW_START", 20.0)
    monkeypatch.setattr("liquid_nav.mission.mission.STREAMED_FIRST", 0.1)


def landed(flown: Flown, result: Result) -> None:
    vehicle = flown.scripted
    assert result.landed, flown.words()
    assert not vehicle.armed
    assert vehicle.height == 0.0


@AUTOPILOTS
def test_twenty_of_twenty_take_off_fly_to_the_goal_and_land(name: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        flights = list(pool.map(lambda number: to_the_goal(name, number), range(10)))
    assert [result.outcome for result in flights] == [Outcome.SUCCESS] * 10


def to_the_goal(name: str, number: int) -> Result:
    heading = 0.628 * number
    # To the left of where it looks.
    goal = (-0.8 * math.sin(heading), 0.8 * math.cos(heading), 1.2)
    with ScriptedVehicle(name, heading, rate=50) as vehicle:
        flown = Flown(vehicle, goal=goal, radius=0.2, duration=60.0)
        result = flown.fly()
        landed(flown, result)
        assert flown.states() == WHOLE
    return result


@AUTOPILOTS
def test_it_lands_when_the_time_is_over(name: str) -> None:
    with ScriptedVehicle(name) as vehicle:
        flown = Flown(vehicle, Eye())
        result = flown.fly()
        assert result.outcome is Outcome.TIMEOUT
        assert vehicle.modes[-1] == LAND
        assert vehicle.position[0] > 0.2
        assert abs(vehicle.position[1]) < 0.1
        landed(flown, result)
        assert all(check.passed for check in result.checks), result.checks


@AUTOPILOTS
def test_it_returns_to_where_it_began(name: str) -> None:
    with ScriptedVehicle(name) as vehicle:
        flown = Flown(vehicle, ending=RETURN)
        result = flown.fly()
        assert vehicle.modes[-1] == RETURN
        assert np.hypot(*vehicle.position[:2]) < 0.3
        landed(flown, result)


@AUTOPILOTS
@pytest.mark.parametrize("state", [State.TAKING_OFF, State.FLYING])
def test_the_operator_brings_it_down(name: str, state: State) -> None:
    with ScriptedVehicle(name) as vehicle:
        flown = Flown(vehicle, duration=60.0)
        flown.at(state, flown.mission.stop)
        result = flown.fly()
        assert result.outcome is Outcome.OPERATOR
        landed(flown, result)


def test_a_battery_that_runs_low_brings_it_down() -> None:
    with ScriptedVehicle() as vehicle:
        flown = Flown(vehicle, duration=60.0)
        flown.at(State.FLYING, lambda: setattr(vehicle, "battery", 20))
        result = flown.fly()
        assert (result.outcome, result.why) == (Outcome.BATTERY, "20% is left")
        landed(flown, result)


def test_a_camera_that_stays_away_brings_it_down() -> None:
    eye = Eye()
    quick = {**SAFETY.staleness, Channel.CAMERA: Staleness(hover=0.5, land=1.0)}
    with ScriptedVehicle() as vehicle:
        flown = Flown(vehicle, eye, replace(SAFETY, staleness=quick), duration=60.0)
        flown.at(State.FLYING, lambda: setattr(eye, "gone", True))
        result = flown.fly()
        assert result.outcome is Outcome.FAILSAFE
        assert "camera" in result.why
        assert "hover: camera" in flown.words()
        landed(flown, result)


@AUTOPILOTS
@pytest.mark.parametrize("state", [State.TAKING_OFF, State.FLYING])
def test_a_pilot_who_takes_the_vehicle_keeps_it(name: str, state: State) -> None:
    mode = "ALTCTL" if name == "px4" else "LOITER"
    with ScriptedVehicle(name) as vehicle:
        flown = Flown(vehicle, duration=60.0)
        # While it climbs: as soon as it does, not before it was told to.
        flown.at(state, lambda: _later(flown, lambda: vehicle.set_mode(mode), vehicle))
        result = flown.fly()
        assert result.outcome is Outcome.LOST
        assert mode in result.why
        assert vehicle.modes[-1] == mode
        assert vehicle.armed


def _later(flown: Flown, act: object, vehicle: ScriptedVehicle) -> None:
    """Do something once the vehicle is in the air."""

    from mavlink_support import until

    def wait() -> None:
        until(lambda: vehicle.height > 0.1, "the climb")
        act()  # type: ignore[operator]

    threading.Thread(target=wait, daemon=True).start()


def test_a_link_that_is_lost_in_flight_leaves_the_vehicle_to_its_autopilot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("liquid_nav.mavlink.authority.LINK_TIMEOUT", 1.0)
    with ScriptedVehicle() as vehicle:
        flown = Flown(vehicle, duration=60.0)
        flown.at(State.FLYING, lambda: setattr(vehicle, "muted", True))
        result = flown.fly()
        assert result.outcome is Outcome.LOST
        assert "silent" in result.why


@AUTOPILOTS
def test_it_is_not_armed_when_the_autopilot_refuses(name: str) -> None:
    with ScriptedVehicle(name) as vehicle:
        flown = Flown(vehicle)
        flown.at(State.ARMING, lambda: setattr(vehicle, "unready", "gyros not calibrated"))
        result = flown.fly()
        assert result.outcome is Outcome.REFUSED
        assert "denied" in result.why
        assert "gyros not calibrated" in result.why
        assert not vehicle.armed


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"battery": 10}, "battery: 10%"),
        ({"battery": 25}, "battery: 25%"),
        ({"estimator": 0b1}, "estimator: it does not know its horizontal velocity"),
        ({"unready": "compass"}, "autopilot: it says that it cannot be armed"),
        ({"armed": True}, "at rest: the vehicle is armed already"),
        ({"position": [0.0, 0.0, 3.0]}, "at rest: it is in the air"),
        ({"sends_imu": False}, "imu: it is silent"),
        ({"imu_force": (0.0, 0.0, -5.0)}, "imu at rest: it measures"),
        ({"imu_force": (0.0, 0.0, 9.81)}, "imu at rest: it stands tilted by 180 degrees"),
        ({"imu_force": (0.0, -9.81, 0.0)}, "imu at rest: it stands tilted by 90 degrees"),
        ({"yaw_rate": 1.0}, "imu at rest: it turns at 57 degrees/s"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_check_that_fails_keeps_the_vehicle_on_the_ground(
    change: dict[str, object], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "sends_imu" in change:
        monkeypatch.setattr("liquid_nav.mission.mission.SLOW_START", 0.0)
    with ScriptedVehicle() as vehicle:
        for name, value in change.items():
            setattr(vehicle, name, value)
        flown = Flown(vehicle)
        result = flown.fly()
        assert result.outcome is Outcome.REFUSED
        assert words in result.why
        assert f"FAILED: {words}" in flown.words()
        assert flown.states() == [State.CONNECTING, State.CHECKING, State.OVER]
        assert 400 not in vehicle.orders  # MAV_CMD_COMPONENT_ARM_DISARM


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((48, 64, 3), np.uint8), "pixels all alike"),
        (np.tile(np.arange(64, dtype=np.uint8)[:, None], (48, 1, 3)), "every frame is the same"),
        (np.eye(96, 128, dtype=np.uint8)[:, :, None] * [[[255] * 3]], "frames are 128x96"),
    ],
    ids=["covered", "frozen", "size"],
)
def test_a_camera_that_is_not_right_keeps_the_vehicle_on_the_ground(
    image: np.ndarray, words: str
) -> None:
    eye = Eye()
    eye.image = image.astype(np.uint8)
    with ScriptedVehicle() as vehicle:
        result = Flown(vehicle, eye).fly()
    assert result.outcome is Outcome.REFUSED
    assert words in result.why


def test_a_camera_that_is_silent_keeps_the_vehicle_on_the_ground(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("liquid_nav.mission.mission.SLOW_START", 0.0)
    eye = Eye()
    eye.gone = True
    with ScriptedVehicle() as vehicle:
        result = Flown(vehicle, eye).fly()
    assert result.outcome is Outcome.REFUSED
    assert "camera: it is silent" in result.why


def test_a_slow_imu_keeps_the_vehicle_on_the_ground(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SLOWEST, Channel.IMU, 1000.0)
    with ScriptedVehicle() as vehicle:
        result = Flown(vehicle).fly()
    assert result.outcome is Outcome.REFUSED
    assert "1000 a second are needed" in result.why


def test_no_autopilot_at_all_is_told_after_the_patience() -> None:
    with ScriptedVehicle() as vehicle:
        vehicle.muted = True
        result = Flown(vehicle, patience=1.0).fly()
    assert result.outcome is Outcome.REFUSED
    assert "no autopilot has been heard" in result.why


def test_the_hand_over_is_asked_for_until_the_autopilot_follows() -> None:
    with ScriptedVehicle() as vehicle:
        flown = Flown(vehicle)
        vehicle.refused.add("OFFBOARD")
        flown.at(
            State.HANDING_OVER,
            lambda: threading.Timer(0.5, lambda: vehicle.refused.discard("OFFBOARD")).start(),
        )
        result = flown.fly()
        assert result.outcome is Outcome.TIMEOUT, flown.words()
        landed(flown, result)


def test_a_mode_that_is_refused_is_told_and_the_vehicle_lands() -> None:
    with ScriptedVehicle("ardupilot") as vehicle:
        flown = Flown(vehicle, ending=RETURN)
        modes = dict(vehicle.autopilot.modes)
        flown.at(State.FLYING, lambda: vehicle.refused.add(RETURN))
        result = flown.fly()
        assert modes[RETURN] == 6
        assert f"taking back: {LAND}" in flown.words()
        landed(flown, result)


def test_a_vehicle_that_refuses_to_land_is_brought_down_by_setpoints(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("liquid_nav.mission.mission.DISARMS_WITHIN", 0.2)
    with ScriptedVehicle("ardupilot") as vehicle:
        flown = Flown(vehicle, height=0.5)
        flown.at(State.FLYING, lambda: vehicle.refused.update({LAND, HOLD}))
        result = flown.fly()
        assert "descending by setpoints" in flown.words()
        landed(flown, result)


def test_a_pilot_that_raises_is_brought_down(caplog: pytest.LogCaptureFixture) -> None:
    def fail(event: object) -> None:
        raise RuntimeError("broken")

    with ScriptedVehicle() as vehicle:
        flown = Flown(vehicle)
        flown.at(State.FLYING, lambda: setattr(flown.mission._pilot, "on_event", fail))
        result = flown.fly()
        assert (result.outcome, result.why) == (Outcome.FAILED, "RuntimeError: broken")
        landed(flown, result)


@pytest.mark.parametrize(
    "wrong",
    [{"height": 0.0}, {"duration": float("inf")}, {"battery": 25}, {"ending": "HOLD"},
     {"goal": (0.0, float("nan"), 0.0)}, {"radius": -1.0}],
)  # fmt: skip
def test_a_plan_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        MissionConfig(**wrong)  # type: ignore[arg-type]
