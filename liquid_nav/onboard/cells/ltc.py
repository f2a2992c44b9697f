"""The onboard form of an LTC."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from liquid_nav.onboard import native
from liquid_nav.onboard.cells.base import logistic
from liquid_nav.onboard.step import KernelCell


class FoldedLtc(KernelCell):
    """An LTC with exponential steps, see `liquid_nav.liquid.LTC`.

    Synapses are stored as in `liquid_nav.liquid.solvers.Synapses`.
    """

    kind = "ltc"
    # In the order in which the kernel takes them.
    shapes: ClassVar[Mapping[str, str]] = {
        "leak": "N",
        "leak_current": "N",
        "capacitance": "N",
        "sensory_slope": "NI1",
        "sensory_offset": "NI1",
        "sensory_gains": "N2I",
        "recurrent_slope": "NN1",
        "recurrent_offset": "NN1",
        "recurrent_gains": "N2N",
    }
    numbers = ("max_substeps", "max_step")

    def sizes(self) -> native.LtcSizes:
        """See `KernelCell.sizes`."""
        substeps, step = (self.arrays[name].item() for name in self.numbers)
        return native.LtcSizes(1, 1, self.inputs, self.units, int(substeps), step)

    def time_constants(self, u: NDArray[Any], v: NDArray[Any]) -> NDArray[Any]:
        """See `KernelCell.time_constants`."""
        a = self.arrays
        conductance = a["leak"].copy()
        for sources, side in ((u, "sensory"), (v, "recurrent")):
            slope, offset = a[f"{side}_slope"][..., 0], a[f"{side}_offset"][..., 0]
            opening = logistic(offset + slope * sources)
            conductance += (a[f"{side}_gains"][:, 0] * opening).sum(1)
        return np.asarray(a["capacitance"] / conductance)
