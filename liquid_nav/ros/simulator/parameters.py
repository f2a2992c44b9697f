"""Parameters of the simulator node: names, defaults and bounds, and the world they describe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from liquid_nav.errors import ConfigError
from liquid_nav.ros.parameters import EXECUTOR, Spec, name_fault
from liquid_nav_sim.air.wind import WindModel
from liquid_nav_sim.config import FittedSensor, WorldConfig, default_model, fit, sensor_options
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.faults.kinds import Fault, effect_of
from liquid_nav_sim.faults.schedule import read_faults
from liquid_nav_sim.sensors.camera import RENDERERS
from liquid_nav_sim.sensors.model import SENSORS
from liquid_nav_sim.tasks.registry import TASKS, make_task
from liquid_nav_sim.vehicle.autopilot_model import AUTOPILOTS, load_autopilot
from liquid_nav_sim.vehicle.files import load_vehicle

REAL_TIME, LOCK_STEP = "real_time", "lock_step"

SPECS = (
    Spec("task", "target", "What to fly.", choices=tuple(TASKS)),
    Spec("difficulty", 0.5, "How hard the task is.", (0.0, 1.0)),
    Spec("vehicle", "racing_250", "Name of a vehicle, or path of a .toml file of one."),
    Spec("autopilot", "nominal", "How it follows commands.", choices=tuple(AUTOPILOTS)),
    Spec(
        "sensors",
        ["imu", "camera"],
        "Names of the sensors. Each has parameters NAME.model, NAME.rate, NAME.latency, and more.",
    ),
    Spec("renderer", "bullet", "What draws for the cameras.", choices=tuple(RENDERERS)),
    Spec("wind.steady", 1.0, "Largest speed of the steady wind, m/s.", (0.0, 50.0)),
    Spec("wind.gust", 0.3, "Standard deviation of the gusts, m/s.", (0.0, 50.0)),
    Spec("wind.turbulence", 0.0, "Wind at 6 m that sets Dryden turbulence, m/s.", (0.0, 50.0)),
    Spec("faults", "", "Path of a .toml file of faults for every flight; empty: none."),
    replace(EXECUTOR, default="single"),  # Faster than `events` in lock-step.
    Spec("gui", False, "Show PyBullet's window."),
    Spec(
        "pace",
        REAL_TIME,
        "real_time, or lock_step: the world waits for the command after each measurement.",
        choices=(REAL_TIME, LOCK_STEP),
    ),
    Spec("speed", 1.0, "Seconds simulated in one second, in real_time.", (0.01, 100.0)),
    Spec(
        "lock_step_timeout",
        1.0,
        "Wall-clock s to wait for a command in lock_step before flying on without it.",
        (0.05, 3600.0),
    ),
    Spec("wait_for_controller", True, "Begin a flight only once cmd_vel has a publisher."),
    Spec("stamped", True, "Take TwistStamped on cmd_vel; false: Twist, not in lock_step."),
    Spec("command_timeout", 0.5, "Simulated s without a command before hovering.", (0.02, 60.0)),
    Spec("odometry_rate", 50.0, "Hz of the true state on odometry; 0: never.", (0.0, 250.0)),
    Spec("clock_rate", 250.0, "Hz of /clock between measurements, in real_time.", (1.0, 250.0)),
    Spec("auto_reset", False, "Begin the next seed when a flight has ended; false: stand still."),
    Spec("fault.kind", "", "What ~/inject_fault breaks, such as camera_freeze."),
    Spec("fault.sensor", "", "Name of the sensor that breaks; empty: all of its channel."),
    Spec(
        "fault.duration", 0.0, "Simulated s that the fault lasts; 0: until ~/reset.", (0.0, 3600.0)
    ),
    Spec("fault.magnitude", 0.0, "Size of the fault, in the unit of its kind.", (-100.0, 100.0)),
    Spec("fault.rotor", 0, "Rotor that breaks, in PX4's order; 0 is front right.", (0, 3)),
    Spec("seed", 0, "Seed of the flight that ~/reset begins.", (0, 2**31 - 1)),
    Spec("episodes", 0, "Flights after which the node ends; 0: never.", (0, 2**31 - 1)),
)
"""Every parameter of the simulator node except those of its sensors; `specs_of` adds those."""

MODEL = "model"
"""Parameter of each sensor for its kind, a name in `liquid_nav_sim.sensors.model.SENSORS`."""


def specs_of(given: Mapping[str, Any], own: tuple[Spec, ...] = SPECS) -> tuple[Spec, ...]:
    """List every parameter of a node that simulates sensors, with those of the sensors to fit.

    Args:
        given: parameters from the command line and from files, by name.
        own: parameters of the node itself; `sensors` and `vehicle` are among them.

    Raises:
        SimulationError: on a vehicle or a sensor model that does not exist.
        ConfigError: if `sensors` is not a list of names, or a name occurs twice.

    """
    defaults = {spec.name: spec.default for spec in own} | dict(given)
    sensors = defaults["sensors"]
    if not isinstance(sensors, (list, tuple)) or not all(isinstance(n, str) for n in sensors):
        raise ConfigError(f"sensors must be a list of names, got {sensors!r}")
    if len(set(sensors)) < len(sensors):
        raise ConfigError(f"each sensor needs a name of its own, got {', '.join(sensors)}")
    for name in sensors:
        fault = name_fault(name)
        if fault:
            raise ConfigError(f"sensors: the name of a sensor, which names its topic, {fault}")
    vehicle = load_vehicle(defaults["vehicle"])
    specs = list(own)
    for name in sensors:
        kind = given.get(f"{name}.{MODEL}", name)
        model = default_model(kind, vehicle)
        what = f"{type(model).__name__} of the sensor {name}"
        specs.append(Spec(f"{name}.{MODEL}", kind, "Kind of the sensor.", choices=tuple(SENSORS)))
        specs += [
            Spec(f"{name}.{option}", value, f"{option} of the {what}.")
            for option, value in sensor_options(FittedSensor(name, model, model.timing)).items()
        ]
    return tuple(specs)


def fitted(values: Mapping[str, Any]) -> tuple[FittedSensor, ...]:
    """Make the sensors that the parameters of `specs_of` describe.

    Raises:
        SimulationError: on an invalid vehicle or sensor.

    """
    vehicle, sensors = load_vehicle(values["vehicle"]), []
    for name in values["sensors"]:
        options = {
            option.removeprefix(f"{name}."): value
            for option, value in values.items()
            if option.startswith(f"{name}.")
        }
        sensors.append(fit(name, vehicle, options, kind=options.pop(MODEL)))
    return tuple(sensors)


def check_fault_kind(kind: str) -> None:
    """Check the parameter `fault.kind`; it may be empty.

    Raises:
        ConfigError: on a kind of fault that does not exist.

    """
    if kind:
        try:
            effect_of(kind)
        except SimulationError as error:
            raise ConfigError(f"fault.kind: {error}") from error


def fault_of(values: Mapping[str, Any], start: int) -> Fault:
    """Make the fault that the parameters `fault.` describe, from `start` ns on.

    Raises:
        SimulationError: if they do not describe a valid fault.

    """
    kind, duration, magnitude, rotor, sensor = (
        values[f"fault.{name}"] for name in ("kind", "duration", "magnitude", "rotor", "sensor")
    )
    return Fault(kind, start, duration, magnitude, rotor, sensor=sensor)


AT_ANY_TIME = ("seed", "speed", "auto_reset", "command_timeout", "fault.")
"""Beginnings of the names of parameters that may change while the node runs."""


@dataclass(frozen=True)
class SimulatorSettings:
    """Values of all parameters, checked together.

    Attributes:
        values: value of every parameter by name.

    """

    values: Mapping[str, Any]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> SimulatorSettings:
        """Check the parameters of `SPECS` together.

        The parameters `fault.` are checked one by one only, because they are set one by one.

        Raises:
            ConfigError: on a value out of its range, or values that contradict each other.

        """
        for spec in SPECS:
            spec.check(values[spec.name])
        check_fault_kind(values["fault.kind"])
        if values["pace"] == LOCK_STEP and not values["stamped"]:
            raise ConfigError(
                "pace lock_step needs stamped: true, as a command's stamp names its measurement"
            )
        return cls(dict(values))

    def world(self) -> WorldConfig:
        """Make the configuration of the world that the parameters describe.

        Raises:
            SimulationError: on an invalid vehicle, sensor or file of faults.

        """
        values = self.values
        return WorldConfig(
            vehicle=load_vehicle(values["vehicle"]),
            autopilot=load_autopilot(values["autopilot"]),
            sensors=fitted(values),
            wind=WindModel(
                values["wind.steady"], values["wind.gust"], turbulence=values["wind.turbulence"]
            ),
            faults=read_faults(values["faults"]) if values["faults"] else (),
            task=make_task(values["task"], values["difficulty"]),
            renderer=values["renderer"],
        )
