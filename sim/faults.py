"""What breaks in flight: sensors that fall silent, freeze or lie, a weak motor, a gust that stays.

Faults draw nothing at random and take nothing from the streams of the seed: a flight with a fault
is the same flight until it begins, and its noise is the same after it.
"""

import math
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from liquid_nav.events import SECOND, CameraFrame, Channel, Event, ImuSample
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.rotation import Vector
from liquid_nav_sim.rotors import PerRotor


class FaultKind(str, Enum):
    """What breaks. Each says what its `magnitude` is; the others take none and ignore it.

    A drop is silence. A freeze repeats the last values under new stamps. A delay is added to the
    latency, and the link still keeps the order. The bias is added to each axis of the gyroscope,
    NaN to every value of the IMU. A motor loss is of rotor 0, front right; a wind step blows east.
    """

    CAMERA_DROP = "camera_drop"
    CAMERA_FREEZE = "camera_freeze"
    CAMERA_BLACK = "camera_black"
    CAMERA_DELAY = "camera_delay"
    IMU_DROP = "imu_drop"
    IMU_FREEZE = "imu_freeze"
    IMU_DELAY = "imu_delay"
    IMU_BIAS = "imu_bias"
    IMU_NAN = "imu_nan"
    MOTOR_LOSS = "motor_loss"
    WIND_STEP = "wind_step"


_MAGNITUDES: dict[FaultKind, tuple[float, float, str]] = {
    FaultKind.CAMERA_DELAY: (0.0, 10.0, "s"),
    FaultKind.IMU_DELAY: (0.0, 10.0, "s"),
    FaultKind.IMU_BIAS: (-10.0, 10.0, "rad/s"),
    FaultKind.MOTOR_LOSS: (0.0, 1.0, "of its thrust"),
    FaultKind.WIND_STEP: (-50.0, 50.0, "m/s"),
}

_FREEZES = (FaultKind.CAMERA_FREEZE, FaultKind.IMU_FREEZE)
_CHANNELS = {"camera": Channel.CAMERA, "imu": Channel.IMU}
"""By the first word of the kinds that are faults of a sensor."""


@dataclass(frozen=True)
class Fault:
    """One fault of one flight.

    Attributes:
        kind: what breaks; a name of `FaultKind` is taken too.
        start: when it begins, ns since the start of the flight; sensors go by their stamps.
        duration: seconds; 0 for the rest of the flight.
        magnitude: how much, see `FaultKind`.

    Raises:
        SimulationError: on an unknown kind or a field out of its range.
    """

    kind: FaultKind
    start: int
    duration: float = 0.0
    magnitude: float = 0.0

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
        low, high, unit = _MAGNITUDES.get(self.kind, (-math.inf, math.inf, ""))
        if not low <= self.magnitude <= high:
            raise SimulationError(
                f"Fault.magnitude of {self.kind.value} must be in [{low:g}, {high:g}] {unit}, "
                f"got {self.magnitude!r}"
            )

    @property
    def channel(self) -> Channel | None:
        """The sensor that breaks, or None."""
        return _CHANNELS.get(self.kind.value.partition("_")[0])

    def acts(self, time: int) -> bool:
        """Whether it lasts at `time` ns."""
        elapsed = time - self.start
        return elapsed >= 0 and (self.duration == 0 or elapsed < self.duration * SECOND)


class Faults:
    """The faults of one flight, and what they make of measurements, thrusts and wind.

    Those that overlap act one after the other, in the order in which they were added.
    """

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._last: dict[Channel, Event] = {}
        self._arrived: dict[Channel, int] = {}

    def add(self, fault: Fault) -> None:
        """Let a fault act from its start on."""
        self._faults.append(fault)

    def measured(self, event: Event) -> Event | None:
        """What becomes of a measurement on its way; None when it never arrives.

        Give it all that would arrive, in the order of the stamps of each channel.
        """
        channel, frozen = event.channel, False
        for fault in self._faults:
            if fault.channel is channel and fault.acts(event.stamp):
                spoilt = self._spoil(event, fault)
                if spoilt is None:
                    return None
                event, frozen = spoilt, frozen or fault.kind in _FREEZES
        if not frozen:
            self._last[channel] = event
        arrival = max(event.arrival, self._arrived.get(channel, 0))
        self._arrived[channel] = arrival
        return event if arrival == event.arrival else replace(event, arrival=arrival)

    def thrusts(self, setpoints: PerRotor, time: int) -> PerRotor:
        """Thrust setpoints that the rotors follow at `time` ns, N, (4,)."""
        first, second, third, fourth = setpoints
        for fault in self._faults:
            if fault.kind is FaultKind.MOTOR_LOSS and fault.acts(time):
                first *= 1 - fault.magnitude
        return (first, second, third, fourth)

    def wind(self, wind: Vector, time: int) -> Vector:
        """Velocity of the air at `time` ns, m/s, world ENU, (3,)."""
        east, north, up = wind
        for fault in self._faults:
            if fault.kind is FaultKind.WIND_STEP and fault.acts(time):
                east += fault.magnitude
        return (east, north, up)

    def _spoil(self, event: Event, fault: Fault) -> Event | None:
        kind = fault.kind
        if kind in (FaultKind.CAMERA_DROP, FaultKind.IMU_DROP):
            return None
        if kind in _FREEZES:
            last = self._last.setdefault(event.channel, event)
            return replace(last, stamp=event.stamp, arrival=event.arrival)
        if kind in (FaultKind.CAMERA_DELAY, FaultKind.IMU_DELAY):
            return replace(event, arrival=event.arrival + round(fault.magnitude * SECOND))
        if isinstance(event, CameraFrame):
            return replace(event, image=np.zeros_like(event.image))
        assert isinstance(event, ImuSample)
        if kind is FaultKind.IMU_BIAS:
            return replace(event, angular_velocity=event.angular_velocity + fault.magnitude)
        nothing = np.full(3, math.nan)
        return replace(event, angular_velocity=nothing, specific_force=nothing)
