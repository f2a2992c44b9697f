"""One liquid cell for single events on the onboard path: no torch, no allocation, a few us."""

import ctypes
import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from liquid_nav.errors import ConfigError
from liquid_nav.liquid import native
from liquid_nav.liquid.cell import RecurrentCell
from liquid_nav.liquid.flow import LiquidFlow
from liquid_nav.liquid.ltc import LTC


class NativeStep:
    """A cell with its parameters folded once, its input and its state in arrays of its own.

    Write the latched input into `input`, in place. `flow` tells the state after some time and
    changes nothing but what it returns; `advance` makes that the state. Numbers are those of
    `LiquidCell.step` for a batch of one, to rounding. Later changes of the cell are not seen. One
    object belongs to one thread.

    Args:
        cell: an `LTC` or a `LiquidFlow`, on the CPU, in float32 or float64.

    Attributes:
        input: u, shape (I,), to be written by the user; zeros at first. Must not be NaN.
        state: v, shape (N,), at first the cell's initial state; may be written to.

    Raises:
        ConfigError: on another cell, an LTC with another solver, a LiquidFlow with a hidden layer
            or resonance, or where the native kernel is not there; then script the cell.

    """

    def __init__(self, cell: RecurrentCell) -> None:
        kernel = native.kernel
        if kernel is None:
            raise ConfigError("the native kernel is not built or switched off; script the cell")
        if not isinstance(cell, LTC | LiquidFlow) or not kernel.takes(next(cell.parameters())):
            raise ConfigError(
                "a native step needs an LTC or a LiquidFlow, on the CPU, in float32 or float64"
            )
        if isinstance(cell, LTC) and cell.solver != "exponential":
            raise ConfigError(f"a native step takes exponential steps, not those of {cell.solver}")
        if isinstance(cell, LiquidFlow) and (cell.heads is not None or cell.resonant):
            raise ConfigError("a native step takes a LiquidFlow without hidden layer or resonance")
        with torch.no_grad():
            initial = cell.initial_state(1)[0]
            name, sizes, parameters = _folded(cell)
        self.state: NDArray[Any] = initial.numpy().copy()
        self.input: NDArray[Any] = np.zeros(cell.input_size, self.state.dtype)
        self._flowed: NDArray[Any] = np.empty_like(self.state)
        arrays = (self.input, self.state, self._flowed)
        self._step = native.Instance(kernel, name, sizes, parameters, arrays)

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


def _folded(cell: LTC | LiquidFlow) -> tuple[str, ctypes.Structure, list[Tensor | None]]:
    """Name, sizes and parameters of the cell as the kernel takes them, contiguous."""
    parameters: list[Tensor | None]
    if isinstance(cell, LTC):
        parameters = [*cell._membrane(), *cell._sensory(), *cell._recurrent()]
        sizes: ctypes.Structure = native.LtcSizes(
            1, 1, cell.input_size, cell.units, cell.max_substeps, cell.max_step
        )
        name = "ltc"
    else:
        inputs, states = cell._weights()
        parameters = [states, cell.offset, cell.scale, inputs, cell.bias]
        sizes = native.FlowSizes(1, 1, cell.input_size, cell.units, cell.input_limit)
        name = "flow"
    return name, sizes, [None if p is None else p.detach().contiguous() for p in parameters]
