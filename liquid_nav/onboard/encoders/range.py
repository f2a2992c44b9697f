"""The encoder of a range finder."""

import math
from dataclasses import dataclass

from liquid_nav.events import RangeSample
from liquid_nav.onboard.encoders.dense import DenseEncoder

NEAREST = 0.2
"""Metres; a smaller distance is read as this one, which bounds the inverse."""


@dataclass(frozen=True)
class RangeEncoder(DenseEncoder):
    """Reads the inverse of a distance, and a flag for each of the two infinities of REP-117."""

    features: int = 8

    name = "range"
    event = RangeSample
    scale = (NEAREST, 1.0, 1.0)

    def measure(self, event: RangeSample) -> list[float]:
        """Inverse distance in 1/m, 1 if something is too close, 1 if nothing is in range."""
        distance = event.distance
        return [
            1 / max(distance, NEAREST),
            float(distance == -math.inf),
            float(distance == math.inf),
        ]
