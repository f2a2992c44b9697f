"""A policy network as the native kernel and numpy take it, and its file in a bundle; no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from liquid_nav.errors import ConfigError
from liquid_nav.onboard import native
from liquid_nav.onboard.cells import FoldedCell, folded_cell
from liquid_nav.onboard.config import PolicyConfig

_CORE = "core."
_FORM = f"liquid_nav {native.VERSION}"
"""Of what is folded, and how: another kernel may want it otherwise."""


@dataclass(frozen=True, eq=False)
class FoldedCamera:
    """The camera encoder.

    Attributes:
        height, width: pixels of a frame.
        age_unit: seconds of age that enter as one.
        parameters: float32, weight and bias of each convolution, then of the dense layer.

    Raises:
        ConfigError: on shapes that do not follow one another.

    """

    height: int
    width: int
    age_unit: float
    parameters: tuple[NDArray[Any], ...]

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1 or not self.age_unit > 0 or len(self.parameters) < 2:
            raise ConfigError("a folded camera encoder lacks its sizes")
        expected: list[tuple[int, ...]] = []
        channels, height, width = 3, self.height, self.width
        for bias in self.parameters[1:-2:2]:
            expected += [(bias.size, channels, 3, 3), (bias.size,)]
            channels, height, width = bias.size, (height + 1) // 2, (width + 1) // 2
        expected += [(self.features, channels * height * width + 1), (self.features,)]
        shapes = [value.shape for value in self.parameters]
        if shapes != expected or any(value.dtype != np.float32 for value in self.parameters):
            raise ConfigError(
                f"a camera encoder is folded in float32, with shapes {expected}, not {shapes}"
            )

    @property
    def features(self) -> int:
        """F."""
        return self.parameters[-1].size

    @property
    def channels(self) -> list[int]:
        """Of the image, and of each convolution."""
        return [3, *(bias.size for bias in self.parameters[1:-2:2])]


@dataclass(frozen=True, eq=False)
class FoldedNetwork:
    """What `NativeRuntime` computes with; all in float32 unless it says otherwise.

    Attributes:
        core: the liquid core.
        camera: the camera encoder.
        imu_weight, imu_bias: of features (G, 7) and (G,), its offset and scale moved into them.
        head_weight, head_bias: of the raw command, (4, S + L) and (4,).
        scale: range of the head, (4,).

    Raises:
        ConfigError: on shapes that do not belong to one network.

    """

    core: FoldedCell
    camera: FoldedCamera
    imu_weight: NDArray[Any]
    imu_bias: NDArray[Any]
    head_weight: NDArray[Any]
    head_bias: NDArray[Any]
    scale: NDArray[Any]

    def __post_init__(self) -> None:
        features, latch = self.imu_bias.size, self.camera.features + self.imu_bias.size
        expected = {
            "imu_weight": (features, 7),
            "imu_bias": (features,),
            "head_weight": (4, self.core.units + latch),
            "head_bias": (4,),
            "scale": (4,),
        }
        for name, shape in expected.items():
            array = getattr(self, name)
            if array.shape != shape or array.dtype != np.float32:
                raise ConfigError(f"{name} is {array.dtype} {array.shape}, not float32 {shape}")
        if self.core.inputs != latch or self.core.dtype != np.float32:
            raise ConfigError(f"the core reads {self.core.inputs} numbers, the latch has {latch}")

    def fits(self, config: PolicyConfig) -> bool:
        """Whether the sizes are those of a network of this configuration."""
        camera = self.camera
        return (
            self.core.units == config.units
            and (camera.width, camera.height) == (config.camera.width, config.camera.height)
            and camera.channels[1:] == list(config.convolutions)
            and camera.features == config.camera_features
            and self.imu_bias.size == config.imu_features
        )


_NAMED = ("imu_weight", "imu_bias", "head_weight", "head_bias", "scale")


def write_folded(path: Path, network: FoldedNetwork, vouched: NDArray[np.float64]) -> None:
    """Write a network and the commands (K, 4) that TorchScript gives on the probe, see `probe`.

    Raises:
        OSError: when the file cannot be written.

    """
    camera = network.camera
    arrays: dict[str, NDArray[Any]] = {
        "vouched": vouched,
        "camera.size": np.array([camera.height, camera.width]),
        "camera.age_unit": np.array(camera.age_unit),
        **{f"camera.{k}": value for k, value in enumerate(camera.parameters)},
        **{_CORE + name: value for name, value in network.core.arrays.items()},
        **{name: getattr(network, name) for name in _NAMED},
    }
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    # ascontiguousarray makes a vector of a number.
    shaped = {name: value.reshape(arrays[name].shape) for name, value in contiguous.items()}
    save_file(shaped, path, {"form": _FORM, "core": network.core.kind})


def read_folded(path: Path) -> tuple[FoldedNetwork, NDArray[np.float64]] | None:
    """Read what `write_folded` wrote.

    Gives None if it was folded for another kernel.

    Raises:
        ConfigError: on a file that is none.
        OSError: when it cannot be read.

    """
    try:
        with safe_open(path, framework="numpy") as file:
            about = file.metadata() or {}
            if about.get("form") != _FORM:
                return None
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return _network(about["core"], arrays), arrays["vouched"]
    except (SafetensorError, KeyError, IndexError, TypeError, ValueError) as error:
        raise ConfigError(f"no folded network: {error!r}") from error


def _network(kind: str, arrays: Mapping[str, NDArray[Any]]) -> FoldedNetwork:
    height, width = arrays["camera.size"].tolist()
    count = sum(name.removeprefix("camera.").isdigit() for name in arrays)
    parameters = tuple(arrays[f"camera.{k}"] for k in range(count))
    camera = FoldedCamera(height, width, arrays["camera.age_unit"].item(), parameters)
    core = {name.removeprefix(_CORE): a for name, a in arrays.items() if name.startswith(_CORE)}
    return FoldedNetwork(folded_cell(kind, core), camera, *(arrays[name] for name in _NAMED))
