"""What an autopilot can be asked for: a velocity, an attitude or body rates."""

import math
from dataclasses import dataclass

from liquid_nav.command import Command
from liquid_nav_sim.errors import SimulationError

MAX_SETPOINT_TILT = math.radians(80)
"""Largest roll and pitch that can be asked for, radians."""

MAX_SETPOINT_RATE = 40.0
"""Largest body rate that can be asked for, rad/s."""

MAX_SETPOINT_THRUST = 200.0
"""Largest thrust that can be asked for, m/s^2; what rotors can give is less, as a rule."""


@dataclass(frozen=True)
class AttitudeSetpoint:
    """Level it, tilt it, and give it thrust: what the attitude mode of an autopilot takes.

    Attributes:
        roll, pitch: radians, of the body FLU against the heading frame (REP-103, Z-Y-X): a positive
            roll lowers the right side, a positive pitch the nose.
        yaw_rate: rad/s about the vertical, positive to the left.
        thrust: of all rotors over the mass, along the body's z axis, m/s^2: 9.81 carries the level
            vehicle.

    Raises:
        SimulationError: on a field that is not finite or out of its range.
    """

    roll: float = 0.0
    pitch: float = 0.0
    yaw_rate: float = 0.0
    thrust: float = 0.0

    def __post_init__(self) -> None:
        _check(self, "roll", -MAX_SETPOINT_TILT, MAX_SETPOINT_TILT)
        _check(self, "pitch", -MAX_SETPOINT_TILT, MAX_SETPOINT_TILT)
        _check(self, "yaw_rate", -MAX_SETPOINT_RATE, MAX_SETPOINT_RATE)
        _check(self, "thrust", 0.0, MAX_SETPOINT_THRUST)


@dataclass(frozen=True)
class RateSetpoint:
    """Collective thrust and body rates: what the acro mode of an autopilot takes.

    Attributes:
        roll_rate, pitch_rate, yaw_rate: angular velocity, rad/s, body FLU.
        thrust: as that of `AttitudeSetpoint`, m/s^2.

    Raises:
        SimulationError: on a field that is not finite or out of its range.
    """

    roll_rate: float = 0.0
    pitch_rate: float = 0.0
    yaw_rate: float = 0.0
    thrust: float = 0.0

    def __post_init__(self) -> None:
        for name in ("roll_rate", "pitch_rate", "yaw_rate"):
            _check(self, name, -MAX_SETPOINT_RATE, MAX_SETPOINT_RATE)
        _check(self, "thrust", 0.0, MAX_SETPOINT_THRUST)


Setpoint = Command | AttitudeSetpoint | RateSetpoint
"""A `Command` is the velocity setpoint."""


def _check(setpoint: AttitudeSetpoint | RateSetpoint, name: str, low: float, high: float) -> None:
    value = getattr(setpoint, name)
    if not low <= value <= high:
        raise SimulationError(
            f"{type(setpoint).__name__}.{name} must be in [{low:.4g}, {high:.4g}], got {value!r}"
        )
