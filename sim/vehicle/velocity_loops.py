"""The velocity loops of an autopilot: they turn a velocity setpoint into an acceleration."""

import math

from liquid_nav.command import Command
from liquid_nav_sim.rotation import Matrix, Vector, rotate
from liquid_nav_sim.vehicle.airframe import VehicleParameters
from liquid_nav_sim.vehicle.autopilot_model import AutopilotModel
from liquid_nav_sim.vehicle.state import GRAVITY

MAX_TILT = math.radians(30)
"""Largest tilt that the velocity loop commands, radians."""

MAX_VERTICAL_ACCELERATION = 5.0
"""Largest vertical acceleration that the smooth velocity loop commands, m/s^2."""

LEAST_THRUST = 0.05 * GRAVITY
"""Least thrust over mass that a direct loop commands, m/s^2; below it a tilt has no effect."""

_TAN_MAX_TILT = math.tan(MAX_TILT)


class VelocityLoop:
    """What both kinds of velocity loops have in common: their gains.

    The integral gain is a quarter of the square of the proportional one where the stiffness is 1:
    critical damping.

    Args:
        parameters: nominal parameters of the vehicle.
        model: how the loop treats its setpoints.
        motors: bandwidth of the motors, rad/s.
    """

    def __init__(self, parameters: VehicleParameters, model: AutopilotModel, motors: float) -> None:
        self._level_gain = model.level_stiffness * (0.08 * motors)
        self._vertical_gain = model.vertical_stiffness * (0.15 * motors)
        self._level_integral, self._vertical_integral = 0.08 * motors / 4, 0.15 * motors / 4
        self._forward, self._left, self._up, _ = model.gains
        self._bias = model.vertical_bias
        x, y, _ = parameters.rotor_drag
        self._drag = (x + y) / 2 * 4 * parameters.hover_speed / parameters.mass
        self.reset()

    def reset(self) -> None:
        """Forget everything about the flight so far."""
        self._started = False
        self._integral: Vector = (0.0, 0.0, 0.0)

    def update(
        self, setpoint: Command, attitude: Matrix, velocity: Vector, rates: Vector, dt: float
    ) -> Vector:
        """The acceleration to command, m/s^2, world ENU, within the limits of the loop.

        Args:
            setpoint: velocity in the heading frame.
            attitude: rows of the rotation matrix from body to world.
            velocity: m/s, world ENU.
            rates: angular velocity, rad/s, body FLU.
            dt: seconds until the next update.
        """
        raise NotImplementedError


class SmoothLoop(VelocityLoop):
    """A loop with a reference velocity between the setpoint and the vehicle.

    The reference approaches the setpoint smoothly and turns with the heading. The loop feeds the
    acceleration of the reference forward and corrects the remaining velocity error, so that the
    integral learns the wind and not the setpoint. The integral of a vertical velocity error is a
    height error, so the loop also holds the height.
    """

    def __init__(self, parameters: VehicleParameters, model: AutopilotModel, motors: float) -> None:
        super().__init__(parameters, model, motors)
        self._reference_rate = model.bandwidth * (0.09 * motors)
        self._damping = 0.0 if model.damping is None else model.damping
        self._max_climb = min(
            MAX_VERTICAL_ACCELERATION,
            GRAVITY * (parameters.thrust_to_weight * math.cos(MAX_TILT) - 1),
        )

    def reset(self) -> None:
        """Forget the velocity reference and the estimate of the wind."""
        self._started = False
        self._reference: Vector = (0.0, 0.0, 0.0)
        self._approach: Vector = (0.0, 0.0, 0.0)
        self._integral = (0.0, 0.0, 0.0)

    def update(
        self, setpoint: Command, attitude: Matrix, velocity: Vector, rates: Vector, dt: float
    ) -> Vector:
        """The acceleration to command, see `VelocityLoop.update`; limited in tilt and climb."""
        sx, sy = self._forward * setpoint.vx, self._left * setpoint.vy
        sz = self._up * setpoint.vz + self._bias
        cosine, sine = heading(attitude)
        turn = rotate(attitude, rates)[2]
        vx, vy, vz = velocity
        if not self._started:
            self._started = True
            self._reference = (cosine * vx + sine * vy, cosine * vy - sine * vx, vz)
        rx, ry, rz = self._reference
        fx, fy, fz = self._approached((sx - rx, sy - ry, sz - rz), dt)
        # The reference uses half of the tilt; the other half is for wind and errors.
        fx, fy = shorten(fx, fy, 0.5 * GRAVITY * _TAN_MAX_TILT)
        fz = min(max(fz, -MAX_VERTICAL_ACCELERATION), self._max_climb)
        self._approach = (fx, fy, fz)
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
        x, y = shorten(wx, wy, (z + GRAVITY) * _TAN_MAX_TILT)
        # Anti-windup by back-calculation: the integral loses what the limits cut off.
        self._integral = (
            ix + dt * level * (self._level_integral * ex + x - wx),
            iy + dt * level * (self._level_integral * ey + y - wy),
            iz + dt * vertical * (self._vertical_integral * ez + z - wz),
        )
        return (x, y, z)

    def _approached(self, errors: Vector, dt: float) -> Vector:
        """Acceleration of the reference towards a setpoint that is `errors` away, heading frame."""
        (x, y, z), rate = errors, self._reference_rate
        if self._damping == 0.0:
            return (rate * x, rate * y, rate * z)
        # r'' = w^2 (s - r) - 2 d w r' with w = 2 d rate, which lags 1 / rate behind a ramp.
        pull = 2 * self._damping * rate
        pull *= pull
        keep = 1 - dt * 4 * self._damping * self._damping * rate
        ax, ay, az = self._approach
        step = dt * pull
        return (keep * ax + step * x, keep * ay + step * y, keep * az + step * z)


