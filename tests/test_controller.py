"""The time laws of the controller, and that nothing in flight raises."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liquid_nav.command import CommandLimits, Mode
from liquid_nav.controller import Controller
from liquid_nav.errors import CommandError, ConfigError
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
    nanoseconds,
)
from liquid_nav.onboard import Policy
from liquid_nav.policy import make_policy
from liquid_nav.safety.layer import SafetyConfig, Staleness
from support import frame, sample, small_network

# Laws of time are about the policy: with these limits the safety layer passes every command on.
TRANSPARENT = SafetyConfig(
    limits=CommandLimits(acceleration=1e9, yaw_acceleration=1e9),
    staleness={c: Staleness(1e6, 1e6) for c in (Channel.CAMERA, Channel.IMU)},
    frozen={},
)

LAWS = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@st.composite
def events(draw: st.DrawFn, most: int = 12) -> list[Event]:
    """Frames and samples, sorted by arrival, with equal times, gaps, jitter and latency.

    The first two are one of each, so that the policy speaks and not a failsafe.
    """
    now = draw(st.integers(0, SECOND))
    made: list[Event] = [
        replace(event, stamp=now, arrival=now) for event in (frame(0.0), sample(0.0))
    ]
    for seed in range(draw(st.integers(0, most))):
        now += draw(st.sampled_from([0, 1, 4_999_999, 5_000_000, 33_000_000, 2 * SECOND]))
        latency = draw(st.sampled_from([0, 1_000_000, 60_000_000]))
        event = draw(st.sampled_from([frame, sample]))(0.0, 0.0, seed)
        made.append(replace(event, stamp=max(0, now - latency), arrival=now))
    return made


def flown(policy: Policy, log: list[Event], queries: list[int] | None = None) -> Controller:
    """A controller after the events of `log`, asked at every time of `queries` after each."""
    controller = Controller(policy, TRANSPARENT)
    for event in log:
        controller.on_event(event)
        for later in queries or []:
            controller.command(event.arrival + later)
    return controller


@LAWS
@given(log=events(), queries=st.lists(st.integers(-SECOND, 10 * SECOND), max_size=5))
def test_queries_are_pure(policy: Policy, log: list[Event], queries: list[int]) -> None:
    asked, silent = flown(policy, log, queries), flown(policy, log)
    assert np.array_equal(asked.memory.state, silent.memory.state)
    assert np.array_equal(asked.memory.latch, silent.memory.latch)
    assert asked.health == silent.health
    for later in (0, 1, SECOND // 3):
        now = log[-1].arrival + later
        assert asked.command(now) == silent.command(now)


@LAWS
@given(log=events(), seed=st.integers(0, 9))
def test_no_time_leaves_the_state_alone(policy: Policy, log: list[Event], seed: int) -> None:
    controller = flown(policy, log)
    before = controller.memory
    now = log[-1].arrival / SECOND
    controller.on_event(sample(now, 0.0, seed + 1000))
    assert np.array_equal(controller.memory.state, before.state)
    assert not np.array_equal(controller.memory.latch, before.latch)


@LAWS
@given(log=events(), behind=st.integers(1, SECOND))
def test_time_never_runs_backwards(policy: Policy, log: list[Event], behind: int) -> None:
    controller = flown(policy, log)
    before, clock = controller.memory, controller.health.time
    late = frame(max(0, log[-1].arrival - behind) / SECOND, 0.0, 99)
    controller.on_event(late)
    assert controller.health.time == clock
    assert np.array_equal(controller.memory.state, before.state)
    if late.arrival < log[-1].arrival:
        assert controller.health.channels[Channel.CAMERA].late >= 1
    # It enters with its age on the controller's clock, not with its latency of zero.
    age = log[-1].arrival - late.stamp
    expected, _ = policy.on_event(before, late, 0, age)
    assert np.array_equal(controller.memory.latch, expected.latch)


@LAWS
@given(
    log=events(),
    split=st.floats(0, 1),
    gap=st.integers(1_000, 5 * SECOND),
)
def test_flow_between_events_is_exact(
    flow_policy: Policy, log: list[Event], split: float, gap: int
) -> None:
    controller = flown(flow_policy, log)
    memory = controller.memory
    core = small_network()[1].core
    first = round(split * gap)
    state, latch = torch.from_numpy(memory.state[None]), torch.from_numpy(memory.latch[None])
    with torch.inference_mode():
        target, tau = core.gates(latch, state)

        def flow(state: torch.Tensor, elapsed: int) -> torch.Tensor:
            return target + (state - target) * torch.exp(-(elapsed / SECOND) / tau)

        whole = core.step(latch, state, torch.tensor([gap / SECOND]))
        halves = flow(flow(state, first), gap - first)
    torch.testing.assert_close(whole, halves, rtol=1e-5, atol=1e-6)
    assert controller.command(log[-1].arrival + gap).vector == pytest.approx(
        flow_policy.query(memory, gap), abs=1e-6
    )


@LAWS
@given(log=events(), scale=st.sampled_from([1.0, 1e6, 1e30]), gap=st.integers(0, 10**15))
def test_the_state_is_bounded(policy: Policy, log: list[Event], scale: float, gap: int) -> None:
    """By the policy itself: the controller would not let such samples in."""
    controller = flown(policy, log)
    now = log[-1].arrival + gap
    wild = ImuSample(now, now, np.full(3, scale), np.full(3, -scale))
    memory, _ = policy.on_event(controller.memory, wild, gap, 0)
    memory, _ = policy.on_event(memory, sample(0.0), 10**14, 0)
    low, high, *_ = small_network("ltc" if "ltc" in policy.config.cell else "liquid_flow")[
        1
    ].core.bounds()
    assert np.all(memory.state >= low.numpy() - 1e-6)
    assert np.all(memory.state <= high.numpy() + 1e-6)
    assert all(np.isfinite(controller.command(now).vector))


@LAWS
@given(log=events())
def test_the_same_events_give_the_same_flight(policy: Policy, log: list[Event]) -> None:
    first, again = flown(policy, log), flown(policy, copy.deepcopy(log))
    assert np.array_equal(first.memory.state, again.memory.state)
    assert first.command(log[-1].arrival + 7) == again.command(log[-1].arrival + 7)
    first.reset()
    for event in log:
        first.on_event(event)
    assert np.array_equal(first.memory.state, again.memory.state)


def test_a_new_frame_acts_at_once(policy: Policy) -> None:
    controller = flown(policy, [frame(0.0), sample(0.0), sample(0.005)])
    before = controller.command(10_000_000).vector
    controller.on_event(frame(0.010, 0.0, seed=5))
    assert controller.command(10_000_000).vector != pytest.approx(before, abs=1e-4)


def test_age_is_an_input(policy: Policy) -> None:
    log = [frame(0.0), sample(0.0)]
    young, old = flown(policy, log), flown(policy, log)
    young.on_event(frame(0.1, 0.0, 3))
    old.on_event(frame(0.02, 0.08, 3))
    assert not np.allclose(young.memory.latch, old.memory.latch)


def test_channels_that_the_policy_does_not_read_leave_its_flow_alone(policy: Policy) -> None:
    log = [frame(0.0), sample(0.0), sample(0.005)]
    still, busy = flown(policy, log), flown(policy, log)
    odometry = Odometry(
        6_000_000, 7_000_000, np.zeros(3), np.array([0, 0, 0, 1.0]), np.zeros(3), np.zeros(3)
    )
    busy.on_event(odometry)
    busy.on_event(Goal(6_000_000, 7_500_000, np.ones(3)))
    for controller in (still, busy):
        controller.on_event(sample(0.010))
    assert np.array_equal(still.memory.state, busy.memory.state)
    assert busy.health.channels[Channel.ODOMETRY].accepted == 1


@pytest.mark.parametrize("kind", [np.int64, np.uint64])
def test_times_may_be_integers_of_numpy(policy: Policy, kind: type[np.integer]) -> None:
    log = [frame(0.0), sample(0.0), sample(0.005), frame(0.010), sample(0.010)]
    plain, numpy = Controller(policy), Controller(policy)
    for event in log:
        plain.on_event(event)
        numpy.on_event(replace(event, stamp=kind(event.stamp), arrival=kind(event.arrival)))
    now = 20_000_000
    assert numpy.health == plain.health
    assert numpy.command(kind(now)) == plain.command(now)  # type: ignore[arg-type]
    assert type(numpy.command(kind(now)).stamp) is int  # type: ignore[arg-type]


def test_bad_measurements_are_counted_and_change_nothing(policy: Policy) -> None:
    controller = flown(policy, [frame(0.0), sample(0.0)])
    memory, clock = controller.memory, controller.health.time
    controller.on_event(ImuSample(SECOND, SECOND, np.array([np.nan, 0, 0]), np.zeros(3)))
    controller.on_event(ImuSample(SECOND, SECOND, np.zeros(3), np.array([0, 0, np.inf])))
    controller.on_event(CameraFrame(SECOND, SECOND, np.zeros((480, 640, 3), np.uint8)))
    health = controller.health
    assert controller.memory is memory
    assert health.time == clock
    assert health.channels[Channel.IMU].rejected == 2
    assert health.channels[Channel.IMU].last_rejection == "not finite"
    assert health.channels[Channel.CAMERA].rejected == 1
    assert "640x480" in health.channels[Channel.CAMERA].last_rejection


@pytest.mark.parametrize("size", [0.0, 2.0, 1e200])
def test_an_orientation_that_is_none_is_rejected(policy: Policy, size: float) -> None:
    controller = Controller(policy)
    still = np.zeros(3)
    controller.on_event(Odometry(0, 0, still, np.full(4, size / 2), still, still))
    controller.on_event(Odometry(0, 0, still, np.full(4, 0.5), still, still))
    counters = controller.health.channels[Channel.ODOMETRY]
    assert (counters.rejected, counters.accepted) == (1, 1)
    assert counters.last_rejection == "orientation is not a unit quaternion"


def test_a_policy_that_breaks_is_distrusted_and_comes_back() -> None:
    config, network = small_network()
    policy = make_policy(config, network)
    # By TorchScript, whose weights can be broken in flight: the native path has copied them.
    controller = Controller(make_policy(config, network, native=False))
    for k in range(200):
        controller.on_event(sample(k * 0.005, 0.0, k))
        if k % 6 == 0:
            controller.on_event(frame(k * 0.005, 0.0, k))
    assert controller.health.mode is Mode.NOMINAL
    # Real non-finite weights: the features of every later sample are NaN.
    weights = network.encoders["imu"].dense.bias
    healthy = weights.detach().clone()
    with torch.no_grad():
        weights.fill_(float("nan"))
    controller.on_event(sample(1.0, 0.0, 1))
    command = controller.command(SECOND)
    assert (command.mode, command.reason) == (Mode.HOVER, "policy: output was not finite")
    assert controller.health.policy_faults == 1
    with torch.no_grad():
        weights.copy_(healthy)
    for k in range(1, 80):
        controller.on_event(sample(1 + k * 0.005, 0.0, k))
        controller.on_event(frame(1 + k * 0.005, 0.0, k))
    assert controller.health.mode is Mode.NOMINAL
    assert np.isfinite(controller.memory.state).all()
    assert policy.initial() is not None


def fail(*_: object) -> None:
    raise RuntimeError("out of memory\non device 0")


def test_an_error_in_the_policy_hovers_and_does_not_raise(
    flow_policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    controller = flown(flow_policy, [frame(0.0), sample(0.0), sample(0.005)])
    with monkeypatch.context() as broken:
        broken.setattr(flow_policy, "on_event", fail)
        controller.on_event(sample(0.01))
    health = controller.health
    assert (health.mode, health.reason) == (Mode.HOVER, "policy: RuntimeError: out of memory")
    assert health.policy_faults == 1
    assert health.last_policy_fault == "RuntimeError: out of memory"
    controller.on_event(sample(1.0))
    assert controller.health.mode is Mode.NOMINAL


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        (fail, "RuntimeError: out of memory"),
        (lambda *_: (0.0, np.nan, 0.0, 0.0), "output is not finite"),
    ],
)
def test_a_fault_at_a_query_is_counted_and_named(
    flow_policy: Policy, monkeypatch: pytest.MonkeyPatch, query: object, fault: str
) -> None:
    log = [frame(0.0), sample(0.0), sample(0.005)]
    asked, silent = flown(flow_policy, log), flown(flow_policy, log)
    with monkeypatch.context() as broken:
        broken.setattr(flow_policy, "query", query)
        for times in (1, 2):
            command = asked.command(SECOND // 100)
            assert (command.mode, command.reason) == (Mode.HOVER, f"policy: {fault}")
            assert asked.health.policy_faults == times
            assert asked.health.last_policy_fault == fault
        # Events of other channels ask too; the policy reads its command off its own.
        asked.on_event(Goal(10_000_000, 10_000_000, np.ones(3)))
        assert asked.health.policy_faults == 3
        assert asked.health.reason == f"policy: {fault}"
    # The counters are all that the queries changed.
    silent.on_event(Goal(10_000_000, 10_000_000, np.ones(3)))
    assert np.array_equal(asked.memory.state, silent.memory.state)
    later = SECOND // 50
    assert asked.command(later).mode is Mode.NOMINAL
    for controller in (asked, silent):
        controller.on_event(sample(0.1))
    assert asked.command(SECOND // 10) == silent.command(SECOND // 10)
    assert silent.health.policy_faults == 0


def test_only_inference_that_succeeds_is_fresh(
    flow_policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    controller = Controller(flow_policy, TRANSPARENT)
    assert controller.health.inferred is None
    controller.on_event(frame(0.0))
    controller.on_event(sample(0.1))
    assert controller.health.inferred == SECOND // 10
    controller.on_event(Goal(SECOND // 5, SECOND // 5, np.ones(3)))
    assert controller.health.inferred == SECOND // 10
    controller.on_event(sample(0.05, latency=0.01))  # late: at the time of the clock
    assert controller.health.inferred == SECOND // 5
    with monkeypatch.context() as broken:
        broken.setattr(flow_policy, "on_event", fail)
        for k in range(3, 10):
            controller.on_event(sample(k / 10, 0.0, k))
    assert controller.health.inferred == SECOND // 5
    assert controller.health.channels[Channel.IMU].stamp == 9 * SECOND // 10
    controller.on_event(sample(1.0))
    assert controller.health.inferred == SECOND
    # Nothing of the time before a clock that went back can be compared with the new time.
    controller.on_event(Goal(-10 * SECOND, -10 * SECOND, np.ones(3)))
    assert controller.health.inferred is None


@pytest.mark.parametrize("now", [0.5, 1.0, 1.7e9, "1", None, True, np.float64(5.0), 2**63])
def test_a_time_that_is_not_whole_nanoseconds_is_refused(flow_policy: Policy, now: Any) -> None:
    controller = flown(flow_policy, [frame(0.0), sample(0.0)])
    with pytest.raises(CommandError, match="nanoseconds converts seconds"):
        controller.command(now)
    with pytest.raises(CommandError, match="must be int nanoseconds"):
        controller.reconfigure(SafetyConfig(), now)
    assert controller.command(nanoseconds(0.5)).stamp == SECOND // 2


def test_a_controller_needs_a_policy_and_settings(flow_policy: Policy) -> None:
    for policy, words in (
        (None, "got NoneType"),
        ("target", "got str"),
        ((flow_policy, None), r"policy, manifest = load_policy\(path\)"),
    ):
        with pytest.raises(ConfigError, match=words):
            Controller(policy)  # type: ignore[arg-type]
    for safety in ({"recovery": 0.1}, {}, 3, CommandLimits()):
        with pytest.raises(ConfigError, match="must be a SafetyConfig, got"):
            Controller(flow_policy, safety)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="must be a SafetyConfig, got"):
            Controller(flow_policy).reconfigure(safety, 0)  # type: ignore[arg-type]


def test_events_of_an_unknown_kind_are_counted(policy: Policy) -> None:
    class Thermal(Event):
        channel = Channel.CAMERA

    class Radar(Event):
        channel = "radar"  # type: ignore[assignment]

    controller = flown(policy, [frame(0.0), sample(0.0)])
    before, asked = controller.memory, controller.command(1)
    controller.on_event(Thermal(0, 1))
    for event in (Event(0, 1), Radar(0, 1), RangeSample(0, 1, 2.0), None, "frame"):
        controller.on_event(event)  # type: ignore[arg-type]
    assert (controller.memory, controller.command(1)) == (before, asked)
    assert controller.health.unknown == 5
    assert controller.health.last_unknown == "str is no event"
    controller.on_event(RangeSample(0, 1, 2.0))
    assert "RangeSample is of a channel that the policy does not read" in (
        controller.health.last_unknown
    )
    assert controller.health.channels[Channel.CAMERA].last_rejection == (
        "the policy does not read Thermal"
    )


def test_the_operator_stop_wins_and_is_an_event(policy: Policy) -> None:
    controller = flown(policy, [frame(0.0), sample(0.0), sample(0.1)])
    assert controller.command(SECOND // 10).mode is Mode.NOMINAL
    controller.on_event(OperatorStop(SECOND // 5, SECOND // 5, engaged=True))
    stopped = controller.command(SECOND // 5)
    assert (stopped.mode, stopped.vector) == (Mode.STOP, (0.0, 0.0, 0.0, 0.0))
    controller.on_event(sample(0.3))
    assert controller.command(SECOND).mode is Mode.STOP
    controller.on_event(OperatorStop(SECOND, SECOND, engaged=False))
    assert controller.command(SECOND).mode is Mode.NOMINAL
