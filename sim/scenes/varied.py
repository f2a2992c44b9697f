"""Wide families of appearances: many patterns, photographs, colours, scales, skies and lights."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from liquid_nav_sim.scenes.colours import Colour, Palette, muted
from liquid_nav_sim.scenes.family import AppearanceFamily
from liquid_nav_sim.scenes.patterns import PATTERNS, Levels, Pattern, smooth_noise
from liquid_nav_sim.scenes.photographs import (
    TRAINING_PACKAGES,
    Photograph,
    from_folder,
    from_packages,
    seamless,
)
from liquid_nav_sim.scenes.scene import Appearance
from liquid_nav_sim.scenes.skies import SKIES, SkyKind

Range = tuple[float, float]

DISTRACTORS = (
    Palette((24.0, 48.0), (0.65, 1.0), (0.5, 1.0)),  # orange
    Palette((298.0, 334.0), (0.6, 1.0), (0.4, 1.0)),  # magenta
    Palette((-20.0, 20.0), (0.2, 0.45), (0.7, 1.0)),  # pink
    Palette((14.0, 36.0), (0.35, 0.62), (0.2, 0.55)),  # brown
    Palette((-12.0, 12.0), (0.3, 0.55), (0.12, 0.4)),  # dark red
)
"""Colours near a target's. A target has a hue within 12 degrees of red and a saturation of at least
0.8; each of these is apart from it by 12 degrees of hue or by 0.18 of saturation."""

FEATURE: Range = (0.04, 2.5)
"""Size of the features of a pattern, metres; it is drawn on a logarithmic scale."""
LARGEST_TILE = 24.0
"""Largest side of a texture, metres."""
CONTRAST = 0.3
"""Smallest distance in RGB, in full light, of trunks and gates from the ground and the horizon."""
HAZE_SHARE = 0.5
"""Probability of haze; without it, the ground is as clear at the horizon as nearby."""
HAZE_LENGTH: Range = (15.0, 150.0)
"""Range of `Appearance.haze_length`, metres; it is drawn on a logarithmic scale."""
SMOOTH_SHARE = 0.7
"""Probability of `Appearance.smooth`."""

_COUNTS = (2, 4, 8, 16)  # features along a side
_TRIES = 100


def _of_packages() -> tuple[Photograph, ...]:
    return from_packages(TRAINING_PACKAGES)


@dataclass(frozen=True)
class VariedFamily(AppearanceFamily):
    """Grounds of any pattern, colour and scale, under any sky and light.

    Attributes:
        patterns: kinds of ground texture.
        hues: ranges of the ground's hue, degrees.
        saturation: range of the ground's saturation; see also `muted`.
        skies: kinds of sky.
        light: range of the brightness of the light.
        fog_share: probability of fog.
        fog_length: range of `Appearance.fog_length` in fog, metres.
        bark, paint: ranges of colours of tree trunks and of gates.
        photographs: returns the photographs that are textures of the ground.
        photograph_share: probability of a photograph, if there are photographs.
        distractors: colours of small objects near the target's colour.
    """

    patterns: tuple[Pattern, ...] = PATTERNS
    hues: tuple[Range, ...] = ((0.0, 245.0), (295.0, 360.0))
    saturation: Range = (0.0, 0.85)
    skies: tuple[SkyKind, ...] = SKIES
    light: Range = (0.35, 1.0)
    fog_share: float = 0.15
    fog_length: Range = (14.0, 60.0)
    bark: tuple[Palette, ...] = (
        Palette((0.0, 200.0), (0.0, 0.75), (0.08, 0.9)),
        Palette((330.0, 360.0), (0.0, 0.75), (0.08, 0.9)),
    )
    paint: tuple[Palette, ...] = (
        Palette((0.0, 250.0), (0.6, 1.0), (0.5, 1.0)),
        Palette((330.0, 360.0), (0.6, 1.0), (0.5, 1.0)),
        Palette((0.0, 360.0), (0.0, 0.1), (0.9, 1.0)),
    )
    photographs: Callable[[], tuple[Photograph, ...]] = _of_packages
    photograph_share: float = 0.1
    distractors: tuple[Palette, ...] = DISTRACTORS

    def look(self, rng: np.random.Generator, weather: bool) -> Appearance:
        """Draw an appearance; `fog_share` of them are in fog, with or without `weather`.

        It takes one number from `rng`, so that the same scene can be seen in every such family.
        """
        rng = _own(rng)
        ground, scale = self._ground(rng)
        sky = self.skies[rng.integers(len(self.skies))](rng)
        darkest, brightest = self.light
        # Most scenes are bright: a camera's exposure follows the light.
        level = brightest - (brightest - darkest) * rng.random() ** 2
        zenith, horizon, light = (
            tuple((level * np.array(colour)).tolist())
            for colour in (sky.zenith, sky.horizon, sky.tint)
        )
        azimuth, elevation = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(10, 85))
        flat = np.cos(elevation)
        look = Appearance(
            ground=ground,
            ground_scale=scale,
            sky_zenith=zenith,
            sky_horizon=horizon,
            light=np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)]),
            ambient=float(rng.uniform(0.35, 0.9)),
            light_colour=light,
        )
        foggy, length = rng.random() < self.fog_share, rng.uniform(*self.fog_length)
        hazy, haze = rng.random() < HAZE_SHARE, np.exp(rng.uniform(*np.log(HAZE_LENGTH)))
        look = replace(
            look,
            haze_length=float(haze) if hazy else math.inf,
            smooth=bool(rng.random() < SMOOTH_SHARE),
        )
        if not foggy:
            return look
        grey = (float(np.mean(horizon)),) * 3
        return replace(look, fog_length=float(length), sky_horizon=grey, sky_zenith=grey)

    def trunks(self, rng: np.random.Generator, look: Appearance) -> Palette:
        """Draw the colours of the trunks of one scene: one kind of tree, with some spread."""
        return _outstanding(_own(rng), self.bark, look, spread=0.08)

    def gates(self, rng: np.random.Generator, look: Appearance) -> Palette:
        """Draw the colour of the gates of one scene."""
        return _outstanding(_own(rng), self.paint, look, spread=0.0)

    def with_photographs(self, folder: str) -> "VariedFamily | None":
        """Make the same family with the photographs of a folder in place of those of packages."""
        if self.photograph_share == 0:
            return None
        pictures = from_folder(folder)
        return replace(self, photographs=lambda: pictures)

    def _ground(self, rng: np.random.Generator) -> tuple[NDArray[np.uint8], float]:
        """Draw a texture, uint8 RGB, shape (S, S, 3), and the side that it covers, metres."""
        pictures = self.photographs()
        if rng.random() < self.photograph_share and pictures:
            size, scale = 128, float(np.exp(rng.uniform(np.log(0.5), np.log(LARGEST_TILE))))
            colours = seamless(pictures[rng.integers(len(pictures))], size, rng)
        else:
            size, scale, colours = self._painted(rng)
        grain = rng.uniform(0, 0.06) * rng.standard_normal((size, size, 1))
        wear = 1 + rng.uniform(0, 0.15) * smooth_noise(size, rng, 1.5)[..., None]
        texture = np.clip(muted(np.clip(colours * wear, 0, 1)) + grain, 0, 1)
        return np.rint(255 * texture).astype(np.uint8), scale

    def _painted(self, rng: np.random.Generator) -> tuple[int, float, NDArray[np.float64]]:
        """Draw the size of a texture, its side in metres, and its colours, RGB (S, S, 3)."""
        feature = float(np.exp(rng.uniform(*np.log(FEATURE))))
        counts = [count for count in _COUNTS if count * feature <= LARGEST_TILE]
        count = int(rng.choice(counts))
        size = 256 if count * feature > 8 else 128
        dark, light, third = self._colours(rng)
        colours = dark + (light - dark) * self._levels(size, count, rng)
        if rng.random() < 0.35:
            # A second pattern paints the third colour over the first one.
            over = self._levels(size, int(rng.choice(counts)), rng)
            colours += (third - colours) * rng.uniform(0.3, 1.0) * (over > 0.5)
        return size, count * feature, colours

    def _levels(self, size: int, count: int, rng: np.random.Generator) -> Levels:
        """Draw a pattern, levels in [0, 1], shape (S, S, 1)."""
        return self.patterns[rng.integers(len(self.patterns))](size, count, rng)[..., None]

    def _colours(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw a dark, a light and a third colour, RGB, shape (3, 3)."""
        if rng.random() < 0.3:
            values = (rng.uniform(0.0, 0.25), rng.uniform(0.75, 1.0), rng.uniform(0.0, 1.0))
        else:
            dark = rng.uniform(0.05, 0.6)
            values = (dark, rng.uniform(dark, 1.0), rng.uniform(0.05, 1.0))
        low, high = self.hues[rng.integers(len(self.hues))]
        colours: list[Colour] = []
        for value in values:
            if colours and rng.random() < 0.5:
                low, high = self.hues[rng.integers(len(self.hues))]
            hue = rng.uniform(low, high)
            # Colours of the same thing differ little in hue.
            low, high = max(low, hue - 20), min(high, hue + 20)
            # Most grounds are greyish.
            least, most = self.saturation
            saturation = least + (most - least) * rng.random() ** 1.5
            colours.append(Palette((hue, hue), (saturation,) * 2, (value, value)).sample(rng))
        return np.array(colours)


