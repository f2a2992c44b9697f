"""Cameras of which a half is frozen or without colour, odometry that contradicts itself, ranges."""

import numpy as np
import pytest

from liquid_nav.controller import Controller
from liquid_nav.events import SECOND, CameraFrame, Channel, ImuSample, Odometry, RangeSample
from liquid_nav.onboard import Policy
from liquid_nav.safety.checks import SensorChecks
from liquid_nav.safety.layer import SafetyConfig
from safety.flights import MS, frame_at, imu_samples

UP = np.array([0.0, 0.0, 0.0, 1.0])


def flown(policy: Policy, change, seconds: float = 6.0) -> Controller:
    """Fly with IMU and camera; `change` turns an image and its time in s into another."""
    controller = Controller(policy)
    for sample in imu_samples(seconds):
        controller.on_event(sample)
        if sample.stamp % (50 * MS) == 0:
            image = change(frame_at(sample.stamp).image.copy(), sample.stamp / SECOND)
            controller.on_event(CameraFrame(sample.stamp, sample.stamp, image))
    return controller


HALF = frame_at(1).image


@pytest.mark.parametrize(
    "part",
    [np.s_[:24], np.s_[24:], np.s_[:, :32], np.s_[:, 32:]],
    ids=["top", "bottom", "left", "right"],
)
def test_half_a_frame_that_is_frozen_is_refused_while_the_vehicle_turns(
    flow_policy: Policy, part
) -> None:
    def change(image, t):
        if t > 2.0:
            image[part] = HALF[part]
        return image

    counters = flown(flow_policy, change).health.channels[Channel.CAMERA]
    assert counters.last_rejection == "frozen: half of the frame unchanged for more than 1 s"
    assert "half of the picture has not changed" in counters.warnings[0]


@pytest.mark.parametrize(
    "change",
    [
        lambda image, t: np.concatenate((image[:12] * 0 + 200, image[12:])),  # a clear sky
        lambda image, t: np.concatenate((HALF[:24], image[24:])),  # never changed
    ],
    ids=["sky", "painted over"],
)
def test_a_part_of_the_picture_may_stay_as_it_always_was(flow_policy: Policy, change) -> None:
    counters = flown(flow_policy, change).health.channels[Channel.CAMERA]
    assert (counters.rejected, counters.warnings) == (0, ())


def test_a_small_frozen_part_is_warned_about(flow_policy: Policy) -> None:
    def change(image, t):
        if t > 2.0:
            image[:12] = HALF[:12]
        return image

    counters = flown(flow_policy, change).health.channels[Channel.CAMERA]
    assert counters.rejected == 0
    assert "part of the picture has not changed" in counters.warnings[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda image, t: image[:, :, :1].repeat(3, axis=2), ["grey"]),
        (lambda image, t: image // 16, ["black"]),
        (lambda image, t: image[:, :, :1].repeat(3, axis=2) // 40, ["grey", "black"]),
        (lambda image, t: image, []),
        # Night falls, or somebody covers the lens, long after the first good frame.
        (lambda image, t: image * (t < 1.0), []),
    ],
    ids=["grey", "dark", "both", "good", "later"],
)
def test_pictures_without_colour_or_light_are_warned_about(
    flow_policy: Policy, change, words
) -> None:
    found = flown(flow_policy, change, 1.8).health.channels[Channel.CAMERA].warnings
    assert len(found) == len(words)
    assert all(word in text for word, text in zip(words, found, strict=True))


def odometry(k: int, position, velocity, turn: float = 0.0, rate: float = 0.0) -> Odometry:
    stamp = k * 50 * MS
    attitude = np.array([0, 0, np.sin(turn / 2), np.cos(turn / 2)])
    return Odometry(stamp, stamp, position, attitude, velocity, [0, 0, rate])


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda k: odometry(k, [1, 2, 3], [1, 0, 0]), "frozen: position unchanged"),
        (lambda k: odometry(k, [k, 2, 3], [20, 0, 0], 0.1, 1), "frozen: orientation unchanged"),
        (lambda k: odometry(k, [k, 2, 3], [20, 0, 0], k / 20, 1), ""),
        # At rest, with the noise of an estimator in its velocity.
        (lambda k: odometry(k, [1, 2, 3], [0.01, 0, 0], 0, 0.01), ""),
        (lambda k: odometry(k, [1, 2, 3], [0, 0, 0]), ""),
    ],
    ids=["position", "orientation", "moving", "resting", "simulated"],
)
def test_odometry_whose_pose_stands_still_against_its_velocity_is_refused(make, reason) -> None:
    checks = SensorChecks(SafetyConfig())
    found = [checks.objection(make(k)) for k in range(600)]
    assert found[-1].startswith(reason)
    assert bool(found[-1]) == bool(reason)
    again = odometry(600, [700.0, 2, 3], [20, 0, 0], 30.0, 1)
    assert checks.objection(again) == ""


def test_odometry_without_velocity_is_warned_about() -> None:
    checks = SensorChecks(SafetyConfig())
    for k in range(20):
        assert checks.objection(odometry(k, [k / 10, 0, 0], [0, 0, 0])) == ""
    assert "fills in no twist" in checks.warnings.of(Channel.ODOMETRY)[0]


def test_a_range_finder_that_used_to_change_and_stands_still_is_warned_about() -> None:
    checks = SensorChecks(SafetyConfig())
    for k in range(200):
        distance = 1.0 + 0.01 * min(k, 100)
        assert checks.objection(RangeSample(k * 50 * MS, k * 50 * MS, distance)) == ""
    assert "the same values for more than 2 s" in checks.warnings.of(Channel.RANGE)[0]
    checks.objection(RangeSample(10 * SECOND, 10 * SECOND, 3.0))
    assert checks.warnings.of(Channel.RANGE) == ()
    for k in range(100):
        now = 11 * SECOND + k * 50 * MS
        checks.objection(RangeSample(now, now, float("inf")))
    assert checks.warnings.of(Channel.RANGE) == ()


def test_without_cross_checks_everything_is_taken(flow_policy: Policy) -> None:
    checks = SensorChecks(SafetyConfig(cross_checks=False))
    for k in range(100):
        assert checks.objection(odometry(k, [1, 2, 3], [1, 0, 0])) == ""
        assert checks.objection(ImuSample(k * MS, k * MS, np.ones(3) * k, np.ones(3) * k)) == ""
    assert checks.warnings.of(Channel.ODOMETRY) == ()
