"""Counts of limited commands."""

import timeit

import pytest

from liquid_nav.command import Command, CommandLimits, Mode
from liquid_nav.controller import Controller
from liquid_nav.events import SECOND
from liquid_nav.policy import make_policy
from liquid_nav.safety.layer import SafetyConfig
from liquid_nav.safety.limiting import MAGNITUDE, SLEW, LimitedCommands
from support import frame, sample, small_network


def test_totals_and_the_shares_of_the_last_whole_second() -> None:
    limited = LimitedCommands()
    for k in range(100):
        limited.count(Command(k * SECOND // 100, reason=SLEW if k < 30 else ""))
    for k in range(100):
        limited.count(Command(SECOND + k * SECOND // 100, reason=MAGNITUDE if k < 5 else ""))
        assert (limited.recent_slew, limited.recent_magnitude) == (0.3, 0.0)
    limited.count(Command(2 * SECOND, mode=Mode.HOVER, reason="imu: stale"))
    limited.count(Command(2 * SECOND))
    assert (limited.recent_slew, limited.recent_magnitude) == (0.0, 0.05)
    assert (limited.commands, limited.slew, limited.magnitude) == (201, 30, 5)
    assert limited.slew_share == pytest.approx(30 / 201)


def test_after_a_silence_or_a_clock_that_went_back_a_new_second_begins() -> None:
    limited = LimitedCommands()
    for stamp in (0, SECOND // 2, 9 * SECOND, 9 * SECOND + 1, SECOND):
        limited.count(Command(stamp, reason=SLEW))
    assert limited.recent_slew == 1.0
    assert limited.slew == 5


@pytest.mark.parametrize(
    ("limits", "slew", "magnitude"),
    [
        (CommandLimits(), 0, 0),
        (CommandLimits(acceleration=0.01, yaw_acceleration=0.01), 1, 0),
        (CommandLimits(vx=1e-4, vy=1e-4, vz=1e-4, yaw_rate=1e-4), 0, 1),
    ],
    ids=["free", "slew", "magnitude"],
)
def test_health_tells_which_limits_hold_the_policy_back(
    limits: CommandLimits, slew: int, magnitude: int
) -> None:
    safety = SafetyConfig(limits=limits, landing_speed=min(0.5, limits.vz))
    controller = Controller(make_policy(*small_network()), safety)
    for k in range(500):
        controller.on_event(sample(k * 0.005, seed=k % 50))
        if k % 8 == 0:
            controller.on_event(frame(k * 0.005, seed=k // 100))
    limited = controller.health.limited
    assert limited.commands == 563 - 1  # before the first frame the vehicle hovers
    assert (limited.recent_slew > 0.5) == (limited.slew > 300) == bool(slew)
    assert (limited.recent_magnitude > 0.5) == (limited.magnitude > 300) == bool(magnitude)
    asked = limited.commands
    controller.command(5 * SECOND // 2)
    assert controller.health.limited.commands == asked


def test_counting_takes_less_than_a_microsecond() -> None:
    limited, command = LimitedCommands(), Command(0, reason=SLEW)
    seconds = min(timeit.repeat(lambda: limited.count(command), number=10_000, repeat=20))
    assert seconds / 10_000 < 1e-6
