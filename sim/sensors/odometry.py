"""Odometry like that of visual-inertial estimators: smooth, with growing drift."""

import math
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from liquid_nav.events import SECOND, Channel, Odometry
from liquid_nav.rotations import compose, from_vector
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.normals import Normals
from liquid_nav_sim.rotation import Quaternion, rotate_back, rotation_matrix
from liquid_nav_sim.sensors.model import SensorContext, SensorModel
from liquid_nav_sim.sensors.timing import SensorTiming
from liquid_nav_sim.vehicle.state import Motion, VehicleState


@dataclass(frozen=True)
class OdometryModel(SensorModel):
    """Drift and noise of an estimate of pose and velocity that starts at the true pose.

    Attributes:
        position_noise: standard deviation of each axis, metres.
        orientation_noise: standard deviation of the rotation about each axis, radians.
        velocity_noise: standard deviation of each axis, m/s.
        rate_noise: standard deviation of each axis of the angular velocity, rad/s.
        position_drift: random walk of each axis of the position over the distance flown, m/sqrt(m).
        yaw_drift: random walk of the heading over time, rad/sqrt(s); motion is added to the
            position along the wrong heading.
        scale: standard deviation of the relative error of all distances, drawn once per flight;
            0.01 for 1 %.

    Raises:
        SimulationError: on a value that is negative or not finite.
    """

    channel: ClassVar[Channel] = Channel.ODOMETRY
    timing: ClassVar[SensorTiming] = SensorTiming(
        rate=30, jitter=0.002, latency=0.02, latency_jitter=0.01, drop=0.02
    )

    position_noise: float = 0.01
    orientation_noise: float = 0.005
    velocity_noise: float = 0.03
    rate_noise: float = 0.005
    position_drift: float = 0.02
    yaw_drift: float = 0.002
    scale: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 <= value < math.inf:
                raise SimulationError(
                    f"OdometryModel.{field.name} must be finite and not negative, got {value!r}"
                )

    @property
    def limits(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Limits of position, m, quaternion, and linear and angular velocity, m/s, rad/s, (13,)."""
        high = np.array([1000.0] * 3 + [1.0] * 4 + [50.0] * 3 + [35.0] * 3, np.float32)
        return -high, high

    def sensor(self, context: SensorContext) -> "Odometer":
        """Build the estimator of one flight, which starts at the true pose."""
        return Odometer(self, context.start, context.rng)


class Odometer:
    """One estimator in one flight, see `Sensor`.

    Args:
        model: drift and noise.
        start: true state at the start of the flight.
        rng: random stream of drift and noise.
    """

    def __init__(self, model: OdometryModel, start: VehicleState, rng: np.random.Generator) -> None:
        self._model = model
        self._scale = 1 + model.scale * float(rng.standard_normal())
        self._normals = Normals(rng, 16)
        self._true = self._position = start.position
        self._yaw_error = 0.0
        self._stamp = 0

    def measure(self, motion: Motion, stamp: int, arrival: int | None) -> Odometry | None:
        """Estimate the state at `stamp` ns; the drift goes on even if the estimate is lost."""
        model, state = self._model, motion.at(stamp)
        normals = np.array(self._normals.row())
        drift, place, turn, speed, rates = np.split(normals[:15], 5)
        flown = state.position - self._true
        c, s = math.cos(self._yaw_error), math.sin(self._yaw_error)
        x, y, z = (self._scale * flown).tolist()
        walk = model.position_drift * math.sqrt(math.sqrt(float(flown @ flown)))
        self._position = self._position + (c * x - s * y, s * x + c * y, z) + walk * drift
        elapsed = (stamp - self._stamp) / SECOND
        self._yaw_error += model.yaw_drift * math.sqrt(elapsed) * float(normals[15])
        self._true, self._stamp = state.position, stamp
        if arrival is None:
            return None
        half = self._yaw_error / 2
        heading = (0.0, 0.0, math.sin(half), math.cos(half))
        true: Quaternion = tuple(state.orientation.tolist())
        small = from_vector((model.orientation_noise * turn).tolist())
        attitude = rotation_matrix(true)
        velocity = rotate_back(attitude, state.linear_velocity.tolist())
        return Odometry(
            stamp,
            arrival,
            position=self._position + model.position_noise * place,
            orientation=np.array(compose(compose(heading, true), small)),
            linear_velocity=self._scale * np.array(velocity) + model.velocity_noise * speed,
            angular_velocity=state.angular_velocity + model.rate_noise * rates,
        )
