"""The classical pilot of the task `target`: a servo on the red object."""

import math

import numpy as np
from numpy.typing import NDArray

from liquid_nav.evaluation.classical.colour import Blob, redness, strongest
from liquid_nav.evaluation.classical.rule import Rule
from liquid_nav.onboard import RawCommand

SPEED = 1.8
"""Speed towards the target, m/s."""

TURN_GAIN = 2.0
"""Yaw rate per bearing, 1/s."""

SEARCH_RATE = 1.0
"""Yaw rate of the search, rad/s."""

RED, FAINT_RED = 0.3, 0.2
"""Smallest `redness` of a target, and the smallest where a whole turn has found none."""

PATIENCE = 1.5
"""Seconds without sight of the target after which the search begins again."""


class TargetRule(Rule):
    """Turns to the left until the target is in view, then flies straight at it, round nothing."""

    def forget(self) -> None:
        """See `Rule.forget`."""
        self._unseen = math.inf
        self._bearing, self._slope = 0.0, 0.0

    def see(self, image: NDArray[np.uint8], rays: NDArray[np.float64], elapsed: float) -> None:
        """Look for the target, see `Rule.see`."""
        searched = abs(self.heading - self._bearing) > math.tau
        blob = strongest(redness(image), FAINT_RED if searched else RED)
        if blob is None:
            self._unseen += elapsed
        else:
            self.found(blob, rays, elapsed)

    def found(self, blob: Blob, rays: NDArray[np.float64], elapsed: float) -> None:
        """Take note of where the target is, see `Rule.see`."""
        x, y, z = rays[blob.mask].mean(axis=0).tolist()
        self._unseen = 0.0
        # Kept as a direction of the world, because the vehicle turns until the next frame.
        self._bearing = self.heading + math.atan2(y, x)
        self._slope = z / math.hypot(x, y)

    def command(self) -> RawCommand:
        """Fly at the target, or look for it."""
        if self._unseen > PATIENCE:
            return (0.0, 0.0, 0.0, SEARCH_RATE)
        bearing = math.remainder(self._bearing - self.heading, math.tau)
        speed = SPEED * max(math.cos(bearing), 0.0) ** 2
        return (speed, 0.0, speed * self._slope, TURN_GAIN * bearing)
