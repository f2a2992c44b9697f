"""Suite of the vehicles: every airframe, and one that differs from what its autopilot assumes."""

import math
from dataclasses import fields, replace
from typing import Any

from liquid_nav.evaluation.suites.cell import Cell
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.sensors.model import SensorModel
from liquid_nav_sim.vehicle.airframe import VehicleParameters
from liquid_nav_sim.vehicle.autopilot_model import AUTOPILOTS, load_autopilot
from liquid_nav_sim.vehicle.files import VEHICLES, load_vehicle
from liquid_nav_sim.vehicle.randomisation import VehicleRandomisation

SPREAD = {"mass": 0.2, "inertia": 0.3, "thrust_coefficient": 0.15, "motor_time_constant": 0.3}
"""Relative deviations of a vehicle from the parameters that its autopilot assumes."""

MOUNTINGS = {
    "pitched up 8 deg": {"pitch": math.radians(8)},
    "pitched down 8 deg": {"pitch": math.radians(-8)},
    "rolled 5 deg": {"roll": math.radians(5)},
    "10 % wider": {"fov": 1.1},
    "10 % narrower": {"fov": 0.9},
}
"""How a camera differs from what the policy was told, by the name of the cell."""


def vehicles(base: WorldConfig) -> list[Cell]:
    """Every vehicle by its name, every autopilot, and a camera that is not where it should be."""
    return [
        *(Cell(name, on_vehicle(base, load_vehicle(name))) for name in VEHICLES),
        Cell(
            "parameters off by up to 30 %",
            replace(base, randomisation=VehicleRandomisation(SPREAD)),
        ),
        *(
            Cell(f"autopilot {name}", replace(base, autopilot=load_autopilot(name)))
            for name in AUTOPILOTS
            if load_autopilot(name) != base.autopilot
        ),
        *(Cell(f"camera {how}", _mounted(base, **change)) for how, change in MOUNTINGS.items()),
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


def _mounted(base: WorldConfig, **change: float) -> WorldConfig:
    """Turn every camera by the pitch and roll of `change`, radians, and scale its field of view."""
    config = base
    for sensor in base.sensors:
        model = sensor.model
        if isinstance(model, CameraModel):
            mounted = replace(
                model,
                mount_pitch=model.mount_pitch + change.get("pitch", 0.0),
                mount_roll=model.mount_roll + change.get("roll", 0.0),
                horizontal_fov=model.horizontal_fov * change.get("fov", 1.0),
            )
            config = config.with_sensor(sensor.name, mounted)
    return config


def _moved(model: Any, before: VehicleParameters, after: VehicleParameters) -> SensorModel:
    old, new = type(model).for_vehicle(before), type(model).for_vehicle(after)
    names = [field.name for field in fields(model)]
    changes = {n: getattr(new, n) for n in names if getattr(new, n) != getattr(old, n)}
    moved: SensorModel = replace(model, **changes)
    return moved
