"""Events refuse what cannot be a measurement, and cannot be changed."""

import copy
import dataclasses
import pickle

import numpy as np
import pytest

from liquid_nav.command import Command, CommandLimits
from liquid_nav.errors import CommandError, ConfigError, EventError
from liquid_nav.events import (
    SECOND,
    CameraFrame,
    Channel,
    Event,
    Goal,
    ImuSample,
    Odometry,
    OperatorStop,
    RangeSample,
    bits,
    nanoseconds,
)
from liquid_nav.onboard import PolicyCamera, PolicyConfig
from liquid_nav.onboard.encoders import CameraEncoder, ImuEncoder
from liquid_nav.safety.layer import Geofence, SafetyConfig, Staleness


def test_latency_is_arrival_less_stamp() -> None:
    assert ImuSample(10, 25, np.zeros(3), np.zeros(3)).latency == 15


def test_events_are_immutable() -> None:
    rates = np.zeros(3)
    event = ImuSample(0, 0, rates, np.zeros(3))
    rates[0] = 5.0
    assert event.angular_velocity[0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        event.angular_velocity[0] = 1.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.stamp = 3  # type: ignore[misc]


def test_an_image_is_a_view_that_cannot_be_written() -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    event = CameraFrame(0, 0, pixels)
    assert np.shares_memory(event.image, pixels)
    with pytest.raises(ValueError, match="read-only"):
        event.image[0, 0, 0] = 1
    pixels[0, 0, 0] = 1  # The giver's own array stays writable.


def test_a_range_may_be_out_of_range() -> None:
    """REP-117: infinite beyond, minus infinite below, not a number in failure."""
    for distance in (np.inf, -np.inf, np.float32(1.5), 2):
        event = RangeSample(0, 0, distance)  # type: ignore[arg-type]
        assert type(event.distance) is float
        assert event.distance == distance


def test_a_range_has_the_precision_of_its_message() -> None:
    assert RangeSample(0, 0, 0.1).distance == np.float32(0.1)
    assert RangeSample(0, 0, 1e300).distance == np.inf


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ImuSample(5, 4, np.zeros(3), np.zeros(3)), "1 ns before its stamp"),
        (lambda: ImuSample(0.5, 1, np.zeros(3), np.zeros(3)), "int nanoseconds"),  # type: ignore[arg-type]
        (lambda: ImuSample(0, 2**63, np.zeros(3), np.zeros(3)), "64 bits"),
        (lambda: ImuSample(0, 0, np.zeros(4), np.zeros(3)), r"shape \(3,\), got \(4,\)"),
        (lambda: CameraFrame(0, 0, np.zeros((4, 4, 3))), "uint8"),  # type: ignore[arg-type]
        (lambda: CameraFrame(0, 0, np.zeros((4, 4), np.uint8)), r"\(H, W, 3\)"),
        (lambda: CameraFrame(0, 0, np.zeros((0, 4, 3), np.uint8)), r"\(H, W, 3\)"),
        (lambda: Goal(0, 0, np.zeros(2)), "Goal.position"),
        (lambda: Goal(0, 0, ["east", "north", "up"]), "Goal.position must be 3 numbers"),
        (lambda: Goal(0, 0, [[1.0], [2.0, 3.0], 4.0]), "Goal.position must be 3 numbers"),
        (lambda: Goal(0, 0, [1j, 0, 0]), "Goal.position must be 3 numbers"),
        (lambda: Goal(0, 0, [10**400, 0, 0]), "Goal.position must be 3 numbers"),
        (lambda: Goal(0, 0, None), "Goal.position must have shape"),
        (lambda: Goal(0, 0, ["1", "2", "3"]), "Goal.position must be 3 numbers"),
        (lambda: Goal(0, 0, [True, False, True]), "Goal.position must be 3 numbers"),
        (lambda: Goal(0, 0, np.zeros(3, "m8[s]")), "Goal.position must be 3 numbers"),
        (lambda: Goal(True, 1, np.zeros(3)), "Goal.stamp must be int nanoseconds"),
        (lambda: Goal(0, 1.7e9, np.zeros(3)), "events.nanoseconds converts seconds"),
        (lambda: Goal(0, np.float32(1), np.zeros(3)), "Goal.arrival must be int nanoseconds"),
        (lambda: Goal("0", 1, np.zeros(3)), "Goal.stamp must be int nanoseconds"),
        (lambda: Goal(None, 1, np.zeros(3)), "Goal.stamp must be int nanoseconds"),
        (lambda: Goal(float("nan"), 1, np.zeros(3)), "Goal.stamp must be int nanoseconds"),
        (lambda: CameraFrame(0, 0, np.zeros((4, 4, 3), np.int8)), "uint8"),
        (lambda: CameraFrame(0, 0, np.zeros((3, 4, 4), np.uint8)), r"\(H, W, 3\)"),
        (lambda: CameraFrame(0, 0, [[[0, 0, 0]]]), "uint8 array, got list"),
        (lambda: RangeSample(0, 0, "far"), "RangeSample.distance must be a number"),  # type: ignore[arg-type]
        (lambda: RangeSample(0, 0, True), "RangeSample.distance must be a number"),
        (lambda: RangeSample(0, 0, None), "RangeSample.distance must be a number"),
        (lambda: OperatorStop(0, 0, "off"), "OperatorStop.engaged must be True or False"),
        (lambda: OperatorStop(0, 0, "true"), "OperatorStop.engaged must be True or False"),
        (lambda: OperatorStop(0, 0, 0), "OperatorStop.engaged must be True or False"),
        (lambda: OperatorStop(0, 0, None), "OperatorStop.engaged must be True or False"),
        (lambda: Channel(5), "must be an identifier"),
        (lambda: Channel(None), "must be an identifier"),
        (lambda: Channel(["imu"]), "must be an identifier"),
        (
            lambda: Odometry(0, 0, np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)),
            "Odometry.orientation",
        ),
    ],
)
def test_what_cannot_be_an_event_is_refused(make, message) -> None:
    with pytest.raises(EventError, match=message):
        make()


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.5, SECOND // 2),
        (2, 2 * SECOND),
        (-0.25, -SECOND // 4),
        (np.float32(0.5), SECOND // 2),
        (np.int32(3), 3 * SECOND),
        (1_700_000_000, 1_700_000_000 * SECOND),
    ],
)
def test_seconds_become_whole_nanoseconds(seconds: float, expected: int) -> None:
    assert nanoseconds(seconds) == expected
    assert type(nanoseconds(seconds)) is int


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), 1e10, 10**10, "1", None, True])
def test_seconds_that_are_no_time_are_refused(seconds: float) -> None:
    with pytest.raises(EventError, match="seconds must be a finite number"):
        nanoseconds(seconds)


