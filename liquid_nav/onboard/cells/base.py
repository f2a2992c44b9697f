"""What every cell has on board: folded parameters, and an object that steps it by events."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from liquid_nav.errors import ConfigError


class OnboardCell(Protocol):
    """A cell in flight: a batch of one, numpy arrays, no gradients. It belongs to one thread.

    Attributes:
        input: the input u, shape (I,). The user writes it in place; it starts as zeros.
        state: the state v, shape (N,). It starts as the cell's initial state; the user may
            write it in place.

    """

    input: NDArray[Any]
    state: NDArray[Any]

    def flow(self, dt: float) -> NDArray[Any]:
        """Compute the state (N,) after `dt` seconds under `input`.

        This does not change `state`. The next call may overwrite the array it returns.
        """

    def time_constants(self) -> NDArray[Any]:
        """Compute the time constant (N,) in seconds of every neuron at `input` and `state`."""


@dataclass(frozen=True, eq=False)
class FoldedCell(ABC):
    """The parameters of a cell, reduced to the arrays that one step needs.

    A subclass declares its arrays and how they are stepped. A bundle stores the arrays under the
    subclass's `kind` and finds the subclass again in `FOLDED_CELLS`. The state must be what the
    head reads, so a cell whose `read` returns only part of its state cannot be folded.

    Attributes:
        arrays: parameters by name, all float32 or all float64, among them the initial state
            ``initial`` (N,); and the numbers, which have no dimensions.
        kind: the name of this class in `FOLDED_CELLS`.
        shapes: shape of each parameter besides ``initial``, one letter per dimension: N units,
            M = 2 N, I inputs, or a digit. One shape must contain I.
        optional: parameters that may be missing.
        numbers: names of the numbers; each must be positive and finite.

    Raises:
        ConfigError: if an array is missing or unknown, or has the wrong shape or dtype.

    """

    kind: ClassVar[str]
    shapes: ClassVar[Mapping[str, str]]
    optional: ClassVar[frozenset[str]] = frozenset()
    numbers: ClassVar[tuple[str, ...]] = ()

    arrays: Mapping[str, NDArray[Any]]

    def __post_init__(self) -> None:
        shapes = {"initial": "N", **self.shapes}
        required = {*shapes, *self.numbers} - self.optional
        names = self.arrays.keys()
        if not required <= names <= required | self.optional:
            raise ConfigError(
                f"a folded {self.kind} has the arrays {', '.join(sorted(required))}; "
                f"got {', '.join(sorted(names))}"
            )
        sizes = {"N": self.units, "M": 2 * self.units, "I": self.inputs}
        for name in shapes.keys() & names:
            array = self.arrays[name]
            expected = tuple(
                sizes[letter] if letter in sizes else int(letter) for letter in shapes[name]
            )
            if array.shape != expected or array.dtype != self.dtype:
                raise ConfigError(
                    f"{name} of a folded {self.kind} must be {self.dtype} of shape {expected}, "
                    f"got {array.dtype} of shape {array.shape}"
                )
        for name in self.numbers:
            if self.arrays[name].shape or not 0 < self.arrays[name] < np.inf:
                raise ConfigError(
                    f"{name} of a folded {self.kind} must be a positive finite number, "
                    f"got {self.arrays[name]}"
                )

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of parameters, input and state."""
        dtype = self.arrays["initial"].dtype
        if dtype not in (np.float32, np.float64):
            raise ConfigError(f"a folded cell must be float32 or float64, got {dtype}")
        return dtype

    @property
    def units(self) -> int:
        """Number N of neurons."""
        return self.arrays["initial"].size

    @property
    def inputs(self) -> int:
        """Number I of inputs."""
        name, letters = next(item for item in self.shapes.items() if "I" in item[1])
        shape, axis = self.arrays[name].shape, letters.index("I")
        return shape[axis] if axis < len(shape) else 0

    @abstractmethod
    def start(self) -> OnboardCell:
        """Give a cell with these parameters, at its initial state and with zeros as its input.

        Raises:
            ConfigError: if this machine cannot run it.

        """


def logistic(x: NDArray[Any]) -> NDArray[Any]:
    """1 / (1 + exp(-x)), elementwise and without overflow."""
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * x))
