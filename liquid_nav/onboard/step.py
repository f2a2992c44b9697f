"""One liquid cell for single events on the onboard path: no torch, no allocation, a few us."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liquid_nav.errors import ConfigError
from liquid_nav.onboard import native
from liquid_nav.onboard.cells import FoldedCell


class NativeStep:
    """A cell with its parameters folded once, its input and its state in arrays of its own.

    Write the latched input into `input`, in place. `flow` tells the state after some time and
    changes nothing but what it returns; `advance` makes that the state. Numbers are those of
    `LiquidCell.step` for a batch of one, to rounding. Later changes of the cell are not seen. One
    object belongs to one thread.

    Args:
        cell: the parameters of a cell, as its `fold` gives them.

    Attributes:
        input: u, shape (I,), to be written by the user; zeros at first. Must not be NaN.
        state: v, shape (N,), at first the cell's initial state; may be written to.

    Raises:
        ConfigError: where the native kernel is not built or switched off; then script the cell.

    """

    def __init__(self, cell: FoldedCell) -> None:
        if native.kernel is None:
            raise ConfigError("the native kernel is not built or switched off; script the cell")
        self._cell = cell
        self.state: NDArray[Any] = cell.arrays["initial"].copy()
        self.input: NDArray[Any] = np.zeros(cell.inputs, cell.dtype)
        self._flowed: NDArray[Any] = np.empty_like(self.state)
        self._step = cell.instance(native.kernel, (self.input, self.state, self._flowed))

    def flow(self, dt: float) -> NDArray[Any]:
        """State (N,) after dt seconds under `input`; the next call overwrites what it returns.

        Raises:
            ConfigError: on a dt that is negative or not finite.
        """
        if not 0.0 <= dt < math.inf:
            raise ConfigError(f"dt must be finite seconds, not negative, got {dt}")
        self._step(dt)
        return self._flowed

    def advance(self, dt: float) -> None:
        """Flow for dt seconds under `input`, and stay there. Raises what `flow` raises."""
        self.state[:] = self.flow(dt)

    def time_constants(self) -> NDArray[Any]:
        """Time constant (N,) in seconds of every neuron, at `input` and `state`."""
        return self._cell.time_constants(self.input, self.state)
