"""Applies the faults of a flight to its measurements, its rotors, its mass and its wind.

Faults have a random stream of their own: a flight with a fault equals the flight without it until
the fault begins, and the random draws of sensors and air stay the same after it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from liquid_nav.events import Event
from liquid_nav_sim.faults.effects import DAMAGE_LOSS, DROP, FREEZE, Action, Effect
from liquid_nav_sim.faults.kinds import Fault
from liquid_nav_sim.rotation import Vector
from liquid_nav_sim.vehicle.rotors import PerRotor


@dataclass
class _Active:
    """A fault of this flight.

    Attributes:
        fault: the fault.
        effect: its effect.
        action: argument of its effect.
        held: thrust setpoint at which its rotor is stuck, N; None before it is stuck.
        sensors: whether it acts on a sensor, by the name of the sensor, for those already checked.
    """

    fault: Fault
    effect: Effect
    action: Action
    held: float | None = None
    sensors: dict[str, bool] = field(default_factory=dict)

    def breaks(self, sensor: str, channel: str) -> bool:
        """Whether it acts on the sensor of that name and channel."""
        if sensor not in self.sensors:
            self.sensors[sensor] = self.fault.breaks(sensor, channel)
        return self.sensors[sensor]


class Faults:
    """The faults of one flight.

    Faults that overlap act one after the other, in the order in which they were added.

    Args:
        rng: random stream of the faults.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._active: list[_Active] = []
        # By the name of the sensor.
        self._last: dict[str, Event] = {}
        self._arrived: dict[str, int] = {}

    @property
    def all(self) -> tuple[Fault, ...]:
        """Every fault of the flight, in the order in which they were added."""
        return tuple(active.fault for active in self._active)

    def add(self, fault: Fault) -> None:
        """Add a fault, which acts from its start on."""
        rng = self._rng.spawn(1)[0]
        action = Action(fault.magnitude, fault.vector(), rng, int(rng.integers(2**32)))
        self._active.append(_Active(fault, fault.effect, action))

    def measured(self, event: Event, sensor: str) -> Event | None:
        """Apply the faults to a measurement.

        Args:
            event: the measurement; call this for those of one sensor in the order of their stamps.
            sensor: name of the sensor that it comes from.

        Returns:
            The measurement that arrives; None if none does.
        """
        time, frozen = event.stamp, False
        if not self._active:
            self._last[sensor] = event
            return event
        for active in self._acting(time):
            if not active.breaks(sensor, event.channel.value):
                continue
            if active.effect is DROP:
                return None
            if active.effect is FREEZE:
                frozen = True
                last = self._last.setdefault(sensor, event)
                event = replace(last, stamp=event.stamp, arrival=event.arrival)
            elif active.effect.change is not None:
                event = active.effect.change(event, active.action)
        if not frozen:
            self._last[sensor] = event
        arrival = max(event.arrival, self._arrived.get(sensor, 0))
        self._arrived[sensor] = arrival
        return event if arrival == event.arrival else replace(event, arrival=arrival)

    def thrusts(self, setpoints: PerRotor, time: int) -> PerRotor:
        """Thrust setpoints of the rotors with the faults at `time` ns, N, (4,)."""
        if not self._active:
            return setpoints
        rotors = list(setpoints)
        for active in self._acting(time):
            fault = active.fault
            if fault.kind == "motor_loss":
                rotors[fault.rotor] *= 1 - fault.magnitude
            elif fault.kind == "rotor_damage":
                rotors[fault.rotor] *= 1 - DAMAGE_LOSS * fault.magnitude
            elif fault.kind == "motor_stuck":
                if active.held is None:
                    active.held = rotors[fault.rotor]
                rotors[fault.rotor] = active.held
        first, second, third, fourth = rotors
        return (first, second, third, fourth)

    def rotor_damage(self, time: int) -> PerRotor:
        """Damage of each rotor at `time` ns, from 0 to 1, which an IMU feels as vibration."""
        damage = [0.0, 0.0, 0.0, 0.0]
        if self._active:
            for active in self._acting(time):
                if active.fault.kind == "rotor_damage":
                    rotor, magnitude = active.fault.rotor, active.fault.magnitude
                    damage[rotor] = max(damage[rotor], magnitude)
        first, second, third, fourth = damage
        return (first, second, third, fourth)

    def wind(self, wind: Vector, time: int) -> Vector:
        """Velocity of the air with the faults at `time` ns, m/s, world ENU, (3,)."""
        if not self._active:
            return wind
        for active in self._acting(time):
            if active.fault.kind == "wind_step":
                (x, y, z), (dx, dy, dz) = wind, active.fault.vector()
                wind = (x + dx, y + dy, z + dz)
        return wind

    def mass(self, time: int) -> float:
        """Factor of the mass of the vehicle at `time` ns."""
        if not self._active:
            return 1.0
        factor = 1.0
        for active in self._acting(time):
            if active.fault.kind == "mass_change":
                factor *= 1 + active.fault.magnitude
        return factor

    def _acting(self, time: int) -> Iterator[_Active]:
        return (active for active in self._active if active.fault.acts(time))
