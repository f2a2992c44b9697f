"""From cells of torch to what the native kernel takes of them."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from liquid_nav.errors import ConfigError
from liquid_nav.liquid.cell import RecurrentCell
from liquid_nav.liquid.flow import LiquidFlow
from liquid_nav.liquid.ltc import LTC
from liquid_nav.onboard.cells import FoldedCell


@torch.no_grad()
def fold(cell: RecurrentCell) -> FoldedCell:
    """Work out once what depends on the parameters alone. Later changes of the cell are not seen.

    Raises:
        ConfigError: on another cell than an `LTC` or a `LiquidFlow` on the CPU, in float32 or
            float64, an LTC with another solver, or a LiquidFlow with a hidden layer or resonance.

    """
    if not isinstance(cell, LTC | LiquidFlow):
        raise ConfigError("a native step needs an LTC or a LiquidFlow")
    first = next(cell.parameters())
    if first.device.type != "cpu" or first.dtype not in (torch.float32, torch.float64):
        raise ConfigError("a native step needs a cell on the CPU, in float32 or float64")
    parts: dict[str, Tensor | float | None] = {"initial": cell.initial_state(1)[0]}
    if isinstance(cell, LTC):
        if cell.solver != "exponential":
            raise ConfigError(f"a native step takes exponential steps, not those of {cell.solver}")
        parts |= zip(("leak", "leak_current", "capacitance"), cell._membrane(), strict=True)
        for side, synapses in (("sensory", cell._sensory()), ("recurrent", cell._recurrent())):
            names = (f"{side}_slope", f"{side}_offset", f"{side}_gains")
            parts |= zip(names, synapses, strict=True)
        parts |= {"max_substeps": float(cell.max_substeps), "max_step": cell.max_step}
        return FoldedCell("ltc", _arrays(parts))
    if cell.heads is not None or cell.resonant:
        raise ConfigError("a native step takes a LiquidFlow without hidden layer or resonance")
    inputs, states = cell._weights()
    parts |= {"states": states, "offset": cell.offset, "scale": cell.scale}
    parts |= {"inputs": inputs, "bias": cell.bias, "input_limit": cell.input_limit}
    return FoldedCell("flow", _arrays(parts))


def _arrays(parts: dict[str, Tensor | float | None]) -> dict[str, NDArray[Any]]:
    return {
        name: part.detach().numpy().copy() if isinstance(part, Tensor) else np.array(part)
        for name, part in parts.items()
        if part is not None
    }
