"""Four rotors: speeds that lag behind their setpoints, and the forces they make."""

import math

from liquid_nav_sim.vehicle.airframe import VehicleParameters
from liquid_nav_sim.vehicle.battery import Battery

PerRotor = tuple[float, float, float, float]
"""One value for each rotor, in the order of `airframe.ROTOR_SIGNS`."""


class Rotors:
    """The rotors of one vehicle, with their battery.

    What lags is the speed, first-order, as a motor under speed control does: its setpoint is the
    speed that gives the thrust asked for. The speed controllers hold it while the battery can; what
    sags with the voltage is the full speed, and so the full thrust with its square.

    Args:
        parameters: the airframe.

    Attributes:
        speeds: at this instant, rad/s.
        battery: None if the airframe has none.
        full_thrust: the most that one rotor gives at this voltage, N.
        thrusts: mean over the last step, N; out of ground effect.
        mean_speed_sum: of all rotors, mean over the last step, rad/s.
        reaction: torque on the body about its z axis, of the air and of rotors that speed up, mean
            over the last step, N m.
        angular_momentum: of the rotors relative to the body, along its z axis, N m s.
    """

    def __init__(self, parameters: VehicleParameters) -> None:
        self.battery = None if parameters.battery is None else Battery(parameters.battery)
        self._coefficient = parameters.thrust_coefficient
        self._ratio = parameters.drag_torque_ratio
        self._time_constant = parameters.motor_time_constant
        self._inertia = parameters.rotor_inertia
        self._max_thrust = parameters.max_thrust
        self.full_thrust = parameters.max_thrust
        hover = parameters.hover_speed
        self.start((hover, hover, hover, hover))

    def start(self, speeds: PerRotor) -> None:
        """Let the rotors turn at `speeds`, rad/s, from this instant on."""
        self.speeds: PerRotor = speeds
        a, b, c, d = speeds
        k = self._coefficient
        self.thrusts: PerRotor = (k * a * a, k * b * b, k * c * c, k * d * d)
        self.mean_speed_sum = a + b + c + d
        self.reaction = 0.0
        self.angular_momentum = self._inertia * (a + b - c - d)

    def advance(self, thrust_setpoints: PerRotor, dt: float) -> None:
        """Live through `dt` seconds.

        Speeds follow their exact exponential, and so do the means of thrust and torque, which go
        with the square of the speed.

        Args:
            thrust_setpoints: N, clipped to what a rotor can give.
            dt: seconds.
        """
        lag = self._time_constant / dt
        left = math.exp(-1 / lag)
        once, twice = (1 - left) * lag, (1 - left * left) * lag / 2
        a, b, c, d = self.speeds
        e, f, g, h = thrust_setpoints
        a, thrust_a, mean_a = self._turn(a, e, left, once, twice)
        b, thrust_b, mean_b = self._turn(b, f, left, once, twice)
        c, thrust_c, mean_c = self._turn(c, g, left, once, twice)
        d, thrust_d, mean_d = self._turn(d, h, left, once, twice)
        self.speeds = (a, b, c, d)
        self.thrusts = (thrust_a, thrust_b, thrust_c, thrust_d)
        self.mean_speed_sum = mean_a + mean_b + mean_c + mean_d
        momentum = self._inertia * (a + b - c - d)
        # The air turns a rotor, and with it the body, against its spin; so does a motor that speeds
        # its rotor up.
        air = self._ratio * (thrust_a + thrust_b - thrust_c - thrust_d)
        self.reaction = (self.angular_momentum - momentum) / dt - air
        self.angular_momentum = momentum
        if self.battery is not None:
            torque = self._ratio * self._coefficient
            power = torque * (a * a * a + b * b * b + c * c * c + d * d * d)
            self.battery.draw(power, dt)
            level = self.battery.level
            self.full_thrust = self._max_thrust * level * level

    def _turn(
        self, speed: float, thrust: float, left: float, once: float, twice: float
    ) -> tuple[float, float, float]:
        """Speed at the end of the step, mean thrust and mean speed of one rotor.

        Takes the share of a deviation that is left at the end, and the means over the step of that
        share and of its square.
        """
        k = self._coefficient
        setpoint = math.sqrt(min(max(thrust, 0.0), self.full_thrust) / k)
        deviation = speed - setpoint
        square = setpoint * setpoint + deviation * (2 * setpoint * once + deviation * twice)
        return setpoint + deviation * left, k * square, setpoint + deviation * once
