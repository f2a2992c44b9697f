"""The leaky cell in flight: numpy alone, in a module of its own, so that torch is not loaded."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from liquid_nav.onboard.cells import FoldedCell


class FoldedLeaky(FoldedCell):
    """The parameters of a `LeakyCell`."""

    kind = "leaky"
    shapes: ClassVar[Mapping[str, str]] = {
        "input_weight": "NI",
        "state_weight": "NN",
        "bias": "N",
        "tau": "N",
    }

    def start(self) -> "LeakyStep":
        """Give a cell at its initial state."""
        return LeakyStep(self)


class LeakyStep:
    """A leaky cell that takes one event at a time.

    Attributes:
        input: the input u, shape (I,).
        state: the state v, shape (N,).

    """

    def __init__(self, cell: FoldedLeaky) -> None:
        self._arrays = cell.arrays
        self.input: NDArray[Any] = np.zeros(cell.inputs, cell.dtype)
        self.state: NDArray[Any] = cell.arrays["initial"].copy()

    def flow(self, dt: float) -> NDArray[Any]:
        """Compute the state (N,) after `dt` seconds, without changing `state`."""
        a = self._arrays
        drive = a["input_weight"] @ np.clip(self.input, -1e6, 1e6) + a["state_weight"] @ self.state
        share = -np.expm1(-dt / a["tau"])
        flowed: NDArray[Any] = self.state + (np.tanh(drive + a["bias"]) - self.state) * share
        return flowed

    def time_constants(self) -> NDArray[Any]:
        """Compute the time constant (N,) in seconds of every neuron."""
        return self._arrays["tau"]
