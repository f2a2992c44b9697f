"""Random grounds, skies and light, in families for training and for testing a policy."""

from collections.abc import Callable, Mapping
from colorsys import hsv_to_rgb
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.scenes.scene import Appearance

Pattern = Callable[[int, np.random.Generator], NDArray[np.float64]]
"""Draws a seamless texture in [0, 1], shape (S, S), from its size S and a random stream."""

_CLEAR_SKY = np.array([[0.25, 0.45, 0.85], [0.74, 0.84, 0.94]])  # zenith, horizon
_OVERCAST_SKY = np.array([[0.60, 0.63, 0.67], [0.78, 0.80, 0.82]])


def smooth_noise(size: int, rng: np.random.Generator, steepness: float) -> NDArray[np.float64]:
    """Periodic noise of amplitude 1 / frequency^steepness, zero mean and unit variance, (S, S)."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size))
    frequency[0, 0] = np.inf
    spectrum = np.fft.fft2(rng.standard_normal((size, size))) * frequency**-steepness
    noise: NDArray[np.float64] = np.asarray(np.fft.ifft2(spectrum).real, dtype=np.float64)
    noise /= np.sqrt(np.mean(noise**2))
    return noise


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


def stripes(size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Furrows: straight bands in any direction."""
    along, across = rng.integers(1, 5), rng.integers(-4, 5)
    row, column = np.indices((size, size)) / size
    bands = np.sin(2 * np.pi * (along * column + across * row) + rng.uniform(0, 2 * np.pi))
    tones: NDArray[np.float64] = np.tanh(rng.uniform(0.7, 3.0) * bands)
    return 0.5 + 0.5 * tones


def checks(size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Chequered floor: squares of two tones."""
    side = size // int(rng.choice([2, 4, 8]))
    row, column = np.indices((size, size)) // side
    return ((row + column) % 2).astype(np.float64)


@dataclass(frozen=True)
class Palette:
    """A range of colours.

    Attributes:
        hue: range of the hue, degrees.
        saturation, value: ranges of saturation and value, in [0, 1].
    """

    hue: tuple[float, float]
    saturation: tuple[float, float]
    value: tuple[float, float]

    def sample(self, rng: np.random.Generator) -> tuple[float, float, float]:
        """Draw an RGB colour in [0, 1]."""
        hue, saturation, value = (
            rng.uniform(*limits) for limits in (self.hue, self.saturation, self.value)
        )
        return hsv_to_rgb(hue / 360, saturation, value)


@dataclass(frozen=True)
class AppearanceFamily:
    """A family of appearances.

    Attributes:
        patterns: kinds of ground texture.
        hue: range of the ground's hue, degrees.
        bark: colours of tree trunks.
        paint: colours of gates.
        fog_length: range of `Appearance.fog_length` in scenes with fog, metres.
    """

    patterns: tuple[Pattern, ...]
    hue: tuple[float, float]
    bark: Palette
    paint: Palette
    fog_length: tuple[float, float]


FAMILIES: Mapping[str, AppearanceFamily] = MappingProxyType(
    {
        "train": AppearanceFamily(
            patterns=(cloudy, tiles, patches),
            hue=(50.0, 160.0),
            bark=Palette((12.0, 40.0), (0.25, 0.6), (0.15, 0.5)),
            paint=Palette((15.0, 40.0), (0.85, 1.0), (0.8, 1.0)),
            fog_length=(14.0, 60.0),
        ),
        "held-out": AppearanceFamily(
            patterns=(stripes, checks),
            hue=(20.0, 42.0),
            bark=Palette((0.0, 360.0), (0.0, 0.15), (0.3, 0.9)),
            paint=Palette((290.0, 325.0), (0.7, 1.0), (0.7, 1.0)),
            fog_length=(8.0, 12.0),
        ),
    }
)
"""Families by name.

The family "train" has green and grey grounds, brown trunks and orange gates. The family "held-out"
has brown grounds with other patterns, birch trunks, purple gates and thicker fog. No pattern,
ground hue, bark colour, paint colour or fog length can occur in both.
"""

FOG_SHARE = 0.3
"""Probability of fog in `sample_weather`."""


def family_of(name: str) -> AppearanceFamily:
    """The family of the given name in `FAMILIES`.

    Raises:
        SimulationError: if there is no family of this name.
    """
    if name not in FAMILIES:
        raise SimulationError(f"appearance must be one of {', '.join(FAMILIES)}; got {name!r}")
    return FAMILIES[name]


def sample_weather(rng: np.random.Generator, family: str) -> Appearance:
    """Draw an appearance as `sample_appearance` does, in fog with probability `FOG_SHARE`.

    With fog, horizon and zenith have the same grey, as bright as the horizon without fog.
    """
    look = sample_appearance(rng, family)
    foggy, length = rng.random() < FOG_SHARE, rng.uniform(*family_of(family).fog_length)
    if not foggy:
        return look
    grey = (float(np.mean(look.sky_horizon)),) * 3
    return replace(look, fog_length=float(length), sky_horizon=grey, sky_zenith=grey)


def sample_appearance(rng: np.random.Generator, family: str) -> Appearance:
    """Draw an appearance without fog; equal streams give equal bytes.

    Args:
        rng: random stream.
        family: name in `FAMILIES`.

    Raises:
        SimulationError: if there is no family of this name.
    """
    kinds = family_of(family)
    size = int(rng.choice([64, 128]))
    pattern = kinds.patterns[rng.integers(len(kinds.patterns))](size, rng)
    grain = 0.08 * rng.standard_normal((size, size))
    blend = np.clip(0.85 * pattern + 0.08 + grain, 0, 1)[..., None]
    dark, light = (
        np.array(hsv_to_rgb(rng.uniform(*kinds.hue) / 360, rng.uniform(0.05, 0.35), value))
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
