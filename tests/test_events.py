"""Events refuse what cannot be a measurement, and cannot be changed."""

import copy
import dataclasses
import pickle

import numpy as np
import pytest

from liquid_nav.command import CommandLimits
from liquid_nav.errors import ConfigError, EventError
from liquid_nav.events import (
    CameraFrame,
    Channel,
    Event,
    Goal,
    ImuSample,
    Odometry,
    RangeSample,
    bits,
)


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
        (lambda: RangeSample(0, 0, "far"), "RangeSample.distance must be a number"),  # type: ignore[arg-type]
        (
            lambda: Odometry(0, 0, np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)),
            "Odometry.orientation",
        ),
    ],
)
def test_what_cannot_be_an_event_is_refused(make, message) -> None:
    with pytest.raises(EventError, match=message):
        make()


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
