"""Families of appearances by name: random grounds, skies and light to train and to test in."""

from dataclasses import replace
from functools import lru_cache, partial

import numpy as np

from liquid_nav.errors import ConfigError
from liquid_nav.registry import Registry
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.scenes.basic import BasicFamily, cloudy, patches, tiles
from liquid_nav_sim.scenes.colours import Palette
from liquid_nav_sim.scenes.family import AppearanceFamily
from liquid_nav_sim.scenes.held_out_patterns import (
    HELD_OUT_PATTERNS,
    bricks,
    cells,
    glyphs,
    hexagons,
    maze,
    rings,
)
from liquid_nav_sim.scenes.photographs import HELD_OUT_PACKAGES, from_packages
from liquid_nav_sim.scenes.scene import Appearance
from liquid_nav_sim.scenes.skies import sunset, twilight
from liquid_nav_sim.scenes.varied import VariedFamily

TRAIN = BasicFamily(
    patterns=(cloudy, tiles, patches),
    hue=(50.0, 160.0),
    bark=Palette((12.0, 40.0), (0.25, 0.6), (0.15, 0.5)),
    paint=Palette((15.0, 40.0), (0.85, 1.0), (0.8, 1.0)),
    fog_length=(14.0, 60.0),
)
VARIED = VariedFamily()
HELD_OUT = VariedFamily(
    patterns=HELD_OUT_PATTERNS,
    hues=((255.0, 285.0),),
    saturation=(0.1, 0.6),
    fog_length=(8.0, 12.0),
    fog_share=0.3,
    bark=(Palette((220.0, 310.0), (0.3, 0.8), (0.2, 0.9)),),
    paint=(Palette((265.0, 320.0), (0.7, 1.0), (0.7, 1.0)),),
    photograph_share=0.0,
)

FAMILIES: Registry[AppearanceFamily] = Registry(
    "liquid_nav.appearances",
    "appearance",
    {
        "train": TRAIN,
        "varied": VARIED,
        "held-out": HELD_OUT,
        # These differ from "varied" in one respect each, in which training never draws.
        **{
            pattern.__name__: replace(VARIED, patterns=(pattern,), photograph_share=0.0)
            for pattern in (hexagons, cells, bricks, rings, maze, glyphs)
        },
        "photographs": replace(
            VARIED, photographs=partial(from_packages, HELD_OUT_PACKAGES), photograph_share=1.0
        ),
        "violet": replace(
            VARIED, hues=HELD_OUT.hues, saturation=HELD_OUT.saturation, photograph_share=0.0
        ),
        "dusk": replace(VARIED, light=(0.2, 0.33), skies=(sunset, twilight), fog_share=0.0),
        "fog": replace(VARIED, fog_length=HELD_OUT.fog_length, fog_share=1.0),
    },
)
"""Families by name; entry points of the group ``liquid_nav.appearances`` add to them.

"train" has green and grey grounds, brown trunks and orange gates; it is the default. "varied" is
for training that travels. All others are for tests. "held-out" shares with "train" and "varied" no
pattern, no hue of the ground, no colour of trunks or gates and no thickness of fog.
"""


@lru_cache(maxsize=64)
def family_of(name: str) -> AppearanceFamily:
    """Find the family of a name, ``NAME`` or ``NAME:FOLDER``.

    Args:
        name: a name in `FAMILIES`. After a colon may follow a folder of photographs, which become
            textures of the ground; a family without photographs takes none.

    Raises:
        SimulationError: if there is no family of this name, or it cannot be imported, or the folder
            does not hold photographs.
    """
    family, colon, folder = name.partition(":")
    if family not in FAMILIES:
        raise SimulationError(f"appearances are {', '.join(FAMILIES)}; got {name!r}")
    try:
        found = FAMILIES.get(family)
    except ConfigError as error:
        raise SimulationError(str(error)) from error
    if not colon:
        return found
    with_photographs = found.with_photographs(folder)
    if with_photographs is None:
        raise SimulationError(
            f"the appearance {family!r} has no photographs, so no folder may follow; got {name!r}"
        )
    return with_photographs


def sample_appearance(rng: np.random.Generator, family: str) -> Appearance:
    """Draw an appearance for a task without weather; equal streams give equal bytes.

    Args:
        rng: random stream.
        family: name as in `family_of`.

    Raises:
        SimulationError: if there is no family of this name.
    """
    return family_of(family).look(rng, weather=False)


def sample_weather(rng: np.random.Generator, family: str) -> Appearance:
    """Draw an appearance as `sample_appearance` does, but in some scenes with fog."""
    return family_of(family).look(rng, weather=True)
