"""A policy network in the form that the native kernel and NumPy evaluate, and its bundle file.

The file also holds the commands that TorchScript gave on the `probe` of `runtime`. On the machine
that flies, they show whether the native form computes the same function.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from liquid_nav.errors import ConfigError
from liquid_nav.events import Channel
from liquid_nav.files import write_whole
from liquid_nav.onboard import native
from liquid_nav.onboard.cells import FoldedCell, folded_cell
from liquid_nav.onboard.config import PolicyConfig

_CORE = "core."
_ENCODERS = "encoders."
_FORM = f"liquid_nav {native.VERSION}"
"""Version of the folded form: a kernel of another version may need another form."""


@dataclass(frozen=True, eq=False)
class FoldedNetwork:
    """The arrays that `NativeRuntime` computes with, all in float32.

    Attributes:
        core: the liquid core.
        encoders: arrays of the encoder of each channel, see `Encoder.onboard`.
        head_weight, head_bias: weight (4, S + L) and bias (4,) of the raw command.
        scale: range of the head, (4,).

    """

    core: FoldedCell
    encoders: Mapping[Channel, Mapping[str, NDArray[Any]]]
    head_weight: NDArray[Any]
    head_bias: NDArray[Any]
    scale: NDArray[Any]

    def check(self, config: PolicyConfig) -> None:
        """Check that the sizes of core and head are those of this configuration.

        `Encoder.onboard` checks the sizes of the encoders.

        Raises:
            ConfigError: if a size or type is wrong; it names the right one.

        """
        units, latch = config.units, config.latch_size
        core_fits = (self.core.units, self.core.inputs) == (units, latch)
        if not core_fits or self.core.dtype != np.float32:
            raise ConfigError(
                f"the core has {self.core.units} units that read {self.core.inputs} numbers in "
                f"{self.core.dtype}; the configuration has {units} and {latch} in float32"
            )
        if self.encoders.keys() != config.by_channel.keys():
            raise ConfigError(
                f"the folded encoders are {', '.join(self.encoders)}; the configuration has "
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
    # ascontiguousarray turns a scalar into a vector.
    shaped = {name: value.reshape(arrays[name].shape) for name, value in contiguous.items()}
    write_whole(path, save(shaped, {"form": _FORM, "core": network.core.kind}))


def read_folded(path: Path) -> tuple[FoldedNetwork, NDArray[np.float64]] | None:
    """Read what `write_folded` wrote.

    Returns None if it was folded for another version of the kernel.

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
    """Rename the arrays of a bundle of format 1, which has camera and IMU only."""
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