def _own(rng: np.random.Generator) -> np.random.Generator:
    """A stream of its own, for which `rng` gives one number."""
    return np.random.default_rng(rng.integers(2**63))


def _outstanding(
    rng: np.random.Generator, ranges: tuple[Palette, ...], look: Appearance, spread: float
) -> Palette:
    """Draw a palette about a colour that stands out from ground and horizon.

    Args:
        rng: random stream.
        ranges: what to draw the colour from.
        look: appearance of the scene.
        spread: half the width of its ranges of saturation and value; that of hue is 100 degrees
            times as much.
    """
    light = np.array(look.light_colour)
    behind = np.stack([look.ground.mean(axis=(0, 1)) / 255 * light, look.sky_horizon])
    best, palette = -1.0, ranges[0]
    for _ in range(_TRIES):
        kind = ranges[rng.integers(len(ranges))]
        drawn = {name: rng.uniform(*limits) for name, limits in vars(kind).items()}
        point = Palette(**{name: (value, value) for name, value in drawn.items()})
        colour = light * point.sample(rng)
        gap = float(np.linalg.norm(behind - colour, axis=1).min()) / float(light.max())
        if gap > best:
            wide = {"hue": 100 * spread, "saturation": spread, "value": spread}
            palette = Palette(
                **{
                    name: (max(value - wide[name], low), min(value + wide[name], high))
                    for (name, value), (low, high) in zip(
                        drawn.items(), vars(kind).values(), strict=True
                    )
                }
            )
            best = gap
        if best >= CONTRAST:
            break
    return palette
