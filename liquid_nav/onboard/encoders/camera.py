"""The encoder of camera frames, and how the native kernel runs it."""

import ctypes
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from liquid_nav.errors import ConfigError
from liquid_nav.events import CameraFrame, Event
from liquid_nav.onboard import native
from liquid_nav.onboard.encoders.base import LARGEST_LAYER, Encoder, require_arrays
from liquid_nav.safety.freshness import Staleness
from liquid_nav.values import check_number

LARGEST_IMAGE = 4096
"""Pixels of the longest side that a policy's camera can have."""


@dataclass(frozen=True)
class PolicyCamera:
    """The camera that a policy was trained for; frames must come from this one.

    Attributes:
        width, height: pixels.
        horizontal_fov: radians between the centres of view of the left and right image borders.

    Raises:
        ConfigError: on a value out of range.

    """

    width: int = 64
    height: int = 48
    horizontal_fov: float = math.pi / 2

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            size = getattr(self, name)
            if type(size) is not int or size > LARGEST_IMAGE:
                raise ConfigError(
                    f"policy camera {name} must be whole pixels, at most "
                    f"{LARGEST_IMAGE}, got {self}"
                )
        check_number("policy camera horizontal_fov", self.horizontal_fov, ConfigError)
        if self.width < 16 or self.height < 16:
            raise ConfigError(f"policy camera must be 16x16 or larger, got {self}")
        if not 0 < self.horizontal_fov < math.pi:
            raise ConfigError(f"policy camera horizontal_fov must be in (0, pi), got {self}")


@dataclass(frozen=True)
class CameraEncoder(Encoder):
    """Reads frames by convolutions of stride 2, then one dense layer that also reads the age.

    Attributes:
        camera: the camera model that frames must match.
        convolutions: output channels of the 3x3 convolutions, first to last.
        age_unit: seconds of age that enter as 1; camera latencies are of this order.

    Raises:
        ConfigError: on a size that is not positive.

    """

    features: int = 64
    camera: PolicyCamera = field(default_factory=PolicyCamera)
    convolutions: tuple[int, ...] = (16, 24, 32, 32)

    name = "camera"
    event = CameraFrame
    torch_module: ClassVar[str] = "liquid_nav.policy.encoders:CameraModule"
    staleness: ClassVar[Staleness | None] = Staleness(hover=0.3, land=2.0)
    age_unit: ClassVar[float] = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.camera, PolicyCamera):
            raise ConfigError(f"camera of an encoder must be a PolicyCamera, got {self.camera!r}")
        whole = isinstance(self.convolutions, tuple) and all(
            type(channels) is int and 1 <= channels <= LARGEST_LAYER
            for channels in self.convolutions
        )
        if not whole or not self.convolutions:
            raise ConfigError(
                "convolutions must be a tuple of at least 1 channel each, and at most "
                f"{LARGEST_LAYER}, got {self}"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W, 3)."""
        return (self.camera.height, self.camera.width, 3)

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8."""
        return np.dtype(np.uint8)

    def objection(self, event: Event) -> str:
        """See `Encoder.objection`; a frame of another size cannot be read."""
        if not isinstance(event, CameraFrame):
            return super().objection(event)
        height, width, _ = event.image.shape
        camera = self.camera
        if (width, height) != (camera.width, camera.height):
            return f"frame is {width}x{height}, the policy sees {camera.width}x{camera.height}"
        return ""

    def measure(self, event: CameraFrame) -> NDArray[np.uint8]:
        """The image: uint8 RGB (H, W, 3)."""
        return event.image

    def mirrored(self, measurements: NDArray[Any]) -> NDArray[Any]:
        """See `Encoder.mirrored`."""
        return measurements[:, :, ::-1]

    def example(self, k: int) -> NDArray[np.uint8]:
        """See `Encoder.example`. Bundles store commands for exactly these images."""
        # Computed noise: it must be the same with every version of NumPy.
        size = math.prod(self.shape)
        place = np.arange(k * size, (k + 1) * size, dtype=np.uint64)
        noise = (place * np.uint64(2654435761) >> np.uint64(13)).astype(np.uint8)
        image: NDArray[np.uint8] = noise.reshape(self.shape)
        return image

    def onboard(self, arrays: Mapping[str, NDArray[Any]]) -> "NativeCamera":
        """See `Encoder.onboard`; also raises ConfigError if the native kernel is missing.

        The arrays are numbered: weight and bias of each convolution, then of the dense layer.
        """
        shapes: list[tuple[int, ...]] = []
        (height, width, channels) = self.shape
        for outputs in self.convolutions:
            shapes += [(outputs, channels, 3, 3), (outputs,)]
            channels, height, width = outputs, (height + 1) // 2, (width + 1) // 2
        shapes += [(self.features, channels * height * width + 1), (self.features,)]
        require_arrays(self.name, arrays, {str(k): shape for k, shape in enumerate(shapes)})
        return NativeCamera(self, [arrays[str(k)] for k in range(len(shapes))])

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "CameraEncoder":
        """See `Encoder.from_dict`."""
        camera, convolutions = PolicyCamera(**data["camera"]), tuple(data["convolutions"])
        return cls(**{**data, "camera": camera, "convolutions": convolutions})


class NativeCamera:
    """A camera encoder with its weights copied once, run by the native kernel: some 30 us a frame.

    Its numbers are those of the torch module for a batch of one, to rounding, whatever number of
    threads torch uses. One object belongs to one thread.

    Args:
        encoder: gives the sizes.
        parameters: float32, weight and bias of each convolution, then of the dense layer.

    Raises:
        ConfigError: if the native kernel is not built or is switched off.

    """

    def __init__(self, encoder: CameraEncoder, parameters: Sequence[NDArray[Any]]) -> None:
        if native.kernel is None:
            raise ConfigError("the native kernel is not built or switched off; use TorchScript")
        channels = (3, *encoder.convolutions)
        sizes = native.EncoderSizes(
            encoder.camera.height,
            encoder.camera.width,
            len(encoder.convolutions),
            encoder.features,
            (ctypes.c_int64 * len(channels))(*channels),
        )
        self._image = np.zeros(encoder.shape, np.uint8)
        self._features = np.zeros(encoder.features, np.float32)
        self._age_unit = encoder.age_unit
        arrays = (self._image, self._features)
        self._encode = native.Instance(native.kernel, "encoder", sizes, parameters, arrays)

    def __call__(self, image: NDArray[np.uint8], age: float) -> NDArray[np.float32]:
        """Features (F,) of a uint8 RGB frame (H, W, 3) of age seconds; the next call overwrites."""
        self._image[:] = image
        self._encode(age / self._age_unit)
        return self._features
