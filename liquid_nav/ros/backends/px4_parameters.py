"""What PX4 does when it loses us, by its parameters: which of them do not fit, and why.

Meanings by PX4's ``commander`` and ``failsafe`` modules, v1.14 to v1.17. A link that can read
parameters (MAVLink) checks them; uXRCE-DDS cannot.
"""

from __future__ import annotations

from collections.abc import Mapping

LOSS_TIMEOUT, LOSS_ACTION, RC_EXCEPTIONS = "COM_OF_LOSS_T", "COM_OBL_RC_ACT", "COM_RCL_EXCEPT"
NAMES = (LOSS_TIMEOUT, LOSS_ACTION, RC_EXCEPTIONS)

_SHORTEST = 0.5
"""s: a shorter COM_OF_LOSS_T loses offboard by silences that a busy computer has."""

_OFFBOARD_BIT = 4

_ACTIONS = {
    0: "changes to Position mode, which without sticks becomes NAV_RCL_ACT: by default a return",
    1: "changes to Altitude mode, which without sticks becomes NAV_RCL_ACT: by default a return",
    2: "changes to Stabilized mode, which without sticks becomes NAV_RCL_ACT: by default a return",
    3: "returns, and climbs to RTL_RETURN_ALT for that",
    6: "stops the motors",
    7: "stops the motors",
}
"""Actions of COM_OBL_RC_ACT that a user must want, by value; 4 lands and 5 holds the place."""


def loss_warnings(values: Mapping[str, float], setpoint_timeout: float) -> list[str]:
    """Say which parameters make a loss of offboard end otherwise than expected.

    Args:
        values: those of `NAMES` that are known.
        setpoint_timeout: s, the option of our back-end.

    """
    found = []
    timeout, action, exceptions = (values.get(name) for name in NAMES)
    if timeout is not None and timeout < _SHORTEST:
        found.append(
            f"{LOSS_TIMEOUT} is {timeout:g} s: short silences lose offboard; set {_SHORTEST:g} or "
            "more"
        )
    if timeout is not None and abs(timeout - setpoint_timeout) > 0.01:
        found.append(
            f"{LOSS_TIMEOUT} is {timeout:g} s, but setpoint_timeout is {setpoint_timeout:g} s: set "
            "both alike"
        )
    if action is not None and round(action) in _ACTIONS:
        found.append(
            f"{LOSS_ACTION} is {round(action)}: when it loses us the vehicle "
            f"{_ACTIONS[round(action)]}; 4 lands, 5 holds the place"
        )
    if exceptions is not None and not round(exceptions) & _OFFBOARD_BIT:
        found.append(
            f"{RC_EXCEPTIONS} is {round(exceptions)}, without bit 2 ({_OFFBOARD_BIT}): a loss of "
            "RC ends offboard by NAV_RCL_ACT; without any RC set the bit"
        )
    return found
