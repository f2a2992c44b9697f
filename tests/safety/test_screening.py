"""Measurements that lie: not plausible, or frozen. They are rejected, and staleness follows."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liquid_nav.command import Mode
from liquid_nav.controller import Controller
from liquid_nav.events import (
    SECOND,
    CameraFrame,
    Channel,
    Event,
    Goal,
    ImuSample,
    Odometry,
    OperatorStop,
)
from liquid_nav.onboard import Policy
from liquid_nav.safety.layer import SafetyConfig, Staleness
from liquid_nav.safety.screening import FreezeDetector, defect
from support import frame, sample

MS = SECOND // 1000
STILL, LEVEL = np.zeros(3), np.array([0, 0, 0, 1.0])


def at(event: Event, ms: int) -> Event:
    return replace(event, stamp=ms * MS, arrival=ms * MS)


def fly(controller: Controller, start: int, end: int, *frozen: Channel) -> None:
    """Samples every 5 ms and frames every 50 ms; those of `frozen` channels are all alike."""
    for ms in range(start, end, 5):
        controller.on_event(at(sample(0, 0, 1 if Channel.IMU in frozen else ms), ms))
        if ms % 50 == 0:
            controller.on_event(at(frame(0, 0, 1 if Channel.CAMERA in frozen else ms), ms))


@pytest.mark.parametrize(
    ("channel", "limit", "stale"), [(Channel.IMU, 0.1, 0.1), (Channel.CAMERA, 1.0, 0.3)]
)
def test_a_frozen_sensor_hovers_lands_and_recovers(
    flow_policy: Policy, channel: Channel, limit: float, stale: float
) -> None:
    controller = Controller(flow_policy)
    fly(controller, 0, 1000)
    assert controller.health.mode is Mode.NOMINAL
    counters = controller.health.channels[channel]

    frozen = 1000 + round(1000 * limit)
    fly(controller, 1000, frozen + 1, channel)
    assert counters.rejected == 0
    assert counters.stamp == frozen * MS
    fly(controller, frozen + 5, frozen + 300, channel)
    assert counters.rejected > 0
    assert counters.stamp == frozen * MS
    assert counters.last_rejection == f"frozen: unchanged for more than {limit:g} s"
    fly(controller, frozen + 300, frozen + 700, channel)
    assert controller.health.reason == f"{channel.value}: stale for more than {stale:g} s"
    assert controller.health.mode is Mode.HOVER
    fly(controller, frozen + 700, frozen + 2100, channel)
    assert controller.health.mode is Mode.LAND

    end = frozen + 2100
    fly(controller, end, end + 100)
    assert (controller.health.mode, controller.health.reason) == (
        Mode.HOVER,
        f"{channel.value}: recovering",
    )
    fly(controller, end + 100, end + 500)
    assert controller.health.mode is Mode.NOMINAL


def test_a_source_without_noise_is_left_out(flow_policy: Policy) -> None:
    controller = Controller(flow_policy, SafetyConfig(frozen={}))
    fly(controller, 0, 3000, Channel.IMU, Channel.CAMERA)
    assert controller.health.mode is Mode.NOMINAL
    assert [c.rejected for c in controller.health.channels.values()] == [0] * 5


def test_nonsense_in_between_does_not_thaw(flow_policy: Policy) -> None:
    controller = Controller(flow_policy)
    broken = ImuSample(0, 0, np.full(3, np.nan), STILL)
    for ms in range(0, 200, 5):
        controller.on_event(at(sample(0, 0, 1), ms))
        controller.on_event(at(broken, ms))
    counters = controller.health.channels[Channel.IMU]
    assert counters.accepted == 21  # 0 to 100 ms


def test_an_image_buffer_that_is_used_again_is_not_frozen() -> None:
    detector = FreezeDetector({Channel.CAMERA: 0.1})
    buffer = np.zeros((4, 4, 3), np.uint8)
    for ms in range(0, 2000, 50):
        buffer[0, 0, 0] = ms // 50
        assert detector.objection(CameraFrame(ms * MS, ms * MS, buffer)) == ""


def test_what_has_no_limit_may_repeat_for_ever() -> None:
    detector = FreezeDetector(SafetyConfig().frozen)
    events = (
        Goal(0, 0, STILL),
        Odometry(0, 0, STILL, LEVEL, STILL, STILL),
        OperatorStop(0, 0, True),
    )
    for event in events:
        assert [detector.objection(at(event, ms)) for ms in (0, 10**6)] == ["", ""]
    detector.limits = {Channel.GOAL: 1.0, Channel.ODOMETRY: 1.0}
    verdicts = [bool(detector.objection(at(event, 2 * 10**6))) for event in events]
    assert verdicts == [True, True, False]


@settings(max_examples=100, deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(-20, 60), st.integers(0, 2)), min_size=1, max_size=60),
    limit=st.sampled_from([0.05, 0.1, 1.0]),
)
def test_the_law_of_freezing(steps: list[tuple[int, int]], limit: float) -> None:
    """Refused: equal to the last different values, whose first is more than `limit` older."""
    detector = FreezeDetector({Channel.IMU: limit})
    again = FreezeDetector({Channel.IMU: limit})
    again.objection(sample(0.0))
    again.reset()
    time, value, since = 10**6, None, 0
    for step, seed in steps:
        time += step
        event = at(sample(0, 0, seed), time)
        if seed != value:
            value, since = seed, time
        expected = (time - since) * MS > round(limit * SECOND)
        assert bool(detector.objection(event)) == expected
        assert bool(again.objection(event)) == expected


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(lag=st.integers(0, 150), period=st.sampled_from([5, 20, 40]))
def test_a_frozen_imu_never_stays_nominal(flow_policy: Policy, lag: int, period: int) -> None:
    """Whatever the latency, after limit plus staleness there is no nominal command."""
    config = SafetyConfig(staleness={c: Staleness(0.3, 2.0) for c in flow_policy.channels})
    controller = Controller(flow_policy, config)
    for ms in range(0, 600, period):
        for event in (sample(0, 0, 1), frame(0, 0, ms)):
            controller.on_event(replace(event, stamp=ms * MS, arrival=(ms + lag) * MS))
    assert controller.command(600 * MS + lag * MS).mode is Mode.HOVER


def imu(rate: float = 0.0, force: float = 0.0) -> ImuSample:
    return ImuSample(0, 0, np.array([0, rate, 0]), np.array([0, 0, force]))


def pose(x: float = 0.0, speed: float = 0.0, rate: float = 0.0) -> Odometry:
    return Odometry(
        0, 0, np.array([x, 0, 0]), LEVEL, np.array([speed, 0, 0]), np.array([0, 0, rate])
    )


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("make", "limit", "reason"),
    [
        (imu, 100.0, "implausible angular velocity: above 100 rad/s"),
        (lambda f: imu(0, f), 1000.0, "implausible specific force: above 1000 m/s^2"),
        (pose, 1e7, "implausible position: beyond 1e+07 m"),
        (lambda v: pose(0, v), 1000.0, "implausible speed: above 1000 m/s"),
        (lambda w: pose(0, 0, w), 100.0, "implausible angular velocity: above 100 rad/s"),
        (
            lambda x: Goal(0, 0, np.array([0, x, 0])),
            1e7,
            "implausible position: beyond 1e+07 m",
        ),
    ],
)
def test_implausible_numbers_are_rejected_by_their_limit(make, limit, reason, sign) -> None:
    assert defect(make(sign * limit)) == ""
    assert defect(make(sign * limit * 1.001)) == reason
    assert defect(make(sign * 1e300)) == reason
    assert defect(make(sign * np.inf)) == "not finite"


def test_an_implausible_imu_goes_stale_and_recovers(flow_policy: Policy) -> None:
    controller = Controller(flow_policy)
    fly(controller, 0, 1000)
    before = controller.memory
    for ms in range(1000, 1300, 5):
        controller.on_event(at(imu(rate=1e4), ms))
    assert controller.memory is before
    assert controller.command(1200 * MS).reason == "imu: stale for more than 0.1 s"
    counters = controller.health.channels[Channel.IMU]
    assert (counters.rejected, counters.last_rejection) == (
        60,
        "implausible angular velocity: above 100 rad/s",
    )
    fly(controller, 1300, 2000)
    assert controller.health.mode is Mode.NOMINAL


finite = st.floats(allow_nan=True, allow_infinity=True)


@settings(max_examples=100, deadline=None)
@given(numbers=st.lists(finite, min_size=6, max_size=6))
def test_no_number_raises_or_gets_past(flow_policy: Policy, numbers: list[float]) -> None:
    controller = Controller(flow_policy)
    controller.on_event(frame(0.0))
    controller.on_event(ImuSample(0, 0, np.array(numbers[:3]), np.array(numbers[3:])))
    good = all(abs(n) <= 100 for n in numbers[:3]) and all(abs(n) <= 1000 for n in numbers[3:])
    counters = controller.health.channels[Channel.IMU]
    assert (counters.accepted, counters.rejected) == ((1, 0) if good else (0, 1))
    assert all(np.isfinite(controller.command(50 * MS).vector))
