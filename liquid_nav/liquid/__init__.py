"""Continuous-time (liquid) recurrent networks in torch. They know nothing of drones."""

from liquid_nav.liquid.cell import (
    LiquidCell,
    RecurrentCell,
    clamp_input,
    exponential_flow,
    folded_arrays,
)
from liquid_nav.liquid.cells import CELLS, make_cell
from liquid_nav.liquid.cfc import CfC
from liquid_nav.liquid.ctrnn import CTRNN
from liquid_nav.liquid.flow import LiquidFlow
from liquid_nav.liquid.gru import GRU
from liquid_nav.liquid.lstm import LSTM
from liquid_nav.liquid.ltc import LTC
from liquid_nav.liquid.transformer import Transformer
from liquid_nav.liquid.wiring import NCP, AutoNCP, FullyConnected, Random, Wiring, wiring_from_dict

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
    "Random",
    "RecurrentCell",
    "Transformer",
    "Wiring",
    "clamp_input",
    "exponential_flow",
    "folded_arrays",
    "make_cell",
    "wiring_from_dict",
]
