"""What the faults of a flight make of its measurements, its rotors, its mass and its wind.

What they draw at random comes from a stream of their own: a flight with a fault is the same flight
until it begins, and what its sensors and its air draw is the same after it.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liquid_nav.events import SECOND, CameraFrame, Channel, Event, ImuSample, Odometry, RangeSample
from liquid_nav_sim.faults import images as image_faults
from liquid_nav_sim.faults.kinds import Fault, FaultKind
from liquid_nav_sim.rotation import Vector
from liquid_nav_sim.vehicle.rotors import PerRotor


@dataclass
class _Active:
    """A fault of one flight.

    Attributes:
        fault: what it is.
        rng: source of its noise.
        pattern: seed of what stays the same while it lasts.
        held: setpoint that its rotor is stuck at, N, or None before.
    """

    fault: Fault
    rng: np.random.Generator
    pattern: int = field(init=False)
    held: float | None = None

    def __post_init__(self) -> None:
        self.pattern = self._seed()

    def _seed(self) -> int:
        return int(self.rng.integers(2**32))

    def normals(self, count: int) -> NDArray[np.float64]:
        """White noise of the fault's magnitude, shape (count,)."""
        return self.fault.magnitude * self.rng.standard_normal(count)

    def image_noise(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The image in another burst of noise each time."""
        return image_faults.noise_burst(image, self.fault.magnitude, self._seed())


class Faults:
    """The faults of one flight, and what they make of it.

    Those that overlap act one after the other, in the order in which they were added.

    Args:
        rng: source of what they draw.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._active: list[_Active] = []
        self._last: dict[Channel, Event] = {}
        self._arrived: dict[Channel, int] = {}
        self._measured_at: dict[tuple[Channel, int], int] = {}

    @property
    def all(self) -> tuple[Fault, ...]:
        """Every fault of the flight, in the order in which they were added."""
        return tuple(active.fault for active in self._active)

    def add(self, fault: Fault) -> None:
        """Let a fault act from its start on."""
        self._active.append(_Active(fault, self._rng.spawn(1)[0]))

    def measured(self, event: Event) -> Event | None:
        """What becomes of a measurement on its way; None when it never arrives.

        Give it all that would arrive, in the order of the stamps of each channel.
        """
        channel, time, frozen = event.channel, event.stamp, False
        if not self._active:
            self._last[channel] = event
            return event
        for active in self._acting(time):
            kind = active.fault.kind
            if kind.channel is not channel:
                continue
            if kind.effect == "drop":
                return None
            if kind.effect == "freeze":
                frozen = True
                last = self._last.setdefault(channel, event)
                event = replace(last, stamp=event.stamp, arrival=event.arrival)
            else:
                event = _EFFECTS.get(kind.effect, _spoil)(event, active)
        if not frozen:
            self._last[channel] = event
        if event.stamp != time:
            self._measured_at[channel, event.stamp] = time
        arrival = max(event.arrival, self._arrived.get(channel, 0))
        self._arrived[channel] = arrival
        return event if arrival == event.arrival else replace(event, arrival=arrival)

    def measured_at(self, event: Event) -> int:
        """When an event was measured by the true time, ns, whatever its stamp says."""
        return self._measured_at.get((event.channel, event.stamp), event.stamp)

    def thrusts(self, setpoints: PerRotor, time: int) -> PerRotor:
        """Thrust setpoints that the rotors follow at `time` ns, N, (4,)."""
        if not self._active:
            return setpoints
        rotors = list(setpoints)
        for active in self._acting(time):
            fault = active.fault
            if fault.kind is FaultKind.MOTOR_LOSS:
                rotors[fault.rotor] *= 1 - fault.magnitude
            elif fault.kind is FaultKind.MOTOR_STUCK:
                if active.held is None:
                    active.held = rotors[fault.rotor]
                rotors[fault.rotor] = active.held
        first, second, third, fourth = rotors
        return (first, second, third, fourth)

    def wind(self, wind: Vector, time: int) -> Vector:
        """Velocity of the air at `time` ns, m/s, world ENU, (3,)."""
        if not self._active:
            return wind
        for active in self._acting(time):
            if active.fault.kind is FaultKind.WIND_STEP:
                (x, y, z), (dx, dy, dz) = wind, active.fault.vector()
                wind = (x + dx, y + dy, z + dz)
        return wind

    def mass(self, time: int) -> float:
        """Mass of the vehicle at `time` ns, in terms of its own."""
        if not self._active:
            return 1.0
        factor = 1.0
        for active in self._acting(time):
            if active.fault.kind is FaultKind.MASS_CHANGE:
                factor *= 1 + active.fault.magnitude
        return factor

    def _acting(self, time: int) -> Iterator[_Active]:
        return (active for active in self._active if active.fault.acts(time))


def _delay(event: Event, active: _Active) -> Event:
    return replace(event, arrival=event.arrival + round(active.fault.magnitude * SECOND))


def _clock_jump(event: Event, active: _Active) -> Event:
    stamp = event.stamp + round(active.fault.magnitude * SECOND)
    return replace(event, stamp=min(stamp, event.arrival))


def _nan(event: Event, active: _Active) -> Event:
    """Not a number in place of every number that was measured."""
    times = {f.name for f in fields(Event)}
    values = {f.name: getattr(event, f.name) for f in fields(event) if f.name not in times}
    return replace(event, **{name: value * math.nan for name, value in values.items()})


_EFFECTS: dict[str, Callable[[Event, _Active], Event]] = {
    "delay": _delay,
    "clock_jump": _clock_jump,
    "nan": _nan,
}
"""On any sensor."""


def _spoil(event: Event, active: _Active) -> Event:
    """What a fault makes of the values of one kind of sensor."""
    fault = active.fault
    change: dict[str, Any]
    if isinstance(event, CameraFrame):
        image = event.image
        if fault.kind is FaultKind.CAMERA_BLACK:
            change = {"image": image_faults.black(image)}
        elif fault.kind is FaultKind.CAMERA_DIRT:
            change = {"image": image_faults.lens_dirt(image, fault.magnitude, active.pattern)}
        elif fault.kind is FaultKind.CAMERA_EXPOSURE:
            change = {"image": image_faults.wrong_exposure(image, fault.magnitude)}
        else:
            change = {"image": active.image_noise(image)}
    elif isinstance(event, ImuSample):
        accelerometer = fault.kind.effect.startswith("accel")
        name = "specific_force" if accelerometer else "angular_velocity"
        noisy = fault.kind.effect.endswith("noise")
        change = {name: getattr(event, name) + (active.normals(3) if noisy else fault.magnitude)}
    elif isinstance(event, RangeSample):
        noisy = fault.kind is FaultKind.RANGE_NOISE
        error = float(active.normals(1)[0]) if noisy else fault.magnitude
        change = {"distance": event.distance + error}
    else:
        assert isinstance(event, Odometry)
        noisy = fault.kind is FaultKind.ODOMETRY_NOISE
        change = {"position": event.position + (active.normals(3) if noisy else fault.vector())}
    return replace(event, **change)
