"""Parameters of the eyes node: names, defaults and bounds, and the world they describe."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from liquid_nav.errors import ConfigError
from liquid_nav.ros.parameters import EXECUTOR, Spec, name_or_empty_fault
from liquid_nav.ros.simulator import parameters as simulator
from liquid_nav.ros.simulator.eyes.sources import SOURCES
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.faults.schedule import read_faults
from liquid_nav_sim.tasks.registry import make_task
from liquid_nav_sim.vehicle.files import load_vehicle

AT_START, FIXED = "at_start", "fixed"
"""Where the scene is: its start where the vehicle begins, or its origin at a given place."""

AIRBORNE, SERVICE = "airborne", "service"
"""What begins the first flight: the height of the vehicle, or a call of ``~/begin``."""

MESSAGE, ARRIVAL = "message", "arrival"
"""What stamps a pose: its message, or its arrival."""


def _origin_fault(value: Any) -> str:
    numbers = all(isinstance(v, float) and math.isfinite(v) for v in value)
    return "" if numbers and len(value) == 3 else f"must be three finite numbers, got {value!r}"


_SHARED = ("task", "difficulty", "vehicle", "renderer", "faults", "seed")
_SIMULATOR = {spec.name: spec for spec in simulator.SPECS}

SPECS = (
    *(_SIMULATOR[name] for name in _SHARED),
    replace(_SIMULATOR["sensors"], default=["camera"]),
    Spec("pose", "odometry", "What tells the pose.", choices=tuple(SOURCES)),
    Spec(
        "pose_topic",
        "",
        "Topic of the pose; empty: odom, /fmu/out/vehicle_odometry or /tf.",
        fault=name_or_empty_fault,
    ),
    Spec(
        "pose_stamps",
        MESSAGE,
        "What stamps a pose: message, or arrival where its sender has another clock.",
        choices=(MESSAGE, ARRIVAL),
    ),
    Spec("world_frame", "odom", "Frame of the world in transforms, ENU."),
    Spec("body_frame", "base_link", "Frame of the vehicle in transforms, FLU."),
    Spec(
        "placed",
        AT_START,
        "Where the scene is: at_start, its start where the vehicle begins; fixed, at origin.",
        choices=(AT_START, FIXED),
    ),
    Spec(
        "origin",
        [0.0, 0.0, 0.0],
        "Origin of the scene in the frame of the poses, metres; at_start takes only the floor, z.",
        fault=_origin_fault,
    ),
    Spec("origin_yaw", 0.0, "Heading of the scene's x axis there, rad, in fixed.", (-7.0, 7.0)),
    Spec(
        "begin",
        AIRBORNE,
        "What begins the first flight: airborne, at begin_height; service, a call of ~/begin.",
        choices=(AIRBORNE, SERVICE),
    ),
    Spec("begin_height", 1.0, "Height above the floor for that, metres.", (0.1, 1000.0)),
    Spec(
        "pose_timeout",
        0.5,
        "Longest time between two poses, s; after a longer one a flight is void.",
        (0.05, 10.0),
    ),
    Spec("max_speed", 30.0, "Speed above which the pose has leapt, m/s.", (1.0, 1000.0)),
    EXECUTOR,
    *(spec for spec in simulator.SPECS if spec.name.startswith("fault.")),
)
"""Every parameter of the eyes node except those of its sensors."""

AT_ANY_TIME = ("seed", "fault.")
"""Beginnings of the names of parameters that may change while the node runs."""


@dataclass(frozen=True)
class EyesSettings:
    """Values of all parameters, checked together.

    Attributes:
        values: value of every parameter by name.

    """

    values: Mapping[str, Any]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> EyesSettings:
        """Check the parameters of `SPECS`; those of sensors are checked by `world`.

        Raises:
            ConfigError: on a value out of its range.

        """
        for spec in SPECS:
            spec.check(values[spec.name])
        simulator.check_fault_kind(values["fault.kind"])
        if not values["sensors"]:
            raise ConfigError("sensors must name at least one sensor, such as camera")
        return cls(dict(values))

    def world(self) -> WorldConfig:
        """Make the configuration of the world that the parameters describe.

        Raises:
            SimulationError: on an invalid vehicle, sensor or file of faults.

        """
        values = self.values
        return WorldConfig(
            vehicle=load_vehicle(values["vehicle"]),
            sensors=simulator.fitted(values),
            faults=read_faults(values["faults"]) if values["faults"] else (),
            task=make_task(values["task"], values["difficulty"]),
            renderer=values["renderer"],
        )
