"""Four rotors: their speeds, which lag behind the setpoints, and their thrust and torque."""

import math

from liquid_nav_sim.vehicle.airframe import VehicleParameters
from liquid_nav_sim.vehicle.battery import Battery

PerRotor = tuple[float, float, float, float]
"""One value for each rotor, in the order of `airframe.ROTOR_SIGNS`."""


class Rotors:
    """The rotors of one vehicle, with their battery.

    The speed of a rotor follows its setpoint with a first-order lag, as a motor under speed control
    does; the setpoint is the speed that gives the commanded thrust. The speed controllers hold that
    speed as long as the battery allows it. The largest speed is proportional to the battery
    voltage, and the largest thrust to the square of the voltage.

    Args:
        parameters: the airframe.

    Attributes:
        speeds: present speeds, rad/s.
        angles: angles turned since the start of the flight, rad.
        battery: None if the airframe has none.
        full_thrust: largest thrust of one rotor at the present voltage, N.
        thrusts: mean thrusts over the last step without ground effect, N.
        mean_speed_sum: sum of the mean rotor speeds over the last step, rad/s.
        reaction: mean torque on the body about its z axis over the last step, from the air and from
            rotors that change their speed, N m.
        angular_momentum: angular momentum of the rotors relative to the body, along the body's z
            axis, N m s.
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
        """Set the present speeds of the rotors, rad/s."""
        self.speeds: PerRotor = speeds
        self.angles: PerRotor = (0.0, 0.0, 0.0, 0.0)
        a, b, c, d = speeds
        k = self._coefficient
        self.thrusts: PerRotor = (k * a * a, k * b * b, k * c * c, k * d * d)
        self.mean_speed_sum = a + b + c + d
        self.reaction = 0.0
        self.angular_momentum = self._inertia * (a + b - c - d)

    def advance(self, thrust_setpoints: PerRotor, dt: float) -> None:
        """Advance the rotors by `dt` seconds.

        The speeds follow the exact exponential, and the means of thrust and torque, which are
        proportional to the square of the speed, are its exact integrals.

        Args:
            thrust_setpoints: N, clipped to the range of the rotors.
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
        t, u, v, w = self.angles
        self.angles = (t + mean_a * dt, u + mean_b * dt, v + mean_c * dt, w + mean_d * dt)
        momentum = self._inertia * (a + b - c - d)
        # The torque of the air turns the body against the rotor's spin. So does the reaction of a
        # motor that accelerates its rotor.
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

        `left` is the fraction of the deviation from the setpoint that is left at the end of the
        step; `once` and `twice` are the means over the step of that fraction and of its square.
        """
        k = self._coefficient
        setpoint = math.sqrt(min(max(thrust, 0.0), self.full_thrust) / k)
        deviation = speed - setpoint
        square = setpoint * setpoint + deviation * (2 * setpoint * once + deviation * twice)
        return setpoint + deviation * left, k * square, setpoint + deviation * once
