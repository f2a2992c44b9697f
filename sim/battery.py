"""A battery: open-circuit voltage by what charge is left, and a resistance."""

import math
from dataclasses import dataclass

from liquid_nav_sim.errors import SimulationError

_HOUR = 3600.0


@dataclass(frozen=True)
class BatteryParameters:
    """A battery, and how much of its power reaches the rotors.

    Attributes:
        capacity: A h.
        full_voltage, empty_voltage: open-circuit, V; linear in the charge between them.
        resistance: ohm, cables included.
        efficiency: mechanical power of the rotors over electrical power, in (0, 1].

    Raises:
        SimulationError: on a field out of its range.
    """

    capacity: float
    full_voltage: float
    empty_voltage: float
    resistance: float
    efficiency: float

    def __post_init__(self) -> None:
        for name, low, high in (
            ("capacity", 0.001, 1000.0),
            ("full_voltage", 1.0, 1000.0),
            ("empty_voltage", 0.5, self.full_voltage),
            ("resistance", 0.0, 10.0),
            ("efficiency", 0.01, 1.0),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise SimulationError(
                    f"battery.{name} must be in [{low:g}, {high:g}], got {value!r}"
                )


class Battery:
    """What is left in one battery.

    Attributes:
        charge: share of the capacity that is left, in [0, 1].
        voltage: V, under the load drawn last.
    """

    def __init__(self, parameters: BatteryParameters) -> None:
        self.charge = 1.0
        self.voltage = parameters.full_voltage
        self._full = parameters.full_voltage
        self._empty = parameters.empty_voltage
        self._resistance = parameters.resistance
        self._coulombs = parameters.capacity * _HOUR
        self._efficiency = parameters.efficiency

    @property
    def level(self) -> float:
        """Voltage over that of a full battery without load."""
        return self.voltage / self._full

    def draw(self, power: float, dt: float) -> None:
        """Give mechanical power, W, to the rotors for `dt` seconds.

        The voltage V under load solves V = V_open - R P / V. A load beyond the most the battery can
        give, V_open^2 / 4 R, pulls it down to half its open-circuit voltage; an empty battery gives
        nothing.
        """
        if self.charge <= 0.0:
            self.voltage = 0.0
            return
        power = power / self._efficiency
        half = (self._empty + (self._full - self._empty) * self.charge) / 2
        self.voltage = half + math.sqrt(max(half * half - self._resistance * power, 0.0))
        self.charge = max(self.charge - power / self.voltage * dt / self._coulombs, 0.0)
