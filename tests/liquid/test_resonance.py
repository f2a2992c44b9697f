"""Resonant LiquidFlow: pairs that turn as they relax, against the equation that they solve."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp  # type: ignore[import-untyped]
from torch import Tensor

from liquid_nav.errors import ConfigError
from liquid_nav.liquid import LiquidFlow, Random, make_cell
from liquid_nav.liquid.resonance import into_disc, resonant_flow, rest
from liquid_reference import seeded_cell

P = 4
"""Pairs."""


def pairs_in_disc(
    count: int, generator: torch.Generator, dtype: torch.dtype = torch.float64
) -> Tensor:
    """Draw states (count, 2 P), many of them on the edge."""
    angle = 2.0 * torch.pi * torch.rand(count, P, generator=generator, dtype=torch.float64)
    radius = (1.5 * torch.rand(count, P, generator=generator, dtype=torch.float64)).clamp(max=1.0)
    v = torch.cat((radius * angle.cos(), radius * angle.sin()), 1)
    return into_disc(v.to(dtype))


@pytest.mark.parametrize("dt", [1e-4, 0.03, 0.7, 12.0])
def test_the_flow_solves_the_equation_of_its_gates(dt: float) -> None:
    generator = torch.Generator().manual_seed(1)
    v, v_inf = pairs_in_disc(2, generator).split(1)
    tau = 0.1 + 3.0 * torch.rand(1, P, generator=generator).double()
    omega = 20.0 * (torch.rand(1, P, generator=generator).double() - 0.5)
    turn = np.tile(omega[0].numpy(), 2) * np.repeat([-1.0, 1.0], P)
    slow = np.tile(tau[0].numpy(), 2)

    def slope(_: float, state: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        partner = np.concatenate((state[P:], state[:P]))
        return (v_inf[0].numpy() - state) / slow + turn * partner

    true = solve_ivp(slope, (0.0, dt), v[0].numpy(), "DOP853", rtol=1e-10, atol=1e-12).y[:, -1]
    flowed = resonant_flow(
        v, rest(v_inf, tau, omega), tau, omega, torch.tensor([[dt]], dtype=torch.float64)
    )
    np.testing.assert_allclose(flowed[0].numpy(), true, atol=1e-8)


@given(
    seed=st.integers(0, 2**32 - 1),
    dt=st.one_of(st.just(0.0), st.floats(1e-9, 1e-3), st.floats(0.0, 5.0), st.floats(5.0, 1e6)),
    slowest=st.sampled_from([0.1, 1e2, 1e30]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_no_pair_leaves_the_disc_by_a_rounding(
    seed: int, dt: float, slowest: float, dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(seed)
    v, v_inf = pairs_in_disc(2000, generator, dtype).chunk(2)
    tau = slowest * torch.rand(len(v), P, generator=generator).to(dtype) + 0.01
    omega = 50.0 * torch.randn(len(v), P, generator=generator).to(dtype)
    target = rest(v_inf, tau, omega)
    for _ in range(3):
        flowed = resonant_flow(v, target, tau, omega, torch.full((len(v), 1), dt, dtype=dtype))
        x, y = flowed.chunk(2, 1)
        assert torch.all(x * x + y * y <= 1.0)
        assert torch.all(flowed.abs() <= 1.0)
        if dt == 0.0:
            assert torch.equal(flowed, v)
        v = flowed


def test_without_damping_a_pair_keeps_its_radius_over_many_events() -> None:
    v = into_disc(torch.tensor([[1.0, 0.6, 0.0, 0.8]]))
    tau, omega = torch.full((1, 2), 1e30), torch.tensor([[3.0, -17.0]])
    dt, still = torch.tensor([[1e-3]]), torch.zeros(1, 4)
    for _ in range(4_000):
        v = resonant_flow(v, still, tau, omega, dt)
    radius = torch.hypot(*v.chunk(2, 1))
    assert torch.all(radius <= 1.0 + 1e-7)
    torch.testing.assert_close(radius, torch.ones(1, 2), rtol=0, atol=4e-4)


def test_the_frequency_that_is_told_is_the_one_at_which_a_pair_turns() -> None:
    cell = seeded_cell("liquid_flow", {"max_frequency": 2.0, "tau_min": 50.0, "tau_max": 60.0})
    assert isinstance(cell, LiquidFlow)
    u, v, dt = torch.randn(1, 3).double(), cell.initial_state(1), torch.tensor([0.01]).double()
    frequency, (target, tau) = cell.frequency(u, v), cell.gates(u, v)
    assert torch.all(frequency.abs() < 2.0)
    assert torch.equal(frequency[:, :2], frequency[:, 2:])
    assert torch.equal(tau[:, :2], tau[:, 2:])
    start, end = (torch.complex(*(x - target).chunk(2, 1)) for x in (v, cell.step(u, v, dt)))
    turned = torch.angle(end / start) / (2.0 * torch.pi * dt)
    torch.testing.assert_close(turned, frequency[:, :2], rtol=1e-9, atol=1e-9)
    plain = seeded_cell("liquid_flow", {})
    assert isinstance(plain, LiquidFlow)
    assert torch.equal(plain.frequency(u, v), torch.zeros(1, 4).double())


def test_time_constants_and_frequencies_start_over_their_whole_range() -> None:
    cell = make_cell("liquid_flow", 8, 40, max_frequency=3.0)
    assert isinstance(cell, LiquidFlow)
    u, v = torch.zeros(1, 8), torch.zeros(1, 40)
    _, tau = cell.gates(u, v)
    for attained in (tau.log(), cell.frequency(u, v)):
        gaps = torch.diff(attained[0, :20].sort().values)
        torch.testing.assert_close(gaps, torch.full_like(gaps, gaps.mean().item()))
    assert cell.frequency(u, v).amax().item() == pytest.approx(3.0 * 0.95)


def test_a_target_of_saturated_gates_is_in_the_disc() -> None:
    cell = seeded_cell("liquid_flow", {"max_frequency": 1.0}, dtype=torch.float32)
    u = 1e6 * torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
    v = cell.initial_state(500)
    for dt in (1e6, 3e38):
        states = cell.step(u, v, torch.full((500,), dt))
        assert torch.all(torch.hypot(*states.chunk(2, 1)) <= 1.0)
        torch.testing.assert_close(states, cell.gates(u, v)[0])


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_gradients_equal_those_of_the_plain_loop() -> None:
    eager: Any = seeded_cell("liquid_flow", {"max_frequency": 5.0}, input_size=5, units=18)
    generator = torch.Generator().manual_seed(3)
    gaps = torch.tensor([0.0, 0.0013, 0.07, 1.1, 1e6]).double()
    leaves = [
        torch.randn(7, 9, 5, generator=generator).double(),
        gaps[torch.randint(len(gaps), (7, 9), generator=generator)],
        0.9 * eager.initial_state(7),
    ]
    found = []
    for cell in (eager, torch.jit.script(eager)):
        u, dt, v = (leaf.clone().requires_grad_() for leaf in leaves)
        states, last = cell(u, dt, v)
        weights = torch.linspace(-1.0, 2.0, states.numel()).double().view_as(states)
        loss = (weights * states).sum() + last.sum()
        found.append([states, *torch.autograd.grad(loss, [u, dt, v, *eager.parameters()])])
    for ours, plain in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-9, atol=1e-10)


def test_a_long_sequence_saves_little() -> None:
    cell = make_cell("liquid_flow", 64, 32, max_frequency=5.0)
    saved: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        cell(torch.rand(32, 300, 64), torch.full((32, 300), 0.01), cell.initial_state(32))
    assert 0 < sum(saved.values()) < 15e6


@pytest.mark.parametrize(
    ("units", "options", "message"),
    [
        (4, {"max_frequency": -1.0}, r"from 0 to 1e4 / tau_max = 1000 Hz, got -1"),
        (4, {"max_frequency": float("nan")}, "from 0"),
        (4, {"max_frequency": 1001.0}, "from 0"),
        (5, {"max_frequency": 1.0}, "even number of units"),
        (4, {"max_frequency": 1.0, "lipschitz": 1.0}, "neither lipschitz nor a wiring"),
        (4, {"max_frequency": 1.0, "wiring": Random(4)}, "neither lipschitz nor a wiring"),
    ],
)
def test_what_cannot_resonate_is_refused(units: int, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_cell("liquid_flow", 3, units, **options)


def test_a_resonant_cell_has_no_onboard_form() -> None:
    assert seeded_cell("liquid_flow", {"max_frequency": 1.0}).fold() is None
