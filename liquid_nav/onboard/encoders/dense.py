"""Encoders of a few numbers: one dense layer over them and their age."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from liquid_nav.onboard.encoders.base import Encoder, require_arrays


@dataclass(frozen=True)
class DenseEncoder(Encoder):
    """Base of the encoders of a vector: relu(W [offset + scale * numbers, age / age_unit] + b).

    A subclass gives `name`, `event`, `scale` and `measure`, and a default for `features`::

        @dataclass(frozen=True)
        class SonarEncoder(DenseEncoder):
            features: int = 8

            name = "sonar"
            event = Sonar
            scale = (0.1,)

            def measure(self, event: Sonar) -> list[float]:
                return [event.depth]

    Attributes:
        scale: factor of each of the M numbers, which brings it to about 1.
        offset: added to each after that; empty for none.
        mirror: 1 or -1, the factor of each when left and right are swapped; empty if none changes.
        age_unit: seconds of age that enter as 1.

    """

    torch_module: ClassVar[str] = "liquid_nav.policy.encoders:DenseModule"
    age_unit: ClassVar[float] = 0.1
    offset: ClassVar[tuple[float, ...]] = ()

    @property
    def scale(self) -> tuple[float, ...]:
        """Factor of each number."""
        raise NotImplementedError

    @property
    def mirror(self) -> tuple[float, ...]:
        """Factor of each number when left and right are swapped; empty if none changes."""
        return ()

    @property
    def shape(self) -> tuple[int, ...]:
        """(M,)."""
        return (len(self.scale),)

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32."""
        return np.dtype(np.float32)

    def mirrored(self, measurements: NDArray[Any]) -> NDArray[Any]:
        """See `Encoder.mirrored`."""
        signs = self.mirror
        return measurements * np.array(signs, np.float32) if signs else measurements

    def example(self, k: int) -> list[float]:
        """See `Encoder.example`."""
        return [math.sin(1.7 * k + axis) / scale for axis, scale in enumerate(self.scale)]

    def onboard(self, arrays: Mapping[str, NDArray[Any]]) -> "OnboardDense":
        """See `Encoder.onboard`."""
        inputs = self.shape[0] + 1
        shapes = {"weight": (self.features, inputs), "bias": (self.features,)}
        require_arrays(self.name, arrays, shapes)
        return OnboardDense(arrays["weight"], arrays["bias"])


class OnboardDense:
    """A rectified dense layer over some numbers and their age.

    Args:
        weight, bias: float32 (F, M + 1) and (F,); offset and scale are folded into them.

    """

    def __init__(self, weight: NDArray[Any], bias: NDArray[Any]) -> None:
        self._weight, self._bias = weight, bias

    def __call__(self, numbers: Sequence[float], age: float) -> NDArray[np.float32]:
        """Features (F,) of M numbers that are `age` seconds old."""
        # For a handful of numbers `dot` takes half the time of the operator.
        features: NDArray[np.float32] = self._weight.dot(np.array([*numbers, age], np.float32))
        features += self._bias
        return np.maximum(features, 0.0, out=features)
