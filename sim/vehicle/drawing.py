"""Draws plausible quadrotors of 27 g to 2.5 kg.

Mass is drawn log-uniformly; the rest follows from it by the laws of scaling, with scatter around
the ratios of the shipped airframes, which real vehicles of these sizes have: a 27 g Crazyflie, a
0.6 kg racer and a 1.5 kg survey vehicle.
"""

import math

import numpy as np

from liquid_nav_sim.vehicle.airframe import BatteryParameters, VehicleParameters
from liquid_nav_sim.vehicle.body import AIR_DENSITY
from liquid_nav_sim.vehicle.state import GRAVITY

LIGHTEST, HEAVIEST = 0.027, 2.5
"""Bounds of the mass, kg."""

THRUST_TO_WEIGHT = (1.6, 3.5)
MOTOR_TIME_CONSTANT = (0.015, 0.08)
"""Bounds of the time constant of the motors, s."""


def draw_vehicle(
    rng: np.random.Generator, lightest: float = LIGHTEST, heaviest: float = HEAVIEST
) -> VehicleParameters:
    """Draw a quadrotor.

    Args:
        rng: random stream; each call takes the same number of numbers from it.
        lightest, heaviest: bounds of its mass, kg.
    """
    share = iter(rng.random(20).tolist())

    def even(low: float, high: float) -> float:
        return float(low + (high - low) * next(share))

    def even_in_log(low: float, high: float) -> float:
        return low * math.pow(high / low, next(share))

    mass = even_in_log(lightest, heaviest)
    # The arm grows a little faster than the cube root of the mass: small vehicles are compact.
    arm = 0.175 * mass**0.42 * even_in_log(0.8, 1.25)
    radius = arm * even(0.45, 0.62)
    # Of the thrust coefficient T / (density * disc area * (tip speed)^2), which shape and Reynolds
    # number of the blades set.
    coefficient = even_in_log(0.008, 0.027) * AIR_DENSITY * math.pi * radius**4
    thrust_to_weight = even_in_log(*THRUST_TO_WEIGHT)
    hover_speed = math.sqrt(mass * GRAVITY / 4 / coefficient)
    torque_ratio = radius * even(0.12, 0.26)
    roll = mass * arm * arm * even(0.23, 0.34)
    pitch, yaw = roll * even(1.0, 1.2), roll * even(1.5, 1.9)
    # Linear drag at hover over the mass, per second (Faessler et al., RA-L 2018: 0.2 to 0.5).
    level_drag = even(0.18, 0.4) * mass / (4 * hover_speed)
    vertical_drag = level_drag * even(1.1, 1.35)
    front = arm * arm * even(0.28, 0.7)
    hull = (arm + radius) * even(0.95, 1.03)
    return VehicleParameters(
        mass=mass,
        inertia=(roll, pitch, yaw),
        arm_length=arm,
        rotor_radius=radius,
        thrust_coefficient=coefficient,
        drag_torque_ratio=torque_ratio,
        max_rotor_speed=hover_speed * math.sqrt(thrust_to_weight),
        motor_time_constant=even_in_log(*MOTOR_TIME_CONSTANT),
        rotor_inertia=mass * radius * radius * even(0.002, 0.003),
        rotor_drag=(level_drag, level_drag, vertical_drag),
        body_drag_area=(front, front, 2.4 * front),
        ground_effect=1.0,
        collision_radius=hull,
        collision_height=hull * even(0.3, 0.45),
        battery=_battery(
            mass,
            mass * GRAVITY * torque_ratio * hover_speed,
            endurance=60 * even(6, 18),
            sag=even_in_log(0.01, 0.05),
        ),
    )


def _battery(mass: float, hover_power: float, endurance: float, sag: float) -> BatteryParameters:
    """A lithium-polymer battery for a mass, kg, and a mechanical power in hover, W.

    Args:
        endurance: time for which the vehicle can hover, s.
        sag: share of its voltage that is lost in hover.
    """
    cells = 1 if mass < 0.1 else 2 if mass < 0.35 else 3 if mass < 0.55 else 4
    # Vehicles below 60 g or so have brushed motors.
    efficiency = 0.35 if mass < 0.06 else 0.72
    current = hover_power / efficiency / (3.8 * cells)
    return BatteryParameters(
        capacity=current * endurance / 3600,
        full_voltage=4.2 * cells,
        empty_voltage=3.3 * cells,
        resistance=sag * 3.8 * cells / current,
        efficiency=efficiency,
    )
