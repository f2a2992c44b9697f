"""What a quadrotor is made of: the numbers that its physics and its autopilot start from."""

import math
from dataclasses import dataclass

from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.rotation import Vector
from liquid_nav_sim.vehicle.state import GRAVITY

ROTOR_SIGNS = ((1, -1, 1), (-1, 1, 1), (1, 1, -1), (-1, -1, -1))
"""Per rotor the signs of x and y, body FLU, and the spin, +1 counter-clockwise seen from above.

Front right, rear left, front left, rear right: the order of PX4's quad X.
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
    """A battery, and how much of its power reaches the rotors.

    Attributes:
        capacity: A h.
        full_voltage, empty_voltage: open-circuit, V; linear in the charge between them.
        resistance: ohm, cables included.
        efficiency: mechanical power of the rotors over electrical power, in (0, 1].

    Raises:
        SimulationError: on a field out of its range.
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
    """A quadrotor in X configuration, its rotors in the plane of the centre of mass.

    Attributes:
        mass: kg.
        inertia: principal moments about the centre of mass, kg m^2, body FLU, (3,).
        arm_length: centre of mass to rotor axis, metres.
        rotor_radius: metres.
        thrust_coefficient: thrust of a rotor over the square of its speed, N s^2 (per rad^2).
        drag_torque_ratio: torque about its axis that a rotor feels from the air, per thrust,
            metres.
        max_rotor_speed: of a rotor at full battery, rad/s.
        motor_time_constant: of the first-order lag from speed setpoint to rotor speed, seconds.
        rotor_inertia: of what turns with a rotor, about its axis, kg m^2.
        rotor_drag: force along each body axis per airspeed and per sum of the rotor speeds,
            N s^2/(m rad), (3,).
        body_drag_area: drag coefficient times area of the hull along each body axis, m^2, (3,).
        ground_effect: factor on the term of Cheeseman and Bennett, 1 as they have it, 0 for none.
        collision_radius, collision_height: of the upright cylinder that touches things, metres.
        battery: None for one that never sags.

    Raises:
        SimulationError: on a field out of its range, or rotors too weak to fly it.
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
                "inertia must have no moment above the sum of the other two, or no body has it, "
                f"got {self.inertia!r}"
            )
        for name in ("rotor_drag", "body_drag_area"):
            value = getattr(self, name)
            if len(value) != 3 or not all(0 <= d < math.inf for d in value):
                raise SimulationError(
                    f"{name} must be three finite numbers from 0 up, got {value!r}"
                )
        if not 1.5 <= self.thrust_to_weight <= 20:
            raise SimulationError(
                "max_rotor_speed must give 1.5 to 20 times the weight in thrust, got "
                f"{self.thrust_to_weight:.3g} times at {self.max_rotor_speed!r} rad/s"
            )

    @property
    def hover_thrust(self) -> float:
        """Thrust of one rotor that carries a quarter of the weight, N."""
        return self.mass * GRAVITY / 4

    @property
    def hover_speed(self) -> float:
        """Speed of rotors that carry the weight, rad/s."""
        return math.sqrt(self.hover_thrust / self.thrust_coefficient)

    @property
    def max_thrust(self) -> float:
        """Thrust of one rotor at full battery, N."""
        return self.thrust_coefficient * self.max_rotor_speed**2

    @property
    def thrust_to_weight(self) -> float:
        """Full thrust of all rotors over the weight."""
        return self.max_thrust / self.hover_thrust

    @property
    def lever(self) -> float:
        """Distance of each rotor axis from the body's x axis, and from its y axis, metres."""
        return self.arm_length / math.sqrt(2)
