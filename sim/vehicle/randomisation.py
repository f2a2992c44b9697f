"""Draws the vehicle of each flight: parameters vary around their nominal values."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.vehicle.airframe import BatteryParameters, VehicleParameters

_BATTERY = "battery."
_WORSE_WHEN_LARGER = ("mass", "battery.empty_voltage")
"""Fields whose increase, rather than decrease, may make the vehicle invalid."""


@dataclass(frozen=True)
class VehicleRandomisation:
    """How far the parameters of each flight's vehicle may deviate from the nominal ones.

    Attributes:
        ranges: largest relative deviation of each field. The keys are fields of
            `VehicleParameters`, and fields of `BatteryParameters` with the prefix "battery.". The
            nominal value is multiplied by a factor drawn uniformly from [1 - range, 1 + range];
            all components of a vector share one factor.

    Raises:
        SimulationError: if a field is unknown or a range is not in [0, 1).
    """

    ranges: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [f.name for f in dataclasses.fields(VehicleParameters) if f.name != "battery"]
        names += [_BATTERY + f.name for f in dataclasses.fields(BatteryParameters)]
        for name, value in self.ranges.items():
            if name not in names:
                raise SimulationError(
                    f"VehicleRandomisation.ranges: unknown field {name!r}, choose from "
                    f"{', '.join(names)}"
                )
            if not 0 <= value < 1:
                raise SimulationError(
                    f"VehicleRandomisation.ranges: {name} must be in [0, 1), got {value!r}"
                )

    def check(self, parameters: VehicleParameters) -> None:
        """Check that every vehicle that `draw` may return is valid.

        Raises:
            SimulationError: if the ranges name a field of the battery but the vehicle has none, or
                an end of a range is not a valid value of its parameter.
        """
        # Two constraints join several fields: the rotors must carry the mass, and an empty battery
        # must have a lower voltage than a full one. The worst case of a constraint has its fields
        # at opposite ends of their ranges.
        for side in (1, -1):
            worst = {
                name: 1 + (side if name in _WORSE_WHEN_LARGER else -side) * value
                for name, value in self.ranges.items()
            }
            try:
                _scaled(parameters, worst)
            except SimulationError as error:
                raise SimulationError(
                    f"VehicleRandomisation.ranges are too wide: {error}"
                ) from None

    def draw(self, parameters: VehicleParameters, rng: np.random.Generator) -> VehicleParameters:
        """Draw a vehicle; each field of `ranges` takes one number from `rng`.

        Args:
            parameters: the nominal vehicle.
            rng: random stream.

        Raises:
            SimulationError: if the drawn vehicle is not valid; see `check`.
        """
        factors = 1 + np.array(list(self.ranges.values())) * rng.uniform(-1, 1, len(self.ranges))
        return _scaled(parameters, dict(zip(self.ranges, factors.tolist(), strict=True)))


def _scaled(parameters: VehicleParameters, factors: Mapping[str, float]) -> VehicleParameters:
    """Multiply the named fields of `parameters` by the given factors."""
    changes: dict[str, Any] = {}
    battery: dict[str, float] = {}
    for name, factor in factors.items():
        if name.startswith(_BATTERY):
            if parameters.battery is None:
                raise SimulationError(f"{name}: this vehicle has no battery")
            battery_name = name.removeprefix(_BATTERY)
            battery[battery_name] = factor * getattr(parameters.battery, battery_name)
        else:
            value = getattr(parameters, name)
            changes[name] = (
                tuple(factor * component for component in value)
                if isinstance(value, tuple)
                else factor * value
            )
    if parameters.battery is not None and battery:
        changes["battery"] = replace(parameters.battery, **battery)
    return replace(parameters, **changes)
