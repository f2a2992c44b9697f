"""What may break in flight, when, and by how much."""

import math
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from liquid_nav.events import SECOND, Channel
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.rotation import Vector


class FaultKind(str, Enum):
    """What breaks. Each says what its `magnitude` is; the others take none and ignore it.

    Of any sensor:

    - `drop`: silence.
    - `freeze`: the last values again and again, under new stamps.
    - `delay`: s that are added to the latency; the link still keeps the order.
    - `clock_jump`: s by which its clock is off; a stamp that would be after its arrival is set to
      it, as drivers do.
    - `nan`: not a number in place of every value.
    - `bias`: added to each axis of the gyroscope, rad/s, of the accelerometer, m/s^2, or to the
      range, m.
    - `noise`: standard deviation of white noise on each axis of the gyroscope, rad/s, of the
      accelerometer, m/s^2, of the position, m, on the range, m, or on each value of each pixel,
      grey levels.

    Of the camera, see `liquid_nav_sim.faults.images`: `black` images; `exposure` times magnitude;
    `dirt` that covers that share of the lens, another pattern each time.

    Of the odometry: `jump` of the position by m along `direction`.

    Of the vehicle: `motor_loss` of that share of the thrust of `rotor`; `motor_stuck`, which leaves
    `rotor` with the setpoint that it had; `wind_step` of m/s along `direction`; `mass_change` by
    that share of the mass, at its centre.
    """

    CAMERA_DROP = "camera_drop"
    CAMERA_FREEZE = "camera_freeze"
    CAMERA_BLACK = "camera_black"
    CAMERA_DELAY = "camera_delay"
    CAMERA_CLOCK_JUMP = "camera_clock_jump"
    CAMERA_DIRT = "camera_dirt"
    CAMERA_EXPOSURE = "camera_exposure"
    CAMERA_NOISE = "camera_noise"
    IMU_DROP = "imu_drop"
    IMU_FREEZE = "imu_freeze"
    IMU_DELAY = "imu_delay"
    IMU_CLOCK_JUMP = "imu_clock_jump"
    IMU_BIAS = "imu_bias"
    IMU_ACCEL_BIAS = "imu_accel_bias"
    IMU_NOISE = "imu_noise"
    IMU_ACCEL_NOISE = "imu_accel_noise"
    IMU_NAN = "imu_nan"
    DVS_DROP = "dvs_drop"
    DVS_FREEZE = "dvs_freeze"
    DVS_DELAY = "dvs_delay"
    RANGE_DROP = "range_drop"
    RANGE_FREEZE = "range_freeze"
    RANGE_DELAY = "range_delay"
    RANGE_CLOCK_JUMP = "range_clock_jump"
    RANGE_BIAS = "range_bias"
    RANGE_NOISE = "range_noise"
    RANGE_NAN = "range_nan"
    ODOMETRY_DROP = "odometry_drop"
    ODOMETRY_FREEZE = "odometry_freeze"
    ODOMETRY_DELAY = "odometry_delay"
    ODOMETRY_CLOCK_JUMP = "odometry_clock_jump"
    ODOMETRY_JUMP = "odometry_jump"
    ODOMETRY_NOISE = "odometry_noise"
    ODOMETRY_NAN = "odometry_nan"
    MOTOR_LOSS = "motor_loss"
    MOTOR_STUCK = "motor_stuck"
    WIND_STEP = "wind_step"
    MASS_CHANGE = "mass_change"

    @property
    def channel(self) -> Channel | None:
        """The sensor that breaks, or None."""
        return _CHANNELS.get(self.value.partition("_")[0])

    @property
    def effect(self) -> str:
        """What happens to it, without its name: "freeze" of `camera_freeze`."""
        return self.value.partition("_")[2]


_CHANNELS = {
    channel.value: channel
    for channel in (Channel.CAMERA, Channel.IMU, Channel.DVS, Channel.RANGE, Channel.ODOMETRY)
}


class Magnitudes(NamedTuple):
    """What the magnitude of a kind of fault may be.

    Attributes:
        low, high: bounds.
        unit: for the message.
        drawn: bounds of those that come by chance.
    """

    low: float
    high: float
    unit: str
    drawn: tuple[float, float]


_DELAY = Magnitudes(0.0, 10.0, "s", (0.05, 0.5))
_CLOCK_JUMP = Magnitudes(-10.0, 10.0, "s", (-0.5, 0.5))

