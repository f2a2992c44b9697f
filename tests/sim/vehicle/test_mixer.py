"""The mixer meets what the rotors can deliver, and keeps the order of priority."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from liquid_nav_sim.vehicle.airframe import ROTOR_SIGNS
from liquid_nav_sim.vehicle.files import QUAD_250
from liquid_nav_sim.vehicle.mixer import Mixer
from liquid_nav_sim.vehicle.rotors import PerRotor

FULL = QUAD_250.max_thrust


def wrench(thrusts: PerRotor) -> NDArray[np.float64]:
    """Total thrust and torque of the given rotor thrusts, (4,)."""
    x, y, spin = np.array(ROTOR_SIGNS, dtype=float).T
    lever, ratio = QUAD_250.arm_length / math.sqrt(2), QUAD_250.drag_torque_ratio
    return np.array([np.ones(4), lever * y, -lever * x, -ratio * spin]) @ thrusts


def test_thrust_and_torque_within_the_range_of_the_rotors_are_met() -> None:
    rng, mixer = np.random.default_rng(0), Mixer(QUAD_250)
    for thrusts in rng.uniform(0, FULL, (200, 4)):
        thrust, *torque = wrench(tuple(thrusts))
        np.testing.assert_allclose(
            mixer.mix(thrust, (torque[0], torque[1], torque[2]), FULL), thrusts, atol=1e-12
        )


@pytest.mark.parametrize("full", [FULL, 0.6 * FULL])
def test_priority_is_roll_and_pitch_then_yaw_then_thrust(full: float) -> None:
    rng, mixer = np.random.default_rng(1), Mixer(QUAD_250)
    seen = {"roll and pitch": 0, "yaw": 0, "thrust": 0}
    for _ in range(2000):
        thrust = float(rng.uniform(-0.5, 1.5)) * 4 * full
        roll, pitch = (float(t) for t in rng.uniform(-0.6, 0.6, 2))
        yaw = float(rng.uniform(-0.15, 0.15))
        thrusts = mixer.mix(thrust, (roll, pitch, yaw), full)
        assert min(thrusts) >= 0
        assert max(thrusts) <= full
        given = wrench(thrusts)
        spread = max(thrusts) - min(thrusts)
        # A priority level loses something only when all lower levels have nothing left to give.
        if not np.allclose(given[1:3], (roll, pitch), atol=1e-9):
            seen["roll and pitch"] += 1
            assert spread == pytest.approx(full)
            np.testing.assert_allclose(
                given[1:3] / np.hypot(*given[1:3]), np.array([roll, pitch]) / np.hypot(roll, pitch)
            )
        elif not np.isclose(given[3], yaw, atol=1e-9):
            seen["yaw"] += 1
            assert spread == pytest.approx(full)
            assert abs(given[3]) < abs(yaw)
        elif not np.isclose(given[0], thrust, atol=1e-9):
            seen["thrust"] += 1
            if given[0] < thrust:
                assert max(thrusts) == pytest.approx(full)
            else:
                assert min(thrusts) == pytest.approx(0, abs=1e-9)
    assert min(seen.values()) > 50, seen


def test_without_power_all_thrusts_are_zero() -> None:
    assert Mixer(QUAD_250).mix(5.0, (0.1, -0.1, 0.05), 0.0) == (0.0, 0.0, 0.0, 0.0)
