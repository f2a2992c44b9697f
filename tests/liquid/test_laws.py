"""Laws that every liquid cell keeps, whatever its parameters, inputs and timing."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from liquid_nav.errors import ConfigError
from liquid_nav.liquid import LiquidCell, LiquidFlow, exponential_flow
from liquid_nav.liquid.resonance import resonant_flow
from liquid_reference import CELL_CASES, seeded_cell

SEEDS = st.integers(0, 2**32 - 1)
DURATIONS = st.one_of(st.just(0.0), st.floats(1e-9, 1e-3), st.floats(0.0, 5.0), st.floats(5.0, 1e6))
each_cell = pytest.mark.parametrize(("name", "options"), CELL_CASES, ids=str)
few = settings(max_examples=40, deadline=None, derandomize=True)


def adversarial(
    name: str, options: dict[str, Any], seed: int, magnitude: float
) -> tuple[LiquidCell, torch.Generator]:
    """Build a float32 cell with parameters of the given magnitude, and a source of more numbers."""
    generator = torch.Generator().manual_seed(seed)
    cell = seeded_cell(name, options, dtype=torch.float32)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.copy_(magnitude * torch.randn(parameter.shape, generator=generator))
    return cell, generator


def state_within(cell: LiquidCell, batch: int, generator: torch.Generator) -> Tensor:
    """States spread over the certified interval, its ends included."""
    low, high, _, _ = cell.bounds()
    share = torch.rand(batch, cell.units, generator=generator, dtype=low.dtype)
    share = (1.4 * share - 0.2).clamp(0.0, 1.0)
    v = torch.lerp(low.expand(batch, -1), high.expand(batch, -1), share)
    if not isinstance(cell, LiquidFlow) or not cell.resonant:
        return v
    # Of the square, pairs may take the disc: the corners are drawn to its edge.
    x, y = v.chunk(2, 1)
    radius = torch.hypot(x, y).clamp(min=1.0) * (1.0 + torch.finfo(v.dtype).eps)
    return torch.cat((x / radius, y / radius), 1)


@each_cell
@given(seed=SEEDS, magnitude=st.sampled_from([0.1, 1.0, 1e3]))
@few
def test_no_time_changes_nothing(
    name: str, options: dict[str, Any], seed: int, magnitude: float
) -> None:
    cell, generator = adversarial(name, options, seed, magnitude)
    v = state_within(cell, 8, generator)
    u = magnitude * torch.randn(8, 3, generator=generator)
    assert torch.equal(cell.step(u, v, torch.zeros(8)), v)


@each_cell
@given(seed=SEEDS, first=DURATIONS, second=DURATIONS)
@few
def test_with_gates_held_the_flow_of_a_sum_is_the_flow_of_its_parts(
    name: str, options: dict[str, Any], seed: int, first: float, second: float
) -> None:
    cell, generator = adversarial(name, options, seed, 1.0)
    cell = cell.double()
    v = state_within(cell, 4, generator)
    u = torch.randn(4, 3, generator=generator).double()
    target, tau = cell.gates(u, v)
    if isinstance(cell, LiquidFlow) and cell.resonant:
        omega = 2.0 * torch.pi * cell.frequency(u, v)[:, :2]

        def flow(v: Tensor, dt: Tensor) -> Tensor:
            return resonant_flow(v, target, tau[:, :2], omega, dt.unsqueeze(1))

    else:

        def flow(v: Tensor, dt: Tensor) -> Tensor:
            return exponential_flow(v, target, tau, dt)

    a, b = torch.full((4,), first).double(), torch.full((4,), second).double()
    torch.testing.assert_close(flow(flow(v, a), b), flow(v, a + b), rtol=1e-12, atol=1e-12)


@given(seed=SEEDS, scale=st.sampled_from([1e-30, 1.0, 1e30]), dt=DURATIONS)
@few
def test_the_flow_never_leaves_the_hull_by_a_rounding(seed: int, scale: float, dt: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    v, v_inf = scale * torch.randn(2, 1, 4096, generator=generator)
    tau = torch.exp(3.0 * torch.randn(1, 4096, generator=generator))
    flowed = exponential_flow(v, v_inf, tau, torch.tensor([dt]))
    assert torch.all(flowed >= torch.minimum(v, v_inf))
    assert torch.all(flowed <= torch.maximum(v, v_inf))


def test_a_time_far_below_the_time_constant_keeps_its_digits() -> None:
    v, v_inf, tau = torch.zeros(1, 1), torch.ones(1, 1), torch.ones(1, 1)
    flowed = exponential_flow(v, v_inf, tau, torch.tensor([1e-6]))
    assert flowed.item() == pytest.approx(1e-6, rel=1e-5)


@each_cell
@given(
    seed=SEEDS,
    magnitude=st.sampled_from([0.3, 1.0, 30.0, 1e6]),
    loudness=st.sampled_from([0.0, 1.0, 1e4, 1e30]),
    durations=st.lists(DURATIONS, min_size=3, max_size=3),
)
@few
def test_nothing_leaves_its_certified_interval_and_gradients_are_numbers(
    name: str,
    options: dict[str, Any],
    seed: int,
    magnitude: float,
    loudness: float,
    durations: list[float],
) -> None:
    cell, generator = adversarial(name, options, seed, magnitude)
    low, high, tau_low, tau_high = cell.bounds()
    v = state_within(cell, 6, generator)
    u = (loudness * torch.randn(6, 3, 3, generator=generator)).requires_grad_()
    dt = torch.tensor([durations] * 6, dtype=torch.float32).requires_grad_()
    states, last = cell(u, dt, v)
    assert torch.all((states >= low) & (states <= high))
    assert torch.equal(states[:, -1], last)
    _, tau = cell.gates(u[:, 0], v)
    assert torch.all((tau >= tau_low) & (tau <= tau_high))
    states.sum().backward()
    for leaf in (u, dt, *cell.parameters()):
        assert leaf.grad is None or not torch.isnan(leaf.grad).any()


@each_cell
def test_steps_are_pure(name: str, options: dict[str, Any]) -> None:
    cell = seeded_cell(name, options)
    u, v, dt = torch.randn(5, 3).double(), cell.initial_state(5), torch.rand(5).double()
    before = [x.clone() for x in (u, v, dt, *cell.parameters(), *cell.buffers())]
    once, again = cell.step(u, v, dt), cell.step(u, v, dt)
    assert torch.equal(once, again)
    assert not torch.equal(once, v)
    for x, copy in zip((u, v, dt, *cell.parameters(), *cell.buffers()), before, strict=True):
        assert torch.equal(x, copy)


@each_cell
def test_a_sequence_is_its_steps(name: str, options: dict[str, Any]) -> None:
    cell = seeded_cell(name, options, dtype=torch.float32)
    u, v = torch.randn(4, 9, 3), cell.initial_state(4)
    dt = torch.rand(4, 9) * torch.tensor([0.0, 0.004, 0.03, 1.0]).unsqueeze(1)
    states, last = cell(u, dt, v)
    assert states.shape == (4, 9, 4)
    for k in range(9):
        v = cell.step(u[:, k], v, dt[:, k])
        torch.testing.assert_close(states[:, k], v, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(last, v, rtol=1e-6, atol=1e-6)


@each_cell
def test_the_initial_state_is_certified(name: str, options: dict[str, Any]) -> None:
    cell = seeded_cell(name, options)
    low, high, _, _ = cell.bounds()
    v = cell.initial_state(3)
    assert v.shape == (3, 4)
    assert torch.all((v >= low) & (v <= high))


@each_cell
def test_gradients_are_those_of_finite_differences(name: str, options: dict[str, Any]) -> None:
    cell = seeded_cell(name, options, input_size=2)
    names = [key for key, _ in cell.named_parameters()]
    generator = torch.Generator().manual_seed(3)
    u = torch.randn(2, 3, 2, generator=generator).double().requires_grad_()
    dt = torch.tensor([[0.004, 0.05, 0.013], [0.031, 0.69, 0.0011]]).double().requires_grad_()
    v = cell.initial_state(2).detach().requires_grad_()

    def states(u: Tensor, dt: Tensor, v: Tensor, *values: Tensor) -> Tensor:
        overrides = dict(zip(names, values, strict=True))
        result: Tensor = torch.func.functional_call(cell, overrides, (u, dt, v))[0]
        return result

    assert torch.autograd.gradcheck(states, (u, dt, v, *cell.parameters()), fast_mode=True)


@each_cell
@pytest.mark.parametrize("bad", [-1e-3, float("nan"), float("inf")])
def test_a_dt_that_is_no_duration_is_refused(
    name: str, options: dict[str, Any], bad: float
) -> None:
    cell = seeded_cell(name, options, dtype=torch.float32)
    u, v, dt = torch.zeros(2, 5, 3), cell.initial_state(2), torch.zeros(2, 5)
    dt[1, 2] = bad
    with pytest.raises(ConfigError, match="dt must be finite seconds, not negative"):
        cell.step(u[:, 2], v, dt[:, 2])
    with pytest.raises(ConfigError, match="dt must be finite seconds, not negative"):
        cell(u, dt, v)


@each_cell
@pytest.mark.parametrize(
    ("argument", "shapes"),
    [
        ("u", ((2, 4), (2, 4), (2,))),
        ("u", ((3, 3), (2, 4), (2,))),
        ("v", ((2, 3), (2, 5), (2,))),
        ("v", ((2, 3), (4,), (2,))),
        ("dt", ((2, 3), (2, 4), (2, 1))),
        ("dt", ((2, 3), (2, 4), ())),
    ],
)
def test_wrong_shapes_are_refused_by_name(
    name: str,
    options: dict[str, Any],
    argument: str,
    shapes: tuple[tuple[int, ...], ...],
) -> None:
    cell = seeded_cell(name, options, dtype=torch.float32)
    u, v, dt = (torch.zeros(shape) for shape in shapes)
    with pytest.raises(ConfigError, match=f"^{argument} must have shape"):
        cell.step(u, v, dt)
    if argument != "dt":
        with pytest.raises(ConfigError, match=f"^{argument} must have shape"):
            cell.gates(u, v)


@each_cell
@pytest.mark.parametrize(
    ("argument", "shapes"),
    [
        ("u", ((2, 3), (2, 5), (2, 4))),
        ("u", ((2, 0, 3), (2, 0), (2, 4))),
        ("dt", ((2, 5, 3), (2, 4), (2, 4))),
        ("v", ((2, 5, 3), (2, 5), (2, 3))),
    ],
)
def test_wrong_sequences_are_refused_by_name(
    name: str,
    options: dict[str, Any],
    argument: str,
    shapes: tuple[tuple[int, ...], ...],
) -> None:
    cell = seeded_cell(name, options, dtype=torch.float32)
    u, dt, v = (torch.zeros(shape) for shape in shapes)
    with pytest.raises(ConfigError, match=f"^{argument} must have shape"):
        cell(u, dt, v)
