"""The control loops of an autopilot: they turn a setpoint into rotor thrusts."""

import math

from liquid_nav.command import Command
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.rotation import Matrix, Vector, cross, rotate_back, rotation_matrix
from liquid_nav_sim.vehicle.airframe import VehicleParameters
from liquid_nav_sim.vehicle.autopilot_model import NOMINAL, AutopilotModel
from liquid_nav_sim.vehicle.mixer import Mixer
from liquid_nav_sim.vehicle.rotors import PerRotor
from liquid_nav_sim.vehicle.setpoints import AttitudeSetpoint, Setpoint
from liquid_nav_sim.vehicle.state import GRAVITY, Kinematics
from liquid_nav_sim.vehicle.velocity_loops import heading, velocity_loop


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
        model: how it treats its setpoints.
    """

    def __init__(self, parameters: VehicleParameters, model: AutopilotModel = NOMINAL) -> None:
        # The physics step does not shrink for fast motors: keep the loops slow enough for it.
        motors = 1 / max(parameters.motor_time_constant, 0.02)
        self._rate_gain = 0.5 * motors
        self._attitude_gain = 0.2 * motors
        self._velocity = velocity_loop(parameters, model, motors)
        self._delay, self._yaw_gain = model.setpoint_delay, model.yaw_gain
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
        """Forget late setpoints, the velocity reference and the wind, as before a new flight."""
        self._velocity.reset()
        self._late: list[Setpoint] = []
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
        if isinstance(setpoint, Command) and not math.isfinite(
            setpoint.vx + setpoint.vy + setpoint.vz + setpoint.yaw_rate
        ):
            raise SimulationError(f"a velocity setpoint must be finite, got {setpoint!r}")
        if self._delay > 0.0:
            setpoint = self._delayed(setpoint, dt)
        attitude, rates = rotation_matrix(state.orientation), state.angular_velocity
        if isinstance(setpoint, Command):
            x, y, z = self._velocity.update(setpoint, attitude, state.linear_velocity, rates, dt)
            # The horizontal thrust has to wait for the tilt; the vertical thrust acts at once.
            thrust = self._mass * (z + GRAVITY) / max(attitude[2][2], 0.5)
            up = rotate_back(attitude, (x, y, z + GRAVITY))
            rates_wanted = self._tilt(up, attitude[2], self._yaw_gain * setpoint.yaw_rate)
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

    def _delayed(self, setpoint: Setpoint, dt: float) -> Setpoint:
        """The setpoint of one delay ago; at the start of a flight the first one."""
        self._late.append(setpoint)
        if len(self._late) > round(self._delay / dt) + 1:
            self._late.pop(0)
        return self._late[0]

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


def _up(setpoint: AttitudeSetpoint, attitude: Matrix) -> Vector:
    """Direction of the body's z axis under `setpoint` with the heading of `attitude`, ENU."""
    cosine, sine = heading(attitude)
    forward = math.sin(setpoint.pitch) * math.cos(setpoint.roll)
    left = -math.sin(setpoint.roll)
    return (
        cosine * forward - sine * left,
        sine * forward + cosine * left,
        math.cos(setpoint.pitch) * math.cos(setpoint.roll),
    )
