"""Kinds of sky, and the light that falls from them."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from liquid_nav_sim.scenes.colours import Colour, Palette


class Sky(NamedTuple):
    """A sky in full light.

    Attributes:
        zenith, horizon: colours of the sky, RGB in [0, 1].
        tint: colour of its light, RGB in [0, 1]; the largest component is 1.
    """

    zenith: Colour
    horizon: Colour
    tint: Colour


SkyKind = Callable[[np.random.Generator], Sky]

_WHITE = (1.0, 1.0, 1.0)


def clear(rng: np.random.Generator) -> Sky:
    """Blue, paler towards the horizon."""
    zenith = Palette((205.0, 230.0), (0.45, 0.8), (0.5, 0.95)).sample(rng)
    horizon = Palette((190.0, 225.0), (0.03, 0.35), (0.7, 1.0)).sample(rng)
    return Sky(zenith, horizon, (1.0, rng.uniform(0.94, 1.0), rng.uniform(0.86, 1.0)))


def overcast(rng: np.random.Generator) -> Sky:
    """Grey, from dark clouds to white haze."""
    grey = Palette((200.0, 230.0), (0.0, 0.08), (0.4, 1.0))
    return Sky(grey.sample(rng), grey.sample(rng), _WHITE)


def sunset(rng: np.random.Generator) -> Sky:
    """Yellow to pink at the horizon, in warm light."""
    horizon = Palette((-20.0, 50.0), (0.15, 0.5), (0.6, 1.0)).sample(rng)
    zenith = Palette((210.0, 290.0), (0.1, 0.5), (0.25, 0.7)).sample(rng)
    return Sky(zenith, horizon, (1.0, rng.uniform(0.82, 0.97), rng.uniform(0.65, 0.9)))


def twilight(rng: np.random.Generator) -> Sky:
    """Deep blue, a little brighter at the horizon, in bluish light."""
    zenith = Palette((210.0, 250.0), (0.3, 0.8), (0.05, 0.3)).sample(rng)
    horizon = Palette((200.0, 250.0), (0.1, 0.5), (0.25, 0.6)).sample(rng)
    return Sky(zenith, horizon, (rng.uniform(0.8, 0.95), rng.uniform(0.88, 0.98), 1.0))


def walls(rng: np.random.Generator) -> Sky:
    """Indoors: walls and a ceiling, grey or of a pale colour, under warm or cold lamps."""
    wall = Palette((0.0, 360.0), (0.0, 0.3), (0.2, 1.0)).sample(rng)
    ceiling = Palette((0.0, 360.0), (0.0, 0.1), (0.2, 1.0)).sample(rng)
    warm = rng.uniform(-0.2, 0.2)
    tint = (1.0, 1 - abs(warm) / 2, 1 - warm) if warm > 0 else (1 + warm, 1 + warm / 2, 1.0)
    return Sky(ceiling, wall, tint)


def backdrop(rng: np.random.Generator) -> Sky:
    """One colour from horizon to zenith, as renderers have behind an empty scene."""
    grey = Palette((200.0, 260.0), (0.0, 0.25), (0.0, 1.0)).sample(rng)
    colour = _WHITE if rng.random() < 0.4 else grey
    return Sky(colour, colour, _WHITE)


SKIES: tuple[SkyKind, ...] = (clear, overcast, sunset, twilight, walls, backdrop)
"""All kinds of sky."""
