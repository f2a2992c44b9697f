"""The cells by name: ours, and those that users plug in."""

from typing import Any

from liquid_nav.errors import ConfigError
from liquid_nav.liquid.cell import RecurrentCell
from liquid_nav.liquid.cfc import CfC
from liquid_nav.liquid.ctrnn import CTRNN
from liquid_nav.liquid.flow import LiquidFlow
from liquid_nav.liquid.gru import GRU
from liquid_nav.liquid.lstm import LSTM
from liquid_nav.liquid.ltc import LTC
from liquid_nav.liquid.transformer import Transformer
from liquid_nav.registry import Registry

CELLS: Registry[type[RecurrentCell]] = Registry(
    "liquid_nav.cells",
    "cell",
    {
        "cfc": CfC,
        "ctrnn": CTRNN,
        "gru": GRU,
        "liquid_flow": LiquidFlow,
        "lstm": LSTM,
        "ltc": LTC,
        "transformer": Transformer,
    },
)
"""Cells by the name that a configuration uses, users' own among them."""


def make_cell(name: str, input_size: int, units: int, **options: Any) -> RecurrentCell:
    """Build the cell called `name`; `options` are the further arguments of its class.

    A wiring may be an object or the plain JSON of `Wiring.to_dict`.

    Raises:
        ConfigError: if `CELLS` does not have this name, the cell does not have one of the options,
            or it refuses a value.
    """
    kind = CELLS.get(name)
    try:
        return kind(input_size, units, **options)
    except ConfigError:
        raise
    except (TypeError, ValueError, RuntimeError, OverflowError, MemoryError) as error:
        raise ConfigError(f"cell {name!r}: {error}") from error
