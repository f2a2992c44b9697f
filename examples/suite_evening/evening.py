"""A suite: the light fades, the camera turns its gain up, and the wind rises."""

from dataclasses import replace

from liquid_nav.evaluation.suites.cell import Cell
from liquid_nav.evaluation.suites.wind import turbulent
from liquid_nav.learning.data.images import ImageChange
from liquid_nav_sim.config import WorldConfig


def evening(base: WorldConfig) -> list[Cell]:
    """Make a cell for each hour: its light, and at the end its wind."""
    windy = replace(base, wind=turbulent(4.0))
    return [
        Cell("noon", base),
        Cell("six o'clock", base, ImageChange(brightness=0.7, cast=(1.2, 1.0, 0.8), noise=4.0)),
        Cell("eight o'clock", base, ImageChange(brightness=0.35, noise=10.0)),
        Cell("eight o'clock, windy", windy, ImageChange(brightness=0.35, noise=10.0)),
    ]
