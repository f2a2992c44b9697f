"""Commands from the controller to the vehicle, and their limits."""

import math
from dataclasses import dataclass, replace
from enum import Enum

from liquid_nav.errors import CommandError, ConfigError
from liquid_nav.values import check_number, is_number, whole_nanoseconds


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

    Raises:
        CommandError: on a stamp that is not a whole number, a speed that is not a number (it may
            be infinite or NaN, which back-ends refuse), or a mode or reason of another type.

    """

    stamp: int
    vx: float = 0.0
    vy: float = 0.0
    vz: float = 0.0
    yaw_rate: float = 0.0
    mode: Mode = Mode.NOMINAL
    reason: str = ""

    def __post_init__(self) -> None:
        # The common case comes first, because this runs for every event.
        if (
            type(self.stamp) is int
            and type(self.vx) is type(self.vy) is type(self.vz) is type(self.yaw_rate) is float
            and type(self.mode) is Mode
            and type(self.reason) is str
        ):
            return
        stamp = whole_nanoseconds("Command.stamp", self.stamp, CommandError)
        object.__setattr__(self, "stamp", stamp)
        for name in ("vx", "vy", "vz", "yaw_rate"):
            check_number(f"Command.{name}", getattr(self, name), CommandError)
        if not isinstance(self.mode, Mode):
            modes = ", ".join(f"Mode.{mode.name}" for mode in Mode)
            raise CommandError(f"Command.mode must be one of {modes}, got {self.mode!r}")
        if not isinstance(self.reason, str):
            raise CommandError(f"Command.reason must be text, got {self.reason!r}")

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
        acceleration: largest rate of change of each velocity component, m/s^2. The default is what
            small vehicles brake and climb with; an autopilot that takes its setpoints unsmoothed
            turns faster changes into saturated thrust. Set more for fast flight.
        yaw_acceleration: largest rate of change of the yaw rate, rad/s^2.

    Raises:
        ConfigError: on a limit that is not a positive finite number.

    """

    vx: float = 3.0
    vy: float = 1.5
    vz: float = 1.2
    yaw_rate: float = 1.5
    acceleration: float = 4.0
    yaw_acceleration: float = 12.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (is_number(value) and math.isfinite(value) and value > 0):
                raise ConfigError(
                    f"command limit {name} must be positive and finite, got {value!r}"
                )

    def scaled(self, speed: float) -> "CommandLimits":
        """Return the limits for flights at a multiple of the usual speeds.

        Velocities scale. Yaw rates and slew rates stay: cameras and vehicles become no quicker.

        Raises:
            ConfigError: on a speed that is not positive and finite.

        """
        if not (is_number(speed) and math.isfinite(speed) and speed > 0):
            raise ConfigError(f"the speed must be positive and finite, got {speed!r}")
        return replace(self, vx=speed * self.vx, vy=speed * self.vy, vz=speed * self.vz)

    @property
    def magnitude(self) -> tuple[float, float, float, float]:
        """Largest absolute (vx, vy, vz, yaw_rate)."""
        return (self.vx, self.vy, self.vz, self.yaw_rate)

    @property
    def slew(self) -> tuple[float, float, float, float]:
        """Largest rate of change of (vx, vy, vz, yaw_rate), per second."""
        return (self.acceleration, self.acceleration, self.acceleration, self.yaw_acceleration)
