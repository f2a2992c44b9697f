"""An inertial measurement unit: the readings of an ideal one, and the errors of a real one."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from operator import mul

import numpy as np

from liquid_nav.events import SECOND, ImuSample
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.normals import Normals
from liquid_nav_sim.rotation import Matrix, Vector, cross, rotate_back, rotation_of
from liquid_nav_sim.sensors.clock import SensorClock
from liquid_nav_sim.sensors.imu_parameters import ImuParameters
from liquid_nav_sim.sensors.vibration import LowPass, Vibration
from liquid_nav_sim.vehicle.state import Motion

SHORTEST_AVERAGE = 0.001
"""Seconds; below this interval between samples the noise no longer grows.

White noise over a vanishing interval is unbounded; a real sensor's filter bounds it.
"""


class Imu:
    """One IMU in one flight, from power-up on.

    Noise is discretised as in Kalibr: over an interval dt, white noise has the standard deviation
    density / sqrt(dt), and each step of the bias has walk * sqrt(dt), so that the statistics do not
    depend on the rate.

    Args:
        model: distribution of its errors.
        rng: random stream of its constant errors and its noise.
        vibration: vibration of the vehicle at its place; None for none.
    """

    def __init__(
        self,
        model: ImuParameters,
        rng: np.random.Generator,
        vibration: Vibration | None = None,
    ) -> None:
        self._vibration = vibration

        def axes(gyro: float, accel: float) -> list[float]:
            return [gyro] * 3 + [accel] * 3

        # All are always drawn, so that a field of 0 does not change the draws of the others.
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
        return self.sample(self.feel(motion, stamp), motion, stamp, arrival)

    def sample(
        self, truth: list[float], motion: Motion, stamp: int, arrival: int | None
    ) -> ImuSample | None:
        """Make the sample of `stamp` ns from what an ideal sensor would read; see `Sensor`."""
        if self._vibration is not None:
            self._vibration.add(truth, motion, stamp)
        reading = self.read(truth, (stamp - self._stamp) / SECOND)
        self._stamp = stamp
        if arrival is None:
            return None
        values = np.array(reading)
        return ImuSample(stamp, arrival, values[:3], values[3:])

    def feel(self, motion: Motion, stamp: int) -> list[float]:
        """Reading of an ideal sensor in this place at `stamp` ns, in the form that `read` takes."""
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

    def read(self, truth: list[float], dt: float) -> list[float]:
        """Add the errors of the next sample.

        Args:
            truth: angular velocity, rad/s, then specific force, m/s^2, along the sensor's axes,
                shape (6,).
            dt: seconds since the previous sample, or since power-up.

        Returns:
            The reading of the sensor, in the same form.

        Raises:
            SimulationError: on a negative interval.
        """
        if not dt >= 0:
            raise SimulationError(
                f"seconds since the last IMU sample must not be negative, got {dt!r}"
            )
        normals = self._normals.row()
        root, bandwidth = math.sqrt(dt), 1 / math.sqrt(max(dt, SHORTEST_AVERAGE))
        bias = self._bias
        if self._gain is not None:
            truth = [sum(map(mul, row, truth)) for row in self._gain]
        reading = []
        for axis in range(6):
            bias[axis] += self._walk[axis] * root * normals[6 + axis]
            noise = self._density[axis] * bandwidth * normals[axis]
            reading.append(truth[axis] + (bias[axis] + noise))
        if not self._limited:
            return reading
        return [
            min(max(round(value / step) * step if step else value, -full), full)
            for value, step, full in zip(reading, self._resolution, self._range, strict=True)
        ]


class FilteredImu:
    """The source of an IMU whose driver filters the readings, see `Source`.

    The filter runs at the rate of the physics. Its input is what an ideal sensor reads and white
    noise; the other errors are those of `Imu`, added behind the filter.

    Args:
        model: the IMU, with a filter.
        clock: stamps and arrivals of its samples.
        rng: random stream of its constant errors and its bias.
        noise: random stream of its white noise.
        vibration: vibration of the vehicle at its place; None for none.
    """

    def __init__(
        self,
        model: ImuParameters,
        clock: SensorClock,
        rng: np.random.Generator,
        noise: np.random.Generator,
        vibration: Vibration | None = None,
    ) -> None:
        self._clock = clock
        self._imu = Imu(replace(model, gyro_noise=0.0, accel_noise=0.0), rng, vibration)
        self._density = [model.gyro_noise] * 3 + [model.accel_noise] * 3
        self._normals = Normals(noise, 6)
        self._filters = [LowPass(model.filter_cutoff, model.filter_order) for _ in range(6)]
        self._time = 0

    def advance(self, motion: Motion) -> Iterator[ImuSample]:
        """Filter one physics step, and yield the samples that are due in it."""
        clock = self._clock
        while clock.stamp <= motion.end:
            self._filter(motion, clock.stamp)
            held = [low_pass.value for low_pass in self._filters]
            sample = self._imu.sample(held, motion, clock.stamp, clock.arrival)
            clock.advance()
            if sample is not None:
                yield sample
        self._filter(motion, motion.end)

    def _filter(self, motion: Motion, until: int) -> None:
        """Run the filter up to a time, ns."""
        dt = (until - self._time) / SECOND
        truth = self._imu.feel(motion, (self._time + until) // 2)
        if dt > 0.0:
            bandwidth, normals = 1 / math.sqrt(dt), self._normals.row()
        elif self._time > 0:
            return
        else:
            bandwidth, normals = 0.0, [0.0] * 6
        for axis in range(6):
            noise = self._density[axis] * bandwidth * normals[axis]
            self._filters[axis].advance(truth[axis] + noise, dt)
        self._time = until


def _gain(scale: np.ndarray, tilt: np.ndarray) -> np.ndarray:
    """Gain matrix (3, 3) of three axes: errors of their scale factors, and six cross terms."""
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
