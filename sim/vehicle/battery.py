"""A battery: an open-circuit voltage that depends on the charge, and an internal resistance."""

import math

from liquid_nav_sim.vehicle.airframe import BatteryParameters

_HOUR = 3600.0


class Battery:
    """The state of charge and the voltage of one battery.

    Attributes:
        charge: fraction of the capacity that is left, in [0, 1].
        voltage: voltage under the latest load, V.
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
        """Voltage divided by that of a full battery without load."""
        return self.voltage / self._full

    def draw(self, power: float, dt: float) -> None:
        """Supply the rotors with mechanical power for `dt` seconds.

        The voltage V under load solves V = V_open - R P / V, where P is the electrical power. A
        load above V_open^2 / (4 R), the most that the battery can deliver, pulls the voltage down
        to half the open-circuit voltage. The voltage of an empty battery is 0.

        Args:
            power: mechanical power of the rotors, W.
            dt: seconds.
        """
        if self.charge <= 0.0:
            self.voltage = 0.0
            return
        power = power / self._efficiency
        half = (self._empty + (self._full - self._empty) * self.charge) / 2
        self.voltage = half + math.sqrt(max(half * half - self._resistance * power, 0.0))
        self.charge = max(self.charge - power / self.voltage * dt / self._coulombs, 0.0)
