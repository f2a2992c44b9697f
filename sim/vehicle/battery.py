"""A battery: open-circuit voltage by what charge is left, and a resistance."""

import math

from liquid_nav_sim.vehicle.airframe import BatteryParameters

_HOUR = 3600.0


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
