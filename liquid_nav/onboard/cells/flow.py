"""The onboard form of a LiquidFlow."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from liquid_nav.onboard import native
from liquid_nav.onboard.cells.base import logistic
from liquid_nav.onboard.step import KernelCell


class FoldedFlow(KernelCell):
    """A LiquidFlow with one dense layer of gates, see `liquid_nav.liquid.LiquidFlow`.

    Without ``states``, the weights of the state, the gates read the input alone.
    """

    kind = "flow"
    # In the order in which the kernel takes them.
    shapes: ClassVar[Mapping[str, str]] = {
        "states": "MN",
        "offset": "M",
        "scale": "M",
        "inputs": "MI",
        "bias": "M",
    }
    optional = frozenset({"states"})
    numbers = ("input_limit",)

    def sizes(self) -> native.FlowSizes:
        """See `KernelCell.sizes`."""
        limit = self.arrays["input_limit"].item()
        return native.FlowSizes(1, 1, self.inputs, self.units, limit)

    def time_constants(self, u: NDArray[Any], v: NDArray[Any]) -> NDArray[Any]:
        """See `KernelCell.time_constants`."""
        a = self.arrays
        limit = a["input_limit"]
        drive = a["inputs"] @ np.clip(u, -limit, limit).astype(self.dtype) + a["bias"]
        if "states" in a:
            drive += a["states"] @ v
        values = a["offset"] + a["scale"] * logistic(drive)
        return np.asarray(np.exp(values[self.units :]))
