"""The parameters of a quadrotor, which its physics and its autopilot read."""

import math
from dataclasses import dataclass

from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.rotation import Vector
from liquid_nav_sim.vehicle.state import GRAVITY

ROTOR_SIGNS = ((1, -1, 1), (-1, 1, 1), (1, 1, -1), (-1, -1, -1))
"""For each rotor: the sign of its x, the sign of its y (body FLU) and its direction of spin.

The spin is +1 counter-clockwise and -1 clockwise, seen from above. The order is that of PX4's quad
X: front right, rear left, front left, rear right.
"""

_RANGES = {
    "mass": (0.005, 100.0),
    "arm_length": (0.01, 5.0),
    "rotor_radius": (0.005, 5.0),
    "thrust_coefficient": (1e-10, 1.0),
    "drag_torque_ratio": (0.001, 1.0),
    "max_rotor_speed": (10.0, 20_000.0),
    "motor_time_constant": (0.001, 1.0),
    "rotor_inertia": (0.0, 1.0),
    "ground_effect": (0.0, 3.0),
    "collision_radius": (0.01, 5.0),
    "collision_height": (0.01, 5.0),
}


@dataclass(frozen=True)
class BatteryParameters:
    """Parameters of a battery and of the electric drive behind it.

    Attributes:
        capacity: A h.
        full_voltage, empty_voltage: open-circuit voltage of the full and of the empty battery, V;
            in between it is linear in the charge.
        resistance: internal resistance including the cables, ohm.
        efficiency: mechanical power of the rotors divided by electrical power, in [0.01, 1].

    Raises:
        SimulationError: if a field is out of its range.
    """

    capacity: float
    full_voltage: float
    empty_voltage: float
    resistance: float
    efficiency: float

    def __post_init__(self) -> None:
        for name, low, high in (
            ("capacity", 0.001, 1000.0),
            ("full_voltage", 1.0, 1000.0),
            ("empty_voltage", 0.5, self.full_voltage),
            ("resistance", 0.0, 10.0),
            ("efficiency", 0.01, 1.0),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise SimulationError(
                    f"battery.{name} must be in [{low:g}, {high:g}], got {value!r}"
                )


@dataclass(frozen=True)
class VehicleParameters:
    """A quadrotor in X configuration with its rotors in the plane of the centre of mass.

    Attributes:
        mass: kg.
        inertia: principal moments of inertia about the centre of mass, kg m^2, body FLU, (3,).
        arm_length: distance from the centre of mass to each rotor axis, metres.
        rotor_radius: metres.
        thrust_coefficient: thrust of a rotor divided by the square of its speed, N s^2/rad^2.
        drag_torque_ratio: air torque on a rotor about its axis divided by its thrust, metres.
        max_rotor_speed: speed of a rotor at full throttle with a full battery, rad/s.
        motor_time_constant: time constant of the first-order lag from speed setpoint to rotor
            speed, seconds.
        rotor_inertia: moment of inertia of a rotor and everything that turns with it, about its
            axis, kg m^2.
        rotor_drag: drag of the rotors along each body axis, divided by the airspeed and by the sum
            of the rotor speeds, N s^2/(m rad), (3,).
        body_drag_area: drag coefficient times area of the hull along each body axis, m^2, (3,).
        ground_effect: factor on the term of Cheeseman and Bennett (1955): 1 is their formula, 0
            switches ground effect off.
        collision_radius, collision_height: size of the upright cylinder that collides, metres.
        battery: None for a supply whose voltage never drops.

    Raises:
        SimulationError: if a field is out of its range or the rotors are too weak or too strong.
    """

    mass: float
    inertia: Vector
    arm_length: float
    rotor_radius: float
    thrust_coefficient: float
    drag_torque_ratio: float
    max_rotor_speed: float
    motor_time_constant: float
    rotor_inertia: float
    rotor_drag: Vector
    body_drag_area: Vector
    ground_effect: float
    collision_radius: float
    collision_height: float
    battery: BatteryParameters | None = None

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise SimulationError(f"{name} must be in [{low:g}, {high:g}], got {value!r}")
        if len(self.inertia) != 3 or not all(0 < i < math.inf for i in self.inertia):
            raise SimulationError(
                f"inertia must be three positive finite moments, got {self.inertia!r}"
            )
        if 2 * max(self.inertia) > sum(self.inertia):
            raise SimulationError(
                "inertia must have no moment above the sum of the other two, as in any rigid body, "
                f"got {self.inertia!r}"
            )
        for name in ("rotor_drag", "body_drag_area"):
            value = getattr(self, name)
            if len(value) != 3 or not all(0 <= d < math.inf for d in value):
                raise SimulationError(
                    f"{name} must be three finite numbers that are at least 0, got {value!r}"
                )
        if not 1.5 <= self.thrust_to_weight <= 20:
            raise SimulationError(
                "max_rotor_speed must give a thrust of 1.5 to 20 times the weight, got "
                f"{self.thrust_to_weight:.3g} times at {self.max_rotor_speed!r} rad/s"
            )

    @property
    def hover_thrust(self) -> float:
        """Thrust of one rotor in hover, a quarter of the weight, N."""
        return self.mass * GRAVITY / 4

    @property
    def hover_speed(self) -> float:
        """Speed of each rotor in hover, rad/s."""
        return math.sqrt(self.hover_thrust / self.thrust_coefficient)

    @property
    def max_thrust(self) -> float:
        """Largest thrust of one rotor with a full battery, N."""
        return self.thrust_coefficient * self.max_rotor_speed**2

    @property
    def thrust_to_weight(self) -> float:
        """Largest thrust of all rotors divided by the weight."""
        return self.max_thrust / self.hover_thrust

    @property
    def lever(self) -> float:
        """Distance of each rotor axis from the body's x axis, and from its y axis, metres."""
        return self.arm_length / math.sqrt(2)
