"""Faults of a camera: pure functions on uint8 RGB images of shape (H, W, 3)."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from liquid_nav_sim.errors import SimulationError

Image = NDArray[np.uint8]

DIRT_COLOUR = (58, 52, 46)
"""RGB of dirt that is out of focus and lit from behind."""

_BLOBS = 14
_SOFTNESS = 0.3  # fraction of its radius over which a blob fades, as it is far out of focus


def black(image: Image) -> Image:
    """A black image."""
    return np.zeros_like(image)


def wrong_exposure(image: Image, gain: float) -> Image:
    """Multiply the light by `gain` and clip it at white.

    Raises:
        SimulationError: on a gain that is not positive and finite.
    """
    if not 0 < gain < np.inf:
        raise SimulationError(f"gain must be positive and finite, got {gain!r}")
    # A table of the 256 grey levels is faster than a product for each pixel.
    levels = np.rint(np.arange(256) * gain).clip(0, 255).astype(np.uint8)
    return np.asarray(levels[image])


def noise_burst(image: Image, sigma: float, seed: int) -> Image:
    """Add white Gaussian noise of `sigma` grey levels, independent in each colour channel.

    The same seed gives the same noise.

    Raises:
        SimulationError: on a sigma that is negative or not finite, or a negative seed.
    """
    if not 0 <= sigma < np.inf:
        raise SimulationError(f"sigma must be finite grey levels from 0 up, got {sigma!r}")
    if not seed >= 0:
        raise SimulationError(f"seed must be a whole number >= 0, got {seed!r}")
    noise = np.random.default_rng(seed).standard_normal(image.shape, dtype=np.float32)
    noise *= np.float32(sigma)
    noise += image
    return np.rint(noise, out=noise).clip(0, 255).astype(np.uint8)


def lens_dirt(image: Image, cover: float, seed: int) -> Image:
    """Cover the image with blurred opaque blobs, which stay at their place on the lens.

    Args:
        image: the clean frame.
        cover: fraction of the image that is at least half opaque, in [0, 1].
        seed: seed of the pattern, which is the same at any resolution; its blobs grow with `cover`.

    Raises:
        SimulationError: on a cover outside of [0, 1], or a negative seed.
    """
    if not 0 <= cover <= 1:
        raise SimulationError(f"cover must be in [0, 1], got {cover!r}")
    if not seed >= 0:
        raise SimulationError(f"seed must be a whole number >= 0, got {seed!r}")
    height, width, _ = image.shape
    opacity = dirt(height, width, cover, seed)[..., None]
    dirty = image + opacity * (np.array(DIRT_COLOUR, dtype=np.float32) - image)
    return np.asarray(np.rint(dirty), dtype=np.uint8)


@lru_cache(maxsize=16)
def dirt(height: int, width: int, cover: float, seed: int) -> NDArray[np.float32]:
    """Opacity of the dirt of `lens_dirt`, in [0, 1], shape (height, width); read-only."""
    rng = np.random.default_rng(seed)
    aspect = height / width
    row, column = np.indices((height, width))
    x, y = (column + 0.5) / width, (row + 0.5) / width
    # Depth inside the nearest blob over its radius: 1 at the centre, 0 at the edge.
    depth = np.full((height, width), -np.inf)
    for centre_x, centre_y, radius in rng.uniform((0, 0, 0.04), (1, aspect, 0.14), (_BLOBS, 3)):
        np.maximum(depth, 1 - np.hypot(x - centre_x, y - centre_y) / radius, out=depth)
    edge = np.quantile(depth, 1 - cover)
    opacity = np.asarray((0.5 + (depth - edge) / (2 * _SOFTNESS)).clip(0, 1), dtype=np.float32)
    if cover == 0:
        opacity[:] = 0
    opacity.flags.writeable = False
    return opacity
