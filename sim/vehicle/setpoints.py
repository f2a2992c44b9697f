"""The setpoints that an autopilot takes: a velocity, an attitude or body rates."""

import math
from dataclasses import dataclass

from liquid_nav.command import Command
from liquid_nav_sim.errors import SimulationError

MAX_SETPOINT_TILT = math.radians(80)
"""Largest roll and pitch of a setpoint, radians."""

MAX_SETPOINT_RATE = 40.0
"""Largest body rate of a setpoint, rad/s."""

MAX_SETPOINT_THRUST = 200.0
"""Largest thrust of a setpoint over the mass, m/s^2; most rotors cannot deliver this much."""


@dataclass(frozen=True)
class AttitudeSetpoint:
    """Attitude, yaw rate and collective thrust, as the attitude mode of an autopilot takes them.

    Attributes:
        roll, pitch: rotation of the body (FLU) relative to the heading frame, radians (REP-103,
            Z-Y-X): positive roll lowers the right side, positive pitch lowers the nose.
        yaw_rate: rad/s about the vertical, positive to the left.
        thrust: total thrust along the body's z axis divided by the mass, m/s^2; 9.81 carries the
            weight of a level vehicle.

    Raises:
        SimulationError: if a field is not finite or out of its range.
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
    """Body rates and collective thrust, as the acro mode of an autopilot takes them.

    Attributes:
        roll_rate, pitch_rate, yaw_rate: angular velocity, rad/s, body FLU.
        thrust: total thrust along the body's z axis divided by the mass, m/s^2.

    Raises:
        SimulationError: if a field is not finite or out of its range.
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
"""What `Autopilot.update` takes; a `Command` is a velocity setpoint."""


def _check(setpoint: AttitudeSetpoint | RateSetpoint, name: str, low: float, high: float) -> None:
    value = getattr(setpoint, name)
    if not low <= value <= high:
        raise SimulationError(
            f"{type(setpoint).__name__}.{name} must be in [{low:.4g}, {high:.4g}], got {value!r}"
        )
