"""The inner loops of an autopilot: velocity setpoint in, rotor thrusts out."""

import math

from liquid_nav.command import Command
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.rotation import Vector, cross, rotate, rotate_back, rotation_matrix
from liquid_nav_sim.state import GRAVITY, VehicleState
from liquid_nav_sim.vehicle import ROTOR_SIGNS, VehicleParameters

MAX_TILT = math.radians(30)
"""Largest tilt that the velocity loop asks for, radians."""

MAX_VERTICAL_ACCELERATION = 5.0
"""Largest vertical acceleration that the velocity loop asks for, m/s^2."""

_TAN_MAX_TILT = math.tan(MAX_TILT)
_INTEGRAL_SHARE = 0.25
"""Integral gain over the square of the proportional one; 0.25 is critical damping."""

RotorThrusts = tuple[float, float, float, float]


class Autopilot:
    """A cascade of velocity, attitude and body-rate loops, and a mixer.

    A reference runs ahead of the vehicle: it takes a velocity setpoint smoothly and turns with the
    heading. The velocity loop feeds its acceleration forward and corrects what is left, so that
    the integral learns the wind and not the setpoint; as the integral of a velocity error, it also
    holds the height. Every bandwidth is a fixed share of the motors', so the gains suit any
    quadrotor. Like a real autopilot it has the true state from an estimator of its own, assumed
    good.

    Args:
        parameters: the airframe to fly.
    """

    def __init__(self, parameters: VehicleParameters) -> None:
        self._parameters = parameters
        # A fast motor does not make the physics step shorter: keep the loops slow enough for it.
        motors = 1 / max(parameters.motor_time_constant, 0.02)
        self._rate_gain = 0.5 * motors
        self._attitude_gain = 0.2 * motors
        self._velocity_gain = (0.08 * motors, 0.08 * motors, 0.15 * motors)
        self._reference_rate = 0.09 * motors
        self._drag = (parameters.drag[0] + parameters.drag[1]) / 2 / parameters.mass
        self._max_climb = min(
            MAX_VERTICAL_ACCELERATION,
            GRAVITY * (parameters.thrust_to_weight * math.cos(MAX_TILT) - 1),
        )
        self.reset()

    def reset(self) -> None:
        """Forget the reference and the wind; the next state is where it starts from."""
        self._reference: Vector | None = None
        self._integral: Vector = (0.0, 0.0, 0.0)

    def update(
        self, setpoint: Command | tuple[float, float, float, float], state: VehicleState, dt: float
    ) -> RotorThrusts:
        """One turn of all loops.

        Args:
            setpoint: vx, vy, vz in m/s in the heading frame, and yaw rate in rad/s.
            state: where the vehicle is now.
            dt: seconds until the next update.

        Returns:
            Thrust setpoints of the rotors, N, in the order of `vehicle.ROTOR_SIGNS`.

        Raises:
            SimulationError: on a setpoint that is not finite.
        """
        vx, vy, vz, yaw_rate = setpoint.vector if isinstance(setpoint, Command) else setpoint
        if not math.isfinite(vx + vy + vz + yaw_rate):
            raise SimulationError(f"a velocity setpoint must be finite, got {setpoint!r}")
        attitude = rotation_matrix(state.orientation.tolist())
        # The heading: where the body's x axis points, seen from above.
        level = max(math.hypot(attitude[0][0], attitude[1][0]), 1e-9)
        angular_velocity = state.angular_velocity.tolist()
        ax, ay, az = self._acceleration(
            (vx, vy, vz),
            (attitude[0][0] / level, attitude[1][0] / level),
            rotate(attitude, angular_velocity)[2],
            state.linear_velocity.tolist(),
            dt,
        )
        # The level component of the thrust follows the tilt; its vertical component must not wait.
        thrust = self._parameters.mass * (az + GRAVITY) / max(attitude[2][2], 0.5)
        torque = self._torque(
            rotate_back(attitude, (ax, ay, az + GRAVITY)), attitude[2], yaw_rate, angular_velocity
        )
        return mix(thrust, torque, self._parameters)

    def _acceleration(
        self,
        setpoint: Vector,
        heading: tuple[float, float],
        turn: float,
        velocity: Vector,
        dt: float,
    ) -> Vector:
        """Velocity loop: the acceleration to ask for, world ENU, within the limits.

        Takes the setpoint in the heading frame, cosine and sine of the heading, the rate at which
        the heading turns, and the velocity in world ENU.
        """
        cosine, sine = heading
        vx, vy, vz = velocity
        if self._reference is None:
            self._reference = (cosine * vx + sine * vy, cosine * vy - sine * vx, vz)
        rx, ry, rz = self._reference
        sx, sy, sz = setpoint
        fx, fy = self._reference_rate * (sx - rx), self._reference_rate * (sy - ry)
        fz = self._reference_rate * (sz - rz)
        # Half of the tilt is kept for wind and errors.
        fx, fy = _shorten(fx, fy, 0.5 * GRAVITY * _TAN_MAX_TILT)
        fz = min(max(fz, -MAX_VERTICAL_ACCELERATION), self._max_climb)
        self._reference = (rx + fx * dt, ry + fy * dt, rz + fz * dt)
        # A reference that turns with the heading accelerates towards the centre of its turn; and
        # the drag of still air is known, the integral need not learn it.
        fx, fy = fx - turn * ry + self._drag * rx, fy + turn * rx + self._drag * ry
        error = (cosine * rx - sine * ry - vx, sine * rx + cosine * ry - vy, rz - vz)
        forward = (cosine * fx - sine * fy, sine * fx + cosine * fy, fz)
        wanted = [
            f + i + gain * e
            for f, i, gain, e in zip(
                forward, self._integral, self._velocity_gain, error, strict=True
            )
        ]
        z = min(max(wanted[2], -MAX_VERTICAL_ACCELERATION), self._max_climb)
        x, y = _shorten(wanted[0], wanted[1], (z + GRAVITY) * _TAN_MAX_TILT)
        # Anti-windup by back-calculation: what the limits cut off is taken out of the integral.
        ix, iy, iz = [
            i + dt * gain * (gain * _INTEGRAL_SHARE * e + given - asked)
            for i, gain, e, given, asked in zip(
                self._integral, self._velocity_gain, error, (x, y, z), wanted, strict=True
            )
        ]
        self._integral = (ix, iy, iz)
        return (x, y, z)

    def _torque(
        self, thrust: Vector, vertical: Vector, yaw_rate: float, angular_velocity: Vector
    ) -> Vector:
        """Attitude and body-rate loops: torque that turns the up axis along `thrust`; body FLU."""
        tx, ty, tz = thrust
        sine = math.hypot(tx, ty)
        gain = self._attitude_gain * math.atan2(sine, tz) / sine if sine > 0 else 0.0
        wx, wy, wz = angular_velocity
        ix, iy, iz = self._parameters.inertia
        gx, gy, gz = cross(angular_velocity, (ix * wx, iy * wy, iz * wz))
        # Turning about the vertical, not about the body's up axis, keeps the tilt as it is.
        return (
            gx + ix * self._rate_gain * (yaw_rate * vertical[0] - gain * ty - wx),
            gy + iy * self._rate_gain * (yaw_rate * vertical[1] + gain * tx - wy),
            gz + iz * self._rate_gain * (yaw_rate * vertical[2] - wz),
        )


