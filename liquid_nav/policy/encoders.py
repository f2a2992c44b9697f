"""The torch modules of encoders, by the names in `Encoder.torch_module`.

A module is built from its encoder, is scriptable by TorchScript, and folds itself into the arrays
that `Encoder.onboard` evaluates without torch.
"""

import importlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from liquid_nav.errors import ConfigError
from liquid_nav.onboard.encoders import CameraEncoder, DenseEncoder, Encoder


class EncoderModule(nn.Module):
    """Base of the torch modules of encoders.

    Args:
        encoder: configuration to build the module from.

    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.features = encoder.features

    def forward(self, measurement: Tensor, age: Tensor) -> Tensor:
        """Encode measurements (B, *shape) of age (B,) seconds to (B, F)."""
        raise NotImplementedError

    def fold(self) -> dict[str, NDArray[Any]]:
        """Return the arrays for `Encoder.onboard`, as copies."""
        raise NotImplementedError


class CameraModule(EncoderModule):
    """Stride-2 convolutions over the frame, then a dense layer that also reads the frame's age."""

    def __init__(self, encoder: CameraEncoder) -> None:
        super().__init__(encoder)
        layers: list[nn.Module] = []
        height, width, channels = encoder.shape
        for out_channels in encoder.convolutions:
            layers += [nn.Conv2d(channels, out_channels, 3, stride=2, padding=1), nn.ReLU()]
            channels, height, width = out_channels, (height + 1) // 2, (width + 1) // 2
        self.convolutions = nn.Sequential(*layers)
        self.dense = nn.Linear(channels * height * width + 1, encoder.features)
        self.age_unit = encoder.age_unit

    def forward(self, measurement: Tensor, age: Tensor) -> Tensor:
        """Encode uint8 RGB frames (B, H, W, 3) of age (B,) seconds to (B, F)."""
        x = measurement.permute(0, 3, 1, 2).to(self.dense.weight.dtype) / 127.5 - 1.0
        x = self.convolutions(x).flatten(1)
        return torch.relu(self.dense(torch.cat((x, age.unsqueeze(1) / self.age_unit), dim=1)))

    @torch.jit.unused
    def fold(self) -> dict[str, NDArray[Any]]:
        """Return weight and bias of each convolution, then of the dense layer, by number."""
        return {str(k): _array(value) for k, value in enumerate(self.state_dict().values())}


class DenseModule(EncoderModule):
    """One rectified dense layer over scaled numbers and their age."""

    offset: Tensor
    scale: Tensor

    def __init__(self, encoder: DenseEncoder) -> None:
        super().__init__(encoder)
        count = len(encoder.scale)
        self.dense = nn.Linear(count + 1, encoder.features)
        offset = torch.tensor([*(encoder.offset or [0.0] * count), 0.0])
        scale = torch.tensor([*encoder.scale, 1 / encoder.age_unit])
        self.register_buffer("offset", offset, persistent=False)
        self.register_buffer("scale", scale, persistent=False)

    def forward(self, measurement: Tensor, age: Tensor) -> Tensor:
        """Encode numbers (B, M) of age (B,) seconds to (B, F)."""
        numbers = torch.cat((measurement, age.unsqueeze(1)), dim=1)
        return torch.relu(self.dense(torch.addcmul(self.offset, numbers, self.scale)))

    @torch.jit.unused
    def fold(self) -> dict[str, NDArray[Any]]:
        """Return weight and bias with offset and scale folded into them."""
        # W (offset + scale s) + b, with offset and scale moved into W and b.
        weight, bias = self.dense.weight.double(), self.dense.bias.double()
        return {
            "weight": _array((weight * self.scale).float()),
            "bias": _array((weight @ self.offset.double() + bias).float()),
        }


def make_module(encoder: Encoder) -> EncoderModule:
    """Build the torch module of an encoder.

    Raises:
        ConfigError: if `Encoder.torch_module` cannot be imported.

    """
    module, _, attribute = encoder.torch_module.partition(":")
    try:
        make = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"the torch module {encoder.torch_module!r} of the encoder {encoder.name!r} cannot be "
            f"imported: {error}"
        ) from error
    made: EncoderModule = make(encoder)
    return made


def _array(value: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = value.detach().numpy().copy()
    return array
