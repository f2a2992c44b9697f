"""Limits of commands scale with the speed of a flight."""

import math

import pytest

from liquid_nav.command import CommandLimits
from liquid_nav.errors import ConfigError


def test_velocities_scale_and_rates_stay() -> None:
    usual = CommandLimits()
    fast = usual.scaled(2.0)
    assert fast.magnitude == (2 * usual.vx, 2 * usual.vy, 2 * usual.vz, usual.yaw_rate)
    assert fast.slew == usual.slew
    assert usual.scaled(1.0) == usual


@pytest.mark.parametrize("speed", [0.0, -1.0, math.nan, math.inf, "2"])
def test_a_speed_is_a_positive_finite_number(speed: float) -> None:
    with pytest.raises(ConfigError, match="the speed must be positive and finite"):
        CommandLimits().scaled(speed)
