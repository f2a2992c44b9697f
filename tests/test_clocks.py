"""Clocks that jump: ahead is staleness, back is a new start, and neither wedges the controller."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liquid_nav.command import Command, Mode
from liquid_nav.controller import CLOCK_TOLERANCE, Controller
from liquid_nav.events import SECOND, Channel, Event, ImuSample, OperatorStop
from liquid_nav.onboard import Policy
from liquid_nav.safety.layer import SafetyConfig
from support import frame, sample

MS = SECOND // 1000
BACK = "clock: went back"


def at(event: Event, ns: int) -> Event:
    return replace(event, stamp=ns, arrival=ns)


def fly(controller: Controller, start: int, seconds: float = 1.0) -> int:
    """Samples every 5 ms and frames every 50 ms from `start` ns on; gives the last instant."""
    for k in range(round(seconds * 200)):
        controller.on_event(at(sample(0, 0, k), start + 5 * k * MS))
        if k % 10 == 0:
            controller.on_event(at(frame(0, 0, k), start + 5 * k * MS))
    return start + 5 * k * MS


def test_a_clock_that_goes_back_starts_the_controller_afresh(flow_policy: Policy) -> None:
    controller, fresh = Controller(flow_policy), Controller(flow_policy)
    late = fly(controller, 1000 * SECOND)
    assert controller.command(late).mode is Mode.NOMINAL
    counted = controller.health.channels[Channel.IMU].accepted
    # Between the jump and the first event of the new time.
    asked = controller.command(3 * SECOND)
    assert asked == Command(3 * SECOND, mode=Mode.HOVER, reason=BACK)
    for flight in (controller, fresh):
        flight.on_event(at(sample(0.0), 3 * SECOND))
    assert controller.health.time == 3 * SECOND
    assert controller.health.clock_resets == 1
    assert controller.health.reason == "camera: nothing received yet"
    counters = controller.health.channels[Channel.IMU]
    assert (counters.accepted, counters.stamp) == (counted + 1, 3 * SECOND)
    assert controller.health.channels[Channel.CAMERA].stamp is None
    for flight in (controller, fresh):
        end = fly(flight, 4 * SECOND)
    assert controller.command(end + MS).mode is Mode.NOMINAL
    assert controller.command(end + MS) == fresh.command(end + MS)
    assert controller.health.channels[Channel.IMU].late == 0


def test_a_clock_that_leaps_ahead_and_back_does_not_wedge(flow_policy: Policy) -> None:
    controller = Controller(flow_policy)
    end = fly(controller, 0)
    controller.on_event(at(frame(0, 0, 99), end + 3600 * SECOND))
    assert controller.health.mode is Mode.LAND
    assert controller.health.reason == "imu: stale for more than 2 s"
    end = fly(controller, end + 5 * MS)
    assert controller.health.mode is Mode.NOMINAL
    assert controller.health.clock_resets == 1


def test_a_clock_that_leaps_ahead_is_stale_and_recovers(flow_policy: Policy) -> None:
    controller = Controller(flow_policy)
    end = fly(controller, 0)
    assert controller.command(end + 3600 * SECOND).mode is Mode.LAND
    ahead = end + 3600 * SECOND
    end = fly(controller, ahead, 0.2)
    assert (controller.health.mode, controller.health.reason) == (
        Mode.HOVER,
        "camera: recovering; imu: recovering",
    )
    fly(controller, end, 0.5)
    assert controller.health.mode is Mode.NOMINAL
    assert controller.health.clock_resets == 0


@pytest.mark.parametrize("engaged", [True, False])
def test_the_operators_stop_outlives_a_clock(flow_policy: Policy, engaged: bool) -> None:
    controller = Controller(flow_policy)
    end = fly(controller, 100 * SECOND)
    controller.on_event(OperatorStop(end, end, engaged=True))
    if not engaged:
        controller.on_event(OperatorStop(end, end, engaged=False))
    asked = controller.command(SECOND)
    assert asked.stamp == SECOND
    assert asked.mode is (Mode.STOP if engaged else Mode.HOVER)
    end = fly(controller, SECOND)
    assert controller.health.mode is (Mode.STOP if engaged else Mode.NOMINAL)
    controller.on_event(OperatorStop(end, end, engaged=False))
    assert controller.health.mode is Mode.NOMINAL


@pytest.mark.parametrize(("behind", "resets"), [(CLOCK_TOLERANCE, 0), (CLOCK_TOLERANCE + 1, 1)])
def test_the_edge_between_late_and_back(flow_policy: Policy, behind: int, resets: int) -> None:
    controller = Controller(flow_policy)
    end = fly(controller, 100 * SECOND)
    last = controller.command(end)
    asked = controller.command(end - behind)
    assert asked == (last if resets == 0 else Command(end - behind, mode=Mode.HOVER, reason=BACK))
    controller.on_event(at(sample(0, 0, 999), end - behind))
    assert controller.health.clock_resets == resets
    assert controller.health.time == end - behind * resets
    assert controller.health.channels[Channel.IMU].late == 1 - resets


def test_what_is_rejected_does_not_turn_the_clock_back(flow_policy: Policy) -> None:
    controller = Controller(flow_policy)
    end = fly(controller, 100 * SECOND)
    before = controller.memory
    controller.on_event(ImuSample(0, 0, np.full(3, np.nan), np.zeros(3)))
    assert (controller.health.time, controller.memory) == (end, before)
    assert controller.command(0).reason == BACK


def test_a_reset_forgets_the_counts_too(flow_policy: Policy) -> None:
    controller = Controller(flow_policy)
    fly(controller, 100 * SECOND, 0.1)
    fly(controller, 0, 0.1)
    assert controller.health.clock_resets == 1
    controller.reset()
    assert controller.health.clock_resets == 0


jumps = st.lists(
    st.tuples(
        st.integers(-5 * SECOND, 5 * SECOND), st.sampled_from(["imu", "camera", "stop", "go"])
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=jumps, asked=st.lists(st.integers(-20 * SECOND, 20 * SECOND), max_size=4))
def test_no_clock_raises_wedges_or_makes_queries_impure(
    flow_policy: Policy, steps: list[tuple[int, str]], asked: list[int]
) -> None:
    first, again = Controller(flow_policy), Controller(flow_policy)
    limits = SafetyConfig().limits.magnitude
    now = 0
    for k, (step, kind) in enumerate(steps):
        now += step
        event = {
            "imu": at(sample(0, 0, k), now),
            "camera": at(frame(0, 0, k), now),
            "stop": OperatorStop(now, now, True),
            "go": OperatorStop(now, now, False),
        }[kind]
        for controller in (first, again):
            controller.on_event(event)
        assert abs(first.health.time - now) <= CLOCK_TOLERANCE
        for later in asked:
            command = first.command(now + later)
            assert command == first.command(now + later)
            assert all(abs(x) <= m for x, m in zip(command.vector, limits, strict=True))
            if first.health.time - (now + later) > CLOCK_TOLERANCE:
                assert command.mode in (Mode.HOVER, Mode.STOP)
    assert first.health == again.health
    assert first.command(now) == again.command(now)
