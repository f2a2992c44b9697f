"""Single events of a cell by the native kernel: no torch, no allocation, a few microseconds."""

import ctypes
import math
from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liquid_nav.errors import ConfigError
from liquid_nav.onboard import native
from liquid_nav.onboard.cells.base import FoldedCell


class KernelCell(FoldedCell):
    """A folded cell that the native kernel steps; its `kind` is the kernel's name for it."""

    @abstractmethod
    def sizes(self) -> ctypes.Structure:
        """Give the sizes that the kernel needs, for a batch and a sequence of one."""

    @abstractmethod
    def time_constants(self, u: NDArray[Any], v: NDArray[Any]) -> NDArray[Any]:
        """Compute the time constants (N,) in seconds, for the input u (I,) and the state v (N,)."""

    def start(self) -> "NativeStep":
        """See `FoldedCell.start`. Raises what `NativeStep` raises."""
        return NativeStep(self)


class NativeStep:
    """An `OnboardCell` that the native kernel evaluates.

    Its numbers are those of `LiquidCell.step` for a batch of one, to rounding. It keeps a copy of
    the parameters, so later changes of the cell have no effect.

    Args:
        cell: the parameters, as the `fold` method of a cell gives them.

    Attributes:
        input: the input u, shape (I,), zeros at first. Write it in place; it must not contain NaN.
        state: the state v, shape (N,), at first the cell's initial state. You may write it in
            place.

    Raises:
        ConfigError: if the native kernel is not built or is switched off.

    """

    def __init__(self, cell: KernelCell) -> None:
        if native.kernel is None:
            raise ConfigError(
                "the native kernel is not built or switched off; use the scripted cell instead"
            )
        self._cell = cell
        self.state: NDArray[Any] = cell.arrays["initial"].copy()
        self.input: NDArray[Any] = np.zeros(cell.inputs, cell.dtype)
        self._flowed: NDArray[Any] = np.empty_like(self.state)
        self._step = native.Instance(
            native.kernel,
            cell.kind,
            cell.sizes(),
            [cell.arrays.get(name) for name in cell.shapes],
            (self.input, self.state, self._flowed),
        )

    def flow(self, dt: float) -> NDArray[Any]:
        """Compute the state (N,) after `dt` seconds under `input`, without changing `state`.

        The next call overwrites the array that this one returns.

        Raises:
            ConfigError: if `dt` is negative or not finite.
        """
        if not 0.0 <= dt < math.inf:
            raise ConfigError(f"dt must be finite seconds, not negative, got {dt}")
        self._step(dt)
        return self._flowed

    def advance(self, dt: float) -> None:
        """Set `state` to what `flow` computes for `dt` seconds. Raises what `flow` raises."""
        self.state[:] = self.flow(dt)

    def time_constants(self) -> NDArray[Any]:
        """Compute the time constant (N,) in seconds of every neuron at `input` and `state`."""
        return self._cell.time_constants(self.input, self.state)
