"""The native kernel of the liquid cells: plain C++ behind a C interface, loaded by ctypes.

One library holds the kernel for several instruction sets, and the widest that the machine has is
taken. Where the library was not built, or the environment variable LIQUID_NAV_NATIVE is "0", there
is none, and the cells run on torch alone with the same numbers. LIQUID_NAV_NATIVE may also name an
instruction set: "baseline", "avx2" or "avx512".

Nothing here imports torch: what flies natively is to need none.
"""

import ctypes
import importlib.machinery
import os
import warnings
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from liquid_nav.errors import ConfigError

VERSION = 2
"""Of the interface of the library; baseline.cpp has it too. An older build is not used."""

INSTRUCTION_SETS = ("baseline", "avx2", "avx512")
"""All that the library may hold, narrowest first."""

_FLOATS = ("float32", "float64")


class LtcSizes(ctypes.Structure):
    """Sizes of an LTC and its sequence, and the substeps: max_step in seconds."""

    _fields_ = (
        ("batch", ctypes.c_int64),
        ("length", ctypes.c_int64),
        ("inputs", ctypes.c_int64),
        ("units", ctypes.c_int64),
        ("max_substeps", ctypes.c_int64),
        ("max_step", ctypes.c_double),
    )


class FlowSizes(ctypes.Structure):
    """Sizes of a LiquidFlow and its sequence."""

    _fields_ = (
        ("batch", ctypes.c_int64),
        ("length", ctypes.c_int64),
        ("inputs", ctypes.c_int64),
        ("units", ctypes.c_int64),
        ("input_limit", ctypes.c_double),
    )


class EncoderSizes(ctypes.Structure):
    """Sizes of a frame encoder; channels are those of the image and of each convolution."""

    _fields_ = (
        ("height", ctypes.c_int64),
        ("width", ctypes.c_int64),
        ("convolutions", ctypes.c_int64),
        ("features", ctypes.c_int64),
        ("channels", ctypes.POINTER(ctypes.c_int64)),
    )


class TensorLike(Protocol):
    """What the kernel has to know of a tensor of torch, which is not imported here."""

    @property
    def device(self) -> Any:
        """Where its numbers lie; ``device.type`` is ``cpu`` or an accelerator's."""

    @property
    def dtype(self) -> Any:
        """Kind of its numbers."""

    def data_ptr(self) -> int:
        """Address of its first number."""


class Kernel:
    """The functions of one instruction set.

    Args:
        library: the library as loaded.
        instruction_set: one of `available()`.

    """

    def __init__(self, library: ctypes.CDLL, instruction_set: str) -> None:
        self.instruction_set = instruction_set
        self._library = library

    def function(self, name: str, dtype: object) -> Any:
        """Look up the C function `name` for numbers of `dtype`, of numpy or of torch."""
        return getattr(self._library, f"{name}_{_name(dtype)}_{self.instruction_set}")

    def takes(self, value: TensorLike) -> bool:
        """Whether tensors like this one are for the kernel: on the CPU, float32 or float64."""
        return value.device.type == "cpu" and _name(value.dtype) in _FLOATS

    def call(
        self,
        name: str,
        sizes: ctypes.Structure,
        inputs: Sequence[TensorLike | None],
        outputs: Sequence[TensorLike | None],
    ) -> None:
        """Run `name` from and into contiguous tensors of one dtype; None is a null pointer."""
        dtype = next(value.dtype for value in inputs if value is not None)
        arrays = (
            _pointers([None if value is None else value.data_ptr() for value in values])
            for values in (inputs, outputs)
        )
        self.function(name, dtype)(ctypes.byref(sizes), *arrays)


class Instance:
    """An object of the kernel that reads and writes arrays of its user; call it with one number.

    Args:
        kernel: where it comes from.
        name: ``ltc``, ``flow`` or ``encoder``.
        sizes: of it.
        parameters: arrays of one dtype, of which it keeps copies; None is a null pointer.
        arrays: contiguous arrays, whose memory it keeps to use in every call.

    """

    def __init__(
        self,
        kernel: Kernel,
        name: str,
        sizes: ctypes.Structure,
        parameters: Sequence[NDArray[Any] | None],
        arrays: Sequence[NDArray[Any]],
    ) -> None:
        kept = [None if value is None else np.ascontiguousarray(value) for value in parameters]
        dtype = next(value.dtype for value in kept if value is not None)
        make = kernel.function(f"{name}_make", dtype)
        free = kernel.function(f"{name}_free", dtype)
        make.restype = ctypes.c_void_p
        free.argtypes = (ctypes.c_void_p,)
        addresses = (ctypes.c_void_p(array.ctypes.data) for array in arrays)
        values = _pointers([None if value is None else value.ctypes.data for value in kept])
        pointer = make(ctypes.byref(sizes), values, *addresses)
        self._arrays = arrays
        self._finalizer = weakref.finalize(self, free, pointer)
        self._step = kernel.function(f"{name}_step", dtype)
        self._step.argtypes = (ctypes.c_void_p, ctypes.c_double)
        self._pointer = ctypes.c_void_p(pointer)

    def __call__(self, number: float) -> None:
        """Compute from the arrays, and a number, into them."""
        self._step(self._pointer, number)

    def __reduce__(self) -> Any:
        raise TypeError(
            "this holds memory of the kernel: copy or pickle what it was made of instead"
        )


def _pointers(addresses: list[int | None]) -> Any:
    return (ctypes.c_void_p * len(addresses))(*addresses)


def _name(dtype: object) -> str:
    """Name of a dtype, which torch gives with its own before."""
    return str(dtype).removeprefix("torch.")


def available() -> tuple[str, ...]:
    """Instruction sets that were built and that this machine has, narrowest first."""
    library = _load()
    if library is None:
        return ()
    return INSTRUCTION_SETS[: INSTRUCTION_SETS.index(_widest(library)) + 1]


def select(wish: str) -> Kernel | None:
    """Kernel for `wish`: "" for the widest, "0" for none, or the name of an instruction set.

    Raises:
        ConfigError: on an instruction set that the library or the machine lacks.
    """
    library = None if wish == "0" else _load()
    if library is None or wish in ("", "1"):
        return None if library is None else Kernel(library, _widest(library))
    if wish not in available():
        raise ConfigError(
            f"LIQUID_NAV_NATIVE={wish!r}: here it can be 0, 1, {', '.join(available())}"
        )
    return Kernel(library, wish)


def _load() -> ctypes.CDLL | None:
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        path = Path(__file__).with_name(f"_kernel{suffix}")
        if path.is_file():
            library = ctypes.CDLL(str(path))
            if getattr(library, f"version_{VERSION}", None) is not None:
                return library
            warnings.warn(f"{path} is of another version: build it again, by make", stacklevel=2)
    return None


def _widest(library: ctypes.CDLL) -> str:
    library.widest.restype = ctypes.c_char_p
    name: bytes = library.widest()
    return name.decode()


kernel: Kernel | None = select(os.environ.get("LIQUID_NAV_NATIVE", ""))
"""What the cells use; None where they run on torch alone."""
