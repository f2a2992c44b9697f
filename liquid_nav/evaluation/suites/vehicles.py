"""Suite of the vehicles: every airframe, and one that differs from what its autopilot assumes."""

from dataclasses import fields, replace
from typing import Any

from liquid_nav.evaluation.suites.cell import Cell
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.sensors.model import SensorModel
from liquid_nav_sim.vehicle.airframe import VehicleParameters
from liquid_nav_sim.vehicle.files import VEHICLES, load_vehicle
from liquid_nav_sim.vehicle.randomisation import VehicleRandomisation

SPREAD = {"mass": 0.2, "inertia": 0.3, "thrust_coefficient": 0.15, "motor_time_constant": 0.3}
"""Relative deviations of a vehicle from the parameters that its autopilot assumes."""


def vehicles(base: WorldConfig) -> list[Cell]:
    """Every vehicle by its name, with its own sensors' places, and a vehicle that differs."""
    return [
        *(Cell(name, on_vehicle(base, load_vehicle(name))) for name in VEHICLES),
        Cell(
            "parameters off by up to 30 %",
            replace(base, randomisation=VehicleRandomisation(SPREAD)),
        ),
    ]


def on_vehicle(base: WorldConfig, vehicle: VehicleParameters) -> WorldConfig:
    """Fit the sensors of a configuration to another vehicle, which flies instead.

    What the default model of a sensor takes from its vehicle, such as its place, is taken from the
    other vehicle. Everything else about the sensor stays, such as the lens of a camera.
    """
    config = replace(base, vehicle=vehicle)
    for sensor in base.sensors:
        model = _moved(sensor.model, base.vehicle, vehicle)
        config = config.with_sensor(sensor.name, model)
    return config


def _moved(model: Any, before: VehicleParameters, after: VehicleParameters) -> SensorModel:
    old, new = type(model).for_vehicle(before), type(model).for_vehicle(after)
    names = [field.name for field in fields(model)]
    changes = {n: getattr(new, n) for n in names if getattr(new, n) != getattr(old, n)}
    moved: SensorModel = replace(model, **changes)
    return moved
