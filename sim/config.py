"""The configuration of a world: vehicle, air, sensors, faults and task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from liquid_nav.errors import ConfigError
from liquid_nav.events import SECOND, Channel
from liquid_nav_sim.air.wind import WindModel
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.faults.kinds import KINDS, Fault
from liquid_nav_sim.faults.schedule import RandomFaults
from liquid_nav_sim.scenes.appearance import family_of
from liquid_nav_sim.sensors.camera import check_renderer
from liquid_nav_sim.sensors.event_camera import EventCameraModel
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.sensors.imu_models import PX4_DEFAULT
from liquid_nav_sim.sensors.model import SENSORS, SensorModel
from liquid_nav_sim.sensors.timing import SensorTiming
from liquid_nav_sim.tasks.base import Task
from liquid_nav_sim.tasks.target import TargetTask
from liquid_nav_sim.toml_files import is_number
from liquid_nav_sim.vehicle.airframe import VehicleParameters
from liquid_nav_sim.vehicle.autopilot_model import NOMINAL, AutopilotModel
from liquid_nav_sim.vehicle.files import QUAD_250
from liquid_nav_sim.vehicle.randomisation import VehicleRandomisation

NOSE_CAMERA = CameraModel.for_vehicle(QUAD_250)
"""The default camera."""

NOSE_EVENT_CAMERA = EventCameraModel(NOSE_CAMERA)
"""The event camera in the same place."""

_TAKEN = ("scene", "wind", "vehicle", "faults", "random_faults")
"""Random streams that belong to no sensor, whose names no sensor may have."""


@dataclass(frozen=True)
class FittedSensor:
    """A sensor of a vehicle.

    Attributes:
        name: unique name, a Python identifier. Its random streams, its topic and its observation
            have the same name.
        model: model of its measurements.
        timing: its clock and link.

    Raises:
        SimulationError: on a field of the wrong type, or a name that is reserved.
    """

    name: str
    model: SensorModel
    timing: SensorTiming

    def __post_init__(self) -> None:
        name = self.name
        if not (isinstance(name, str) and name.isidentifier()):
            raise SimulationError(
                f"FittedSensor.name must be a word of letters, digits and _, got {name!r}"
            )
        if name in _TAKEN or name.endswith("_clock"):
            raise SimulationError(
                f"FittedSensor.name must not be {', '.join(_TAKEN)} nor end with _clock, got "
                f"{name!r}: a random stream of the world has that name"
            )
        if not isinstance(self.model, SensorModel):
            raise SimulationError(f"FittedSensor.model must be a SensorModel, got {self.model!r}")
        if not isinstance(self.timing, SensorTiming):
            raise SimulationError(
                f"FittedSensor.timing must be a SensorTiming, got {self.timing!r}"
            )


@dataclass(frozen=True)
class WorldConfig:
    """Configuration of a world, the same for all its flights.

    Attributes:
        vehicle: parameters of the quadrotor that its autopilot assumes.
        autopilot: how the autopilot treats its setpoints; see
            `liquid_nav_sim.vehicle.autopilot_model`.
        randomisation: how far the parameters of a flight may differ from those.
        sensors: fitted sensors; by default an IMU and a camera at the nose. `with_sensor` and
            `without` change the selection.
        wind: the wind.
        faults: faults of every flight; see `liquid_nav_sim.faults.schedule.read_faults`.
        random_faults: distribution of faults that are drawn for each flight; None for none.
        appearance: family of appearances of the scenes, see
            `liquid_nav_sim.scenes.appearance.family_of`.
        task: the task, which draws the scenes; see `liquid_nav_sim.tasks.registry.TASKS`.
        renderer: renderer of the cameras, see `liquid_nav_sim.sensors.camera.RENDERERS`.
        step: physics step, ns.

    Raises:
        SimulationError: on a field out of its range.
    """

    vehicle: VehicleParameters = QUAD_250
    randomisation: VehicleRandomisation = field(default_factory=VehicleRandomisation)
    sensors: tuple[FittedSensor, ...] = (
        FittedSensor("imu", PX4_DEFAULT, PX4_DEFAULT.timing),
        FittedSensor("camera", NOSE_CAMERA, NOSE_CAMERA.timing),
    )
    wind: WindModel = field(default_factory=WindModel)
    faults: tuple[Fault, ...] = ()
    random_faults: RandomFaults | None = None
    appearance: str = "train"
    task: Task = field(default_factory=TargetTask)
    renderer: str = "bullet"
    step: int = SECOND // 250
    autopilot: AutopilotModel = NOMINAL

    def __post_init__(self) -> None:
        self._check_types()
        self.randomisation.check(self.vehicle)
        if not all(isinstance(sensor, FittedSensor) for sensor in self.sensors):
            raise SimulationError(
                f"WorldConfig.sensors must be FittedSensors, got {self.sensors!r}"
            )
        names = [sensor.name for sensor in self.sensors]
        if len(set(names)) < len(names):
            raise SimulationError(
                f"WorldConfig.sensors must have different names, got {', '.join(names)}"
            )
        try:
            family_of(self.appearance)
        except SimulationError as error:
            raise SimulationError(f"WorldConfig.appearance {self.appearance!r}: {error}") from error
        check_renderer("WorldConfig.renderer", self.renderer)
        if not all(isinstance(fault, Fault) for fault in self.faults):
            raise SimulationError(f"WorldConfig.faults must be Faults, got {self.faults!r}")
        for fault in self.faults:
            self.check_fault(fault)
        if not (isinstance(self.step, int) and SECOND // 10_000 <= self.step <= SECOND // 50):
            raise SimulationError(
                "WorldConfig.step must be a whole number of ns in [100000, 20000000], "
                f"0.1 to 20 ms, got {self.step!r}"
            )

    def _check_types(self) -> None:
        """Raise SimulationError if a field is of another type than its annotation says."""
        advice = ""
        if isinstance(self.vehicle, (str, Path)):
            advice = f"; liquid_nav_sim.vehicle.files.load_vehicle({str(self.vehicle)!r}) reads one"
        for name, kind in (
            ("vehicle", VehicleParameters),
            ("autopilot", AutopilotModel),
            ("randomisation", VehicleRandomisation),
            ("wind", WindModel),
            ("appearance", str),
            ("task", Task),
            ("random_faults", RandomFaults),
            ("sensors", Sequence),
            ("faults", Sequence),
        ):
            value = getattr(self, name)
            if not isinstance(value, kind) and (name, value) != ("random_faults", None):
                raise SimulationError(
                    f"WorldConfig.{name} must be a {kind.__name__}, got {value!r}{advice}"
                )
            advice = ""

    def sensor(self, name: str) -> FittedSensor:
        """Return the fitted sensor of a name.

        Raises:
            SimulationError: if no sensor of that name is fitted.
        """
        for sensor in self.sensors:
            if sensor.name == name:
                return sensor
        fitted = ", ".join(sensor.name for sensor in self.sensors)
        raise SimulationError(f"there is no sensor {name!r}; fitted are {fitted or 'none'}")

    def with_sensor(
        self, name: str, model: SensorModel | None = None, timing: SensorTiming | None = None
    ) -> "WorldConfig":
        """Fit a sensor, or change the fitted one of that name.

        Args:
            name: name of the sensor.
            model: its model. None keeps the model of a fitted sensor; a new sensor gets the default
                model of that name in `SENSORS`.
            timing: its clock and link. None keeps those of a fitted sensor; a new sensor gets those
                of the model.

        Raises:
            SimulationError: on a name that is neither fitted nor in `SENSORS`, if no model is
                given.
        """
        fitted = {sensor.name: sensor for sensor in self.sensors}
        if name in fitted:
            old = fitted[name]
            fitted[name] = FittedSensor(name, model or old.model, timing or old.timing)
        else:
            model = model or default_model(name, self.vehicle)
            fitted[name] = FittedSensor(name, model, timing or model.timing)
        return replace(self, sensors=tuple(fitted.values()))

    def with_vehicle(self, vehicle: VehicleParameters) -> "WorldConfig":
        """Fly another vehicle; what sits at its usual place on the present one moves there too."""
        sensors = (replace(s, model=_moved(s.model, self.vehicle, vehicle)) for s in self.sensors)
        return replace(self, vehicle=vehicle, sensors=tuple(sensors))

    def without(self, *names: str) -> "WorldConfig":
        """Remove sensors; names that are not fitted are ignored."""
        return replace(self, sensors=tuple(s for s in self.sensors if s.name not in names))

    def with_channel(self, channel: Channel) -> "WorldConfig":
        """Fit the default sensor of a channel, unless a sensor of that channel is fitted.

        A channel without any kind of sensor, such as the goal, changes nothing.
        """
        if any(sensor.model.channel == channel for sensor in self.sensors):
            return self
        kinds = (name for name in SENSORS if SENSORS.get(name).channel == channel)
        kind = next(kinds, None)
        return self if kind is None else self.with_sensor(kind)

    def check_fault(self, fault: Fault) -> None:
        """Check that a fault can act on a sensor of this world, or on the vehicle.

        Raises:
            SimulationError: if no sensor has the name that the fault gives, or no kind of sensor
                has its channel.
        """
        if fault.sensor:
            sensor = self.sensor(fault.sensor)
            if not fault.breaks(sensor.name, sensor.model.channel.value):
                raise SimulationError(
                    f"the fault {fault.kind} does not act on the sensor {sensor.name!r}, whose "
                    f"channel is {sensor.model.channel.value}"
                )
        if fault.kind in KINDS:
            return
        channels = {sensor.model.channel.value for sensor in self.sensors}
        channels |= {SENSORS.get(name).channel.value for name in SENSORS}
        if not any(fault.breaks(fault.sensor, channel) for channel in channels):
            raise SimulationError(
                f"the fault {fault.kind} breaks no sensor: the channels of sensors are "
                f"{', '.join(sorted(channels))}"
            )


def default_model(kind: str, vehicle: VehicleParameters) -> SensorModel:
    """Make the default model of a kind of sensor for a vehicle.

    Args:
        kind: a name in `SENSORS`.
        vehicle: vehicle that carries it.

    Raises:
        SimulationError: on an unknown kind.
    """
    try:
        return SENSORS.get(kind).for_vehicle(vehicle)
    except ConfigError as error:
        raise SimulationError(str(error)) from error


def _moved(model: SensorModel, old: VehicleParameters, new: VehicleParameters) -> SensorModel:
    """The model of a sensor after its move from the usual place on one vehicle to another's."""
    usual, place = type(model).for_vehicle(old), getattr(model, "mount_position", None)
    if model == usual:
        return type(model).for_vehicle(new)
    if place is None or place != getattr(usual, "mount_position", None):
        return model
    position = getattr(type(model).for_vehicle(new), "mount_position", place)
    moved: SensorModel = replace(model, mount_position=position)  # type: ignore[type-var]
    return moved


