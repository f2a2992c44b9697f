"""The kernel gets no buffer that it would read or write beyond its end: all are checked."""

import ctypes
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from liquid_nav.errors import ConfigError
from liquid_nav.onboard import native
from liquid_nav.onboard.native.buffers import expected

pytestmark = pytest.mark.skipif(native.kernel is None, reason="the native kernel is not built")

CHANNELS = (3, 5, 4)
SIZES: dict[str, Callable[[], ctypes.Structure]] = {
    "ltc": lambda: native.LtcSizes(2, 3, 4, 5, 6, 0.1),
    "flow": lambda: native.FlowSizes(2, 3, 4, 5, 1e3),
    "encoder": lambda: native.EncoderSizes(
        17, 19, 2, 7, (ctypes.c_int64 * len(CHANNELS))(*CHANNELS)
    ),
}
CALLS = ("ltc_forward", "ltc_backward", "flow_forward", "flow_backward")
MAKES = ("ltc_make", "flow_make", "encoder_make")


def sizes_of(name: str) -> ctypes.Structure:
    return SIZES[name.partition("_")[0]]()


def right(name: str) -> tuple[list[Any], list[Any]]:
    """Buffers that a function takes: tensors for a call, arrays for an object that is made."""
    read, written = expected(name, sizes_of(name))

    def make(label: str, shape: Any) -> Any:
        array = np.full(shape, 0.5, np.uint8 if label == "image" else np.float32)
        return array if name in MAKES else torch.from_numpy(array)

    return tuple([make(*item) for item in side.items()] for side in (read, written))  # type: ignore[return-value]


def run(name: str, inputs: list[Any], outputs: list[Any]) -> None:
    kernel = native.kernel
    assert kernel is not None
    if name in CALLS:
        kernel.call(name, sizes_of(name), inputs, outputs)
    else:
        native.Instance(kernel, name.partition("_")[0], sizes_of(name), inputs, outputs)(0.01)


def places() -> Iterator[tuple[str, bool, int, str]]:
    """Every buffer of every function: the function, whether it is written, its place, its name."""
    for name in CALLS + MAKES:
        for written, side in enumerate(expected(name, sizes_of(name))):
            for place, label in enumerate(side):
                yield name, bool(written), place, label


def wrong(value: Any, written: bool, made: bool) -> dict[str, Any]:
    """Buffers that must not take the place of `value`."""
    array = np.asarray(value)
    other = np.float64 if array.dtype == np.float32 else np.float32
    long = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    whole = np.zeros(array.nbytes + 1, np.uint8)
    variants = {
        "another type": array.astype(other),
        "whole numbers": array.astype(np.int32),
        "one too few": array.ravel()[:-1].copy(),
        "one too many": np.zeros(array.size + 1, array.dtype),
        "empty": np.zeros(0, array.dtype),
        "every other number": long[..., ::2],
        "backwards": array[..., ::-1],
    }
    if array.itemsize > 1:
        variants["not aligned"] = whole[1:].view(array.dtype).reshape(array.shape)
        variants["another byte order"] = array.astype(array.dtype.newbyteorder())
    if made and not written:
        # These are copied first, so that their memory does not matter.
        for name in ("every other number", "backwards", "not aligned"):
            variants.pop(name, None)
    if made and written:
        variants["read-only"] = array.copy()
        variants["read-only"].setflags(write=False)
    if made:
        return variants
    for name in ("another byte order", "not aligned", "backwards"):
        variants.pop(name, None)  # no tensor can be so
    tensors = {name: torch.from_numpy(variant) for name, variant in variants.items()}
    tensors["every other number"] = torch.from_numpy(long)[..., ::2]
    return {**tensors, "no memory": torch.empty_like(value, device="meta")}


@pytest.mark.parametrize("name", CALLS + MAKES)
def test_the_right_buffers_are_taken(name: str) -> None:
    inputs, outputs = right(name)
    run(name, inputs, outputs)
    assert all(np.isfinite(np.asarray(value)).all() for value in outputs)


@pytest.mark.parametrize(("name", "written", "place", "label"), list(places()))
def test_a_wrong_buffer_is_refused_at_every_place(
    name: str, written: bool, place: int, label: str
) -> None:
    value = right(name)[written][place]
    variants = wrong(value, written, name in MAKES)
    if not label.startswith("?"):
        variants["none"] = None
    for variant in variants.values():
        sides = right(name)
        sides[written][place] = variant
        kernel_name = label.lstrip("?")
        with pytest.raises(ConfigError, match=r"must be|has no") as refusal:
            run(name, *sides)
        # Where the first buffer decides the type, the second is the one that does not fit.
        assert kernel_name in str(refusal.value) or (place == 0 and not written)


@pytest.mark.parametrize("name", CALLS + MAKES)
def test_a_buffer_more_or_less_is_refused(name: str) -> None:
    for side in (0, 1):
        for change in (lambda values: values[:-1], lambda values: [*values, values[0]]):
            sides = list(right(name))
            sides[side] = change(sides[side])
            with pytest.raises(ConfigError, match=f"{name} takes"):
                run(name, *sides)


def test_a_buffer_that_may_be_missing_may_be_missing() -> None:
    for name in CALLS + MAKES:
        for side, labels in enumerate(expected(name, sizes_of(name))):
            for place, label in enumerate(labels):
                if label.startswith("?"):
                    sides = right(name)
                    sides[side][place] = None
                    run(name, *sides)


def test_negative_sizes_and_unknown_functions_are_refused() -> None:
    kernel = native.kernel
    assert kernel is not None
    with pytest.raises(ConfigError, match="batch must not be negative"):
        kernel.call("ltc_forward", native.LtcSizes(-1, 3, 4, 5, 6, 0.1), *right("ltc_forward"))
    with pytest.raises(ConfigError, match="no function 'gru_forward'"):
        kernel.call("gru_forward", sizes_of("ltc"), *right("ltc_forward"))
    with pytest.raises(ConfigError, match="no encoder_make for float64"):
        kernel.function("encoder_make", np.dtype(np.float64))
