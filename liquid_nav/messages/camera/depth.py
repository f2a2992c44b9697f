"""Deep images: from the 10 to 16 bits of a sensor to the 8 bits of an event."""

import numpy as np
from numpy.typing import NDArray

from liquid_nav.errors import ConfigError

BITS = (8, 10, 12, 14, 16)
"""Numbers of bits that sensors have; messages carry all of them in 16."""

_UNUSED = 0b11
"""Bits that are zero in every pixel where a driver shifts up to 14 bits to the top of the 16."""


class Depth:
    """How many of 16 bits the images of a camera use.

    Messages do not say. It is the smallest number of `BITS` that holds the brightest pixel so far;
    it never falls again, so that the scale does not follow the scene. Where the lowest bits are
    zero in all pixels of an image, the driver has shifted them: those images use all 16.

    Args:
        bits: the number, where it is known; 0 finds it.

    Raises:
        ConfigError: on a number that is not in `BITS`.

    """

    def __init__(self, bits: int = 0) -> None:
        if bits not in (0, *BITS):
            known = ", ".join(map(str, BITS))
            raise ConfigError(f"image_bits must be one of {known}, or 0 to find it, got {bits!r}")
        self._given = bits
        self._bits = bits

    @property
    def warning(self) -> str:
        """What was found out, if that is not what a message promises; else empty."""
        if self._given or self._bits in (0, 16):
            return ""
        return (
            f"16-bit images hold {self._bits} bits, by their brightest pixel so far: they are "
            f"scaled so; set image_bits: {self._bits} if that is what the camera has"
        )

    def reduce(self, pixels: NDArray[np.uint16]) -> NDArray[np.uint8]:
        """Return `pixels`, shape (H, W, channels), scaled to 8 bits; brighter ones are white.

        A fourth channel is opacity, which drivers fill with its largest value: it does not count.
        """
        if not self._given and self._bits < 16:
            self._bits = max(self._bits, _bits_of(pixels[..., :3]))
        scaled = pixels >> (max(self._bits, 8) - 8)
        if self._given and self._given < 16:
            scaled = np.minimum(scaled, 255)
        return scaled.astype(np.uint8)


def _bits_of(pixels: NDArray[np.uint16]) -> int:
    """Return how many bits an image uses; 0 of a black one, which does not tell."""
    brightest = int(pixels.max(initial=0))
    if brightest == 0:
        return 0
    if brightest > _UNUSED and not int(np.bitwise_or.reduce(pixels, axis=None)) & _UNUSED:
        return 16
    return next(bits for bits in BITS if brightest >> bits == 0)
