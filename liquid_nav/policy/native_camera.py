"""The camera encoder of a policy for single frames: no torch, no allocation, some 30 us."""

import ctypes

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from liquid_nav.errors import ConfigError
from liquid_nav.liquid import native
from liquid_nav.policy.network import CameraEncoder


class NativeCamera:
    """A `CameraEncoder` with its weights copied once, run by the native kernel.

    Numbers are those of the encoder for a batch of one, to rounding, whatever number of threads
    torch uses. One object belongs to one thread.

    Args:
        encoder: on the CPU, in float32.

    Raises:
        ConfigError: on an encoder elsewhere or of other numbers, or where the native kernel is not
            there; then script the encoder.

    """

    def __init__(self, encoder: CameraEncoder) -> None:
        if native.kernel is None:
            raise ConfigError("the native kernel is not built or switched off; script the encoder")
        if encoder.dense.weight.device.type != "cpu" or encoder.dense.weight.dtype != torch.float32:
            raise ConfigError("a native camera encoder needs one on the CPU, in float32")
        layers = [layer for layer in encoder.convolutions if isinstance(layer, nn.Conv2d)]
        channels = [3, *(layer.out_channels for layer in layers)]
        features = encoder.dense.out_features
        sizes = native.EncoderSizes(
            encoder.height,
            encoder.width,
            len(layers),
            features,
            (ctypes.c_int64 * len(channels))(*channels),
        )
        # Weight and bias of layer after layer, in the order in which they were made.
        parameters = [value.contiguous() for value in encoder.state_dict().values()]
        self._image = np.zeros((encoder.height, encoder.width, 3), np.uint8)
        self._features = np.zeros(features, np.float32)
        self._age_unit = encoder.age_unit
        arrays = (self._image, self._features)
        self._encode = native.Instance(native.kernel, "encoder", sizes, [*parameters], arrays)

    def __call__(self, image: NDArray[np.uint8], age: float) -> NDArray[np.float32]:
        """Features (F,) of a uint8 RGB frame (H, W, 3) of age seconds; the next call overwrites."""
        self._image[:] = image
        self._encode(age / self._age_unit)
        return self._features
