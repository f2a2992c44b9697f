"""A family of appearances of one's own: grey ground with craters under a black sky."""

import numpy as np

from liquid_nav_sim.scenes.patterns import Levels
from liquid_nav_sim.scenes.skies import Sky
from liquid_nav_sim.scenes.varied import VariedFamily


def craters(size: int, count: int, rng: np.random.Generator) -> Levels:
    """Round holes with a bright rim: levels in [0, 1], shape (S, S), without a seam."""
    levels = np.full((size, size), 0.6)
    place = (np.arange(size) + 0.5) / size
    for row, column, radius in rng.uniform((0, 0, 0.1), (1, 1, 0.5), (count**2, 3)):
        down, right = (np.abs((place - centre + 0.5) % 1 - 0.5) for centre in (row, column))
        away = np.hypot(down[:, None], right) * count / radius
        levels[away < 1.2] = 1.0
        levels[away < 1.0] = 0.3
    return levels


def space(rng: np.random.Generator) -> Sky:
    """Black sky in white light."""
    return Sky((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


CRATERS = VariedFamily(
    patterns=(craters,),
    saturation=(0.0, 0.1),
    skies=(space,),
    fog_share=0.0,
    photograph_share=0.0,
)
