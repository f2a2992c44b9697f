"""Vehicles that differ from flight to flight: parameters drawn about their nominal values."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.vehicle.airframe import BatteryParameters, VehicleParameters

_BATTERY = "battery."
_HARM = ("mass", "battery.empty_voltage")
"""Fields of which more is worse, where others make up for them."""


@dataclass(frozen=True)
class VehicleRandomisation:
    """How far the parameters of each flight's vehicle may be from the nominal ones.

    Attributes:
        ranges: largest relative deviation by field of `VehicleParameters`, or of
            `BatteryParameters` with "battery." before it. The field is drawn uniformly in
            [1 - range, 1 + range] of its nominal value; all components of a vector by one factor.

    Raises:
        SimulationError: on an unknown field, or a range not in [0, 1).
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
        """See that whatever may be drawn about `parameters` is a vehicle.

        Raises:
            SimulationError: if the battery of an airframe without one is randomised, or an end of
                the ranges is out of what a parameter may be.
        """
        # Fields constrain each other where the rotors must carry the mass, and where an empty
        # battery must have less voltage than a full one: of these, the worst case is opposite.
        for side in (1, -1):
            worst = {
                name: 1 + (side if name in _HARM else -side) * value
                for name, value in self.ranges.items()
            }
            try:
                _scaled(parameters, worst)
            except SimulationError as error:
                raise SimulationError(
                    f"VehicleRandomisation.ranges are too wide: {error}"
                ) from None

    def draw(self, parameters: VehicleParameters, rng: np.random.Generator) -> VehicleParameters:
        """Draw a vehicle about `parameters`: one number of the stream for each field of `ranges`.

        Raises:
            SimulationError: as `check`.
        """
        factors = 1 + np.array(list(self.ranges.values())) * rng.uniform(-1, 1, len(self.ranges))
        return _scaled(parameters, dict(zip(self.ranges, factors.tolist(), strict=True)))


def _scaled(parameters: VehicleParameters, factors: Mapping[str, float]) -> VehicleParameters:
    """`parameters` with fields multiplied by factors."""
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
