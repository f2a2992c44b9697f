"""Every declared failsafe is entered and left, and no command leaves its limits."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_nav.command import CommandLimits, Mode
from liquid_nav.errors import ConfigError
from liquid_nav.events import SECOND, Channel, Odometry
from liquid_nav.safety import Geofence, SafetyConfig, SafetyLayer, Staleness, Vector

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
                self.layer.heard(channel, self.now - round(stuck * SECOND), self.now)
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
    stream.fly(1.0, *others)
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
            layer.heard(channel, now, now)
        newest = command = layer.commit(now, always(wanted))
        assert all(
            abs(x) <= m + 1e-9 for x, m in zip(command.vector, (3.0, 1.5, 1.2, 1.5), strict=True)
        )
        if previous is not None:
            elapsed = (now - previous.stamp) / SECOND
            for x, y, rate in zip(command.vector, previous.vector, config.limits.slew, strict=True):
                assert abs(x - y) <= rate * elapsed + 1e-9


def odometry(position, yaw: float = 0.0) -> Odometry:
    turn = np.array([0, 0, math.sin(yaw / 2), math.cos(yaw / 2)])
    return Odometry(0, 0, np.array(position, float), turn, np.zeros(3), np.zeros(3))


@settings(max_examples=40, deadline=None)
@given(
    yaw=st.floats(-math.pi, math.pi),
    velocity=st.tuples(st.floats(-3, 3), st.floats(-1.5, 1.5), st.floats(-1.2, 1.2)),
    start=st.tuples(st.floats(-3.9, 3.9), st.floats(-3.9, 3.9), st.floats(0.6, 2.9)),
)
def test_the_geofence_holds_whatever_is_asked(yaw, velocity, start) -> None:
    fence = Geofence(low=(-4, -4, 0.5), high=(4, 4, 3))
    position = np.array(start)
    dt = 0.02
    speeds = []
    for _ in range(600):
        vx, vy, vz, _ = fence.limit((*velocity, 0.0), odometry(position, yaw))
        world = np.array(
            [
                math.cos(yaw) * vx - math.sin(yaw) * vy,
                math.sin(yaw) * vx + math.cos(yaw) * vy,
                vz,
            ]
        )
        speeds.append(world)
        position = position + dt * world
    # One step of a discrete simulation may pass the wall by what a brake of 2 m/s^2 covers in it.
    assert np.all(position >= np.array(fence.low) - 2 * dt * dt)
    assert np.all(position <= np.array(fence.high) + 2 * dt * dt)


@settings(max_examples=60, deadline=None)
@given(
    yaw=st.floats(-math.pi, math.pi),
    wanted=st.tuples(finite, finite, finite, finite),
    place=st.tuples(st.floats(-5, 5), st.floats(-5, 5), st.floats(0, 3.5)),
)
def test_the_geofence_leaves_the_limits_whole(yaw, wanted, place) -> None:
    fence = Geofence(low=(-4, -4, 0.5), high=(4, 4, 3))
    layer = SafetyLayer(SafetyConfig(geofence=fence), ())
    here = odometry(place, yaw)
    layer.heard(Channel.ODOMETRY, 0, 0)
    layer.locate(here)
    layer.commit(0, always(wanted))
    asked = layer.command(500 * MS, always(wanted))
    assert asked.mode is Mode.NOMINAL
    for value, most in zip(asked.vector, SafetyConfig().limits.magnitude, strict=True):
        assert abs(value) <= most + 1e-9
    assert fence.limit(asked.vector, here) == pytest.approx(asked.vector, abs=1e-9)


def test_a_late_place_does_not_replace_a_newer_one() -> None:
    layer = SafetyLayer(SafetyConfig(geofence=Geofence((-4, -4, 0.5), (4, 4, 3))), ())
    layer.heard(Channel.ODOMETRY, 100, 100)
    layer.locate(replace(odometry((4, 0, 1)), stamp=100, arrival=100))
    layer.locate(replace(odometry((0, 0, 1)), stamp=50, arrival=100))
    layer.commit(100, always())
    assert layer.command(100 * MS, always()).vx == pytest.approx(0.0)


def test_the_way_back_into_the_geofence_is_free() -> None:
    fence = Geofence(low=(-1, -1, 0.5), high=(1, 1, 3))
    out = odometry((2.0, 0.0, 0.2))
    assert fence.limit((-1.0, 0.3, 0.5, 0.7), out) == pytest.approx((-1.0, 0.3, 0.5, 0.7))
    assert fence.limit((1.0, 0.3, -0.5, 0.7), out) == pytest.approx((0.0, 0.3, 0.0, 0.7))


def test_a_geofence_needs_odometry() -> None:
    config = SafetyConfig(geofence=Geofence((-1, -1, 0.5), (1, 1, 3)))
    layer = SafetyLayer(config, NEEDED)
    for channel in NEEDED:
        layer.heard(channel, 0, 0)
    assert layer.command(0, always()).reason == "odometry: nothing received yet"
    layer.heard(Channel.ODOMETRY, 0, 0)
    layer.locate(odometry((0.99, 0, 1)))
    layer.commit(0, always())
    layer.commit(1, always())
    asked = layer.command(90 * MS, always((3.0, 0.0, 0.0, 0.0)))
    assert (asked.mode, asked.reason) == (Mode.NOMINAL, "geofence")
    assert 0 < asked.vx < 0.25


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
