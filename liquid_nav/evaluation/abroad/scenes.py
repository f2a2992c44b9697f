"""Scenes for simulators that we did not write: the solids of a task over five kinds of ground."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
import pybullet
from numpy.typing import NDArray

from liquid_nav.errors import ConfigError
from liquid_nav_sim.scenes.bodies import SceneBodies, add_scene
from liquid_nav_sim.scenes.patterns import smooth_noise
from liquid_nav_sim.scenes.photographs import HELD_OUT_PACKAGES, from_packages, seamless
from liquid_nav_sim.scenes.scene import Scene
from liquid_nav_sim.streams import Streams

Texture = tuple[NDArray[np.uint8], float]
"""RGB, shape (S, S, 3), and the length of a tile's side in metres."""


def _plain(rng: np.random.Generator) -> Texture:
    colour = rng.uniform(70, 190) + rng.uniform(-25, 25, 3)
    return np.full((8, 8, 3), colour).astype(np.uint8), 1.0


def _checker(rng: np.random.Generator) -> Texture:
    """A fine grid of two tones of high contrast, squares of 0.1 to 0.5 m."""
    light, dark = rng.uniform(180, 255, 3), rng.uniform(0, 90, 3)
    odd = np.indices((8, 8)).sum(0)[..., None] % 2
    return np.where(odd, light, dark).astype(np.uint8), float(rng.uniform(0.8, 4.0))


def _noise(rng: np.random.Generator) -> Texture:
    tones = 128 + rng.uniform(20, 60) * smooth_noise(128, rng, rng.uniform(0.0, 1.4))
    tint = rng.uniform(0.7, 1.0, 3)
    return (tones[..., None] * tint).clip(0, 255).astype(np.uint8), float(rng.uniform(2.0, 8.0))


def _stripes(rng: np.random.Generator) -> Texture:
    light, dark = rng.uniform(140, 255, 3), rng.uniform(0, 110, 3)
    bands = np.indices((64, 64))[rng.integers(2)] // int(rng.choice([2, 4, 8, 16])) % 2
    return np.where(bands[..., None], light, dark).astype(np.uint8), float(rng.uniform(2.0, 8.0))


def _photo(rng: np.random.Generator) -> Texture:
    """A photograph that comes with PyBullet; training never draws one of these."""
    photographs = from_packages(HELD_OUT_PACKAGES)
    image = seamless(photographs[rng.integers(len(photographs))], 256, rng)
    return (255 * image).astype(np.uint8), float(rng.uniform(2.0, 12.0))


GROUNDS: Mapping[str, Callable[[np.random.Generator], Texture]] = MappingProxyType(
    {"plain": _plain, "checker": _checker, "noise": _noise, "stripes": _stripes, "photo": _photo}
)
"""How each kind of ground is drawn."""


def over_ground(scene: Scene, ground: str, seed: int) -> Scene:
    """Lay a ground under a scene, whose solids stay.

    Args:
        scene: the scene.
        ground: name in `GROUNDS`.
        seed: seed of the flight, from which the ground is drawn.

    Raises:
        ConfigError: if there is no ground of this name.

    """
    if ground not in GROUNDS:
        raise ConfigError(f"there is no ground {ground!r}; choose one of {', '.join(GROUNDS)}")
    texture, side = GROUNDS[ground](Streams(seed)["ground"])
    return replace(scene, appearance=replace(scene.appearance, ground=texture, ground_scale=side))


REACH = 100.0
"""Half of the side of the visible ground, metres."""


def draw_scene(client: int, scene: Scene, floor: int) -> SceneBodies:
    """Put a scene into a PyBullet client that has a floor of its own at z = 0.

    Args:
        client: PyBullet client.
        scene: what to draw: its solids, and its ground as a picture over the floor.
        floor: body id of the simulator's floor, which is no longer seen.

    """
    pybullet.changeVisualShape(floor, -1, rgbaColor=(1, 1, 1, 0), physicsClientId=client)
    bodies = add_scene(client, scene)
    repeats = 2 * REACH / scene.appearance.ground_scale
    corners = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
    shape = pybullet.createVisualShape(
        pybullet.GEOM_MESH,
        vertices=[(REACH * x, REACH * y, 0.0) for x, y in corners],
        indices=[0, 1, 2, 0, 2, 3],
        uvs=[((x + 1) / 2 * repeats, (y + 1) / 2 * repeats) for x, y in corners],
        normals=[(0, 0, 1)] * 4,
        rgbaColor=(1, 1, 1, 1),
        physicsClientId=client,
    )
    picture = pybullet.createMultiBody(0, -1, shape, physicsClientId=client)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ground.png"
        cv2.imwrite(str(file), scene.appearance.ground[..., ::-1])
        texture = pybullet.loadTexture(str(file), physicsClientId=client)
    pybullet.changeVisualShape(picture, -1, textureUniqueId=texture, physicsClientId=client)
    return bodies
