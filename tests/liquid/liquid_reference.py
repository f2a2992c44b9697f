"""Independent float64 references of the liquid cells: numpy, scalar loops, no shared formula."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from liquid_nav.liquid import LiquidCell, RecurrentCell, make_cell

Array = NDArray[np.float64]
CELL_CASES: list[tuple[str, dict[str, Any]]] = [
    ("liquid_flow", {}),
    ("liquid_flow", {"gates": "input"}),
    ("ltc", {}),
    ("ltc", {"max_step": 0.1, "max_substeps": 3}),
    ("ltc", {"solver": "fused"}),
    ("ltc", {"solver": "rk4", "max_substeps": 4}),
    ("ltc", {"wiring": {"kind": "Random", "units": 4}}),
    ("ctrnn", {"max_substeps": 5}),
    ("liquid_flow", {"hidden": 6}),
    ("liquid_flow", {"lipschitz": 0.7}),
    ("liquid_flow", {"gates": "input", "parallel": True}),
    ("liquid_flow", {"max_frequency": 5.0}),
    ("liquid_flow", {"max_frequency": 5.0, "hidden": 6}),
    ("liquid_flow", {"max_frequency": 5.0, "gates": "input", "parallel": True}),
]
BASELINE_CASES: list[tuple[str, dict[str, Any]]] = [
    ("cfc", {"backbone_units": 8}),
    ("cfc", {"mode": "no_gate", "backbone_layers": 0}),
    ("cfc", {"mode": "pure", "mixed_memory": True, "backbone_layers": 2, "backbone_units": 5}),
    ("gru", {}),
    ("lstm", {}),
    ("transformer", {"window": 3, "heads": 2}),
]


def seeded_cell(
    name: str,
    options: dict[str, Any],
    input_size: int = 3,
    units: int = 4,
    dtype: torch.dtype = torch.float64,
) -> LiquidCell:
    """Build a liquid cell whose parameters depend on nothing but the arguments."""
    cell = seeded_recurrent(name, options, input_size, units, dtype)
    assert isinstance(cell, LiquidCell)
    return cell


def seeded_recurrent(
    name: str,
    options: dict[str, Any],
    input_size: int = 3,
    units: int = 4,
    dtype: torch.dtype = torch.float64,
) -> RecurrentCell:
    """Build any cell whose parameters depend on nothing but the arguments."""
    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(7)
            return make_cell(name, input_size, units, **options)
    finally:
        torch.set_default_dtype(default)


def parameters(cell: LiquidCell) -> dict[str, Array]:
    """Parameters of a float64 cell by name."""
    return {name: p.detach().numpy().copy() for name, p in cell.named_parameters()}


def _logistic(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x)) if x > -700.0 else 0.0


def _positive(raw: float) -> float:
    return math.log1p(math.exp(-abs(raw))) + max(raw, 0.0)


def ltc_conductance_current(p: dict[str, Array], u: Array, v: Array, i: int) -> tuple[float, float]:
    """Total conductance g and current sum g E into neuron i, for u (I,), v (N,)."""
    conductance = _positive(p["leak_raw"][i]) + 1e-6
    current = conductance * p["v_leak"][i]
    for kind, sources in (("sensory", u), ("recurrent", v)):
        for j, x in enumerate(sources):
            sigma, mu = p[f"{kind}_sigma"][i, j], p[f"{kind}_mu"][i, j]
            g = _positive(p[f"{kind}_weight_raw"][i, j]) * _logistic(sigma * (x - mu))
            conductance += g
            current += g * p[f"{kind}_reversal"][i, j]
    return conductance, current


def ltc_derivative(p: dict[str, Array], u: Array, v: Array) -> Array:
    """Evaluate dv/dt of the true, nonlinear LTC."""
    slopes = []
    for i, potential in enumerate(v):
        g, current = ltc_conductance_current(p, u, v, i)
        slopes.append((current - g * potential) / (_positive(p["capacitance_raw"][i]) + 1e-6))
    return np.array(slopes)


def ltc_gates(p: dict[str, Array], u: Array, v: Array) -> tuple[Array, Array]:
    """Target and time constant frozen at (u, v)."""
    pairs = [ltc_conductance_current(p, u, v, i) for i in range(len(v))]
    capacitance = [_positive(raw) + 1e-6 for raw in p["capacitance_raw"]]
    target = np.array([current / g for g, current in pairs])
    return target, np.array([c / g for c, (g, _) in zip(capacitance, pairs, strict=True)])


def ltc_step(
    p: dict[str, Array],
    u: Array,
    v: Array,
    dt: float,
    max_step: float,
    max_substeps: int,
) -> Array:
    """Advance by whole substeps, then the remainder; the last one allowed takes all the rest."""
    left, used = dt, 0
    while left > 0.0:
        used += 1
        h = left if used == max_substeps else min(left, max_step)
        target, tau = ltc_gates(p, u, v)
        v = target + (v - target) * np.exp(-h / tau)
        left -= h
    return v


def flow_gates(
    p: dict[str, Array], u: Array, v: Array, tau_min: float, tau_max: float
) -> tuple[Array, Array]:
    """Target and time constant of a LiquidFlow."""
    n = len(v)
    x = p["input_weight"] @ u + p["bias"]
    if "state_weight" in p:
        x = x + p["state_weight"] @ v
    tau = [tau_min * (tau_max / tau_min) ** _logistic(y) for y in x[n:]]
    return np.tanh(0.5 * x[:n]), np.array(tau)
