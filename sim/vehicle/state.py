"""The true state of the vehicle and its motion over one physics step."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from liquid_nav_sim.rotation import Quaternion, Vector

GRAVITY = 9.80665
"""Standard gravity, m/s^2."""


class Kinematics(NamedTuple):
    """A `VehicleState` in plain floats; with arrays, the physics would take ten times longer."""

    position: Vector
    orientation: Quaternion
    linear_velocity: Vector
    angular_velocity: Vector
    specific_force: Vector


@dataclass(frozen=True, eq=False)
class VehicleState:
    """Rigid-body state at one instant.

    Attributes:
        position: metres, world ENU, shape (3,).
        orientation: unit quaternion x, y, z, w, body FLU to world ENU, shape (4,).
        linear_velocity: m/s, world ENU, shape (3,).
        angular_velocity: rad/s, body FLU, shape (3,).
        specific_force: m/s^2, body FLU, shape (3,); the reading of an ideal accelerometer at the
            centre of mass (REP-145), averaged over the physics step that ends at this instant.
    """

    position: NDArray[np.float64]
    orientation: NDArray[np.float64]
    linear_velocity: NDArray[np.float64]
    angular_velocity: NDArray[np.float64]
    specific_force: NDArray[np.float64]

    @classmethod
    def of(cls, kinematics: Kinematics) -> "VehicleState":
        """Convert `kinematics` to arrays."""
        return cls(*map(np.array, kinematics))


class RotorTurn(NamedTuple):
    """How the rotors turned over one physics step, each in the order of `airframe.ROTOR_SIGNS`.

    Attributes:
        before, after: angles that they have turned since the start of the flight, rad.
        damage: damage of each rotor, from 0 to 1.
    """

    before: tuple[float, float, float, float]
    after: tuple[float, float, float, float]
    damage: tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Motion:
    """How the vehicle moved over one physics step.

    Attributes:
        before, after: states at the start and the end of the step.
        start, end: ns.
        rotors: how the rotors turned; None if they are of no interest.
    """

    before: Kinematics
    after: Kinematics
    start: int
    end: int
    rotors: RotorTurn | None = None

    def share(self, time: int) -> float:
        """Fraction of the step that has passed at `time` ns, in [0, 1]."""
        share = (time - self.start) / (self.end - self.start)
        return 0.0 if share < 0.0 else 1.0 if share > 1.0 else share

    def at(self, time: int) -> VehicleState:
        """State at `time` ns; times outside the step give the state at its nearer end."""
        before, after = VehicleState.of(self.before), VehicleState.of(self.after)
        return interpolate(before, after, self.share(time))


def interpolate(before: VehicleState, after: VehicleState, fraction: float) -> VehicleState:
    """State at `fraction` in [0, 1] of a physics step; the specific force is that of `after`."""
    start, end, rest = before.orientation, after.orientation, 1 - fraction
    # Quaternions of opposite sign are the same rotation: take the sign that is nearer.
    orientation = rest * start + (fraction if start @ end >= 0 else -fraction) * end
    return VehicleState(
        position=rest * before.position + fraction * after.position,
        orientation=orientation / math.sqrt(orientation @ orientation),
        linear_velocity=rest * before.linear_velocity + fraction * after.linear_velocity,
        angular_velocity=rest * before.angular_velocity + fraction * after.angular_velocity,
        specific_force=after.specific_force,
    )
