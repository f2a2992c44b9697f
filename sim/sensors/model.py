"""The interface of sensors: a model, from which each flight builds a source of events.

To add a sensor, derive a frozen dataclass from `SensorModel`, and name it in an entry point of the
group ``liquid_nav.sensors``.
"""

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from liquid_nav.events import Channel, Event
from liquid_nav.registry import Registry
from liquid_nav_sim.scenes.bodies import SceneBodies
from liquid_nav_sim.scenes.scene import Scene
from liquid_nav_sim.sensors.clock import SensorClock
from liquid_nav_sim.sensors.shutter import Stage
from liquid_nav_sim.sensors.sources import Sampler, Sensor, Source
from liquid_nav_sim.sensors.timing import SensorTiming
from liquid_nav_sim.streams import Streams
from liquid_nav_sim.vehicle.airframe import VehicleParameters
from liquid_nav_sim.vehicle.state import VehicleState

SENSORS: Registry[type["SensorModel"]] = Registry(
    "liquid_nav.sensors",
    "sensor",
    {
        "imu": "liquid_nav_sim.sensors.imu_models:ImuModel",
        "camera": "liquid_nav_sim.sensors.frames:CameraModel",
        "event_camera": "liquid_nav_sim.sensors.event_camera:EventCameraModel",
        "range_finder": "liquid_nav_sim.sensors.range_finder:RangeFinderModel",
        "odometry": "liquid_nav_sim.sensors.odometry:OdometryModel",
    },
)
"""Models of sensors by name; entry points of the group ``liquid_nav.sensors`` add to them."""


@dataclass(frozen=True)
class SensorContext:
    """The parts of a world that a sensor needs at the start of a flight.

    Attributes:
        name: name of the sensor in this world.
        timing: its clock and link.
        streams: random streams of the flight; `rng` and `clock` use the streams of this sensor.
        client: PyBullet client that holds the bodies.
        vehicle: PyBullet body that carries the sensor.
        scene: scene of the flight.
        bodies: PyBullet bodies of the scene.
        renderer: name of the renderer of cameras, see `liquid_nav_sim.sensors.camera.RENDERERS`.
        start: true state at the start of the flight.
        hover_speed: speed of the vehicle's rotors in hover, rad/s.
        stage: moves the scene's moving bodies to a time, ns, and returns the next goal of the task
            at that time, metres, world ENU, shape (3,).
        views: filled by a camera with the `liquid_nav_sim.sensors.frames.View` of each frame; a
            view is forgotten with its frame.
    """

    name: str
    timing: SensorTiming
    streams: Streams
    client: int
    vehicle: int
    scene: Scene
    bodies: SceneBodies
    renderer: str
    start: VehicleState
    hover_speed: float
    stage: Stage
    views: MutableMapping[Event, Any] = field(default_factory=WeakKeyDictionary)

    @property
    def rng(self) -> np.random.Generator:
        """Random stream of the sensor."""
        return self.streams[self.name]

    def clock(self) -> SensorClock:
        """Start the clock of the sensor, which has a random stream of its own."""
        return SensorClock(self.timing, self.streams[f"{self.name}_clock"])


@dataclass(frozen=True)
class Mount:
    """The pose of a sensor on the body.

    Attributes:
        frame: name of the sensor's frame in messages and recordings.
        position: metres, body FLU, (3,).
        orientation: unit quaternion x, y, z, w, sensor's frame to body FLU, (4,).
    """

    frame: str
    position: tuple[float, float, float]
    orientation: tuple[float, float, float, float]


class SensorModel:
    """Configuration of a sensor, shared by all flights.

    A sensor that measures in an instant implements `sensor`. One that takes longer, as a camera
    does, implements `source` instead.

    Attributes:
        channel: channel of its events.
        timing: its default clock and link.
    """

    channel: ClassVar[Channel]
    timing: ClassVar[SensorTiming]

    @classmethod
    def for_vehicle(cls, vehicle: VehicleParameters) -> "SensorModel":
        """Make the default model of this kind for a vehicle, mounted at a suitable place."""
        return cls()

    def sensor(self, context: SensorContext) -> Sensor:
        """Build the sensor of one flight, which measures in an instant."""
        raise NotImplementedError(f"{type(self).__name__} needs a method sensor() or source()")

    def source(self, context: SensorContext) -> Source:
        """Build the source of events of one flight."""
        return Sampler(context.clock(), self.sensor(context))

    def mount(self, name: str) -> Mount | None:
        """Pose on the body of the sensor of that name; None if the model has none."""
        return None

    @property
    def limits(self) -> tuple[Any, Any] | None:
        """Lowest and highest `values`, arrays of shape (N,); None for no observation.

        Observations of Gymnasium clip the values to the limits.
        """
        return None

    def values(self, events: Sequence[Event]) -> NDArray[np.float64]:
        """Summarise the measurements of one control period in a vector.

        Args:
            events: events of this sensor, in the order of their arrival, at least one.

        Returns:
            The numbers of all fields of the newest event, concatenated, shape (N,).
        """
        newest, times = events[-1], {f.name for f in fields(Event)}
        return np.concatenate(
            [
                np.ravel(np.asarray(getattr(newest, f.name), dtype=np.float64))
                for f in fields(newest)
                if f.name not in times
            ]
        )