MAGNITUDES: dict[FaultKind, Magnitudes] = {
    **{kind: _DELAY for kind in FaultKind if kind.effect == "delay"},
    **{kind: _CLOCK_JUMP for kind in FaultKind if kind.effect == "clock_jump"},
    FaultKind.CAMERA_DIRT: Magnitudes(0.0, 1.0, "of the lens", (0.05, 0.5)),
    FaultKind.CAMERA_EXPOSURE: Magnitudes(0.01, 100.0, "times the light", (0.1, 5.0)),
    FaultKind.CAMERA_NOISE: Magnitudes(0.0, 100.0, "grey levels", (10.0, 60.0)),
    FaultKind.IMU_BIAS: Magnitudes(-10.0, 10.0, "rad/s", (-0.3, 0.3)),
    FaultKind.IMU_ACCEL_BIAS: Magnitudes(-100.0, 100.0, "m/s^2", (-2.0, 2.0)),
    FaultKind.IMU_NOISE: Magnitudes(0.0, 10.0, "rad/s", (0.05, 1.0)),
    FaultKind.IMU_ACCEL_NOISE: Magnitudes(0.0, 100.0, "m/s^2", (0.5, 10.0)),
    FaultKind.RANGE_BIAS: Magnitudes(-100.0, 100.0, "m", (-1.0, 1.0)),
    FaultKind.RANGE_NOISE: Magnitudes(0.0, 100.0, "m", (0.05, 1.0)),
    FaultKind.ODOMETRY_JUMP: Magnitudes(-100.0, 100.0, "m", (-3.0, 3.0)),
    FaultKind.ODOMETRY_NOISE: Magnitudes(0.0, 100.0, "m", (0.05, 1.0)),
    FaultKind.MOTOR_LOSS: Magnitudes(0.0, 1.0, "of its thrust", (0.05, 0.4)),
    FaultKind.WIND_STEP: Magnitudes(-50.0, 50.0, "m/s", (1.0, 6.0)),
    FaultKind.MASS_CHANGE: Magnitudes(-0.9, 5.0, "of the mass", (-0.2, 0.3)),
}
"""Of the kinds that take one."""


@dataclass(frozen=True)
class Fault:
    """One fault of one flight.

    Attributes:
        kind: what breaks; a name of `FaultKind` is taken too.
        start: when it begins, ns since the start of the flight; sensors go by the time at which
            they measure.
        duration: seconds; 0 for the rest of the flight.
        magnitude: how much, see `FaultKind`.
        rotor: of the faults of a motor: 0 front right, 1 rear left, 2 front left, 3 rear right.
        direction: of a wind step or a jump, world ENU, shape (3,); its length does not matter.

    Raises:
        SimulationError: on an unknown kind or a field out of its range.
    """

    kind: FaultKind
    start: int
    duration: float = 0.0
    magnitude: float = 0.0
    rotor: int = 0
    direction: Vector = (1.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "kind", FaultKind(self.kind))
        except ValueError:
            kinds = ", ".join(kind.value for kind in FaultKind)
            raise SimulationError(f"Fault.kind must be one of {kinds}, got {self.kind!r}") from None
        if not (isinstance(self.start, int) and self.start >= 0):
            raise SimulationError(f"Fault.start must be whole ns from 0 up, got {self.start!r}")
        if not 0 <= self.duration < math.inf:
            raise SimulationError(
                f"Fault.duration must be finite and not negative, got {self.duration!r}"
            )
        low, high, unit, _ = MAGNITUDES.get(self.kind, Magnitudes(-math.inf, math.inf, "", (0, 0)))
        if not low <= self.magnitude <= high:
            raise SimulationError(
                f"Fault.magnitude of {self.kind.value} must be in [{low:g}, {high:g}] {unit}, "
                f"got {self.magnitude!r}"
            )
        if not (isinstance(self.rotor, int) and 0 <= self.rotor < 4):
            raise SimulationError(f"Fault.rotor must be 0, 1, 2 or 3, got {self.rotor!r}")
        if len(self.direction) != 3 or not 0 < math.hypot(*self.direction) < math.inf:
            raise SimulationError(
                f"Fault.direction must be three finite numbers, not all 0, got {self.direction!r}"
            )

    def acts(self, time: int) -> bool:
        """Whether it lasts at `time` ns."""
        elapsed = time - self.start
        return elapsed >= 0 and (self.duration == 0 or elapsed < self.duration * SECOND)

    def vector(self) -> Vector:
        """`magnitude` along `direction`, world ENU."""
        x, y, z = self.direction
        scale = self.magnitude / math.hypot(x, y, z)
        return (scale * x, scale * y, scale * z)
