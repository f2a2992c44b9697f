"""Flights of a vehicle and its autopilot without a world around them, for tests."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pybullet
from numpy.typing import NDArray

from liquid_nav.command import Command
from liquid_nav_sim.rotation import Vector
from liquid_nav_sim.vehicle.airframe import VehicleParameters
from liquid_nav_sim.vehicle.autopilot import Autopilot
from liquid_nav_sim.vehicle.autopilot_model import NOMINAL, AutopilotModel
from liquid_nav_sim.vehicle.body import Vehicle
from liquid_nav_sim.vehicle.files import QUAD_250
from liquid_nav_sim.vehicle.setpoints import Setpoint
from liquid_nav_sim.vehicle.state import GRAVITY

DT = 0.004
HEIGHT = 5.0


def velocity(vx: float, vy: float, vz: float, yaw_rate: float) -> Command:
    return Command(0, vx=vx, vy=vy, vz=vz, yaw_rate=yaw_rate)


@dataclass(frozen=True, eq=False)
class Flight:
    """Samples after each step.

    Time, velocity in the heading frame, position, attitude, turn about the vertical, body rates,
    and specific force along the body's z axis.
    """

    time: NDArray[np.float64]
    velocity: NDArray[np.float64]
    position: NDArray[np.float64]
    attitude: NDArray[np.float64]
    yaw_rate: NDArray[np.float64]
    rates: NDArray[np.float64]
    thrust: NDArray[np.float64]

    @property
    def sag(self) -> float:
        """Largest change of height, metres."""
        return float(np.abs(self.position[:, 2] - HEIGHT).max())

    @property
    def tilt(self) -> NDArray[np.float64]:
        """Angle between the body's up axis and the vertical, radians."""
        return np.asarray(np.arccos(np.minimum(self.attitude[:, 2, 2], 1.0)))

    @property
    def heading(self) -> NDArray[np.float64]:
        """Unwrapped heading, radians."""
        return np.unwrap(np.arctan2(self.attitude[:, 1, 0], self.attitude[:, 0, 0]))


def fly(
    *legs: tuple[float, Setpoint | Callable[[float], Setpoint]],
    wind: Vector = (0.0, 0.0, 0.0),
    parameters: VehicleParameters = QUAD_250,
    model: AutopilotModel = NOMINAL,
    yaw: float = 0.0,
    dt: float = DT,
) -> Flight:
    """Fly legs of (seconds, setpoint) from hover; a setpoint may depend on the time in its leg."""
    client = pybullet.connect(pybullet.DIRECT)
    pybullet.setGravity(0, 0, -GRAVITY, physicsClientId=client)
    pybullet.setTimeStep(dt, physicsClientId=client)
    vehicle, autopilot = Vehicle(client, parameters), Autopilot(parameters, model)
    vehicle.reset((0.0, 0.0, HEIGHT), yaw)
    state, samples = vehicle.observe(dt), []
    for seconds, setpoint in legs:
        for step in range(round(seconds / dt)):
            full = vehicle.rotors.full_thrust
            wanted = setpoint(step * dt) if callable(setpoint) else setpoint
            vehicle.apply(autopilot.update(wanted, state, dt, full), wind, dt)
            pybullet.stepSimulation(physicsClientId=client)
            state = vehicle.observe(dt)
            attitude = np.array(pybullet.getMatrixFromQuaternion(state.orientation)).reshape(3, 3)
            samples.append(
                (
                    state.linear_velocity,
                    state.position,
                    attitude,
                    state.angular_velocity,
                    state.specific_force,
                )
            )
    pybullet.disconnect(client)
    velocity, position, attitude, rate, force = map(np.array, zip(*samples, strict=True))
    heading = np.arctan2(attitude[:, 1, 0], attitude[:, 0, 0])
    c, s = np.cos(heading), np.sin(heading)
    level = np.stack(
        [
            c * velocity[:, 0] + s * velocity[:, 1],
            c * velocity[:, 1] - s * velocity[:, 0],
            velocity[:, 2],
        ],
        axis=1,
    )
    turn = np.einsum("nj,nj->n", attitude[:, 2], rate)
    time = np.arange(1, len(level) + 1, dtype=np.float64) * dt
    return Flight(time, level, position, attitude, turn, rate, force[:, 2])
