"""A fault of one flight: its kind, its time and its magnitude."""

import math
from dataclasses import dataclass

from liquid_nav.events import SECOND
from liquid_nav.registry import Registry
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.faults.effects import EFFECTS, OF_ANY_SENSOR, Effect
from liquid_nav_sim.rotation import Vector

KINDS: Registry[Effect] = Registry("liquid_nav.faults", "fault", EFFECTS)
"""Effects by kind of fault; entry points of the group ``liquid_nav.faults`` add to them."""

VEHICLE_KINDS = ("motor_loss", "motor_stuck", "wind_step", "mass_change", "rotor_damage")
"""Kinds of faults that act on the vehicle and its air, not on a sensor."""


def effect_of(kind: str) -> Effect:
    """Return the effect of a kind of fault, such as ``camera_freeze`` or ``sonar_drop``.

    A kind is in `KINDS`, or it is a channel, an underscore and the name of an effect in
    `OF_ANY_SENSOR`.

    Raises:
        SimulationError: on an unknown kind.
    """
    if isinstance(kind, str):
        if kind in EFFECTS:
            return EFFECTS[kind]
        if kind in KINDS:
            return KINDS.get(kind)
        for name, effect in OF_ANY_SENSOR.items():
            if kind.endswith(f"_{name}") and kind != f"_{name}":
                return effect
    raise SimulationError(
        f"Fault.kind must be one of {', '.join(KINDS)}, or the channel of a sensor and one of "
        f"{', '.join(f'_{name}' for name in OF_ANY_SENSOR)}, got {kind!r}"
    )


@dataclass(frozen=True)
class Fault:
    """One fault of one flight.

    Attributes:
        kind: kind of the fault, see `effect_of`.
        start: time at which it begins, ns since the start of the flight. The first broken
            measurement of a sensor is the first one with that stamp or a later one.
        duration: seconds; 0 for the rest of the flight.
        magnitude: size in the unit of the effect, see `liquid_nav_sim.faults.effects`.
        rotor: rotor of a motor fault: 0 front right, 1 rear left, 2 front left, 3 rear right.
        direction: direction of a wind step or a jump, world ENU, shape (3,), of any length.
        sensor: name of the sensor that breaks; empty for all sensors of the channel.

    Raises:
        SimulationError: on an unknown kind or a field out of its range.
    """

    kind: str
    start: int
    duration: float = 0.0
    magnitude: float = 0.0
    rotor: int = 0
    direction: Vector = (1.0, 0.0, 0.0)
    sensor: str = ""

    def __post_init__(self) -> None:
        effect = effect_of(self.kind)
        if not (isinstance(self.start, int) and self.start >= 0):
            raise SimulationError(
                f"Fault.start must be a whole number of ns >= 0, got {self.start!r}"
            )
        if not 0 <= self.duration < math.inf:
            raise SimulationError(
                f"Fault.duration must be finite and not negative, got {self.duration!r}"
            )
        if effect.magnitude is not None:
            low, high, unit, _ = effect.magnitude
            if not low <= self.magnitude <= high:
                raise SimulationError(
                    f"Fault.magnitude of {self.kind} must be in [{low:g}, {high:g}] {unit}, "
                    f"got {self.magnitude!r}"
                )
        elif not math.isfinite(self.magnitude):
            raise SimulationError(f"Fault.magnitude must be finite, got {self.magnitude!r}")
        if not (isinstance(self.rotor, int) and 0 <= self.rotor < 4):
            raise SimulationError(f"Fault.rotor must be 0, 1, 2 or 3, got {self.rotor!r}")
        if len(self.direction) != 3 or not 0 < math.hypot(*self.direction) < math.inf:
            raise SimulationError(
                f"Fault.direction must be three finite numbers, not all 0, got {self.direction!r}"
            )
        if not isinstance(self.sensor, str):
            raise SimulationError(f"Fault.sensor must be the name of a sensor, got {self.sensor!r}")

    @property
    def effect(self) -> Effect:
        """Effect of the fault."""
        return effect_of(self.kind)

    def acts(self, time: int) -> bool:
        """Whether it is active at `time` ns."""
        elapsed = time - self.start
        return elapsed >= 0 and (self.duration == 0 or elapsed < self.duration * SECOND)

    def breaks(self, sensor: str, channel: str) -> bool:
        """Whether it acts on the sensor of that name and channel."""
        if self.kind in VEHICLE_KINDS or self.sensor not in ("", sensor):
            return False
        # Names of channels and of effects may contain underscores.
        rest = self.kind.removeprefix(f"{channel}_")
        return rest != self.kind and (self.kind in KINDS or rest in OF_ANY_SENSOR)

    def vector(self) -> Vector:
        """The magnitude along the direction, world ENU, (3,)."""
        x, y, z = self.direction
        scale = self.magnitude / math.hypot(x, y, z)
        return (scale * x, scale * y, scale * z)
