"""The classical pilot of the task `follow`: a servo on the red object at a distance."""

import math

import numpy as np
from numpy.typing import NDArray

from liquid_nav.evaluation.classical.colour import Blob
from liquid_nav.evaluation.classical.target import PATIENCE, SEARCH_RATE, TURN_GAIN, TargetRule
from liquid_nav.onboard import RawCommand

USUAL_SIZE = 0.65
"""Diameter that the target is taken to have, metres."""

DISTANCE = 2.5
"""Distance to keep, metres."""

GAIN = 1.2
"""Speed per error of the distance, 1/s."""

LEARNING_RATE = 0.4
"""Change of the estimated speed of the target per error of the distance, 1/s^2."""

FASTEST = 2.5
"""Largest speed, m/s."""


class FollowRule(TargetRule):
    """Looks for the target as `TargetRule` does, and keeps its apparent size."""

    def forget(self) -> None:
        """See `Rule.forget`."""
        super().forget()
        self._distance, self._target_speed = DISTANCE, 0.0

    def found(self, blob: Blob, rays: NDArray[np.float64], elapsed: float) -> None:
        """Estimate the distance of the target by its size, and its speed."""
        super().found(blob, rays, elapsed)
        # Area on the plane at distance 1 from the lens; a circle of that area has the diameter.
        pixel = float(np.linalg.norm(rays[0, -1] - rays[0, 0])) / max(rays.shape[1] - 1, 1)
        diameter = 2 * pixel * math.sqrt(np.count_nonzero(blob.mask) / math.pi)
        self._distance = USUAL_SIZE / max(diameter, 1e-3)
        faster = self._target_speed + LEARNING_RATE * elapsed * (self._distance - DISTANCE)
        self._target_speed = min(max(faster, 0.0), FASTEST)

    def command(self) -> RawCommand:
        """Keep the distance, or look for the target."""
        if self._unseen > PATIENCE:
            return (0.0, 0.0, 0.0, SEARCH_RATE)
        bearing = math.remainder(self._bearing - self.heading, math.tau)
        speed = self._target_speed + GAIN * (self._distance - DISTANCE)
        speed = min(max(speed, -1.0), FASTEST) * max(math.cos(bearing), 0.0)
        return (speed, 0.0, self._distance * self._slope, TURN_GAIN * bearing)
