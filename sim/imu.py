"""An inertial measurement unit: what it feels of the true motion, and what it makes of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from operator import mul

import numpy as np

from liquid_nav.events import SECOND, ImuSample
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.rotation import Matrix, Vector, cross, rotate_back, rotation_of
from liquid_nav_sim.state import GRAVITY, Motion
from liquid_nav_sim.streams import Normals

SHORTEST_AVERAGE = 0.001
"""Seconds; below this interval between samples the noise no longer grows.

White noise over a vanishing interval is unbounded; a real sensor's filter bounds it.
"""


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
full scale and resolution from the data sheet of Analog Devices."""

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


class Imu:
    """One specimen, from power-up on.

    Noise is discretised as in Kalibr: over an interval dt, white noise has the standard deviation
    density / sqrt(dt), and the bias steps by walk * sqrt(dt), so that the statistics do not depend
    on the rate.

    Args:
        model: what it is drawn from.
        rng: source of the specimen and its noise.
    """

    def __init__(self, model: ImuModel, rng: np.random.Generator) -> None:
        def axes(gyro: float, accel: float) -> list[float]:
            return [gyro] * 3 + [accel] * 3

        # All are drawn always, so that a field that is 0 does not change what the others draw.
        bias, scale, gyro_tilt, accel_tilt, sensitivity = np.split(
            rng.standard_normal(33), (6, 12, 18, 24)
        )
        turn_on = axes(model.gyro_turn_on_bias, model.accel_turn_on_bias)
        self._bias: list[float] = list(map(mul, turn_on, bias.tolist()))
        gyro = _gain(model.gyro_scale * scale[:3], model.gyro_misalignment * gyro_tilt)
        accel = _gain(model.accel_scale * scale[3:], model.accel_misalignment * accel_tilt)
        errors = np.block(
            [
                [gyro, model.g_sensitivity * sensitivity.reshape(3, 3)],
                [np.zeros((3, 3)), accel],
            ]
        )
        self._gain = None if np.array_equal(errors, np.eye(6)) else errors.tolist()
        self._density = axes(model.gyro_noise, model.accel_noise)
        self._walk = axes(model.gyro_walk, model.accel_walk)
        self._resolution = axes(model.gyro_resolution, model.accel_resolution)
        self._range = axes(model.gyro_range, model.accel_range)
        self._limited = any(self._resolution) or min(self._range) < math.inf
        self._lever = model.mount_position if any(model.mount_position) else None
        self._mount: Matrix | None = None
        if any(model.mount_rotation):
            self._mount = rotation_of(*model.mount_rotation)
        self._normals = Normals(rng, 12)
        self._stamp = 0

    def measure(self, motion: Motion, stamp: int, arrival: int | None) -> ImuSample | None:
        """Sample the motion at `stamp` ns; power-up was at 0. See `Sensor`."""
        reading = self.read(self.feel(motion, stamp), (stamp - self._stamp) / SECOND)
        self._stamp = stamp
        if arrival is None:
            return None
        return ImuSample(stamp, arrival, np.array(reading[:3]), np.array(reading[3:]))

    def feel(self, motion: Motion, stamp: int) -> list[float]:
        """What an ideal sensor in this place reads at `stamp` ns, as `read` takes it."""
        share = motion.share(stamp)
        (ax, ay, az), (bx, by, bz) = motion.before.angular_velocity, motion.after.angular_velocity
        rest = 1 - share
        rates = (rest * ax + share * bx, rest * ay + share * by, rest * az + share * bz)
        force: Sequence[float] = motion.after.specific_force
        if self._lever is not None:
            rate = SECOND / (motion.end - motion.start)
            turning = ((bx - ax) * rate, (by - ay) * rate, (bz - az) * rate)
            force = _moved(force, rates, turning, self._lever)
        if self._mount is not None:
            rates, force = rotate_back(self._mount, rates), rotate_back(self._mount, force)
        return [*rates, *force]

    def read(self, truth: Sequence[float], dt: float) -> list[float]:
        """Add the errors of the next sample.

        Args:
            truth: angular velocity, rad/s, then specific force, m/s^2, along the sensor's axes,
                shape (6,).
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
        if self._gain is not None:
            truth = [sum(map(mul, row, truth)) for row in self._gain]
        reading = [
            true + (b + density * bandwidth * white)
            for true, b, density, white in zip(truth, bias, self._density, normals, strict=False)
        ]
        if not self._limited:
            return reading
        return [
            min(max(round(value / step) * step if step else value, -full), full)
            for value, step, full in zip(reading, self._resolution, self._range, strict=True)
        ]


def _gain(scale: np.ndarray, tilt: np.ndarray) -> np.ndarray:
    """Matrix (3, 3) of three axes from the errors of their scale factors and six cross terms."""
    gain = np.diag(1 + scale)
    gain[~np.eye(3, dtype=bool)] = tilt
    return gain


def _moved(force: Sequence[float], rates: Vector, turning: Vector, lever: Vector) -> Vector:
    """Specific force at `lever` from that at the centre of mass, all in the body frame.

    f + w' x r + w x (w x r), with w' the angular acceleration, rad/s^2.
    """
    ex, ey, ez = cross(turning, lever)
    cx, cy, cz = cross(rates, cross(rates, lever))
    fx, fy, fz = force
    return (fx + ex + cx, fy + ey + cy, fz + ez + cz)
