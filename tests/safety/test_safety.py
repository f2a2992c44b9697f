"""Every declared failsafe is entered and left, and no command leaves its limits."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_nav.command import CommandLimits, Mode
from liquid_nav.errors import ConfigError
from liquid_nav.events import SECOND, Channel
from liquid_nav.safety.layer import Geofence, SafetyConfig, SafetyLayer, Staleness, Vector

MS = SECOND // 1000
NEEDED = (Channel.CAMERA, Channel.IMU)
FORWARD: Vector = (2.0, 0.5, 0.3, 1.0)


def always(vector: Vector = FORWARD):
    return lambda now: vector


class Stream:
    """Feeds a safety layer as a controller does."""

    def __init__(self, config: SafetyConfig | None = None, wanted: Vector = FORWARD) -> None:
        self.layer = SafetyLayer(config or SafetyConfig(), NEEDED)
        self.wanted = wanted
        self.now = 0

    def fly(self, seconds: float, *channels: Channel, stuck: float = 0.0) -> None:
        """Let samples of `channels` come in every 5 ms, their stamps `stuck` seconds old."""
        for _ in range(round(seconds * 200)):
            self.now += 5 * MS
            for channel in channels:
                self.layer.receive(channel, self.now - round(stuck * SECOND), self.now)
            self.layer.commit(self.now, always(self.wanted))

    def ask(self, later: float = 0.0):
        return self.layer.command(self.now + round(later * SECOND), always(self.wanted))


def test_nothing_received_yet_hovers_and_names_the_channel() -> None:
    stream = Stream()
    assert stream.ask().mode is Mode.HOVER
    stream.fly(1.0, Channel.IMU)
    asked = stream.ask(60.0)
    assert asked.vector == (0, 0, pytest.approx(-0.5), 0)  # the IMU has been silent for a minute
    stream.fly(0.5, Channel.IMU)
    asked = stream.ask()
    assert (asked.mode, asked.reason) == (Mode.HOVER, "camera: nothing received yet")
    stream.fly(1.0, *NEEDED)
    assert stream.ask().vector == pytest.approx(FORWARD)


@pytest.mark.parametrize(("channel", "hover"), [(Channel.CAMERA, 0.3), (Channel.IMU, 0.1)])
def test_a_stale_channel_hovers_then_lands_then_recovers(channel: Channel, hover: float) -> None:
    stream = Stream()
    stream.fly(2.0, *NEEDED)
    others = [c for c in NEEDED if c is not channel]
    stream.fly(hover, *others)
    assert stream.ask().mode is Mode.NOMINAL
    stream.fly(0.005, *others)
    asked = stream.ask()
    assert asked.mode is Mode.HOVER
    assert asked.reason == f"{channel.value}: stale for more than {hover:g} s"
    stream.fly(1.0, *others)
    assert stream.ask().vector == (0.0, 0.0, 0.0, 0.0)
    stream.fly(1.1, *others)
    landing = stream.ask()
    assert landing.mode is Mode.LAND
    assert landing.vector == pytest.approx((0, 0, -0.5, 0))
    stream.fly(0.2, *NEEDED)
    assert (stream.ask().mode, stream.ask().reason) == (Mode.HOVER, f"{channel.value}: recovering")
    stream.fly(0.2, *NEEDED)
    assert stream.ask().mode is Mode.NOMINAL
    stream.fly(0.5, *NEEDED)
    assert stream.ask().vector == pytest.approx(FORWARD)


def test_old_news_is_stale_however_often_it_comes() -> None:
    stream = Stream()
    stream.fly(1.0, *NEEDED)
    stream.fly(1.0, Channel.IMU)
    stream.fly(1.0, *NEEDED, stuck=0.5)
    assert stream.ask().mode is Mode.HOVER


def test_a_failsafe_between_events_slews_from_the_command_of_that_instant() -> None:
    limits = CommandLimits(acceleration=2.0)
    stream = Stream(SafetyConfig(limits=limits))
    stream.fly(3.0, *NEEDED)
    enter = 0.1
    assert stream.ask(enter).vx == pytest.approx(2.0)
    for later in (0.05, 0.25, 0.5):
        assert stream.ask(enter + later).vx == pytest.approx(2.0 - 2.0 * later, abs=1e-6)
    assert stream.ask(enter + 1.5).vx == 0.0


def test_the_operator_stop_is_immediate_and_latched() -> None:
    stream = Stream()
    stream.fly(2.0, *NEEDED)
    stream.layer.operator_stop(True)
    assert (stream.ask().mode, stream.ask().vector) == (Mode.STOP, (0, 0, 0, 0))
    stream.fly(1.0, *NEEDED)
    assert stream.ask().mode is Mode.STOP
    stream.layer.operator_stop(False)
    stream.fly(0.1, *NEEDED)
    assert stream.ask().mode is Mode.NOMINAL
    assert 0 < stream.ask().vx < 2.0  # it starts from rest


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_command_that_is_not_finite_is_refused(bad: float) -> None:
    stream = Stream(wanted=(bad, 0.0, 0.0, 0.0))
    stream.fly(1.0, *NEEDED)
    asked = stream.ask()
    assert asked.mode is Mode.HOVER
    assert asked.reason == "policy: output is not finite"
    assert asked.vector == (0.0, 0.0, 0.0, 0.0)


def test_commands_are_clipped_and_say_so() -> None:
    stream = Stream(wanted=(50.0, -50.0, 50.0, -50.0))
    stream.fly(3.0, *NEEDED)
    assert stream.ask().vector == (3.0, -1.5, 1.2, -1.5)
    assert stream.ask().reason == "limits: magnitude"
    stream.wanted = (0.0, 0.0, 0.0, 0.0)
    stream.fly(0.005, *NEEDED)
    assert stream.ask().reason == "limits: slew"


finite = st.floats(-10, 10)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 400 * MS),
            st.sampled_from([(), NEEDED, (Channel.IMU,), (Channel.CAMERA,)]),
            st.tuples(finite, finite, finite, finite),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_no_timing_makes_a_command_leave_its_limits(steps) -> None:
    config = SafetyConfig(limits=CommandLimits(acceleration=3.0, yaw_acceleration=2.0))
    layer = SafetyLayer(config, NEEDED)
    now, newest, previous = 0, None, None
    for gap, channels, wanted in steps:
        if newest is not None and gap:
            previous = newest
            mid = layer.command(now + gap // 2, always(wanted))
            assert layer.command(now + gap // 2, always(wanted)) == mid
        now += gap
        for channel in channels:
            layer.receive(channel, now, now)
        newest = command = layer.commit(now, always(wanted))
        assert all(
            abs(x) <= m + 1e-9 for x, m in zip(command.vector, (3.0, 1.5, 1.2, 1.5), strict=True)
        )
        if previous is not None:
            elapsed = (now - previous.stamp) / SECOND
            for x, y, rate in zip(command.vector, previous.vector, config.limits.slew, strict=True):
                assert abs(x - y) <= rate * elapsed + 1e-9


@pytest.mark.parametrize(
    "make",
    [
        lambda: Staleness(hover=0.0, land=1.0),
        lambda: Staleness(hover=2.0, land=1.0),
        lambda: Geofence((0, 0, 0), (1, 1, 0)),
        lambda: Geofence((0, 0, 0), (1, 1, 1), deceleration=0.0),
        lambda: Geofence((0, 0, 0), (1, 1, 1), deceleration=math.inf),
        lambda: Staleness(hover=1.0, land=1e300),
        lambda: SafetyConfig(recovery=-1.0),
        lambda: SafetyConfig(recovery=1e300),
        lambda: SafetyConfig(landing_speed=5.0),
        lambda: SafetyConfig(frozen={Channel.IMU: 0.0}),
        lambda: SafetyConfig(frozen={Channel.IMU: math.nan}),
        lambda: SafetyLayer(SafetyConfig(staleness={}), NEEDED),
    ],
)
def test_settings_out_of_range_are_refused(make) -> None:
    with pytest.raises(ConfigError):
        make()


def test_a_clock_may_start_below_zero() -> None:
    stream = Stream()
    stream.now = -100 * SECOND
    assert stream.ask().reason == "camera: nothing received yet; imu: nothing received yet"
    stream.fly(1.0, *NEEDED)
    assert stream.now < 0
    assert (stream.ask().mode, stream.ask().vector) == (Mode.NOMINAL, pytest.approx(FORWARD))
