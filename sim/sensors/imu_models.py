"""Models of inertial measurement units: their errors, and where they sit."""

import math
from dataclasses import dataclass, fields

from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.vehicle.state import GRAVITY


@dataclass(frozen=True)
class ImuModel:
    """Errors of an IMU, the same on each axis, and where it sits on the body.

    Noise is in the terms of Kalibr. What is "drawn" is a property of the specimen that flies: it is
    drawn once, from a normal distribution of the standard deviation given here.

    Attributes:
        gyro_noise: white noise density of the gyroscope, rad/s/sqrt(Hz).
        gyro_walk: random walk of its bias, rad/s^2/sqrt(Hz).
        gyro_turn_on_bias: drawn bias at power-up, rad/s.
        accel_noise: white noise density of the accelerometer, m/s^2/sqrt(Hz).
        accel_walk: random walk of its bias, m/s^3/sqrt(Hz).
        accel_turn_on_bias: drawn bias at power-up, m/s^2.
        gyro_scale, accel_scale: drawn error of the scale factor of each axis, 0.01 for 1 %.
        gyro_misalignment, accel_misalignment: drawn share of each other axis that an axis takes up,
            radians: for small angles, the tilt of its sensitive direction.
        g_sensitivity: drawn rate that the gyroscope's axes read per specific force along each
            axis, rad/s per m/s^2.
        gyro_range, accel_range: full scale, rad/s and m/s^2; beyond it the reading saturates.
        gyro_resolution, accel_resolution: step of the readings, rad/s and m/s^2; 0 for none.
        mount_position: of the accelerometers, metres, body FLU: away from the centre of mass
            they feel the rotation.
        mount_rotation: roll, pitch and yaw of the sensor's axes on the body's, radians, applied in
            the order yaw, pitch, roll. Readings are along the sensor's axes: who is not told of the
            rotation takes them for the body's.

    Raises:
        SimulationError: on a value out of range.
    """

    gyro_noise: float = 0.0
    gyro_walk: float = 0.0
    gyro_turn_on_bias: float = 0.0
    accel_noise: float = 0.0
    accel_walk: float = 0.0
    accel_turn_on_bias: float = 0.0
    gyro_scale: float = 0.0
    accel_scale: float = 0.0
    gyro_misalignment: float = 0.0
    accel_misalignment: float = 0.0
    g_sensitivity: float = 0.0
    gyro_range: float = math.inf
    accel_range: float = math.inf
    gyro_resolution: float = 0.0
    accel_resolution: float = 0.0
    mount_position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    mount_rotation: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        for field in fields(self):
            name, value = field.name, getattr(self, field.name)
            if name.startswith("mount"):
                if len(value) != 3 or not all(map(math.isfinite, value)):
                    raise SimulationError(
                        f"ImuModel.{name} must be three finite numbers, got {value!r}"
                    )
            elif name.endswith("range"):
                if not value > 0:
                    raise SimulationError(f"ImuModel.{name} must be positive, got {value!r}")
            elif not 0 <= value < math.inf:
                raise SimulationError(
                    f"ImuModel.{name} must be finite and not negative, got {value!r}"
                )


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
"""Bosch BMI088 from its data sheet, which gives no bias walk; the z axis stands for all three."""

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
"""InvenSense MPU-6050, a cheap one, as it comes: no calibration has taken its bias off.

From its data sheet (PS-MPU-6000A, revision 3.4), which gives no bias walk. Tolerances are taken as
three standard deviations, and those of the x and y axes stand for z.
"""
