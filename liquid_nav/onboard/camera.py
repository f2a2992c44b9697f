"""The camera encoder of a policy for single frames: no torch, no allocation, some 30 us."""

import ctypes

import numpy as np
from numpy.typing import NDArray

from liquid_nav.errors import ConfigError
from liquid_nav.onboard import native
from liquid_nav.onboard.network import FoldedCamera


class NativeCamera:
    """A camera encoder with its weights copied once, run by the native kernel.

    Numbers are those of `CameraEncoder` for a batch of one, to rounding, whatever number of threads
    torch uses. One object belongs to one thread.

    Args:
        encoder: folded.

    Raises:
        ConfigError: where the native kernel is not there; then script the encoder.

    """

    def __init__(self, encoder: FoldedCamera) -> None:
        if native.kernel is None:
            raise ConfigError("the native kernel is not built or switched off; script the encoder")
        channels = encoder.channels
        sizes = native.EncoderSizes(
            encoder.height,
            encoder.width,
            len(channels) - 1,
            encoder.features,
            (ctypes.c_int64 * len(channels))(*channels),
        )
        self._image = np.zeros((encoder.height, encoder.width, 3), np.uint8)
        self._features = np.zeros(encoder.features, np.float32)
        self._age_unit = encoder.age_unit
        arrays = (self._image, self._features)
        self._encode = native.Instance(native.kernel, "encoder", sizes, encoder.parameters, arrays)

    def __call__(self, image: NDArray[np.uint8], age: float) -> NDArray[np.float32]:
        """Features (F,) of a uint8 RGB frame (H, W, 3) of age seconds; the next call overwrites."""
        self._image[:] = image
        self._encode(age / self._age_unit)
        return self._features
