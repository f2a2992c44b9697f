"""The buffers that each function of the kernel reads and writes, and the check of what it gets.

The kernel takes bare addresses. What is behind them must be there before it is called: a buffer
that is too short, of another type or not contiguous would be read beyond its end.
"""

import ctypes
from collections.abc import Iterator, Sequence
from typing import Any

from liquid_nav.errors import ConfigError

Shape = tuple[int, ...]
Buffers = dict[str, Shape | None]
"""Shapes by the names of buffers; a name that begins with "?" may be None."""

FLOATS = ("float32", "float64")


def expected(name: str, sizes: Any) -> tuple[Buffers, Buffers]:
    """Return the buffers that a function reads, in their order, and those that it writes.

    Args:
        name: ``ltc_forward``, ``ltc_backward``, ``flow_forward``, ``flow_backward``, ``ltc_make``,
            ``flow_make`` or ``encoder_make``; what the last three write is written by every step.
        sizes: the structure of sizes that the function takes.

    Raises:
        ConfigError: on another name, or a size that is negative.

    """
    for field, kind in sizes._fields_:
        if kind is ctypes.c_int64 and getattr(sizes, field) < 0:
            raise ConfigError(f"{name}: {field} must not be negative, got {getattr(sizes, field)}")
    functions = {
        "ltc_forward": _ltc_forward,
        "ltc_backward": _ltc_backward,
        "flow_forward": _flow_forward,
        "flow_backward": _flow_backward,
        "ltc_make": _ltc_make,
        "flow_make": _flow_make,
        "encoder_make": _encoder_make,
    }
    if name not in functions:
        raise ConfigError(f"the kernel has no function {name!r}")
    return functions[name](sizes)


def check(
    name: str, dtype: str, given: Sequence[Any], wanted: Buffers, output: bool = False
) -> None:
    """Check buffers, arrays of numpy or tensors of torch, against what a function expects.

    Args:
        name: of the function, for the error.
        dtype: ``float32`` or ``float64``; an image is uint8.
        given: the buffers, in order; None where there is none.
        wanted: what `expected` returned.
        output: whether they are written.

    Raises:
        ConfigError: on a buffer that is missing, of another type or shape, on another device, not
            contiguous, not aligned, or read-only though it is written.

    """
    if len(given) != len(wanted):
        raise ConfigError(
            f"{name} takes {len(wanted)} buffers ({', '.join(wanted)}), got {len(given)}"
        )
    for value, (label, shape) in zip(given, wanted.items(), strict=True):
        if value is None and label.startswith("?"):
            continue
        kind = "uint8" if label == "image" else dtype
        fault = _fault(value, kind, shape, output)
        if fault:
            raise ConfigError(
                f"{name}: {label.lstrip('?')} must be {kind} {shape}, contiguous and in the memory "
                f"of the CPU, got {fault}"
            )


def _fault(value: Any, dtype: str, shape: Shape | None, output: bool) -> str:
    """Say what is wrong with a buffer, or return an empty string."""
    if value is None:
        return "none"
    given = str(value.dtype).removeprefix("torch.")
    if given != dtype:
        return given
    # Dimensions of 1 make no difference to what lies in memory.
    if shape is None or _squeezed(value.shape) != _squeezed(shape):
        return f"the shape {tuple(value.shape)}"
    if hasattr(value, "data_ptr"):
        if value.device.type != "cpu":
            return f"one on {value.device}"
        if not value.is_contiguous():
            return f"strides {tuple(value.stride())}"
        return "an address that is not aligned" if value.data_ptr() % value.element_size() else ""
    flags = value.flags
    if not flags.c_contiguous:
        return f"strides {value.strides}"
    if not flags.aligned:
        return "an address that is not aligned"
    if not value.dtype.isnative:
        return f"the byte order of {value.dtype.str}"
    return "a read-only array" if output and not flags.writeable else ""


def _squeezed(shape: Sequence[int]) -> Shape:
    return tuple(length for length in shape if length != 1)


def _ltc_parameters(n: Any) -> Buffers:
    i, u = n.inputs, n.units
    return {
        "leak": (u,),
        "leak current": (u,),
        "capacitance": (u,),
        "sensory slope": (u, i),
        "sensory offset": (u, i),
        "sensory gains": (u, 2, i),
        "recurrent slope": (u, u),
        "recurrent offset": (u, u),
        "recurrent gains": (u, 2, u),
    }


def _ltc_inputs(n: Any) -> Buffers:
    b, t = n.batch, n.length
    return {"u": (b, t, n.inputs), "dt": (b, t), "v": (b, n.units), **_ltc_parameters(n)}


def _ltc_forward(n: Any) -> tuple[Buffers, Buffers]:
    states = (n.batch, n.length, n.units)
    return _ltc_inputs(n), {"states": states, "?saved": _saved(n)}


def _saved(n: Any) -> Shape:
    # The kernel pads rows of neurons to a multiple of 16.
    return (n.length, 4, n.batch, -(-n.units // 16) * 16)


def _ltc_backward(n: Any) -> tuple[Buffers, Buffers]:
    inputs, states = _ltc_inputs(n), (n.batch, n.length, n.units)
    read = {**inputs, "states": states, "saved": _saved(n), "gradient of states": states}
    written = {f"gradient of {name}": shape for name, shape in inputs.items()}
    optional = {"?gradient of u": written.pop("gradient of u")}
    return read, {**optional, **written}


def _flow_parameters(n: Any) -> Buffers:
    u = n.units
    return {"?state weight": (2 * u, u), "offset": (2 * u,), "scale": (2 * u,)}


def _flow_forward(n: Any) -> tuple[Buffers, Buffers]:
    b, t, u = n.batch, n.length, n.units
    read = {"drive": (b, t, 2 * u), "dt": (b, t), "v": (b, u), **_flow_parameters(n)}
    return read, {"states": (b, t, u)}


def _flow_backward(n: Any) -> tuple[Buffers, Buffers]:
    read, written = _flow_forward(n)
    states = written["states"]
    gradients = {f"gradient of {name}": read[name] for name in ("drive", "dt", "v")}
    return {**read, "states": states, "gradient of states": states}, gradients


def _step(n: Any) -> Buffers:
    return {"input": (n.inputs,), "state": (n.units,), "flowed": (n.units,)}


def _ltc_make(n: Any) -> tuple[Buffers, Buffers]:
    return _ltc_parameters(n), _step(n)


def _flow_make(n: Any) -> tuple[Buffers, Buffers]:
    input_layer = {"input weight": (2 * n.units, n.inputs), "bias": (2 * n.units,)}
    return {**_flow_parameters(n), **input_layer}, _step(n)


def _encoder_make(n: Any) -> tuple[Buffers, Buffers]:
    return dict(_encoder_layers(n)), {
        "image": (n.height, n.width, n.channels[0]),
        "features": (n.features,),
    }


def _encoder_layers(n: Any) -> Iterator[tuple[str, Shape]]:
    height, width = n.height, n.width
    for k in range(n.convolutions):
        yield f"weight of convolution {k}", (n.channels[k + 1], n.channels[k], 3, 3)
        yield f"bias of convolution {k}", (n.channels[k + 1],)
        height, width = (height + 1) // 2, (width + 1) // 2
    columns = n.channels[n.convolutions] * height * width + 1
    yield "weight of the dense layer", (n.features, columns)
    yield "bias of the dense layer", (n.features,)
