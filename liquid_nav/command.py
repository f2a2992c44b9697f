"""Commands from the controller to the vehicle, and their limits."""

import math
from dataclasses import dataclass
from enum import Enum

from liquid_nav.errors import ConfigError


class Mode(str, Enum):
    """Where a command comes from: the policy (`NOMINAL`) or a failsafe."""

    NOMINAL = "nominal"
    HOVER = "hover"
    LAND = "land"
    STOP = "stop"


@dataclass(frozen=True)
class Command:
    """A velocity setpoint.

    The frame is the vehicle's heading frame: body FLU turned level (x forward, y left, z up along
    gravity), the frame in which autopilots take body velocities.

    Attributes:
        stamp: the time for which it was requested, int nanoseconds.
        vx, vy, vz: m/s, forward, left and up.
        yaw_rate: rad/s, positive to the left (counter-clockwise seen from above).
        mode: `Mode.NOMINAL`, or the failsafe that made this command.
        reason: why the mode is not nominal, or why the command is not the one the policy asked for
            (which may happen in nominal mode: a limit or the geofence); empty otherwise.

    """

    stamp: int
    vx: float = 0.0
    vy: float = 0.0
    vz: float = 0.0
    yaw_rate: float = 0.0
    mode: Mode = Mode.NOMINAL
    reason: str = ""

    @property
    def vector(self) -> tuple[float, float, float, float]:
        """(vx, vy, vz, yaw_rate) in m/s and rad/s."""
        return (self.vx, self.vy, self.vz, self.yaw_rate)


@dataclass(frozen=True)
class CommandLimits:
    """How large a command may be, and how fast it may change.

    Attributes:
        vx, vy, vz: largest absolute speed along each axis of the heading frame, m/s.
        yaw_rate: largest absolute yaw rate, rad/s.
        acceleration: largest rate of change of each velocity component, m/s^2.
        yaw_acceleration: largest rate of change of the yaw rate, rad/s^2.

    Raises:
        ConfigError: on a limit that is not a positive finite number.

    """

    vx: float = 3.0
    vy: float = 1.5
    vz: float = 1.2
    yaw_rate: float = 1.5
    acceleration: float = 12.0
    yaw_acceleration: float = 12.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (isinstance(value, (int, float)) and math.isfinite(value) and value > 0):
                raise ConfigError(
                    f"command limit {name} must be positive and finite, got {value!r}"
                )

    @property
    def magnitude(self) -> tuple[float, float, float, float]:
        """Largest absolute (vx, vy, vz, yaw_rate)."""
        return (self.vx, self.vy, self.vz, self.yaw_rate)

    @property
    def slew(self) -> tuple[float, float, float, float]:
        """Largest rate of change of (vx, vy, vz, yaw_rate), per second."""
        return (self.acceleration, self.acceleration, self.acceleration, self.yaw_acceleration)