class DirectLoop(VelocityLoop):
    """A PID controller of the velocity error, without a reference, as in many simple autopilots.

    The tilt has a limit; the vertical acceleration has none but that of the rotors, and the
    derivative of its error contains that of the setpoint. Noise of the setpoint thus becomes noise
    of the thrust. Where it drives the rotors from one limit to the other, the mean thrust falls,
    because thrust grows with the square of a rotor's speed, and the vehicle sinks.
    """

    def __init__(self, parameters: VehicleParameters, model: AutopilotModel, motors: float) -> None:
        super().__init__(parameters, model, motors)
        self._derivative, self._lag = model.derivative, 1 / motors
        self._max_climb = GRAVITY * (parameters.thrust_to_weight - 1)

    def reset(self) -> None:
        """Forget the last error and the estimate of the wind."""
        self._started = False
        self._error = 0.0
        self._integral = (0.0, 0.0, 0.0)

    def update(
        self, setpoint: Command, attitude: Matrix, velocity: Vector, rates: Vector, dt: float
    ) -> Vector:
        """The acceleration to command, see `VelocityLoop.update`; limited in tilt and thrust."""
        cosine, sine = heading(attitude)
        vx, vy, vz = velocity
        # All in the heading frame: a turn then takes a steady acceleration, which the integral
        # learns, but it also carries the estimate of the wind with it.
        vx, vy = cosine * vx + sine * vy, cosine * vy - sine * vx
        ex, ey = self._forward * setpoint.vx - vx, self._left * setpoint.vy - vy
        ez = self._up * setpoint.vz + self._bias - vz
        if not self._started:
            self._started = True
            self._error = ez
        # Above this gain on the derivative, the loop would be unstable at this length of step.
        derivative = min(self._derivative, max(self._lag / dt - 1, 0.0))
        level, vertical, drag = self._level_gain, self._vertical_gain, self._drag
        ix, iy, iz = self._integral
        z = iz + vertical * ez + derivative * (ez - self._error) / dt
        z = min(max(z, LEAST_THRUST - GRAVITY), self._max_climb)
        self._error = ez
        x, y = ix + level * ex + drag * vx, iy + level * ey + drag * vy
        x, y = shorten(x, y, GRAVITY * _TAN_MAX_TILT)
        bound = MAX_VERTICAL_ACCELERATION
        ix += dt * level * self._level_integral * ex
        iy += dt * level * self._level_integral * ey
        iz += dt * vertical * self._vertical_integral * ez
        ix, iy = shorten(ix, iy, bound)
        self._integral = (ix, iy, min(max(iz, -bound), bound))
        # The tilt does not depend on the momentary thrust.
        share = (z + GRAVITY) / GRAVITY
        return (share * (cosine * x - sine * y), share * (sine * x + cosine * y), z)


def velocity_loop(
    parameters: VehicleParameters, model: AutopilotModel, motors: float
) -> VelocityLoop:
    """Make the velocity loop of a model of autopilot."""
    if model.direct:
        return DirectLoop(parameters, model, motors)
    return SmoothLoop(parameters, model, motors)


def heading(attitude: Matrix) -> tuple[float, float]:
    """Cosine and sine of the heading: where the body's x axis points, seen from above."""
    x, y = attitude[0][0], attitude[1][0]
    level = max(math.hypot(x, y), 1e-9)
    return x / level, y / level


def shorten(x: float, y: float, length: float) -> tuple[float, float]:
    """Scale the vector (x, y) down to `length` if it is longer."""
    scale = length / max(length, math.hypot(x, y))
    return (scale * x, scale * y)
