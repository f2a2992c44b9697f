"""The cells by name."""

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

CELLS: dict[str, type[RecurrentCell]] = {
    "cfc": CfC,
    "ctrnn": CTRNN,
    "gru": GRU,
    "liquid_flow": LiquidFlow,
    "lstm": LSTM,
    "ltc": LTC,
    "transformer": Transformer,
}
"""Cells by the name under which a configuration asks for them."""


def make_cell(name: str, input_size: int, units: int, **options: Any) -> RecurrentCell:
    """Build the cell called `name`; `options` are the further arguments of its class.

    A wiring may be given as such or as the plain JSON of `Wiring.to_dict`.

    Raises:
        ConfigError: on a name that is not in `CELLS`, an option that the cell does not have, or
            a value that it refuses.
    """
    if name not in CELLS:
        raise ConfigError(f"no liquid cell {name!r}; known are {', '.join(sorted(CELLS))}")
    try:
        return CELLS[name](input_size, units, **options)
    except TypeError as error:
        raise ConfigError(f"liquid cell {name!r}: {error}") from error
