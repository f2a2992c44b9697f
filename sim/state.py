"""True state of the vehicle."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GRAVITY = 9.80665
"""Standard gravity, m/s^2."""


@dataclass(frozen=True, eq=False)
class VehicleState:
    """Rigid-body state at one instant.

    Attributes:
        position: metres, world ENU, shape (3,).
        orientation: unit quaternion x, y, z, w, body FLU to world ENU, shape (4,).
        linear_velocity: m/s, world ENU, shape (3,).
        angular_velocity: rad/s, body FLU, shape (3,).
        specific_force: m/s^2, body FLU, shape (3,); what an ideal accelerometer at the centre of
            mass reads (REP-145), averaged over the physics step that ends at this instant.
    """

    position: NDArray[np.float64]
    orientation: NDArray[np.float64]
    linear_velocity: NDArray[np.float64]
    angular_velocity: NDArray[np.float64]
    specific_force: NDArray[np.float64]
