"""Continuous-time (liquid) recurrent networks: torch and numpy only, and nothing of drones.

What a native step needs loads without torch, see `liquid_nav.lazy`.
"""

from typing import TYPE_CHECKING

from liquid_nav import lazy

if TYPE_CHECKING:
    from liquid_nav.liquid.cell import LiquidCell, RecurrentCell, exponential_flow
    from liquid_nav.liquid.cells import CELLS, make_cell
    from liquid_nav.liquid.cfc import CfC
    from liquid_nav.liquid.ctrnn import CTRNN
    from liquid_nav.liquid.flow import LiquidFlow
    from liquid_nav.liquid.gru import GRU
    from liquid_nav.liquid.lstm import LSTM
    from liquid_nav.liquid.ltc import LTC
    from liquid_nav.liquid.native_step import NativeStep
    from liquid_nav.liquid.transformer import Transformer
    from liquid_nav.liquid.wiring import (
        NCP,
        AutoNCP,
        FullyConnected,
        Random,
        Wiring,
        wiring_from_dict,
    )

__all__ = [
    "CELLS",
    "CTRNN",
    "GRU",
    "LSTM",
    "LTC",
    "NCP",
    "AutoNCP",
    "CfC",
    "FullyConnected",
    "LiquidCell",
    "LiquidFlow",
    "NativeStep",
    "Random",
    "RecurrentCell",
    "Transformer",
    "Wiring",
    "exponential_flow",
    "make_cell",
    "wiring_from_dict",
]

__getattr__ = lazy.attributes(
    __name__,
    {
        "CELLS": "cells",
        "CTRNN": "ctrnn",
        "GRU": "gru",
        "LSTM": "lstm",
        "LTC": "ltc",
        "NCP": "wiring",
        "AutoNCP": "wiring",
        "CfC": "cfc",
        "FullyConnected": "wiring",
        "LiquidCell": "cell",
        "LiquidFlow": "flow",
        "NativeStep": "native_step",
        "Random": "wiring",
        "RecurrentCell": "cell",
        "Transformer": "transformer",
        "Wiring": "wiring",
        "exponential_flow": "cell",
        "make_cell": "cells",
        "wiring_from_dict": "wiring",
    },
)


def __dir__() -> list[str]:
    return __all__
