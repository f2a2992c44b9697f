"""The encoder of goals."""

import math
from dataclasses import dataclass
from typing import ClassVar

from liquid_nav.events import Goal
from liquid_nav.onboard.encoders.dense import DenseEncoder
from liquid_nav.safety.freshness import Staleness

REACH = 100.0
"""Metres from the origin of the world; a goal farther away is read as one at this distance."""


@dataclass(frozen=True)
class GoalEncoder(DenseEncoder):
    """Reads where to go: a position in the world, at most `REACH` from its origin.

    A policy can use it only together with odometry that has `OdometryEncoder.pose`. A goal holds
    until the next one, so it never goes stale; before the first one the vehicle hovers.
    """

    features: int = 16

    name = "goal"
    event = Goal
    staleness: ClassVar[Staleness | None] = None
    scale = (0.1, 0.1, 0.1)
    mirror = (1.0, -1.0, 1.0)

    def measure(self, event: Goal) -> list[float]:
        """Position in metres, world ENU; one beyond `REACH` keeps its direction only."""
        position: list[float] = event.position.tolist()
        excess = max(1.0, math.hypot(*position) / REACH)
        return [x / excess for x in position]
