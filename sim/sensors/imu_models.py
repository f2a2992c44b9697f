"""Sensor model of inertial measurement units, with the parameters of real ones."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from liquid_nav.events import Channel
from liquid_nav_sim.sensors.imu import FilteredImu, Imu
from liquid_nav_sim.sensors.imu_parameters import ImuParameters
from liquid_nav_sim.sensors.model import SensorContext, SensorModel
from liquid_nav_sim.sensors.sources import Sampler, Source
from liquid_nav_sim.sensors.timing import SensorTiming
from liquid_nav_sim.sensors.vibration import Vibration
from liquid_nav_sim.vehicle.state import GRAVITY

IMU_RANGE = np.array([math.radians(2000)] * 3 + [16 * GRAVITY] * 3, dtype=np.float32)
"""Full scale of an IMU in observations: rad/s about three axes, then m/s^2 along three."""


@dataclass(frozen=True)
class ImuModel(ImuParameters, SensorModel):
    """Sensor model of an IMU; see `ImuParameters` for its fields."""

    channel: ClassVar[Channel] = Channel.IMU
    timing: ClassVar[SensorTiming] = SensorTiming(
        rate=200, jitter=0.0003, latency=0.001, latency_jitter=0.0005, drop=0.005
    )

    @classmethod
    def for_vehicle(cls, vehicle: Any) -> "ImuModel":
        """Make the IMU of PX4's simulation, the same for every vehicle."""
        return PX4_DEFAULT

    @property
    def limits(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Full scale in observations, see `IMU_RANGE`."""
        return -IMU_RANGE, IMU_RANGE

    def values(self, events: Sequence[Any]) -> NDArray[np.float64]:
        """Mean of the samples: angular velocity, rad/s, and specific force, m/s^2, shape (6,)."""
        readings = np.array([(e.angular_velocity, e.specific_force) for e in events])
        return np.asarray(readings.mean(axis=0).ravel())

    def source(self, context: SensorContext) -> Source:
        """Build the IMU of one flight, at power-up."""
        streams = context.streams
        vibration = Vibration(self, context.hover_speed, streams[f"{context.name}_vibration"])
        clock = context.clock()
        if not self.filter_cutoff:
            return Sampler(clock, Imu(self, context.rng, vibration))
        return FilteredImu(self, clock, context.rng, streams[f"{context.name}_filter"], vibration)


NOISELESS = ImuModel()
"""An ideal IMU at the centre of mass."""

PX4_DEFAULT = ImuModel(
    gyro_noise=3.394e-4,
    gyro_walk=3.879e-5,
    gyro_turn_on_bias=math.radians(0.5),
    accel_noise=4.0e-3,
    accel_walk=6.0e-3,
    accel_turn_on_bias=0.196,
)
"""Defaults of the IMU plugin in PX4's Gazebo Classic simulation."""

ADIS16448 = ImuModel(
    gyro_noise=1.6968e-4,
    gyro_walk=1.9393e-5,
    accel_noise=2.0e-3,
    accel_walk=3.0e-3,
    gyro_range=math.radians(1000),
    accel_range=18 * GRAVITY,
    gyro_resolution=math.radians(0.04),
    accel_resolution=0.833e-3 * GRAVITY,
)
"""The IMU of the EuRoC recordings: noise from their calibration file, which gives no turn-on bias;
full scale from the data sheet of Analog Devices, resolution also as in Linux's adis16400 driver."""

BMI088 = ImuModel(
    gyro_noise=math.radians(0.014),
    gyro_turn_on_bias=math.radians(1.0),
    accel_noise=190e-6 * GRAVITY,
    accel_turn_on_bias=20e-3 * GRAVITY,
    gyro_range=math.radians(2000),
    accel_range=24 * GRAVITY,
    gyro_resolution=math.radians(2000) / 2**15,
    accel_resolution=24 * GRAVITY / 2**15,
)
"""Bosch BMI088 from its data sheet, which gives no bias walk; all axes have the z axis's values."""

MPU6050 = ImuModel(
    gyro_noise=math.radians(0.005),
    gyro_turn_on_bias=math.radians(20) / 3,
    accel_noise=400e-6 * GRAVITY,
    accel_turn_on_bias=50e-3 * GRAVITY / 3,
    gyro_scale=0.01,
    accel_scale=0.01,
    gyro_misalignment=0.02 / 3,
    accel_misalignment=0.02 / 3,
    g_sensitivity=math.radians(0.1) / GRAVITY,
    gyro_range=math.radians(2000),
    accel_range=16 * GRAVITY,
    gyro_resolution=math.radians(1 / 16.4),
    accel_resolution=GRAVITY / 2048,
)
"""InvenSense MPU-6050, a cheap IMU, uncalibrated: it has its full turn-on bias.

From its data sheet (PS-MPU-6000A, revision 3.4), which gives no bias walk. Tolerances are taken as
three standard deviations; the z axis has the values of the x and y axes.
"""