TIMING_FIELDS = tuple(f.name for f in fields(SensorTiming))
"""Options of the clock and link, which every sensor has."""


def sensor_options(sensor: FittedSensor) -> dict[str, Any]:
    """List the options of a sensor: numbers, flags, words and lists of numbers.

    Returns:
        Current values by name: the fields of `SensorTiming`, then those of the model.
    """
    options: dict[str, Any] = {n: float(getattr(sensor.timing, n)) for n in TIMING_FIELDS}
    for f in fields(sensor.model):  # type: ignore[arg-type]
        value = getattr(sensor.model, f.name)
        if isinstance(value, tuple) and all(isinstance(v, (int, float)) for v in value):
            options[f.name] = list(map(float, value))
        elif f.type in (float, "float"):
            options[f.name] = float(value)
        elif isinstance(value, (bool, int, str)):
            options[f.name] = value
    return options


def fit(
    name: str, vehicle: VehicleParameters, options: Mapping[str, Any], kind: str = ""
) -> FittedSensor:
    """Make a sensor from options, such as those of a command line or a parameter file.

    Args:
        name: name of the sensor.
        vehicle: vehicle that carries it.
        options: values by name, see `sensor_options`; the others keep their defaults.
        kind: a name in `SENSORS`; if empty, the name of the sensor.

    Raises:
        SimulationError: on an unknown kind, an unknown option, or a value of the wrong type or out
            of its range.
    """
    model = default_model(kind or name, vehicle)
    present = sensor_options(FittedSensor(name, model, model.timing))
    given = {}
    for option, value in options.items():
        if option not in present:
            raise SimulationError(
                f"sensor {name!r} has no option {option!r}; choose from {', '.join(present)}"
            )
        given[option] = _like(present[option], value, f"option {option} of sensor {name!r}")
    timing = {option: value for option, value in given.items() if option in TIMING_FIELDS}
    rest = {option: value for option, value in given.items() if option not in TIMING_FIELDS}
    try:
        return FittedSensor(
            name,
            replace(model, **rest),  # type: ignore[type-var]
            replace(model.timing, **timing),
        )
    except SimulationError as error:
        raise SimulationError(f"sensor {name!r}: {error}") from error


def _like(example: Any, value: Any, what: str) -> Any:
    """Convert a value to the type of an example: numbers to float, lists to tuples."""
    if isinstance(example, list):
        if (
            isinstance(value, (list, tuple))
            and len(value) == len(example)
            and all(map(is_number, value))
        ):
            return tuple(map(float, value))
        raise SimulationError(f"{what} must be {len(example)} numbers, got {value!r}")
    if isinstance(example, float) and is_number(value):
        return float(value)
    if type(value) is not type(example):
        raise SimulationError(
            f"{what} must be of type {type(example).__name__}, as {example!r} is, got {value!r}"
        )
    return value