def test_an_operators_stop_takes_the_booleans_of_numpy() -> None:
    assert OperatorStop(0, 0, np.bool_(True)).engaged is True


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Command(0.5), CommandError, "Command.stamp must be int nanoseconds"),
        (lambda: Command(True), CommandError, "Command.stamp must be int nanoseconds"),
        (lambda: Command(0, "1"), CommandError, "Command.vx must be a number"),
        (lambda: Command(0, yaw_rate=True), CommandError, "Command.yaw_rate must be a number"),
        (lambda: Command(0, vz=None), CommandError, "Command.vz must be a number"),
        (lambda: Command(0, vy=np.zeros(1)), CommandError, "Command.vy must be a number"),
        (lambda: Command(0, mode="hover"), CommandError, "Command.mode must be one of Mode.NOM"),
        (lambda: Command(0, reason=None), CommandError, "Command.reason must be text"),
        (lambda: CommandLimits(vx="3"), ConfigError, "command limit vx"),
        (lambda: CommandLimits(vx=True), ConfigError, "command limit vx"),
        (lambda: CommandLimits(acceleration=None), ConfigError, "command limit acceleration"),
        (lambda: Staleness("1", 2), ConfigError, "staleness hover must be a number"),
        (lambda: Staleness(0.1, True), ConfigError, "staleness land must be a number"),
        (lambda: Staleness(float("nan"), 1), ConfigError, "0 < hover <= land"),
        (lambda: Geofence((0, 0), (1, 1)), ConfigError, "geofence low must be three numbers"),
        (lambda: Geofence((0, 0, 0), 5), ConfigError, "geofence high must be three numbers"),
        (lambda: Geofence((0, 0, "0"), (1, 1, 1)), ConfigError, "geofence low must be a number"),
        (lambda: Geofence((0, 0, float("nan")), (1, 1, 1)), ConfigError, "low < high"),
        (lambda: Geofence((0, 0, 0), (1, 1, 1), "2"), ConfigError, "deceleration must be a number"),
        (lambda: SafetyConfig(limits={"vx": 1.0}), ConfigError, "limits must be a CommandLimits"),
        (lambda: SafetyConfig(staleness=0.5), ConfigError, "staleness must be a Mapping"),
        (lambda: SafetyConfig(staleness={Channel.IMU: 0.1}), ConfigError, "must be a Staleness"),
        (lambda: SafetyConfig(staleness={"imu": Staleness(1, 2)}), ConfigError, "be Channel"),
        (lambda: SafetyConfig(frozen={3: 0.1}), ConfigError, "keys must be Channel"),
        (lambda: SafetyConfig(frozen={Channel.IMU: "1"}), ConfigError, "frozen.imu must be a num"),
        (lambda: SafetyConfig(recovery="0.3"), ConfigError, "recovery must be a number"),
        (lambda: SafetyConfig(recovery=float("nan")), ConfigError, "recovery must be in"),
        (lambda: SafetyConfig(landing_speed=None), ConfigError, "landing_speed must be a number"),
        (lambda: SafetyConfig(geofence=((0, 0, 0), (1, 1, 1))), ConfigError, "geofence must be"),
        (lambda: SafetyConfig(cross_checks="no"), ConfigError, "cross_checks must be a bool"),
        (lambda: PolicyConfig(units=3.5), ConfigError, "units of a policy must be a whole number"),
        (lambda: PolicyConfig(units=True), ConfigError, "units of a policy must be a whole number"),
        (lambda: PolicyCamera(width=64.0), ConfigError, "width must be whole pixels"),
        (lambda: PolicyCamera(height=True), ConfigError, "height must be whole pixels"),
        (lambda: PolicyCamera(horizontal_fov="90"), ConfigError, "horizontal_fov must be a number"),
        (lambda: CameraEncoder(camera=(64, 48)), ConfigError, "must be a PolicyCamera"),
        (lambda: CameraEncoder(convolutions=(8, 2.5)), ConfigError, "convolutions must be a tuple"),
        (lambda: CameraEncoder(convolutions=8), ConfigError, "convolutions must be a tuple"),
        (lambda: ImuEncoder(features=True), ConfigError, "features of the encoder 'imu'"),
        (lambda: PolicyConfig(cell=None), ConfigError, "cell of a policy must be a str"),
        (lambda: PolicyConfig(cell_options=[]), ConfigError, "cell_options of a policy must be a"),
        (lambda: PolicyConfig(limits=3), ConfigError, "limits of a policy must be a CommandLimits"),
        (lambda: PolicyConfig(("imu",)), ConfigError, "must be a tuple of encoders"),
        (lambda: PolicyConfig(ImuEncoder()), ConfigError, "must be a tuple of encoders"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_by_its_name(make, error, words) -> None:
    with pytest.raises(error, match=words):
        make()


def test_a_command_takes_the_numbers_of_numpy_and_those_that_back_ends_refuse() -> None:
    command = Command(np.int64(5), np.float64(1.0), np.float32(2.0), 3, float("nan"))
    assert type(command.stamp) is int
    assert command.vector[:3] == (1.0, 2.0, 3)


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf")])
def test_limits_must_be_positive(value: float) -> None:
    with pytest.raises(ConfigError, match="vz"):
        CommandLimits(vz=value)


def test_a_channel_is_its_name_and_there_is_one_of_each() -> None:
    sonar = Channel("sonar")
    assert sonar is Channel("sonar")
    assert (sonar, sonar.value, {sonar: 1}["sonar"]) == ("sonar", "sonar", 1)
    assert type(sonar.value) is str
    assert Channel("camera") is Channel.CAMERA
    for again in (pickle.loads(pickle.dumps(sonar)), copy.deepcopy(sonar)):
        assert again is sonar
    for name in ("", "two words", "a.b", "1st"):
        with pytest.raises(EventError, match="must be an identifier"):
            Channel(name)


@dataclasses.dataclass(frozen=True, eq=False)
class Airspeed(Event):
    """An event of a user's own channel."""

    channel = Channel("airspeed")

    speed: float
    trusted: bool = True


def test_numbers_of_any_event_must_be_finite() -> None:
    assert Airspeed(0, 0, 12.0).defect() == ""
    assert Airspeed(0, 0, np.nan).defect() == "not finite"
    for distance, defect in ((1.0, ""), (np.inf, ""), (-np.inf, ""), (np.nan, "not finite")):
        assert RangeSample(0, 0, distance).defect() == defect


def test_equal_bits_are_equal_values() -> None:
    assert bits(Airspeed(0, 0, 12.0)) == bits(Airspeed(5, 7, 12.0))
    assert bits(Airspeed(0, 0, 12.0)) != bits(Airspeed(0, 0, 12.5))
    assert bits(Airspeed(0, 0, 12.0)) != bits(Airspeed(0, 0, 12.0, False))
    assert bits(RangeSample(0, 0, np.inf)) != bits(RangeSample(0, 0, -np.inf))
