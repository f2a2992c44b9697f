"""An IMU in the wrong unit or axes is found by gravity and odometry, with its likely cause."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from liquid_nav.command import Mode
from liquid_nav.controller import Controller
from liquid_nav.events import SECOND, Channel, Event, ImuSample, Odometry
from liquid_nav.onboard import Policy, PolicyConfig
from liquid_nav.onboard.encoders import CameraEncoder
from liquid_nav.policy import PolicyNetwork, make_policy
from liquid_nav.rotations import compose, from_vector, rotate, to_matrix
from liquid_nav.safety.gravity import GravityCheck
from liquid_nav.safety.layer import SafetyConfig
from liquid_nav.safety.warnings import SensorWarnings
from safety.flights import GRAVITY, MS, Change, Vector, fly, imu_samples

Turn = Callable[[Vector], Vector]


def as_it_is(v: Vector) -> Vector:
    return v


def frd(v: Vector) -> Vector:
    return v * [1, -1, -1]


def optical(v: Vector) -> Vector:
    return np.array([-v[1], -v[2], v[0]])


def wrong(force: Turn, rate: Turn = as_it_is) -> Change:
    return lambda w, f, t: (rate(w), force(f))


WRONG = {
    "g": (wrong(lambda f: f / GRAVITY), "it looks like g; let the driver multiply by 9.80665"),
    "milli-g": (wrong(lambda f: f / GRAVITY * 990), "it looks like milli-g or cm/s^2"),
    "cm/s^2": (wrong(lambda f: f * 100), "it looks like milli-g or cm/s^2"),
    "ft/s^2": (wrong(lambda f: f / 0.3048), "it looks like ft/s^2"),
    "counts": (wrong(lambda f: f / GRAVITY * 16384), "its unit or scale is wrong"),
    "half": (wrong(lambda f: f * 0.4), "its unit or scale is wrong"),
    "no gravity": (wrong(lambda f: (f - [0, 0, GRAVITY]) / 10), "gravity was taken out"),
    "FRD": (wrong(frd, frd), "FRD axes"),
    "sign": (wrong(lambda f: -f), "a reversed sign; set imu_rotation to [1, 0, 0, 0]"),
    "optical": (wrong(optical, optical), "set imu_rotation to [-0.5, 0.5, -0.5, 0.5]"),
    "on its side": (wrong(lambda f: f[[0, 2, 1]] * [1, 1, -1]), "set imu_rotation to [0.7071, 0,"),
    "on end": (wrong(lambda f: f[[2, 1, 0]] * [1, 1, -1]), "set imu_rotation to [0, -0.7071, 0,"),
    "on its other end": (wrong(lambda f: f[[2, 1, 0]] * [-1, 1, 1]), "imu_rotation to [0, 0.7071,"),
    "g and FRD": (wrong(lambda f: frd(f) / GRAVITY, frd), "it looks like g"),
}


def calm(change: Change) -> Change:
    """Let the vehicle stand on the ground, and change its IMU."""

    def changed(rate: Vector, force: Vector, t: float) -> tuple[Vector, Vector]:
        noise = np.random.default_rng(round(t * 1000)).normal(size=6)
        return change(0.002 * noise[:3], np.array([0, 0, GRAVITY]) + 0.03 * noise[3:], t)

    return changed


@pytest.mark.parametrize("fault", WRONG)
def test_an_imu_that_contradicts_gravity_is_unfit_until_it_agrees(
    flow_policy: Policy, fault: str
) -> None:
    change, cause = WRONG[fault]
    controller = Controller(flow_policy)
    fly(controller, imu_samples(3.0, calm(change)))
    health = controller.health
    assert cause in health.unfit
    assert health.unfit.startswith("imu: mean specific force is ")
    assert health.unfit.removeprefix("imu: ") in health.channels[Channel.IMU].warnings
    command = controller.command(3 * SECOND)
    assert command.mode is Mode.HOVER
    assert health.unfit in command.reason

    # The driver is set right. An IMU that was refused meanwhile needs the time of its recovery.
    fly(controller, imu_samples(1.5, calm(wrong(as_it_is)), start=3.0))
    assert health.unfit == ""
    assert health.channels[Channel.IMU].warnings == ()
    assert controller.health.mode is Mode.NOMINAL


def test_the_rotations_that_are_named_mend_the_axes() -> None:
    for axis, sign in (("x", 1), ("x", -1), ("y", 1), ("y", -1), ("z", -1)):
        warnings = SensorWarnings()
        check = GravityCheck(warnings)
        up = np.zeros(3)
        up["xyz".index(axis)] = sign * GRAVITY
        for k in range(300):
            check.add([0.0, 0.0, 0.0, *up], k * 5 * MS)
        named = check.unfit.split("imu_rotation to [")[1].split("]")[0]
        quaternion = [float(number) for number in named.split(",")]
        assert np.allclose(rotate(quaternion, up), [0, 0, GRAVITY], atol=1e-3)


def test_a_reason_does_not_change_with_every_digit(flow_policy: Policy) -> None:
    controller = Controller(flow_policy)
    reasons = set()
    for sample in imu_samples(5.0, WRONG["g"][0]):
        controller.on_event(sample)
        reasons.add(controller.health.unfit)
    assert len(reasons) == 2


def test_an_imu_that_the_policy_does_not_read_holds_no_hover() -> None:
    torch.manual_seed(0)
    config = PolicyConfig((CameraEncoder(8, convolutions=(4, 4, 4)),), units=12)
    controller = Controller(make_policy(config, PolicyNetwork(config)))
    fly(controller, imu_samples(3.0, calm(WRONG["FRD"][0])))
    assert controller.health.unfit == ""
    assert controller.health.mode is Mode.NOMINAL
    assert "FRD axes" in controller.health.channels[Channel.IMU].warnings[0]


def tumbling(rate: Vector, force: Vector, t: float) -> tuple[Vector, Vector]:
    """A vehicle in somebody's hands: its axes are everywhere in turn."""
    turn = from_vector([2 * t, t, 0])
    shake = np.random.default_rng(round(t * 1000)).normal(size=3)
    return rate, np.array(rotate(turn, (0, 0, GRAVITY))) + shake


