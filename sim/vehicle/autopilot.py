"""The control loops of an autopilot: they turn a setpoint into rotor thrusts."""

import math

from liquid_nav.command import Command
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.rotation import Matrix, Vector, cross, rotate, rotate_back, rotation_matrix
from liquid_nav_sim.vehicle.airframe import VehicleParameters
from liquid_nav_sim.vehicle.mixer import Mixer
from liquid_nav_sim.vehicle.rotors import PerRotor
from liquid_nav_sim.vehicle.setpoints import AttitudeSetpoint, Setpoint
from liquid_nav_sim.vehicle.state import GRAVITY, Kinematics

MAX_TILT = math.radians(30)
"""Largest tilt that the velocity loop commands, radians."""

MAX_VERTICAL_ACCELERATION = 5.0
"""Largest vertical acceleration that the velocity loop commands, m/s^2."""

_TAN_MAX_TILT = math.tan(MAX_TILT)


class Autopilot:
    """A cascade of velocity, attitude and body-rate loops with a mixer behind it.

    A setpoint enters the cascade at the loop of its kind. Every bandwidth is a fixed fraction of
    the motors' bandwidth, so the gains suit any quadrotor. The autopilot reads the true state, as
    if it had a perfect estimator, and measures the battery voltage. Its parameters are the nominal
    ones: it does not know how `VehicleRandomisation` changed the vehicle that flies.

    While a rotor accelerates, its motor's reaction torque turns the body at once, long before the
    rotor's drag does. A low-pass filter on the yaw torque cancels this effect; PX4 filters its yaw
    torque for the same reason.

    Args:
        parameters: nominal parameters of the vehicle.
    """

    def __init__(self, parameters: VehicleParameters) -> None:
        # The physics step does not shrink for fast motors: keep the loops slow enough for it.
        motors = 1 / max(parameters.motor_time_constant, 0.02)
        self._rate_gain = 0.5 * motors
        self._attitude_gain = 0.2 * motors
        self._velocity = VelocityLoop(parameters, motors)
        self._mass, self._inertia = parameters.mass, parameters.inertia
        self._max_thrust = parameters.max_thrust
        self._mixer = Mixer(parameters)
        # Time in which, at hover, the extra drag of slightly faster rotors gives the body as much
        # angular momentum as their acceleration did.
        self._yaw_lag = parameters.rotor_inertia / (
            2
            * parameters.drag_torque_ratio
            * parameters.thrust_coefficient
            * parameters.hover_speed
        )
        self.reset()

    def reset(self) -> None:
        """Forget the velocity reference and the estimate of the wind, as before a new flight."""
        self._velocity.reset()
        self._yaw_torque = 0.0

    def update(
        self, setpoint: Setpoint, state: Kinematics, dt: float, full_thrust: float | None = None
    ) -> PerRotor:
        """Run each loop that the setpoint needs once.

        Args:
            setpoint: the velocity, attitude or body rates to reach.
            state: present state of the vehicle.
            dt: seconds until the next update.
            full_thrust: largest thrust of one rotor at the present battery voltage, N; None for
                that of a full battery.

        Returns:
            Thrust setpoints of the rotors, N, in the order of `airframe.ROTOR_SIGNS`.

        Raises:
            SimulationError: if a velocity setpoint is not finite.
        """
        attitude, rates = rotation_matrix(state.orientation), state.angular_velocity
        if isinstance(setpoint, Command):
            x, y, z = self._velocity.update(setpoint, attitude, state.linear_velocity, rates, dt)
            # The horizontal thrust has to wait for the tilt; the vertical thrust acts at once.
            thrust = self._mass * (z + GRAVITY) / max(attitude[2][2], 0.5)
            up = rotate_back(attitude, (x, y, z + GRAVITY))
            rates_wanted = self._tilt(up, attitude[2], setpoint.yaw_rate)
        else:
            self._velocity.reset()
            thrust = self._mass * setpoint.thrust
            if isinstance(setpoint, AttitudeSetpoint):
                up = rotate_back(attitude, _up(setpoint, attitude))
                rates_wanted = self._tilt(up, attitude[2], setpoint.yaw_rate)
            else:
                rates_wanted = (setpoint.roll_rate, setpoint.pitch_rate, setpoint.yaw_rate)
        roll, pitch, yaw = self._torque(rates_wanted, rates)
        if self._yaw_lag > 0.0:
            share = 1 - math.exp(-dt / self._yaw_lag)
            yaw = self._yaw_torque = self._yaw_torque + share * (yaw - self._yaw_torque)
        full = self._max_thrust if full_thrust is None else full_thrust
        return self._mixer.mix(thrust, (roll, pitch, yaw), full)

    def _tilt(self, up: Vector, vertical: Vector, yaw_rate: float) -> Vector:
        """Attitude loop: the body rates that turn the body's z axis towards `up`; body FLU."""
        x, y, z = up
        sine = math.hypot(x, y)
        gain = self._attitude_gain * math.atan2(sine, z) / sine if sine > 0 else 0.0
        # A turn about the world's vertical, rather than about the body's z axis, keeps the tilt.
        return (
            yaw_rate * vertical[0] - gain * y,
            yaw_rate * vertical[1] + gain * x,
            yaw_rate * vertical[2],
        )

    def _torque(self, wanted: Vector, rates: Vector) -> Vector:
        """Body-rate loop: the torque that brings `rates` to `wanted`, N m, body FLU."""
        (sx, sy, sz), (wx, wy, wz), (ix, iy, iz) = wanted, rates, self._inertia
        gx, gy, gz = cross(rates, (ix * wx, iy * wy, iz * wz))
        gain = self._rate_gain
        return (
            gx + ix * gain * (sx - wx),
            gy + iy * gain * (sy - wy),
            gz + iz * gain * (sz - wz),
        )


