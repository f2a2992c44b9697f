"""Loads the parameters of a vehicle by its name or from a TOML file."""

import dataclasses
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from liquid_nav.errors import ConfigError
from liquid_nav.registry import Registry
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.toml_files import is_number, read_toml
from liquid_nav_sim.vehicle.airframe import BatteryParameters, VehicleParameters

_Kind = TypeVar("_Kind", VehicleParameters, BatteryParameters)

_SHIPPED = resources.files("liquid_nav_sim.vehicle") / "airframes"

VEHICLES: Registry[Any] = Registry(
    "liquid_nav.vehicles",
    "vehicle",
    {file.name.removesuffix(".toml"): file for file in sorted(_SHIPPED.iterdir(), key=str)},
)
"""Vehicles by name; each part is a `VehicleParameters` or the path of a .toml file.

Entry points of the group ``liquid_nav.vehicles`` add vehicles.
"""


def load_vehicle(vehicle: str | Path) -> VehicleParameters:
    """Read the parameters of a vehicle.

    Args:
        vehicle: a name in `VEHICLES`, or the path of a file that ends in .toml. The file holds the
            fields of `VehicleParameters`. An optional table [battery] holds the fields of
            `BatteryParameters`.

    Raises:
        SimulationError: if the name is unknown, the file cannot be read, or a field is missing,
            unknown, of the wrong type or out of its range.
    """
    name = str(vehicle)
    if name.endswith(".toml"):
        part: Any = Path(vehicle)
    else:
        try:
            part = VEHICLES.get(name)
        except ConfigError as error:
            raise SimulationError(f"{error}, or give a .toml file") from error
    if isinstance(part, VehicleParameters):
        return part
    table = read_toml(part, f"vehicle {name}")
    try:
        return _parameters(table)
    except _FieldError as error:
        raise SimulationError(f"vehicle {name}: {error}") from error


class _FieldError(ValueError):
    """An invalid field; the caller adds the name of the vehicle to the message."""


def _parameters(table: Mapping[str, Any]) -> VehicleParameters:
    values = dict(table)
    battery = values.pop("battery", None)
    if battery is not None:
        if not isinstance(battery, Mapping):
            raise _FieldError(f"battery must be a table, [battery], got {battery!r}")
        battery = _build(BatteryParameters, battery, "battery.")
    return _build(VehicleParameters, values, "", battery=battery)


def _build(kind: type[_Kind], table: Mapping[str, Any], prefix: str, **others: Any) -> _Kind:
    """Build a dataclass from a table whose values are numbers and lists of three numbers."""
    fields = {f.name: f.type for f in dataclasses.fields(kind) if f.name not in others}
    for name in table:
        if name not in fields:
            raise _FieldError(f"unknown field {prefix}{name}, choose from {', '.join(fields)}")
    values: dict[str, Any] = {}
    for name, type_ in fields.items():
        if name not in table:
            raise _FieldError(f"field {prefix}{name} is missing")
        value = table[name]
        if type_ is float:
            if not is_number(value):
                raise _FieldError(f"{prefix}{name} must be a number, got {value!r}")
            values[name] = float(value)
        else:
            if not (isinstance(value, list) and len(value) == 3 and all(map(is_number, value))):
                raise _FieldError(f"{prefix}{name} must be a list of three numbers, got {value!r}")
            values[name] = tuple(map(float, value))
    try:
        return kind(**values, **others)
    except SimulationError as error:
        raise _FieldError(str(error)) from error


QUAD_250 = load_vehicle("racing_250")
"""The default vehicle."""
