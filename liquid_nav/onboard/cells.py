"""A liquid cell with its parameters folded into what the native kernel takes; numpy only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liquid_nav.errors import ConfigError
from liquid_nav.onboard import native

# Shapes, in the order of the kernel: N units, I inputs, M = 2 N.
_PARAMETERS = {
    "ltc": {
        "leak": "N",
        "leak_current": "N",
        "capacitance": "N",
        "sensory_slope": "NI1",
        "sensory_offset": "NI1",
        "sensory_gains": "N2I",
        "recurrent_slope": "NN1",
        "recurrent_offset": "NN1",
        "recurrent_gains": "N2N",
    },
    "flow": {"states": "MN", "offset": "M", "scale": "M", "inputs": "MI", "bias": "M"},
}
_NUMBERS = {"ltc": ("max_substeps", "max_step"), "flow": ("input_limit",)}
_OPTIONAL = "states"
"""What a LiquidFlow lacks whose gates read the input alone."""


@dataclass(frozen=True, eq=False)
class FoldedCell:
    """What `NativeStep` computes with.

    Attributes:
        kind: ``ltc`` or ``flow``.
        arrays: parameters in float32 or float64, the initial state ``initial`` (N,) among them,
            and numbers in float64.

    Raises:
        ConfigError: on another kind, or arrays that are not those of its kind.

    """

    kind: str
    arrays: Mapping[str, NDArray[Any]]

    def __post_init__(self) -> None:
        if self.kind not in _PARAMETERS:
            raise ConfigError(f"no folded cell is a {self.kind!r}")
        shapes = {"initial": "N", **_PARAMETERS[self.kind]}
        numbers = _NUMBERS[self.kind]
        if self.arrays.keys() | {_OPTIONAL} != {*shapes, *numbers, _OPTIONAL}:
            raise ConfigError(
                f"a folded {self.kind} has other arrays than {', '.join(self.arrays)}"
            )
        sizes = {"1": 1, "2": 2, "N": self.units, "M": 2 * self.units, "I": self.inputs}
        for name, letters in shapes.items():
            array = self.arrays.get(name)
            expected = tuple(sizes[letter] for letter in letters)
            if array is not None and (array.shape != expected or array.dtype != self.dtype):
                raise ConfigError(
                    f"{name} of a folded {self.kind} is {array.dtype} {array.shape}, not "
                    f"{self.dtype} {expected}"
                )
        if any(self.arrays[name].shape or not 0 < self.arrays[name] < np.inf for name in numbers):
            raise ConfigError(f"{' and '.join(numbers)} of a folded cell must be positive numbers")

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of parameters and states."""
        dtype = self.arrays["initial"].dtype
        if dtype not in (np.float32, np.float64):
            raise ConfigError(f"a folded cell is of float32 or float64, not {dtype}")
        return dtype

    @property
    def units(self) -> int:
        """N."""
        return self.arrays["initial"].size

    @property
    def inputs(self) -> int:
        """I."""
        array = self.arrays["inputs" if self.kind == "flow" else "sensory_slope"]
        return array.shape[1] if array.ndim > 1 else 0

    def instance(self, kernel: native.Kernel, arrays: tuple[NDArray[Any], ...]) -> native.Instance:
        """Hand the parameters to the kernel, see `native.Instance`."""
        number = {name: self.arrays[name].item() for name in _NUMBERS[self.kind]}
        if self.kind == "ltc":
            sizes: Any = native.LtcSizes(
                1, 1, self.inputs, self.units, int(number["max_substeps"]), number["max_step"]
            )
        else:
            sizes = native.FlowSizes(1, 1, self.inputs, self.units, number["input_limit"])
        parameters = [self.arrays.get(name) for name in _PARAMETERS[self.kind]]
        return native.Instance(kernel, self.kind, sizes, parameters, arrays)

    def time_constants(self, u: NDArray[Any], v: NDArray[Any]) -> NDArray[Any]:
        """Time constant (N,) in seconds of every neuron, for u (I,) and v (N,): `gates`'."""
        a = self.arrays
        if self.kind == "ltc":
            conductance = a["leak"].copy()
            for sources, side in ((u, "sensory"), (v, "recurrent")):
                slope, offset = a[f"{side}_slope"][..., 0], a[f"{side}_offset"][..., 0]
                conductance += (a[f"{side}_gains"][:, 0] * _logistic(offset + slope * sources)).sum(
                    1
                )
            return np.asarray(a["capacitance"] / conductance)
        limit = a["input_limit"]
        drive = a["inputs"] @ np.clip(u, -limit, limit).astype(self.dtype) + a["bias"]
        if _OPTIONAL in a:
            drive += a[_OPTIONAL] @ v
        values = a["offset"] + a["scale"] * _logistic(drive)
        return np.asarray(np.exp(values[self.units :]))


def _logistic(x: NDArray[Any]) -> NDArray[Any]:
    # By the tangent, which cannot overflow.
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * x))
