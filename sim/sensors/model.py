"""What a sensor is to a world: a model from which each flight builds the source of its events.

A sensor of your own is a frozen dataclass that derives from `SensorModel`, and an entry point of
the group ``liquid_nav.sensors`` that names it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

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
    """What a sensor is built from at the start of a flight.

    Attributes:
        name: name of the sensor in this world.
        timing: its clock and link.
        streams: random streams of the flight; `rng` and `clock` are this sensor's own.
        client: PyBullet client that holds the bodies.
        vehicle: PyBullet body that carries the sensor.
        scene: what the vehicle flies in.
        bodies: PyBullet bodies of the scene.
        renderer: name of what draws for cameras, see `liquid_nav_sim.sensors.camera.RENDERERS`.
        start: true state at the start of the flight.
        stage: puts what moves in the scene where it is at a time, ns, and gives where the task
            leads then, metres, world ENU, shape (3,).
        views: filled by a camera: what was true at the stamp, ns, of each frame, see
            `liquid_nav_sim.sensors.frames.View`.
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
    stage: Stage
    views: dict[int, Any] = field(default_factory=dict)

    @property
    def rng(self) -> np.random.Generator:
        """Random stream of what the sensor draws."""
        return self.streams[self.name]

    def clock(self) -> SensorClock:
        """Start the clock of the sensor, which draws from a stream of its own."""
        return SensorClock(self.timing, self.streams[f"{self.name}_clock"])


@dataclass(frozen=True)
class Mount:
    """Where a sensor sits on the body.

    Attributes:
        frame: name of the sensor's frame in messages and recordings.
        position: metres, body FLU, (3,).
        orientation: unit quaternion x, y, z, w that rotates the sensor's frame into body FLU, (4,).
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
        timing: clock and link that it has where nothing else is said.
    """

    channel: ClassVar[Channel]
    timing: ClassVar[SensorTiming]

    @classmethod
    def for_vehicle(cls, vehicle: VehicleParameters) -> "SensorModel":
        """Make the default model of this kind for a vehicle, mounted where it does its work."""
        return cls()

    def sensor(self, context: SensorContext) -> Sensor:
        """Build what measures in an instant, for one flight."""
        raise NotImplementedError(f"{type(self).__name__} needs a method sensor() or source()")

    def source(self, context: SensorContext) -> Source:
        """Build the source of events, for one flight."""
        return Sampler(context.clock(), self.sensor(context))

    def mount(self, name: str) -> Mount | None:
        """Give the place on the body of the sensor of that name; None where it has none."""
        return None

    @property
    def limits(self) -> tuple[Any, Any] | None:
        """Lowest and highest `values`, arrays of shape (N,); None to stay out of observations.

        Gymnasium's observations clip the values to these.
        """
        return None

    def values(self, events: Sequence[Event]) -> NDArray[np.float64]:
        """Sum up the measurements of one control period as a vector.

        Args:
            events: of this sensor, in the order of their arrival, at least one.

        Returns:
            The numbers of the newest event, one field after the other, shape (N,).
        """
        newest, times = events[-1], {f.name for f in fields(Event)}
        return np.concatenate(
            [
                np.ravel(np.asarray(getattr(newest, f.name), dtype=np.float64))
                for f in fields(newest)
                if f.name not in times
            ]
        )
