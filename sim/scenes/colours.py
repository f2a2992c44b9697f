"""Colours: ranges to draw them from, and limits that keep the ground apart from a red target."""

from colorsys import hsv_to_rgb
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Colour = tuple[float, float, float]
"""RGB in [0, 1]."""


@dataclass(frozen=True)
class Palette:
    """A range of colours.

    Attributes:
        hue: range of the hue, degrees; it may reach below 0 or above 360.
        saturation, value: ranges of saturation and value, in [0, 1].
    """

    hue: tuple[float, float]
    saturation: tuple[float, float]
    value: tuple[float, float]

    def sample(self, rng: np.random.Generator) -> Colour:
        """Draw an RGB colour in [0, 1]."""
        hue, saturation, value = (
            rng.uniform(*limits) for limits in (self.hue, self.saturation, self.value)
        )
        return hsv_to_rgb(hue / 360 % 1, saturation, value)


RED_SATURATION, OTHER_SATURATION = 0.6, 0.85
"""Largest saturation of a ground of red hue, and of one of another hue; see `muted`."""
RED_HUE, OTHER_HUE = 25.0, 60.0
"""Distance from pure red up to which a hue is red, and from which on it is another one, degrees."""


def muted(colours: NDArray[np.float64]) -> NDArray[np.float64]:
    """Limit the saturation of colours, that of red ones most; hue and value stay.

    Targets are of saturation 0.8 and more, so that a red ground is never as red as a target.

    Args:
        colours: RGB in [0, 1], shape (..., 3).
    """
    # Numpy reduces an axis of three far more slowly than it compares whole arrays.
    red, green, blue = (colours[..., k] for k in range(3))
    value = np.maximum(np.maximum(red, green), blue)
    chroma = value - np.minimum(np.minimum(red, green), blue)
    vivid = chroma > RED_SATURATION * value
    if not vivid.any():
        return colours
    value, chroma = value[vivid], chroma[vivid]
    red, green, blue = red[vivid], green[vivid], blue[vivid]
    # Where red is the largest component, the hue is at most 60 degrees from pure red.
    away = np.where(red == value, 60 * np.abs(green - blue) / chroma, 60.0)
    share = np.interp(away, (RED_HUE, OTHER_HUE), (RED_SATURATION, OTHER_SATURATION))
    keep = np.minimum(share * value / chroma, 1.0)[:, None]
    limited: NDArray[np.float64] = colours.copy()
    limited[vivid] = value[:, None] - (value[:, None] - colours[vivid]) * keep
    return limited
