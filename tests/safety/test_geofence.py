"""Nobody flies through a wall of the geofence, nor below its lowest height."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from liquid_nav.command import CommandLimits, Mode
from liquid_nav.errors import ConfigError
from liquid_nav.events import SECOND, Channel, Odometry
from liquid_nav.rotations import yaw_of
from liquid_nav.safety.layer import Geofence, SafetyConfig, SafetyLayer, Vector

MS = SECOND // 1000
BOX = Geofence(low=(-4, -4, 0.5), high=(4, 4, 3))


def always(vector: Vector) -> Callable[[int], Vector]:
    return lambda now: vector


def odometry(
    position,
    yaw: float = 0.0,
    velocity=(0.0, 0.0, 0.0),
    stamp: int = 0,
    latency: int = 0,
    turn: float = 0.0,
    pitch: float = 0.0,
    roll: float = 0.0,
) -> Odometry:
    """Odometry of a vehicle that flies at `velocity` in the world."""
    attitude = Rotation.from_euler("ZYX", [yaw, pitch, roll])
    body = attitude.inv().apply(velocity)
    return Odometry(
        stamp, stamp + latency, position, attitude.as_quat(), body, np.array([0, 0, turn])
    )


def turned(yaw: float, vector) -> np.ndarray:
    """A velocity of the heading frame in the world."""
    vx, vy, vz = vector[:3]
    c, s = math.cos(yaw), math.sin(yaw)
    return np.array([c * vx - s * vy, s * vx + c * vy, vz])


def fly(
    fence: Geofence,
    limits: CommandLimits,
    start,
    yaw: float,
    wanted: Callable[[float], Vector],
    seconds: float,
    latency: int = 100,
    period: int = 50,
) -> np.ndarray:
    """Path in mm-steps of a point mass that does what it is told; odometry is old and rare.

    Args:
        fence, limits: of the safety layer.
        start, yaw: m, rad; the vehicle is at rest there and never turns.
        wanted: what the policy asks at a time in s.
        seconds: of flight; an inertial sample makes an event every 5 ms.
        latency, period: of the odometry, ms.

    """
    layer = SafetyLayer(SafetyConfig(limits=limits, geofence=fence), ())
    path, speeds = [np.array(start, float)], [np.zeros(3)]

    def raw(now: int) -> Vector:
        return wanted(now / SECOND)

    for k in range(round(seconds * 1000)):
        if k % period == 0:
            then = max(k - latency, 0)
            seen = odometry(path[then], yaw, speeds[then], (k - latency) * MS, latency * MS)
            layer.receive(Channel.ODOMETRY, seen.stamp, k * MS)
            layer.locate(seen)
        command = (
            layer.commit(k * MS, raw)
            if k % 5 == 0 or k % period == 0
            else layer.command(k * MS, raw)
        )
        speeds.append(turned(yaw, command.vector))
        path.append(path[-1] + 1e-3 * speeds[-1])
    return np.array(path)


inside = st.tuples(st.floats(-3.99, 3.99), st.floats(-3.99, 3.99), st.floats(0.51, 2.99))
angle = st.floats(-math.pi, math.pi)


def overshoot(path: np.ndarray, fence: Geofence = BOX) -> float:
    """How far out of the box a path leads, m; negative inside."""
    return float(max(np.max(path - fence.high), np.max(np.array(fence.low) - path)))


TIGHT = 3.2e-3
"""m: what is flown at full speed in the 1 ms for which `fly` holds a command."""

FLIGHTS = settings(max_examples=20, deadline=None)
velocity = st.tuples(st.floats(-3, 3), st.floats(-1.5, 1.5), st.floats(-1.2, 1.2))


@FLIGHTS
@given(start=inside, yaw=angle, wanted=velocity, braking=st.floats(0.5, 8.0))
@example((3.9, 0.0, 1.0), 0.0, (3.0, 0.0, 0.0), 2.0)
@example((-3.9, 3.9, 1.0), 0.7, (-3.0, 0.0, 0.0), 8.0)
def test_old_odometry_does_not_lead_through_a_wall(start, yaw, wanted, braking) -> None:
    """The policy pushes out for ever; odometry comes at 20 Hz and 0.1 s late."""
    fence = replace(BOX, deceleration=braking)
    limits = CommandLimits(acceleration=12.0)
    path = fly(fence, limits, start, yaw, lambda _: (*wanted, 0.0), 2.5)
    assert overshoot(path, fence) <= TIGHT


@FLIGHTS
@given(
    start=inside,
    yaw=angle,
    wanted=st.lists(velocity, min_size=2, max_size=8),
    hold=st.floats(0.02, 0.4),
    latency=st.integers(0, 200),
)
@example((3.44, 3.93, 0.87), -1.03, [(-2.5, -0.5, 0.8), (0.0, 0.0, 0.0)], 0.08, 100)
def test_no_change_of_mind_leads_through_a_wall(start, yaw, wanted, hold, latency) -> None:
    """Pushes and pauses shorter than the odometry is old, and turns along the wall."""
    path = fly(
        BOX,
        CommandLimits(),
        start,
        yaw,
        lambda t: (*wanted[int(t / hold) % len(wanted)], 0.0),
        2.5,
        latency,
    )
    assert overshoot(path) <= TIGHT


@pytest.mark.parametrize("start", [0.5, 0.6, 2.9])
def test_nobody_sinks_below_the_minimum_height(start: float) -> None:
    path = fly(BOX, CommandLimits(), (0, 0, start), 0.0, lambda _: (0, 0, -1.2, 0), 6.0)
    assert path[:, 2].min() >= 0.5 - TIGHT
    assert path[-1, 2] < 0.55


def test_a_vehicle_below_the_minimum_height_may_climb_and_not_sink() -> None:
    bounds = BOX.bounds(odometry((0, 0, 0.2)), 0.0)
    assert bounds.clamp((1.0, 0, -1.0, 0)) == (1.0, 0, 0, 0)
    assert bounds.clamp((1.0, 0, 1.0, 0)) == (1.0, 0, 1.0, 0)


def test_the_closed_form_of_braking() -> None:
    """v^2 = 2 a d, with d what measured velocity leaves of the distance."""
    still = BOX.bounds(odometry((3, 0, 1)), 0.2)
    assert still.up[0] == pytest.approx(math.sqrt(2 * 2 * 1.0))
    coming = BOX.bounds(odometry((3, 0, 1), velocity=(2, 0, 0)), 0.2)
    assert coming.up[0] == pytest.approx(math.sqrt(2 * 2 * (1 - 0.4)))
    assert coming.down[0] == pytest.approx(math.sqrt(2 * 2 * 7.0))
    there = BOX.bounds(odometry((3, 0, 1), velocity=(2, 0, 0)), 0.5)
    assert there.up[0] == 0.0


@settings(max_examples=60, deadline=None)
@given(
    yaw=angle,
    pitch=st.floats(-1.2, 1.2),
    roll=st.floats(-1.2, 1.2),
    flown=st.tuples(st.floats(-3, 3), st.floats(-3, 3), st.floats(-2, 2)),
    age=st.floats(0, 0.5),
)
def test_velocity_is_that_of_the_body_however_it_is_tilted(yaw, pitch, roll, flown, age) -> None:
    tilted = BOX.bounds(odometry((0, 0, 2), yaw, flown, pitch=pitch, roll=roll), age)
    level = BOX.bounds(odometry((0, 0, 2), yaw, flown), age)
    assert tilted.up == pytest.approx(level.up, abs=1e-6)
    assert tilted.down == pytest.approx(level.down, abs=1e-6)
    assert math.cos(tilted.yaw - yaw) == pytest.approx(1.0)


def test_a_heading_is_as_old_as_its_odometry() -> None:
    """A vehicle that turns at 1 rad/s faces the wall 0.5 s later than it said."""
    before = odometry((4, 0, 1), yaw=-0.5, turn=1.0)
    assert BOX.bounds(before, 0.5).clamp((1, 0, 0, 0)) == pytest.approx((0, 0, 0, 0))
    assert yaw_of(before.orientation) == pytest.approx(-0.5)


def test_walls_may_be_at_infinity() -> None:
    floor = Geofence((-math.inf, -math.inf, 0.5), (math.inf, math.inf, math.inf))
    bounds = floor.bounds(odometry((0, 0, 0.5)), 0.3)
    assert bounds.clamp((3, 1, -1, 0)) == pytest.approx((3, 1, 0, 0))


@pytest.mark.parametrize(("braking", "allowed"), [(2.82, True), (2.83, False), (4.5, False)])
def test_a_brake_that_the_slew_limit_forbids_is_refused(braking: float, allowed: bool) -> None:
    """In a corner both walls are braked for: 4 m/s^2 / sqrt 2 for each."""
    fence = replace(BOX, deceleration=braking)
    if allowed:
        assert SafetyConfig(geofence=fence).geofence == fence
    else:
        with pytest.raises(ConfigError, match="geofence deceleration"):
            SafetyConfig(geofence=fence)


finite = st.floats(-10, 10)


@settings(max_examples=60, deadline=None)
@given(
    yaw=angle,
    wanted=st.tuples(finite, finite, finite, finite),
    place=st.tuples(st.floats(-5, 5), st.floats(-5, 5), st.floats(0, 3.5)),
)
def test_the_geofence_leaves_the_limits_whole(yaw, wanted, place) -> None:
    layer = SafetyLayer(SafetyConfig(geofence=BOX), ())
    here = odometry(place, yaw)
    layer.receive(Channel.ODOMETRY, 0, 0)
    layer.locate(here)
    layer.commit(0, always(wanted))
    asked = layer.command(500 * MS, always(wanted))
    assert asked.mode is Mode.NOMINAL
    for value, most in zip(asked.vector, SafetyConfig().limits.magnitude, strict=True):
        assert abs(value) <= most + 1e-9
    assert BOX.bounds(here, 0.5).clamp(asked.vector) == pytest.approx(asked.vector, abs=1e-9)


def test_a_late_place_does_not_replace_a_newer_one() -> None:
    layer = SafetyLayer(SafetyConfig(geofence=BOX), ())
    layer.receive(Channel.ODOMETRY, 100, 100)
    layer.locate(odometry((4, 0, 1), stamp=100))
    layer.locate(odometry((0, 0, 1), stamp=50, latency=50))
    layer.commit(100, always((2.0, 0.5, 0.3, 1.0)))
    assert layer.command(100 * MS, always((2.0, 0.5, 0.3, 1.0))).vx == pytest.approx(0.0)


def test_the_way_back_into_the_geofence_is_free() -> None:
    fence = Geofence(low=(-1, -1, 0.5), high=(1, 1, 3))
    out = fence.bounds(odometry((2.0, 0.0, 0.2)), 0.1)
    assert out.clamp((-1.0, 0.3, 0.5, 0.7)) == pytest.approx((-1.0, 0.3, 0.5, 0.7))
    assert out.clamp((1.0, 0.3, -0.5, 0.7)) == pytest.approx((0.0, 0.3, 0.0, 0.7))


def test_a_geofence_needs_odometry_and_says_when_it_acts() -> None:
    layer = SafetyLayer(SafetyConfig(geofence=Geofence((-1, -1, 0.5), (1, 1, 3))), ())
    assert layer.command(0, always((3.0, 0.0, 0.0, 0.0))).reason == "odometry: nothing received yet"
    layer.receive(Channel.ODOMETRY, 0, 0)
    layer.locate(odometry((0.99, 0, 1)))
    layer.commit(0, always((3.0, 0.0, 0.0, 0.0)))
    asked = layer.command(90 * MS, always((3.0, 0.0, 0.0, 0.0)))
    assert (asked.mode, asked.reason) == (Mode.NOMINAL, "geofence")
    assert 0 < asked.vx < 0.2
    layer.receive(Channel.ODOMETRY, 100 * MS, 100 * MS)
    layer.locate(odometry((0.0, 0, 1), stamp=100 * MS))
    layer.commit(100 * MS, always((1.0, 0.0, 0.0, 0.0)))
    left = layer.command(300 * MS, always((1.0, 0.0, 0.0, 0.0)))
    assert (left.vx, left.reason) == (pytest.approx(1.0), "")


def test_a_landing_passes_the_floor() -> None:
    layer = SafetyLayer(SafetyConfig(geofence=BOX), ())
    layer.receive(Channel.ODOMETRY, 0, 0)
    layer.locate(odometry((0, 0, 0.5)))
    layer.commit(0, always((0.0, 0.0, -1.0, 0.0)))
    assert layer.command(400 * MS, always((0.0, 0.0, -1.0, 0.0))).vz == 0.0
    landing = layer.command(6 * SECOND, always((0.0, 0.0, -1.0, 0.0)))
    assert (landing.mode, landing.vz) == (Mode.LAND, pytest.approx(-0.5))
