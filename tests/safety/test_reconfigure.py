"""Settings that change in flight: nothing is forgotten, and no command jumps."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liquid_nav.command import CommandLimits, Mode
from liquid_nav.controller import Controller
from liquid_nav.errors import ConfigError
from liquid_nav.events import SECOND, Channel, Event, Odometry, OperatorStop
from liquid_nav.onboard import Policy
from liquid_nav.safety.layer import Geofence, SafetyConfig, SafetyLayer, Staleness, Vector
from support import frame, sample

MS = SECOND // 1000
NEEDED = (Channel.CAMERA, Channel.IMU)
FENCE = Geofence((-4, -4, 0.5), (4, 4, 3))
SLOW = SafetyConfig(
    limits=CommandLimits(vx=0.5, vy=0.5, vz=0.5, yaw_rate=0.5, acceleration=1.0, yaw_acceleration=2)
)


def fast(now: int) -> Vector:
    return (2.0, 1.0, 0.8, 1.0)


def flown(ms: int, config: SafetyConfig | None = None) -> SafetyLayer:
    """A layer after `ms` of a policy that wants `fast`, with an event every 5 ms."""
    layer = SafetyLayer(config or SafetyConfig(), NEEDED)
    fly(layer, 0, ms)
    return layer


def fly(layer: SafetyLayer, start: int, end: int, *channels: Channel) -> None:
    for now in range(start, end + 1, 5):
        for channel in channels or NEEDED:
            layer.receive(channel, now * MS, now * MS)
        layer.commit(now * MS, fast)


def place(x: float, ms: int) -> Odometry:
    still = np.zeros(3)
    return Odometry(ms * MS, ms * MS, np.array([x, 0, 1]), np.array([0, 0, 0, 1.0]), still, still)


def test_the_command_at_that_instant_is_of_the_old_settings_and_then_slews() -> None:
    layer = flown(1000)
    assert layer.reconfigure(SLOW, 1010 * MS, fast).vector == pytest.approx(fast(0))
    assert layer.command(1010 * MS, fast).vector == pytest.approx(fast(0))
    later = layer.command(1110 * MS, fast)
    assert later.vector == pytest.approx((1.9, 0.9, 0.7, 0.8))
    fly(layer, 1015, 3000)
    assert layer.command(3000 * MS, fast).vector == pytest.approx((0.5, 0.5, 0.5, 0.5))
    layer.reconfigure(SafetyConfig(), 3000 * MS, fast)
    assert layer.command(3000 * MS, fast).vector == pytest.approx((0.5, 0.5, 0.5, 0.5))
    assert layer.command(3010 * MS, fast).vx == pytest.approx(0.54)


def test_an_event_at_that_very_instant_does_not_jump() -> None:
    layer = flown(1000)
    before = layer.reconfigure(SLOW, 1000 * MS, fast)
    fly(layer, 1000, 1000)
    assert layer.command(1000 * MS, fast).vector == pytest.approx(before.vector)


rates = st.sampled_from([0.5, 2.0, 12.0, 100.0])
sizes = st.sampled_from([0.6, 1.5, 3.0])
wishes = st.tuples(*[st.floats(-4, 4)] * 4)
configs = st.builds(
    lambda size, rate, fence: SafetyConfig(
        limits=CommandLimits(size, size, size, size, rate, rate),
        geofence=replace(FENCE, deceleration=0.3) if fence else None,
    ),
    sizes,
    rates,
    st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 150), wishes, st.none() | configs), min_size=2, max_size=25
    ),
    x=st.floats(-4.5, 4.5),
)
def test_no_command_jumps_across_a_change(steps, x: float) -> None:
    """Consecutive references differ by what the stricter-in-force slew limit allows in between."""
    layer, config = SafetyLayer(SafetyConfig(), NEEDED), SafetyConfig()
    layer.locate(place(x, 0))
    now, last = 0, None
    for gap, wish, changed in steps:
        now += gap

        def raw(_: int, wish: Vector = wish) -> Vector:
            return wish

        for channel in (*NEEDED, Channel.ODOMETRY):
            layer.receive(channel, now * MS, now * MS)
        if changed is None:
            command = layer.commit(now * MS, raw)
        else:
            command = layer.reconfigure(changed, now * MS, raw)
            if last is None:
                assert command is None
                config = changed
                continue
            # Evaluated again it is the same: under the new limits no time has passed.
            assert layer.command(now * MS, raw).vector == pytest.approx(command.vector)
        if last is not None:
            elapsed = (command.stamp - last.stamp) / SECOND
            for a, b, rate in zip(command.vector, last.vector, config.limits.slew, strict=True):
                assert abs(a - b) <= rate * elapsed + 1e-9
        if changed is not None:
            config = changed
        mid = layer.command(now * MS + 3 * MS, raw)
        assert layer.command(now * MS + 3 * MS, raw) == mid
        for a, b, rate in zip(mid.vector, command.vector, config.limits.slew, strict=True):
            assert abs(a - b) <= rate * 0.003 + 1e-9
        last = command


def test_staleness_is_measured_from_the_same_measurements() -> None:
    layer = flown(1000)
    fly(layer, 1005, 1080, Channel.CAMERA)
    tight = SafetyConfig(
        staleness={Channel.IMU: Staleness(0.05, 2), Channel.CAMERA: Staleness(1, 2)}
    )
    layer.reconfigure(tight, 1080 * MS, fast)
    assert layer.command(1080 * MS, fast).reason == "imu: stale for more than 0.05 s"


def test_a_failsafe_is_not_argued_away() -> None:
    """Laxer settings end a staleness by the hysteresis, not at once."""
    layer = flown(1000)
    fly(layer, 1005, 1200, Channel.CAMERA)
    assert layer.command(1200 * MS, fast).mode is Mode.HOVER
    lax = SafetyConfig(staleness={c: Staleness(5, 9) for c in NEEDED}, recovery=0.2)
    layer.reconfigure(lax, 1200 * MS, fast)
    assert layer.command(1390 * MS, fast).reason == "imu: recovering"
    # A second change does not start it anew.
    layer.reconfigure(lax, 1390 * MS, fast)
    assert layer.command(1401 * MS, fast).mode is Mode.NOMINAL


def test_the_operators_stop_and_a_distrusted_policy_stay() -> None:
    layer = flown(1000)
    layer.policy_failed(1000 * MS)
    layer.reconfigure(SLOW, 1010 * MS, fast)
    assert layer.command(1020 * MS, fast).reason == "policy: output was not finite"
    layer.operator_stop(True)
    layer.reconfigure(SafetyConfig(), 1020 * MS, fast)
    assert layer.command(1030 * MS, fast).mode is Mode.STOP


def test_a_channel_that_is_needed_only_now() -> None:
    layer = flown(1000)
    layer.reconfigure(SafetyConfig(geofence=FENCE), 1000 * MS, fast)
    assert layer.command(1000 * MS, fast).reason == "odometry: nothing received yet"

    heard = flown(1000)
    heard.receive(Channel.ODOMETRY, 900 * MS, 1000 * MS)
    heard.locate(place(4.0, 900))
    heard.reconfigure(SafetyConfig(geofence=FENCE), 1000 * MS, fast)
    assert heard.command(1050 * MS, fast).reason == "geofence"
    fly(heard, 1005, 1500)
    assert heard.command(1500 * MS, fast).vx == pytest.approx(0.0)
    assert heard.command(1500 * MS, fast).reason == "odometry: stale for more than 0.5 s"
    heard.reconfigure(SafetyConfig(), 1500 * MS, fast)
    fly(heard, 1505, 2000)
    assert heard.command(2000 * MS, fast).vector == pytest.approx(fast(0))


def test_before_the_first_event_there_is_nothing_to_slew_from(flow_policy: Policy) -> None:
    controller = Controller(flow_policy)
    controller.reconfigure(SLOW, 5 * SECOND)
    assert controller.health.time is None
    controller.on_event(sample(0.0))
    assert controller.health.time == 0


def test_settings_that_cannot_be_change_nothing(flow_policy: Policy) -> None:
    controller, calm = Controller(flow_policy), Controller(flow_policy)
    for one in (controller, calm):
        for event in log(20):
            one.on_event(event)
    deaf = SafetyConfig(geofence=FENCE, staleness={c: Staleness(1, 2) for c in NEEDED}, frozen={})
    with pytest.raises(ConfigError, match="odometry"):
        controller.reconfigure(deaf, 200 * MS)
    for event in log(60)[20:]:
        for one in (controller, calm):
            one.on_event(event)
    assert controller.health == calm.health
    assert controller.command(400 * MS) == calm.command(400 * MS)


def test_memory_and_health_stay(flow_policy: Policy) -> None:
    controller = Controller(flow_policy)
    for event in log(60):
        controller.on_event(event)
    memory, accepted = controller.memory, controller.health.channels[Channel.IMU].accepted
    controller.on_event(OperatorStop(300 * MS, 300 * MS, True))
    controller.reconfigure(SLOW, 310 * MS)
    assert controller.memory is memory
    assert controller.health.channels[Channel.IMU].accepted == accepted
    assert (controller.health.time, controller.health.mode) == (310 * MS, Mode.STOP)
    # An instant that is behind is that of the last event.
    controller.reconfigure(SafetyConfig(), 100 * MS)
    assert controller.health.time == 310 * MS


def test_the_limits_of_freezing_change_and_what_was_seen_stays(flow_policy: Policy) -> None:
    controller = Controller(flow_policy)
    for ms in range(0, 60, 5):
        controller.on_event(replace(sample(0.0), stamp=ms * MS, arrival=ms * MS))
    controller.reconfigure(SafetyConfig(frozen={Channel.IMU: 0.03}), 60 * MS)
    controller.on_event(replace(sample(0.0), stamp=60 * MS, arrival=60 * MS))
    counters = controller.health.channels[Channel.IMU]
    assert counters.last_rejection == "frozen: unchanged for more than 0.03 s"
    controller.reconfigure(SafetyConfig(frozen={}), 60 * MS)
    controller.on_event(replace(sample(0.0), stamp=65 * MS, arrival=65 * MS))
    assert counters.rejected == 1


def log(count: int) -> list[Event]:
    """A sample every 5 ms, and with every tenth a frame."""
    events: list[Event] = []
    for k in range(count):
        if k % 10 == 0:
            events.append(replace(frame(0.0, 0, k), stamp=5 * k * MS, arrival=5 * k * MS))
        events.append(replace(sample(0.0, 0, k), stamp=5 * k * MS, arrival=5 * k * MS))
    return events


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    changes=st.dictionaries(st.integers(0, 65), configs, max_size=4),
    asked=st.lists(st.integers(-50, 400), max_size=4),
)
def test_the_same_changes_give_the_same_flight_and_queries_are_pure(
    flow_policy: Policy, changes, asked: list[int]
) -> None:
    curious, quiet = Controller(flow_policy), Controller(flow_policy)
    for k, event in enumerate(log(60)):
        for controller in (curious, quiet):
            controller.on_event(event)
            if k in changes:
                controller.reconfigure(changes[k], event.arrival + 2 * MS)
        for later in asked:
            curious.command(event.arrival + later * MS)
    assert curious.health == quiet.health
    assert np.array_equal(curious.memory.state, quiet.memory.state)
    for later in (0, 7, 700):
        now = 300 * MS + later * MS
        assert curious.command(now) == quiet.command(now)
