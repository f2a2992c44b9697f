"""The background of an image: a textured ground plane and a sky with a colour gradient."""

from math import inf

import numpy as np
from numpy.typing import NDArray

from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.scenes.scene import Appearance

_BLOCK = 4096  # pixels drawn at a time, so that intermediate results stay in the cache

FARTHEST = 1e5
"""Largest distance to the ground, metres: it keeps rays along the horizon finite."""


class Background:
    """Colours of the ground plane z = 0 and of the sky along given rays.

    The texture repeats every `ground_scale` metres: texel (row i, column j) of S covers
    x in [j, j + 1) and y in [i, i + 1) times ground_scale / S, world ENU. If `Appearance.smooth` is
    set, it is averaged to the size of a pixel's footprint by a mipmap (Williams 1983, "Pyramidal
    parametrics"). It fades into the colour of the horizon with distance.

    Args:
        appearance: appearance of the scene.

    Attributes:
        sizes: number of texels along a side of each mipmap level, the finest first, int32.
        offsets: index of the first texel of each level in `texels`, int32.
        texels: colours of all levels in sunlight, row by row, 0 to 255, float32, shape (3, N).
        horizon, zenith: colours of the sky, 0 to 255, float32, shape (3, 1).
        light_colour: `Appearance.light_colour`, float32, shape (3,).
        haze_length: distance at which 1/e of the ground's own colour is left, metres.
        fog_length: the same distance for objects, metres; infinite without fog.

    Raises:
        SimulationError: if the texture is not uint8 of shape (S, S, 3), if `ground_scale`,
            `fog_length` or `haze_length` is not positive, or if `light_colour` is not three numbers
            in [0, 1].
    """

    def __init__(self, appearance: Appearance) -> None:
        texture = appearance.ground
        square = texture.ndim == 3 and texture.shape == (len(texture), len(texture), 3)
        if not square or texture.dtype != np.uint8 or texture.size == 0:
            raise SimulationError(
                "Appearance.ground must be uint8 of shape (S, S, 3), "
                f"got {texture.dtype} of shape {texture.shape}"
            )
        for name in ("ground_scale", "fog_length", "haze_length"):
            if not getattr(appearance, name) > 0:
                raise SimulationError(
                    f"Appearance.{name} must be positive metres, got {getattr(appearance, name)}"
                )
        light = appearance.light_colour
        if len(light) != 3 or not all(0 <= component <= 1 for component in light):
            raise SimulationError(
                f"Appearance.light_colour must be three numbers in [0, 1], got {light!r}"
            )
        # The extinction coefficients of haze and fog, which are inverse lengths, add up.
        extinction = 1 / appearance.haze_length + 1 / appearance.fog_length
        self.haze_length = 1 / extinction if extinction > 0 else inf
        self.fog_length = appearance.fog_length
        sunlit = max(float(appearance.light[2]), 0.0)
        shade = appearance.ambient + (1 - appearance.ambient) * sunlit
        self.light_colour = np.array(appearance.light_colour, dtype=np.float32)
        levels = [texture.astype(np.float32) * (np.float32(shade) * self.light_colour)]
        while appearance.smooth and len(levels[-1]) > 1:
            levels.append(_coarser(levels[-1]))
        self.sizes = np.array([len(level) for level in levels], dtype=np.int32)
        self.offsets = np.concatenate(([0], np.cumsum(self.sizes**2)[:-1])).astype(np.int32)
        self.texels = np.concatenate([level.reshape(-1, 3) for level in levels]).T.copy()
        self._scale = np.float32(appearance.ground_scale)
        self.horizon = 255 * np.array(appearance.sky_horizon, dtype=np.float32)[:, None]
        self.zenith = 255 * np.array(appearance.sky_zenith, dtype=np.float32)[:, None]

    def colours(
        self, eye: NDArray[np.float64], rays: NDArray[np.float32], pixel_angle: float
    ) -> NDArray[np.uint8]:
        """Colours seen from `eye` along `rays`.

        Args:
            eye: metres, world ENU, shape (3,).
            rays: unit vectors, world ENU, shape (3, N).
            pixel_angle: angle that one pixel covers, radians.

        Returns:
            RGB, shape (N, 3).
        """
        levels = np.empty((rays.shape[1], 3), dtype=np.uint8)
        for start in range(0, len(levels), _BLOCK):
            block = rays[:, start : start + _BLOCK]
            colours = self.horizon + (self.zenith - self.horizon) * block[2]
            ground = np.flatnonzero(block[2] < 0)
            colours[:, ground] = self._ground(eye, block[:, ground], pixel_angle)
            np.rint(colours, out=colours)
            levels[start : start + _BLOCK] = colours.clip(0, 255, out=colours).T
        return levels

    def lit(self, colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Colours of objects in light of the scene's colour.

        Args:
            colours: RGB in white light, shape (N, 3).
        """
        levels = np.rint(colours * self.light_colour)
        lit: NDArray[np.uint8] = levels.clip(0, 255).astype(np.uint8)
        return lit

    def veiled(
        self, colours: NDArray[np.uint8], distance: NDArray[np.float32]
    ) -> NDArray[np.uint8]:
        """Colours of objects seen through fog.

        Args:
            colours: RGB, shape (N, 3).
            distance: metres from the eye, shape (N,).

        Returns:
            RGB, shape (N, 3).
        """
        clear = np.exp(distance / np.float32(-self.fog_length))[:, None]
        fog = self.horizon.T
        veiled: NDArray[np.uint8] = np.rint(fog + (colours - fog) * clear).astype(np.uint8)
        return veiled

    def _ground(
        self, eye: NDArray[np.float64], rays: NDArray[np.float32], pixel_angle: float
    ) -> NDArray[np.float32]:
        height = np.float32(max(float(eye[2]), 1e-3))
        distance = np.minimum(height / -rays[2], np.float32(FARTHEST))
        # A pixel's footprint is `distance * pixel_angle` wide, and distance / height times as long.
        # The geometric mean of both is a compromise between blur across and aliasing along it.
        footprint = np.float32(pixel_angle) * distance * np.sqrt(distance / height)
        texel = self._scale / np.float32(self.sizes[0])
        level = np.rint(np.log2(np.maximum(footprint / texel, 1))).astype(np.int32)
        level = np.minimum(level, len(self.sizes) - 1)
        size, offset = self.sizes[level], self.offsets[level]
        place = eye[:2, None].astype(np.float32) + rays[:2] * distance
        place *= size.astype(np.float32) / self._scale
        place -= np.float32(0.5)
        corner = np.floor(place)
        right, top = place - corner
        column, row = corner.astype(np.int32) % size
        next_column = (column + 1) % size
        below = offset + row * size
        above = offset + (row + 1) % size * size
        lower_left, lower_right, upper_left, upper_right = (
            self.texels.take(index, axis=1)
            for index in (below + column, below + next_column, above + column, above + next_column)
        )
        lower = lower_left + (lower_right - lower_left) * right
        upper = upper_left + (upper_right - upper_left) * right
        clear = np.exp(distance / np.float32(-self.haze_length))
        ground = lower + (upper - lower) * top
        hazy: NDArray[np.float32] = self.horizon + (ground - self.horizon) * clear
        return hazy


def _coarser(level: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average the texels (S, S, 3) of a mipmap level by fours; all to one if S is odd."""
    if len(level) % 2:
        mean: NDArray[np.float32] = level.mean(axis=(0, 1), keepdims=True)
        return mean
    even, odd = level[0::2], level[1::2]
    total = even[:, 0::2] + even[:, 1::2] + odd[:, 0::2] + odd[:, 1::2]
    coarser: NDArray[np.float32] = total / np.float32(4)
    return coarser
