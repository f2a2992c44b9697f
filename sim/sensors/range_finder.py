"""A range finder that looks down from the body."""

import math
from dataclasses import dataclass

import numpy as np
import pybullet

from liquid_nav.events import RangeSample
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.normals import Normals
from liquid_nav_sim.rotation import Vector, rotate, rotation_matrix
from liquid_nav_sim.vehicle.state import Motion


@dataclass(frozen=True)
class RangeFinderModel:
    """A single beam along the body's -z axis. The defaults are of the class of a small lidar.

    Attributes:
        min_range, max_range: metres; what is nearer reads minus infinity and what is farther, or
            nothing at all, infinity (REP-117).
        noise: standard deviation of the distance, metres.
        noise_ratio: further standard deviation per metre of distance.
        resolution: step of the readings, metres; 0 for none.
        mount_position: where the beam leaves, metres, body FLU. The vehicle does not see itself.

    Raises:
        SimulationError: on a field out of its range.
    """

    min_range: float = 0.1
    max_range: float = 12.0
    noise: float = 0.01
    noise_ratio: float = 0.005
    resolution: float = 0.01
    mount_position: tuple[float, float, float] = (0.0, 0.0, 0.0)

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


class RangeFinder:
    """Measures how far the beam goes until it hits the ground or a solid, see `Sensor`.

    Solids that move are taken where they are at the end of the physics step.

    Args:
        client: PyBullet client that holds the bodies.
        model: sensor model.
        vehicle: the body that carries it.
        rng: source of the noise.
    """

    def __init__(
        self, client: int, model: RangeFinderModel, vehicle: int, rng: np.random.Generator
    ) -> None:
        self._client, self._model, self._vehicle = client, model, vehicle
        self._normals = Normals(rng, 1)

    def measure(self, motion: Motion, stamp: int, arrival: int | None) -> RangeSample | None:
        """Sample the distance at `stamp` ns."""
        (noise,) = self._normals.row()
        if arrival is None:
            return None
        model, state = self._model, motion.at(stamp)
        attitude = rotation_matrix(state.orientation.tolist())
        ox, oy, oz = rotate(attitude, model.mount_position)
        x, y, z = state.position.tolist()
        distance = self._cast((x + ox, y + oy, z + oz), rotate(attitude, (0.0, 0.0, -1.0)))
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
        """Metres along the beam to the first body but the vehicle, or infinity."""
        (x, y, z), (dx, dy, dz) = eye, direction
        # Farther than the sensor sees, for noise brings some of that within its range.
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
            begin += 1e-3  # into the hull: a ray from within does not hit it
        return math.inf
