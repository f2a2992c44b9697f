"""Continuous-time (liquid) recurrent networks: torch only, and nothing of drones."""

from typing import Any

from liquid_nav.errors import ConfigError
from liquid_nav.liquid.cell import LiquidCell, exponential_flow
from liquid_nav.liquid.flow import LiquidFlow
from liquid_nav.liquid.ltc import LTC
from liquid_nav.liquid.native_step import NativeStep

__all__ = [
    "CELLS",
    "LTC",
    "LiquidCell",
    "LiquidFlow",
    "NativeStep",
    "exponential_flow",
    "make_cell",
]

CELLS: dict[str, type[LiquidCell]] = {"liquid_flow": LiquidFlow, "ltc": LTC}
"""Cells by the name under which a configuration asks for them."""


def make_cell(name: str, input_size: int, units: int, **options: Any) -> LiquidCell:
    """Build the cell called `name`; `options` are the further arguments of its class.

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
