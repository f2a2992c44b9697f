"""A vehicle in a simulator: one whose truth is known, so that its flights can be judged."""

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from liquid_nav.vehicle import Vehicle
from liquid_nav_sim.scenes.scene import Scene
from liquid_nav_sim.tasks.base import Attempt
from liquid_nav_sim.world import Outcome


class SimulatedVehicle(Vehicle):
    """A vehicle in a simulator, where the truth is known. Pilots do not see it.

    Attributes:
        hull: radius of the upright cylinder around the vehicle, metres.
        scene: where it flies.
        attempt: progress of the flight at its task; there is one from `connect` on.

    """

    hull: float
    scene: Scene
    attempt: Attempt

    @property
    @abstractmethod
    def time(self) -> int:
        """Simulated time since the start of the flight, ns."""

    @property
    @abstractmethod
    def position(self) -> NDArray[np.float64]:
        """Centre of the vehicle, metres, world ENU, shape (3,)."""

    @property
    @abstractmethod
    def outcome(self) -> Outcome | None:
        """How the flight ended; None while it lasts."""

    def clearance(self) -> float:
        """Distance from the hull to the nearest obstacle, metres."""
        distances = [solid.distance(self.position) for solid in self.scene.obstacles]
        return min(distances, default=float("inf")) - self.hull
