"""An inertial measurement unit: white noise and a wandering bias on the true motion."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.state import VehicleState

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
        self._rng = rng
        self._density = np.repeat((noise.gyro_noise, noise.accel_noise), 3)
        self._walk = np.repeat((noise.gyro_walk, noise.accel_walk), 3)
        turn_on = np.repeat((noise.gyro_turn_on_bias, noise.accel_turn_on_bias), 3)
        self._bias = turn_on * rng.standard_normal(6)

    def measure(
        self, state: VehicleState, dt_since_last: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Sample the motion of `state`.

        Args:
            state: the truth at the time of the sample.
            dt_since_last: seconds since the sample before, or since power-up.

        Returns:
            Angular velocity, rad/s, and specific force, m/s^2, both body FLU, shape (3,).

        Raises:
            SimulationError: on a negative interval.
        """
        if not dt_since_last >= 0:
            raise SimulationError(
                f"seconds since the last IMU sample must not be negative, got {dt_since_last!r}"
            )
        white, step = self._rng.standard_normal((2, 6))
        self._bias = self._bias + self._walk * math.sqrt(dt_since_last) * step
        noise = self._bias + self._density / math.sqrt(max(dt_since_last, SHORTEST_AVERAGE)) * white
        return state.angular_velocity + noise[:3], state.specific_force + noise[3:]
