"""A range finder with one beam from the body, downwards by default."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pybullet
from numpy.typing import NDArray

from liquid_nav.events import Channel, RangeSample
from liquid_nav.rotations import from_vector
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.normals import Normals
from liquid_nav_sim.rotation import Vector, rotate, rotation_matrix
from liquid_nav_sim.sensors.model import Mount, SensorContext, SensorModel
from liquid_nav_sim.sensors.timing import SensorTiming
from liquid_nav_sim.vehicle.state import Motion


@dataclass(frozen=True)
class RangeFinderModel(SensorModel):
    """A range finder with a single beam. The defaults are those of a small lidar.

    Attributes:
        min_range, max_range: metres; a nearer object reads minus infinity, a farther object or none
            reads infinity (REP-117).
        noise: standard deviation of the distance, metres.
        noise_ratio: further standard deviation per metre of distance.
        resolution: step of the readings, metres; 0 for no steps.
        mount_position: origin of the beam, metres, body FLU. The beam passes through the vehicle.
        direction: direction of the beam, body FLU, of any length. Down by default.

    Raises:
        SimulationError: on a field out of its range.
    """

    channel: ClassVar[Channel] = Channel.RANGE
    timing: ClassVar[SensorTiming] = SensorTiming(
        rate=50, jitter=0.002, latency=0.01, latency_jitter=0.005, drop=0.02
    )

    min_range: float = 0.1
    max_range: float = 12.0
    noise: float = 0.01
    noise_ratio: float = 0.005
    resolution: float = 0.01
    mount_position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: tuple[float, float, float] = (0.0, 0.0, -1.0)

    def __post_init__(self) -> None:
        for name in ("min_range", "noise", "noise_ratio", "resolution"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise SimulationError(
                    f"RangeFinderModel.{name} must be finite and not negative, got {value!r}"
                )
        if not self.min_range < self.max_range <= 1000:
            raise SimulationError(
                "RangeFinderModel.max_range must be above min_range and at most 1000 m, "
                f"got {self.max_range!r}"
            )
        if len(self.mount_position) != 3 or not all(map(math.isfinite, self.mount_position)):
            raise SimulationError(
                "RangeFinderModel.mount_position must be three finite metres, "
                f"got {self.mount_position!r}"
            )
        if len(self.direction) != 3 or not 0 < math.hypot(*self.direction) < math.inf:
            raise SimulationError(
                "RangeFinderModel.direction must be three finite numbers, not all 0, "
                f"got {self.direction!r}"
            )

    @property
    def beam(self) -> Vector:
        """Unit vector along the beam, body FLU."""
        x, y, z = self.direction
        length = math.hypot(x, y, z)
        return (x / length, y / length, z / length)

    @property
    def limits(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Distance in metres: 0 for too near, `max_range` for too far."""
        return np.zeros(1, np.float32), np.full(1, self.max_range, np.float32)

    def sensor(self, context: SensorContext) -> "RangeFinder":
        """Build the range finder of one flight."""
        return RangeFinder(context.client, self, context.vehicle, context.rng)

    def mount(self, name: str) -> Mount:
        """Pose of a frame whose x axis points along the beam, as in ``sensor_msgs/Range``."""
        x, y, z = self.beam
        # The shortest rotation from x to the beam; about y if they are opposite.
        axis = (-z, y) if math.hypot(y, z) > 0 else (1.0, 0.0)
        share = math.acos(max(-1.0, min(1.0, x))) / math.hypot(*axis)
        turn = from_vector((0.0, share * axis[0], share * axis[1]))
        return Mount(name, self.mount_position, turn)


class RangeFinder:
    """Measures the distance along the beam to the ground or a solid, see `Sensor`.

    Moving solids are hit where they are at the end of the physics step.

    Args:
        client: PyBullet client that holds the bodies.
        model: sensor model.
        vehicle: PyBullet body that carries it.
        rng: random stream of the noise.
    """

    def __init__(
        self, client: int, model: RangeFinderModel, vehicle: int, rng: np.random.Generator
    ) -> None:
        self._client, self._model, self._vehicle = client, model, vehicle
        self._beam = model.beam
        self._normals = Normals(rng, 1)

    def measure(self, motion: Motion, stamp: int, arrival: int | None) -> RangeSample | None:
        """Measure the distance at `stamp` ns."""
        (noise,) = self._normals.row()
        if arrival is None:
            return None
        model, state = self._model, motion.at(stamp)
        attitude = rotation_matrix(state.orientation.tolist())
        ox, oy, oz = rotate(attitude, model.mount_position)
        x, y, z = state.position.tolist()
        distance = self._cast((x + ox, y + oy, z + oz), rotate(attitude, self._beam))
        if math.isfinite(distance):
            distance += noise * math.hypot(model.noise, model.noise_ratio * distance)
            if model.resolution:
                distance = round(distance / model.resolution) * model.resolution
        if distance < model.min_range:
            distance = -math.inf
        elif distance > model.max_range:
            distance = math.inf
        return RangeSample(stamp, arrival, distance)

    def _cast(self, eye: Vector, direction: Vector) -> float:
        """Metres along the beam to the first body other than the vehicle, or infinity."""
        (x, y, z), (dx, dy, dz) = eye, direction
        # Beyond the largest range, because noise can bring a reading back into the range.
        reach, begin = 1.5 * self._model.max_range, 0.0
        while begin < reach:
            ((body, _, share, _, _),) = pybullet.rayTest(
                (x + begin * dx, y + begin * dy, z + begin * dz),
                (x + reach * dx, y + reach * dy, z + reach * dz),
                physicsClientId=self._client,
            )
            if body < 0:
                return math.inf
            begin += float(share) * (reach - begin)
            if body != self._vehicle:
                return begin
            begin += 1e-3  # inside the hull, from where a ray does not hit it
        return math.inf