def falling(rate: Vector, force: Vector, t: float) -> tuple[Vector, Vector]:
    return rate, force - [0, 0, GRAVITY]


def thrown(rate: Vector, force: Vector, t: float) -> tuple[Vector, Vector]:
    return rate, force * (4 if t < 0.3 else 0.05 if t < 1.2 else 1)


@pytest.mark.parametrize(
    ("start", "fit_meanwhile"),
    [(tumbling, True), (falling, True), (thrown, True), (calm(wrong(frd, frd)), False)],
)
def test_a_strange_start_is_not_refused_for_ever(
    flow_policy: Policy, start: Change, fit_meanwhile: bool
) -> None:
    controller = Controller(flow_policy)
    fly(controller, imu_samples(1.5, start))
    assert (controller.health.unfit == "") is fit_meanwhile
    fly(controller, imu_samples(1.5, start=1.5))
    assert controller.health.unfit == ""
    assert controller.health.mode is Mode.NOMINAL


def test_an_imu_that_agreed_once_is_never_unfit_again(flow_policy: Policy) -> None:
    controller = Controller(flow_policy)
    fly(controller, imu_samples(5.0, falling, after=1.0))
    assert controller.health.unfit == ""
    assert controller.health.mode is Mode.NOMINAL


@pytest.mark.parametrize("fault", WRONG)
def test_the_checks_can_be_switched_off_also_in_flight(flow_policy: Policy, fault: str) -> None:
    change = calm(WRONG[fault][0])
    never = Controller(flow_policy, SafetyConfig(cross_checks=False))
    fly(never, imu_samples(3.0, change))
    assert never.health.unfit == ""
    assert never.health.channels[Channel.IMU].warnings == ()

    later = Controller(flow_policy)
    fly(later, imu_samples(3.0, change))
    later.reconfigure(SafetyConfig(cross_checks=False), 3 * SECOND)
    assert later.health.unfit == ""
    assert "mean specific force" not in later.command(3 * SECOND + MS).reason


def test_angular_velocity_in_degrees_is_warned_about(flow_policy: Policy) -> None:
    controller = Controller(flow_policy)
    fly(controller, imu_samples(3.0, wrong(as_it_is, np.degrees)))
    (warning,) = controller.health.channels[Channel.IMU].warnings
    assert "it looks like deg/s" in warning


