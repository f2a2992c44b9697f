"""The native kernel of the liquid cells: plain C++ behind a C interface, loaded by ctypes.

One library contains the kernel for several instruction sets, of which the widest that the machine
has is used. There is no kernel if the library was not built, or the environment variable
LIQUID_NAV_NATIVE is "0"; the cells then run on torch alone, with the same numbers to rounding.
LIQUID_NAV_NATIVE can also name an instruction set: "baseline", "avx2" or "avx512".

Nothing here imports torch, so that a policy can fly natively without it.
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
from liquid_nav.onboard.native import buffers

VERSION = 2
"""The version of the library's interface, also in baseline.cpp. No other version is used."""

INSTRUCTION_SETS = ("baseline", "avx2", "avx512")
"""All instruction sets that the library can contain, narrowest first."""


class LtcSizes(ctypes.Structure):
    """Sizes of an LTC and its sequence, and its substeps: max_step in seconds."""

    _fields_ = (
        ("batch", ctypes.c_int64),
        ("length", ctypes.c_int64),
        ("inputs", ctypes.c_int64),
        ("units", ctypes.c_int64),
        ("max_substeps", ctypes.c_int64),
        ("max_step", ctypes.c_double),
    )


class FlowSizes(ctypes.Structure):
    """Sizes of a LiquidFlow and its sequence, and the limit to which a step clamps inputs."""

    _fields_ = (
        ("batch", ctypes.c_int64),
        ("length", ctypes.c_int64),
        ("inputs", ctypes.c_int64),
        ("units", ctypes.c_int64),
        ("input_limit", ctypes.c_double),
    )


class EncoderSizes(ctypes.Structure):
    """Sizes of a frame encoder; `channels` lists those of the image and of each convolution."""

    _fields_ = (
        ("height", ctypes.c_int64),
        ("width", ctypes.c_int64),
        ("convolutions", ctypes.c_int64),
        ("features", ctypes.c_int64),
        ("channels", ctypes.POINTER(ctypes.c_int64)),
    )


class TensorLike(Protocol):
    """What the kernel needs to know of a tensor of torch, which is not imported here."""

    @property
    def device(self) -> Any:
        """Where its numbers are; ``device.type`` is ``cpu`` or the name of an accelerator."""

    @property
    def dtype(self) -> Any:
        """The type of its numbers."""

    def data_ptr(self) -> int:
        """Give the address of its first number."""


class Kernel:
    """The functions of the library for one instruction set.

    Args:
        library: the loaded library.
        instruction_set: one of `available()`.

    """

    def __init__(self, library: ctypes.CDLL, instruction_set: str) -> None:
        self.instruction_set = instruction_set
        self._library = library

    def function(self, name: str, dtype: object) -> Any:
        """Look up the C function `name` for numbers of `dtype`, a type of numpy or of torch.

        Raises:
            ConfigError: if the kernel has no such function.

        """
        function = getattr(self._library, f"{name}_{_name(dtype)}_{self.instruction_set}", None)
        if function is None:
            raise ConfigError(f"the kernel has no {name} for {_name(dtype)}")
        return function

    def takes(self, value: TensorLike) -> bool:
        """Whether the kernel takes tensors like this one: on the CPU, float32 or float64."""
        return value.device.type == "cpu" and _name(value.dtype) in buffers.FLOATS

    def call(
        self,
        name: str,
        sizes: ctypes.Structure,
        inputs: Sequence[TensorLike | None],
        outputs: Sequence[TensorLike | None],
    ) -> None:
        """Call `name` with contiguous tensors of one dtype; None becomes a null pointer.

        Raises:
            ConfigError: on tensors that are not those that the function takes, see
                `buffers.check`: it would read or write beyond their ends.

        """
        dtype = _name(next((value.dtype for value in inputs if value is not None), "none"))
        read, written = buffers.expected(name, sizes)
        buffers.check(name, dtype, inputs, read)
        buffers.check(name, dtype, outputs, written, output=True)
        arrays = (
            _pointers([None if value is None else value.data_ptr() for value in values])
            for values in (inputs, outputs)
        )
        self.function(name, dtype)(ctypes.byref(sizes), *arrays)


class Instance:
    """An object in the kernel's memory, which reads and writes arrays of its user when called.

    Args:
        kernel: the kernel that makes it.
        name: ``ltc``, ``flow`` or ``encoder``.
        sizes: its sizes.
        parameters: arrays of one dtype, which it copies; None becomes a null pointer.
        arrays: contiguous arrays, whose memory every call reads and writes.

    Raises:
        ConfigError: on arrays that are not those that the kernel takes, see `buffers.check`.

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
        dtype = _name(next((value.dtype for value in kept if value is not None), "none"))
        read, written = buffers.expected(f"{name}_make", sizes)
        buffers.check(f"{name}_make", dtype, kept, read)
        buffers.check(f"{name}_make", dtype, arrays, written, output=True)
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
        """Compute from `arrays` and a number (seconds, or the age of an image) into `arrays`."""
        self._step(self._pointer, number)

    def __reduce__(self) -> Any:
        raise TypeError(
            "this holds memory of the native kernel: copy or pickle what it was made of instead"
        )


def _pointers(addresses: list[int | None]) -> Any:
    return (ctypes.c_void_p * len(addresses))(*addresses)


def _name(dtype: object) -> str:
    """Give the name of a dtype, without the prefix that torch adds."""
    return str(dtype).removeprefix("torch.")


def available() -> tuple[str, ...]:
    """List the instruction sets that were built and that this machine has, narrowest first."""
    library = _load()
    if library is None:
        return ()
    return INSTRUCTION_SETS[: INSTRUCTION_SETS.index(_widest(library)) + 1]


def select(choice: str) -> Kernel | None:
    """Give the kernel for a value of LIQUID_NAV_NATIVE; None if there is none.

    Args:
        choice: "" or "1" for the widest instruction set, "0" for no kernel, or the name of one.

    Raises:
        ConfigError: if the library or the machine does not have this instruction set.
    """
    library = None if choice == "0" else _load()
    if library is None or choice in ("", "1"):
        return None if library is None else Kernel(library, _widest(library))
    if choice not in available():
        raise ConfigError(
            f"LIQUID_NAV_NATIVE={choice!r} is not available; use 0, 1, {', '.join(available())}"
        )
    return Kernel(library, choice)


def _load() -> ctypes.CDLL | None:
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        path = Path(__file__).with_name(f"_kernel{suffix}")
        if path.is_file():
            library = ctypes.CDLL(str(path))
            if getattr(library, f"version_{VERSION}", None) is not None:
                return library
            warnings.warn(
                f"{path} has another version than {VERSION}: build it again with make", stacklevel=2
            )
    return None


def _widest(library: ctypes.CDLL) -> str:
    library.widest.restype = ctypes.c_char_p
    name: bytes = library.widest()
    return name.decode()


kernel: Kernel | None = select(os.environ.get("LIQUID_NAV_NATIVE", ""))
"""The kernel that the cells use; None if they run on torch alone."""
