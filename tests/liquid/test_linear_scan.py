"""The parallel scan over time: the numbers of the recurrence, its gradients, and its cell."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from liquid_nav.errors import ConfigError
from liquid_nav.liquid import make_cell
from liquid_nav.liquid.scans.linear import linear_scan
from liquid_reference import seeded_recurrent

each_kind = pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=str)
each_cell = pytest.mark.parametrize(
    "options", [{}, {"hidden": 6}, {"max_frequency": 3.0}, {"max_frequency": 3.0, "hidden": 6}]
)


def recurrence(length: int, seed: int, dtype: torch.dtype) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = ((2, length, 3), (2, length, 3), (2, 3))
    factor, term, v = (torch.randn(s, generator=generator, dtype=dtype) for s in shapes)
    return [factor / (1.0 + factor.abs()), term, v]


@each_kind
@given(length=st.integers(1, 70), seed=st.integers(0, 1000))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_it_is_the_recurrence(dtype: torch.dtype, length: int, seed: int) -> None:
    factor, term, v = recurrence(length, seed, dtype)
    states = linear_scan(factor, term, v)
    for k in range(length):
        v = factor[:, k] * v + term[:, k]
        torch.testing.assert_close(states[:, k], v, rtol=1e-12, atol=1e-12)


@each_kind
@pytest.mark.parametrize("length", [1, 2, 3, 7, 8])
def test_its_gradients_of_both_orders_are_those_of_finite_differences(
    dtype: torch.dtype, length: int
) -> None:
    leaves = tuple(x.requires_grad_() for x in recurrence(length, length, dtype))
    assert torch.autograd.gradcheck(linear_scan, leaves, fast_mode=True)
    assert torch.autograd.gradgradcheck(linear_scan, leaves, fast_mode=True)


@each_cell
@given(
    length=st.integers(1, 40),
    seed=st.integers(0, 1000),
    scale=st.sampled_from([0.0, 1e-6, 0.05, 1e6]),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_a_cell_gives_the_same_states_in_parallel(
    options: dict[str, Any], length: int, seed: int, scale: float
) -> None:
    one_by_one, at_once = (
        seeded_recurrent("liquid_flow", {**options, "gates": "input", "parallel": p}, 3, 6)
        .float()
        for p in (False, True)
    )  # fmt: skip
    generator = torch.Generator().manual_seed(seed)
    u = 3.0 * torch.randn(5, length, 3, generator=generator)
    dt = torch.rand(5, length, generator=generator)
    # Some intervals are nothing, some of the scale, the others about a time constant.
    dt = torch.where(dt < 0.2, 0.0, torch.where(dt < 0.5, scale, dt))
    v = one_by_one.initial_state(5)
    states, last = at_once(u, dt, v)
    torch.testing.assert_close(states, one_by_one(u, dt, v)[0], rtol=1e-5, atol=1e-5)
    assert torch.equal(states[:, -1], last)
    assert torch.all(states.abs() <= 1.0)


@each_cell
def test_a_cell_has_the_same_gradients_in_parallel(options: dict[str, Any]) -> None:
    found = []
    for parallel in (False, True):
        cell = seeded_recurrent(
            "liquid_flow", {**options, "gates": "input", "parallel": parallel}, 3, 6
        )
        generator = torch.Generator().manual_seed(5)
        u, v = torch.randn(4, 21, 3, generator=generator).double(), cell.initial_state(4)
        gaps = torch.tensor([0.0, 0.003, 0.2, 1e6]).double()
        dt = gaps[torch.randint(4, (4, 21), generator=generator)]
        leaves = [x.requires_grad_() for x in (u, dt, v)]
        states, _ = cell(u, dt, v)
        weights = torch.linspace(-1.0, 2.0, states.numel()).double().view_as(states)
        found.append(torch.autograd.grad((weights * states).sum(), [*leaves, *cell.parameters()]))
    for at_once, one_by_one in zip(found[1], found[0], strict=True):
        assert torch.isfinite(at_once).all()
        torch.testing.assert_close(at_once, one_by_one, rtol=1e-9, atol=1e-10)


def test_gates_that_read_the_state_cannot_go_in_parallel() -> None:
    with pytest.raises(ConfigError, match="parallel needs gates='input', got 'input_and_state'"):
        make_cell("liquid_flow", 3, 4, parallel=True)