def odometry_flight(change: Change, start_tilt: float = 0.0, seconds: float = 6.0) -> list[Event]:
    """A vehicle that turns about all axes, with odometry at 20 Hz."""
    attitude = from_vector([start_tilt, 0, 0])
    events: list[Event] = []
    for sample in imu_samples(seconds):
        rate = 3 * sample.angular_velocity
        if sample.stamp % (50 * MS) == 0:
            still = np.zeros(3)
            events.append(
                Odometry(sample.stamp, sample.stamp, still, np.array(attitude), still, rate)
            )
        up = to_matrix(attitude).T @ [0, 0, GRAVITY]
        w, f = change(rate, up, sample.stamp / SECOND)
        events.append(ImuSample(sample.stamp, sample.stamp, w, f))
        attitude = compose(attitude, from_vector(rate * 0.005))
    return events


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (wrong(as_it_is), None),
        (wrong(as_it_is, lambda w: w * 57.3), "it looks like deg/s"),
        (wrong(as_it_is, frd), "it looks like FRD axes"),
        (wrong(as_it_is, optical), "it looks like optical axes"),
        (wrong(as_it_is, lambda w: w * 0 + [0, 0, 0.02]), "odometry"),
        (wrong(as_it_is, lambda w: w * 0 + [0, 2.0, 0.0]), "odometry"),
    ],
    ids=["right", "deg/s", "FRD", "optical", "dead", "stuck"],
)
def test_the_gyroscope_is_compared_with_odometry(change: Change, cause: str | None) -> None:
    warnings = SensorWarnings()
    check = GravityCheck(warnings)
    for event in odometry_flight(change):
        if isinstance(event, Odometry):
            check.locate(event)
        elif isinstance(event, ImuSample):
            numbers = event.angular_velocity.tolist() + event.specific_force.tolist()
            check.add(numbers, event.stamp)
    found = warnings.of(Channel.IMU)
    assert check.unfit == ""
    if cause is None:
        assert found == ()
    else:
        (text,) = found
        assert text.startswith("angular velocity does not turn as odometry does: ")
        assert cause in text


def test_odometry_tells_a_vehicle_on_its_side_from_a_wrong_imu() -> None:
    for change, agrees in ((wrong(as_it_is), True), (wrong(frd), False)):
        check = GravityCheck(SensorWarnings())
        lying = from_vector([np.pi / 2, 0, 0])
        up = to_matrix(lying).T @ [0, 0, GRAVITY]
        still = np.zeros(3)
        for k in range(300):
            if k % 10 == 0:
                check.locate(Odometry(k * 5 * MS, k * 5 * MS, still, np.array(lying), still, still))
            _, force = change(still, up, 0.0)
            check.add([0.0, 0.0, 0.0, *force], k * 5 * MS)
        assert check._agreed is agrees


def test_a_rate_that_the_staleness_does_not_allow_is_warned_about(flow_policy: Policy) -> None:
    for period, warned in ((80 * MS, True), (100 * MS, True), (5 * MS, False)):
        controller = Controller(flow_policy)
        fly(controller, imu_samples(6.0, period=period))
        found = controller.health.channels[Channel.IMU].warnings
        assert bool(found) is warned
        assert all("staleness.imu.hover" in text for text in found)


def test_samples_that_are_not_finite_are_not_weighed(flow_policy: Policy) -> None:
    controller = Controller(flow_policy)

    def broken(rate: Vector, force: Vector, t: float) -> tuple[Vector, Vector]:
        return (rate, force * np.nan) if round(t * 200) % 3 == 0 else (rate, force)

    fly(controller, imu_samples(3.0, broken))
    assert controller.health.unfit == ""
    assert controller.health.channels[Channel.IMU].warnings == ()
    assert controller.health.channels[Channel.IMU].rejected == 200


def test_implausible_samples_are_weighed_but_do_not_fly(flow_policy: Policy) -> None:
    controller = Controller(flow_policy)
    fly(controller, imu_samples(2.0, calm(wrong(lambda f: f / GRAVITY * 2048))))
    counters = controller.health.channels[Channel.IMU]
    assert counters.accepted == 0
    assert "its unit or scale is wrong" in counters.warnings[0]
    assert replace(counters, warnings=()).rejected == 400
