"""A narrow family of appearances: grounds of a few textures and hues under a daylight sky."""

from collections.abc import Callable
from colorsys import hsv_to_rgb
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from liquid_nav_sim.scenes.colours import Palette
from liquid_nav_sim.scenes.family import AppearanceFamily
from liquid_nav_sim.scenes.patterns import smooth_noise
from liquid_nav_sim.scenes.scene import Appearance

BasicPattern = Callable[[int, np.random.Generator], NDArray[np.float64]]
"""Draws a seamless texture in [0, 1], shape (S, S), from its size S and a random stream."""

FOG_SHARE = 0.3
"""Probability of fog in a task with weather."""

_CLEAR_SKY = np.array([[0.25, 0.45, 0.85], [0.74, 0.84, 0.94]])  # zenith, horizon
_OVERCAST_SKY = np.array([[0.60, 0.63, 0.67], [0.78, 0.80, 0.82]])


def cloudy(size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Soil or grass: noise at all scales."""
    clouds: NDArray[np.float64] = 0.5 + 0.25 * smooth_noise(size, rng, rng.uniform(0.6, 1.4))
    return clouds.clip(0, 1)


def tiles(size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Paving: square slabs of varied brightness with dark joints."""
    count = int(rng.choice([2, 4, 8]))
    side = size // count
    slabs = rng.uniform(0.4, 1.0, (count, count)).repeat(side, axis=0).repeat(side, axis=1)
    joint = np.arange(size) % side < max(side // 12, 1)
    slabs[joint[:, None] | joint] = 0.1
    return slabs


def patches(size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Meadow: two tones with an irregular border."""
    tones: NDArray[np.float64] = np.tanh(3 * smooth_noise(size, rng, 2.0))
    return 0.5 + 0.5 * tones


@dataclass(frozen=True)
class BasicFamily(AppearanceFamily):
    """Grounds of a few textures and hues under a sky between clear and overcast.

    Attributes:
        patterns: kinds of ground texture.
        hue: range of the ground's hue, degrees.
        bark: colours of tree trunks.
        paint: colours of gates.
        fog_length: range of `Appearance.fog_length` in scenes with fog, metres.
    """

    patterns: tuple[BasicPattern, ...]
    hue: tuple[float, float]
    bark: Palette
    paint: Palette
    fog_length: tuple[float, float]

    def look(self, rng: np.random.Generator, weather: bool) -> Appearance:
        """Draw an appearance, with weather in fog with probability `FOG_SHARE`.

        With fog, horizon and zenith have the same grey, as bright as the horizon without fog.
        """
        look = self._clear(rng)
        if not weather:
            return look
        foggy, length = rng.random() < FOG_SHARE, rng.uniform(*self.fog_length)
        if not foggy:
            return look
        grey = (float(np.mean(look.sky_horizon)),) * 3
        return replace(look, fog_length=float(length), sky_horizon=grey, sky_zenith=grey)

    def trunks(self, rng: np.random.Generator, look: Appearance) -> Palette:
        """Return the colours of tree trunks, the same in every scene."""
        return self.bark

    def gates(self, rng: np.random.Generator, look: Appearance) -> Palette:
        """Return the colours of gates, the same in every scene."""
        return self.paint

    def _clear(self, rng: np.random.Generator) -> Appearance:
        """Draw an appearance without fog."""
        size = int(rng.choice([64, 128]))
        pattern = self.patterns[rng.integers(len(self.patterns))](size, rng)
        grain = 0.08 * rng.standard_normal((size, size))
        blend = np.clip(0.85 * pattern + 0.08 + grain, 0, 1)[..., None]
        dark, light = (
            np.array(hsv_to_rgb(rng.uniform(*self.hue) / 360, rng.uniform(0.05, 0.35), value))
            for value in (rng.uniform(0.25, 0.45), rng.uniform(0.45, 0.75))
        )
        sky = _CLEAR_SKY + (_OVERCAST_SKY - _CLEAR_SKY) * rng.uniform()
        zenith, horizon = np.clip(sky * rng.uniform(0.8, 1.06), 0, 1).tolist()
        azimuth, elevation = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(25, 80))
        level = np.cos(elevation)
        return Appearance(
            ground=np.rint(255 * (dark + (light - dark) * blend)).astype(np.uint8),
            ground_scale=float(rng.uniform(2.0, 8.0)),
            sky_zenith=tuple(zenith),
            sky_horizon=tuple(horizon),
            light=np.array([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)]),
            ambient=float(rng.uniform(0.4, 0.7)),
        )