def mix(thrust: float, torque: Vector, parameters: VehicleParameters) -> RotorThrusts:
    """Share collective thrust and torque out among the rotors.

    Where the rotors cannot give all of it, roll and pitch go first, then yaw, then thrust: the
    vehicle keeps its attitude, and gives up heading and height for it.

    Args:
        thrust: of all rotors, N.
        torque: N m, body FLU.
        parameters: the airframe.

    Returns:
        Thrusts in [0, full], N, in the order of `vehicle.ROTOR_SIGNS`.
    """
    full, lever = parameters.max_thrust, parameters.lever
    roll, pitch = torque[0] / (4 * lever), torque[1] / (4 * lever)
    yaw = torque[2] / (4 * parameters.drag_torque_ratio)
    # Roll and pitch together move the rotors apart by up to 2 (|roll| + |pitch|) <= full.
    scale = full / max(full, 2 * (abs(roll) + abs(pitch)))
    roll, pitch = scale * roll, scale * pitch
    # With yaw it is 2 (max(|roll|, |pitch|) + |yaw|) at least.
    room = full / 2 - max(abs(roll), abs(pitch))
    yaw = min(max(yaw, -room), room)
    shares = [y * roll - x * pitch - spin * yaw for x, y, spin in ROTOR_SIGNS]
    collective = min(max(thrust / 4, -min(shares)), full - max(shares))
    # Rounding alone could leave the range by the last digit.
    a, b, c, d = [min(max(collective + share, 0.0), full) for share in shares]
    return (a, b, c, d)


def _shorten(x: float, y: float, length: float) -> tuple[float, float]:
    """Scale the vector (x, y) down to `length` where it is longer."""
    scale = length / max(length, math.hypot(x, y))
    return (scale * x, scale * y)
