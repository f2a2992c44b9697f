"""A policy network as the native kernel and numpy evaluate it, and its file in a bundle; no torch.

The file also holds the commands that TorchScript gave on the `probe` of `runtime`: on the machine
that flies, they decide whether the native form computes the same function.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from liquid_nav.errors import ConfigError
from liquid_nav.events import Channel
from liquid_nav.onboard import native
from liquid_nav.onboard.cells import FoldedCell, folded_cell
from liquid_nav.onboard.config import PolicyConfig

_CORE = "core."
_ENCODERS = "encoders."
_FORM = f"liquid_nav {native.VERSION}"
"""What is folded, and how: a kernel of another version may need another form."""


@dataclass(frozen=True, eq=False)
class FoldedNetwork:
    """What `NativeRuntime` computes with; all in float32 unless it says otherwise.

    Attributes:
        core: the liquid core.
        encoders: arrays of the encoder of each channel, see `Encoder.onboard`.
        head_weight, head_bias: of the raw command, (4, S + L) and (4,).
        scale: range of the head, (4,).

    """

    core: FoldedCell
    encoders: Mapping[Channel, Mapping[str, NDArray[Any]]]
    head_weight: NDArray[Any]
    head_bias: NDArray[Any]
    scale: NDArray[Any]

    def check(self, config: PolicyConfig) -> None:
        """Refuse sizes that are not those of a network of this configuration.

        Those of the encoders are checked by `Encoder.onboard`.

        Raises:
            ConfigError: naming what is wrong and what would be right.

        """
        units, latch = config.units, config.latch_size
        core_fits = (self.core.units, self.core.inputs) == (units, latch)
        if not core_fits or self.core.dtype != np.float32:
            raise ConfigError(
                f"the core has {self.core.units} units that read {self.core.inputs} numbers in "
                f"{self.core.dtype}; its configuration says {units} and {latch} in float32"
            )
        if self.encoders.keys() != config.by_channel.keys():
            raise ConfigError(
                f"it has encoders of {', '.join(self.encoders)}; its configuration says "
                f"{', '.join(config.by_channel)}"
            )
        shapes = {"head_weight": (4, units + latch), "head_bias": (4,), "scale": (4,)}
        for name, shape in shapes.items():
            array = getattr(self, name)
            if array.shape != shape or array.dtype != np.float32:
                raise ConfigError(
                    f"{name} must be float32 {shape}, got {array.dtype} {array.shape}"
                )


def write_folded(path: Path, network: FoldedNetwork, expected: NDArray[np.float64]) -> None:
    """Write a network and the commands (K, 4) that TorchScript gives on the probe, see `probe`.

    Raises:
        OSError: when the file cannot be written.

    """
    arrays: dict[str, NDArray[Any]] = {
        "probe": expected,
        **{
            f"{_ENCODERS}{channel}.{name}": array
            for channel, parts in network.encoders.items()
            for name, array in parts.items()
        },
        **{_CORE + name: array for name, array in network.core.arrays.items()},
        **{name: getattr(network, name) for name in ("head_weight", "head_bias", "scale")},
    }
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    # ascontiguousarray makes a vector of a number.
    shaped = {name: value.reshape(arrays[name].shape) for name, value in contiguous.items()}
    save_file(shaped, path, {"form": _FORM, "core": network.core.kind})


def read_folded(path: Path) -> tuple[FoldedNetwork, NDArray[np.float64]] | None:
    """Read what `write_folded` wrote.

    Gives None if it was folded for another kernel.

    Raises:
        ConfigError: on a file that does not hold a folded network.
        OSError: when it cannot be read.

    """
    try:
        with safe_open(path, framework="numpy") as file:
            about = file.metadata() or {}
            if about.get("form") != _FORM:
                return None
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        arrays = _current_names(arrays)
        return _network(about["core"], arrays), arrays["probe"]
    except (SafetensorError, KeyError, IndexError, TypeError, ValueError) as error:
        raise ConfigError(f"it does not hold a folded network: {error!r}") from error


def _network(kind: str, arrays: Mapping[str, NDArray[Any]]) -> FoldedNetwork:
    core = {name.removeprefix(_CORE): a for name, a in arrays.items() if name.startswith(_CORE)}
    encoders: dict[Channel, dict[str, NDArray[Any]]] = {}
    for name, array in arrays.items():
        if name.startswith(_ENCODERS):
            channel, _, part = name.removeprefix(_ENCODERS).partition(".")
            encoders.setdefault(Channel(channel), {})[part] = array
    head = (arrays[name] for name in ("head_weight", "head_bias", "scale"))
    return FoldedNetwork(folded_cell(kind, core), encoders, *head)


def _current_names(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Arrays of bundles of format 1, which knew camera and IMU only, under today's names."""
    named = {}
    for name, array in arrays.items():
        part = name.removeprefix("camera.").removeprefix("imu_")
        if name == "vouched":
            named["probe"] = array
        elif name.startswith("imu_"):
            named[f"{_ENCODERS}{Channel.IMU}.{part}"] = array
        elif name.startswith("camera.") and part.isdigit():
            named[f"{_ENCODERS}{Channel.CAMERA}.{part}"] = array
        else:
            named[name] = array
    return named
