"""Every cell in half precision and under autocast: near double precision, and within its laws."""

from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor

from liquid_nav.errors import ConfigError
from liquid_nav.liquid import LiquidCell, RecurrentCell, clamp_input
from liquid_reference import BASELINE_CASES, CELL_CASES, seeded_recurrent

SOLVERS: list[tuple[str, dict[str, Any]]] = [
    ("ltc", {"solver": "dopri5"}),
    ("ltc", {"solver": "dopri5", "adjoint": True}),
]
CASES = [*CELL_CASES, *BASELINE_CASES, *SOLVERS]

# Largest error of what a cell shows, and of a gradient relative to its norm.
PRECISIONS = {
    "bfloat16": (torch.bfloat16, False, 0.06, 0.15),
    "float16": (torch.float16, False, 0.01, 0.03),
    "autocast to bfloat16": (torch.bfloat16, True, 0.05, 0.1),
    "autocast to float16": (torch.float16, True, 0.01, 0.01),
}


def flight() -> tuple[Tensor, Tensor, Tensor]:
    """Inputs, times, and a weight for each number that a cell shows."""
    generator = torch.Generator().manual_seed(5)
    u = torch.randn(2, 12, 3, generator=generator, dtype=torch.float64)
    dt = 0.1 * torch.rand(2, 12, generator=generator, dtype=torch.float64)
    return u, dt, torch.randn(2, 12, 4, generator=generator, dtype=torch.float64)


def gradients(cell: RecurrentCell, loss: Tensor) -> dict[str, Tensor]:
    loss.backward()
    found = {n: p.grad.double() for n, p in cell.named_parameters() if p.grad is not None}
    cell.zero_grad()
    return found


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_states_and_gradients_are_near_those_of_double_precision(
    name: str, options: dict[str, Any], precision: str
) -> None:
    dtype, autocast, error, gradient_error = PRECISIONS[precision]
    u, dt, weight = flight()
    exact = seeded_recurrent(name, options)
    shown = exact.read(exact(u, dt)[0])
    expected = gradients(exact, (shown * weight).sum())

    own = torch.float32 if autocast else dtype
    cell = seeded_recurrent(name, options).to(own)
    if name == "transformer" and not autocast:
        # It keeps the ages of events in this type too, and their waves are fast.
        error, gradient_error = 20 * error, 8 * gradient_error
    with torch.autocast("cpu", dtype) if autocast else nullcontext():
        states, last = cell(u.to(own), dt.to(own))
        got = cell.read(states)
        loss = (got * weight.to(own)).sum()
        v = cell.initial_state(2)
        for k in range(12):
            v = cell.step(u[:, k].to(own), v, dt[:, k].to(own))
    assert states.dtype == v.dtype == own
    torch.testing.assert_close(got.double(), shown, rtol=0, atol=error)
    torch.testing.assert_close(v.double(), last.double(), rtol=0, atol=error)
    found = gradients(cell, loss)
    assert found.keys() == expected.keys()
    for parameter, gradient in expected.items():
        apart = float((found[parameter] - gradient).norm())
        assert apart <= gradient_error * float(gradient.norm()) + 1e-3, parameter


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(("name", "options"), [*CELL_CASES, *SOLVERS], ids=str)
def test_the_laws_of_a_liquid_cell_hold(name: str, options: dict[str, Any], precision: str) -> None:
    dtype, autocast, *_ = PRECISIONS[precision]
    own = torch.float32 if autocast else dtype
    cell = seeded_recurrent(name, options).to(own)
    assert isinstance(cell, LiquidCell)
    low, high, *_ = cell.bounds()
    generator = torch.Generator().manual_seed(9)
    with torch.autocast("cpu", dtype) if autocast else nullcontext():
        v = cell.initial_state(8)
        for scale in (1.0, 100.0, 1e30):
            u = (scale * torch.randn(8, 3, generator=generator)).to(own)
            assert torch.equal(cell.step(u, v, torch.zeros(8, dtype=own)), v)
            v = cell.step(u, v, (10 * torch.rand(8, generator=generator)).to(own))
            assert bool(((low <= v) & (v <= high)).all())


@pytest.mark.parametrize(("name", "options"), [*CELL_CASES, *BASELINE_CASES], ids=str)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_scripted_cells_give_the_numbers_of_eager_ones(
    name: str, options: dict[str, Any], dtype: torch.dtype
) -> None:
    cell = seeded_recurrent(name, options).to(dtype)
    scripted = torch.jit.script(cell)
    u, dt = (value.to(dtype) for value in flight()[:2])
    v = cell.initial_state(2)
    torch.testing.assert_close(
        scripted.step(u[:, 0], v, dt[:, 0]), cell.step(u[:, 0], v, dt[:, 0]), rtol=0.02, atol=0.02
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_a_certified_constant_holds_in_half_precision(dtype: torch.dtype) -> None:
    cell = seeded_recurrent("liquid_flow", {"lipschitz": 0.7}, units=16).to(dtype)
    with torch.no_grad():
        cell.input_weight.mul_(50.0)
    inputs, states = (w.double() for w in cell._weights())
    norms = [torch.linalg.matrix_norm(w, 2) for w in torch.cat((inputs, states), 1).chunk(2)]
    assert 0.6 < 0.5 * norms[0] <= 0.7
    assert 0.25 * cell.log_range * norms[1] <= 0.7


def test_inputs_of_any_size_give_numbers_in_float16() -> None:
    huge = torch.tensor([torch.inf, -torch.inf, 60_000.0, 5.0])
    assert clamp_input(huge.half()).tolist() == [1000.0, -1000.0, 1000.0, 5.0]
    assert clamp_input(huge).tolist() == [1e6, -1e6, 60_000.0, 5.0]
    with torch.autocast("cpu", torch.float16):
        assert clamp_input(huge).tolist() == [1000.0, -1000.0, 1000.0, 5.0]


def test_a_cell_in_half_precision_has_no_onboard_form() -> None:
    with pytest.raises(ConfigError, match=r"in float32 or float64, got .* in torch.bfloat16"):
        seeded_recurrent("ltc", {}).bfloat16().fold()
