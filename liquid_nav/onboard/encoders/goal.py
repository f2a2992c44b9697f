"""The encoder of goals."""

import math
from dataclasses import dataclass
from typing import ClassVar

from liquid_nav.events import Goal
from liquid_nav.onboard.encoders.dense import DenseEncoder
from liquid_nav.safety.freshness import Staleness

REACH = 100.0
"""Metres from the origin of the world up to which a goal is told apart from one farther away."""


@dataclass(frozen=True)
class GoalEncoder(DenseEncoder):
    """Reads where to go: a position in the world, brought within `REACH` of its origin.

    A policy can only use it beside odometry with `OdometryEncoder.pose`. A goal holds until the
    next one, so that it never goes stale; without any the vehicle hovers.
    """

    features: int = 16

    name = "goal"
    event = Goal
    staleness: ClassVar[Staleness | None] = None
    scale = (0.1, 0.1, 0.1)
    mirror = (1.0, -1.0, 1.0)

    def measure(self, event: Goal) -> list[float]:
        """Position in metres, world ENU; its direction is kept where it is beyond `REACH`."""
        position: list[float] = event.position.tolist()
        excess = max(1.0, math.hypot(*position) / REACH)
        return [x / excess for x in position]