class VelocityLoop:
    """Turns a velocity setpoint into an acceleration.

    A reference velocity approaches the setpoint smoothly and turns with the heading. The loop feeds
    the acceleration of the reference forward and corrects the remaining velocity error, so that the
    integral learns the wind and not the setpoint. The integral of a vertical velocity error is a
    height error, so the loop also holds the height.

    Args:
        parameters: nominal parameters of the vehicle.
        motors: bandwidth of the motors, rad/s.
    """

    def __init__(self, parameters: VehicleParameters, motors: float) -> None:
        self._level_gain, self._vertical_gain = 0.08 * motors, 0.15 * motors
        self._reference_rate = 0.09 * motors
        x, y, _ = parameters.rotor_drag
        self._drag = (x + y) / 2 * 4 * parameters.hover_speed / parameters.mass
        self._max_climb = min(
            MAX_VERTICAL_ACCELERATION,
            GRAVITY * (parameters.thrust_to_weight * math.cos(MAX_TILT) - 1),
        )
        self.reset()

    def reset(self) -> None:
        """Forget the velocity reference and the estimate of the wind."""
        self._started = False
        self._reference: Vector = (0.0, 0.0, 0.0)
        self._integral: Vector = (0.0, 0.0, 0.0)

    def update(
        self, setpoint: Command, attitude: Matrix, velocity: Vector, rates: Vector, dt: float
    ) -> Vector:
        """The acceleration to command, m/s^2, world ENU, within the limits of tilt and climb.

        Args:
            setpoint: velocity in the heading frame.
            attitude: rows of the rotation matrix from body to world.
            velocity: m/s, world ENU.
            rates: angular velocity, rad/s, body FLU.
            dt: seconds until the next update.

        Raises:
            SimulationError: if the setpoint is not finite.
        """
        sx, sy, sz = setpoint.vx, setpoint.vy, setpoint.vz
        if not math.isfinite(sx + sy + sz + setpoint.yaw_rate):
            raise SimulationError(f"a velocity setpoint must be finite, got {setpoint!r}")
        cosine, sine = _heading(attitude)
        turn = rotate(attitude, rates)[2]
        vx, vy, vz = velocity
        if not self._started:
            self._started = True
            self._reference = (cosine * vx + sine * vy, cosine * vy - sine * vx, vz)
        rx, ry, rz = self._reference
        fx, fy = self._reference_rate * (sx - rx), self._reference_rate * (sy - ry)
        fz = self._reference_rate * (sz - rz)
        # The reference uses half of the tilt; the other half is for wind and errors.
        fx, fy = _shorten(fx, fy, 0.5 * GRAVITY * _TAN_MAX_TILT)
        fz = min(max(fz, -MAX_VERTICAL_ACCELERATION), self._max_climb)
        self._reference = (rx + fx * dt, ry + fy * dt, rz + fz * dt)
        # A reference that turns with the heading has a centripetal acceleration. The drag of still
        # air is known, so it is fed forward too and the integral need not learn it.
        fx, fy = fx - turn * ry + self._drag * rx, fy + turn * rx + self._drag * ry
        ex, ey, ez = cosine * rx - sine * ry - vx, sine * rx + cosine * ry - vy, rz - vz
        level, vertical = self._level_gain, self._vertical_gain
        ix, iy, iz = self._integral
        wx = cosine * fx - sine * fy + ix + level * ex
        wy = sine * fx + cosine * fy + iy + level * ey
        wz = fz + iz + vertical * ez
        z = min(max(wz, -MAX_VERTICAL_ACCELERATION), self._max_climb)
        x, y = _shorten(wx, wy, (z + GRAVITY) * _TAN_MAX_TILT)
        # The integral gain is a quarter of the square of the proportional one: critical damping.
        # Anti-windup by back-calculation: the integral loses what the limits cut off.
        self._integral = (
            ix + dt * level * (level / 4 * ex + x - wx),
            iy + dt * level * (level / 4 * ey + y - wy),
            iz + dt * vertical * (vertical / 4 * ez + z - wz),
        )
        return (x, y, z)


def _heading(attitude: Matrix) -> tuple[float, float]:
    """Cosine and sine of the heading: where the body's x axis points, seen from above."""
    x, y = attitude[0][0], attitude[1][0]
    level = max(math.hypot(x, y), 1e-9)
    return x / level, y / level


def _up(setpoint: AttitudeSetpoint, attitude: Matrix) -> Vector:
    """Direction of the body's z axis under `setpoint` with the heading of `attitude`, ENU."""
    cosine, sine = _heading(attitude)
    forward = math.sin(setpoint.pitch) * math.cos(setpoint.roll)
    left = -math.sin(setpoint.roll)
    return (
        cosine * forward - sine * left,
        sine * forward + cosine * left,
        math.cos(setpoint.pitch) * math.cos(setpoint.roll),
    )


def _shorten(x: float, y: float, length: float) -> tuple[float, float]:
    """Scale the vector (x, y) down to `length` if it is longer."""
    scale = length / max(length, math.hypot(x, y))
    return (scale * x, scale * y)
