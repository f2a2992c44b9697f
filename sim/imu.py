"""An inertial measurement unit: white noise and a wandering bias on the true motion."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul

import numpy as np

from liquid_nav.events import SECOND, ImuSample
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.state import Motion
from liquid_nav_sim.streams import Normals

SHORTEST_AVERAGE = 0.001
"""Seconds; below this interval between samples the noise no longer grows.

White noise over a vanishing interval is unbounded; a real sensor's filter bounds it.
"""


@dataclass(frozen=True)
class ImuNoise:
    """Noise of an IMU in the terms of Kalibr, the same on each axis.

    Attributes:
        gyro_noise: white noise density of the gyroscope, rad/s/sqrt(Hz).
        gyro_walk: random walk of its bias, rad/s^2/sqrt(Hz).
        gyro_turn_on_bias: standard deviation of its bias at power-up, rad/s.
        accel_noise: white noise density of the accelerometer, m/s^2/sqrt(Hz).
        accel_walk: random walk of its bias, m/s^3/sqrt(Hz).
        accel_turn_on_bias: standard deviation of its bias at power-up, m/s^2.

    Raises:
        SimulationError: on a value that is negative or not finite.
    """

    gyro_noise: float = 0.0
    gyro_walk: float = 0.0
    gyro_turn_on_bias: float = 0.0
    accel_noise: float = 0.0
    accel_walk: float = 0.0
    accel_turn_on_bias: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value < math.inf:
                raise SimulationError(
                    f"ImuNoise.{name} must be finite and not negative, got {value!r}"
                )


NOISELESS = ImuNoise()
"""An ideal IMU."""

PX4_DEFAULT = ImuNoise(
    gyro_noise=3.394e-4,
    gyro_walk=3.879e-5,
    gyro_turn_on_bias=math.radians(0.5),
    accel_noise=4.0e-3,
    accel_walk=6.0e-3,
    accel_turn_on_bias=0.196,
)
"""Defaults of the IMU plugin in PX4's Gazebo Classic simulation."""

ADIS16448 = ImuNoise(
    gyro_noise=1.6968e-4, gyro_walk=1.9393e-5, accel_noise=2.0e-3, accel_walk=3.0e-3
)
"""The IMU of the EuRoC recordings, from their calibration file, which gives no turn-on bias."""

BMI088 = ImuNoise(
    gyro_noise=2.443e-4,
    gyro_turn_on_bias=math.radians(1.0),
    accel_noise=1.9e-3,
    accel_turn_on_bias=0.196,
)
"""Bosch BMI088 from its data sheet, which gives no bias walk; the z axis stands for all three."""


class Imu:
    """One IMU at the centre of mass, its axes those of the body, from power-up on.

    Noise is discretised as in Kalibr: over an interval dt, white noise has the standard deviation
    density / sqrt(dt), and the bias steps by walk * sqrt(dt), so that the statistics do not depend
    on the rate.

    Args:
        noise: sensor model.
        rng: source of turn-on bias and noise.
    """

    def __init__(self, noise: ImuNoise, rng: np.random.Generator) -> None:
        def axes(gyro: float, accel: float) -> list[float]:
            return [gyro] * 3 + [accel] * 3

        self._density = axes(noise.gyro_noise, noise.accel_noise)
        self._walk = axes(noise.gyro_walk, noise.accel_walk)
        turn_on = axes(noise.gyro_turn_on_bias, noise.accel_turn_on_bias)
        self._bias = list(map(mul, turn_on, rng.standard_normal(6).tolist()))
        self._normals = Normals(rng, 12)
        self._stamp = 0

    def measure(self, motion: Motion, stamp: int, arrival: int | None) -> ImuSample | None:
        """Sample the motion at `stamp` ns; power-up was at 0. See `Sensor`."""
        share = motion.share(stamp)
        rest, before, after = 1 - share, motion.before, motion.after
        rates = [
            rest * start + share * end
            for start, end in zip(
                before.angular_velocity.tolist(), after.angular_velocity.tolist(), strict=True
            )
        ]
        reading = self.read(rates + after.specific_force.tolist(), (stamp - self._stamp) / SECOND)
        self._stamp = stamp
        if arrival is None:
            return None
        return ImuSample(stamp, arrival, np.array(reading[:3]), np.array(reading[3:]))

    def read(self, truth: Sequence[float], dt: float) -> list[float]:
        """Add the errors of the next sample.

        Args:
            truth: angular velocity, rad/s, then specific force, m/s^2, body FLU, shape (6,).
            dt: seconds since the sample before, or since power-up.

        Returns:
            What the sensor reads, likewise.

        Raises:
            SimulationError: on a negative interval.
        """
        if not dt >= 0:
            raise SimulationError(
                f"seconds since the last IMU sample must not be negative, got {dt!r}"
            )
        normals = self._normals.row()
        root, bandwidth = math.sqrt(dt), 1 / math.sqrt(max(dt, SHORTEST_AVERAGE))
        self._bias = bias = [
            b + walk * root * step
            for b, walk, step in zip(self._bias, self._walk, normals[6:], strict=True)
        ]
        return [
            true + (b + density * bandwidth * white)
            for true, b, density, white in zip(truth, bias, self._density, normals, strict=False)
        ]
