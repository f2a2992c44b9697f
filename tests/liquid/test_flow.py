"""LiquidFlow against its closed form."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp  # type: ignore[import-untyped]

from liquid_nav.errors import ConfigError
from liquid_nav.liquid import CELLS, LiquidFlow, make_cell
from liquid_reference import flow_gates, parameters, seeded_cell

U = np.array([0.9, -1.2, 0.5])
V = np.array([0.3, -0.6, 0.8, 0.0])
GATES = ["input_and_state", "input"]


def as_batch(*arrays: Any) -> list[torch.Tensor]:
    return [torch.as_tensor(a, dtype=torch.float64).unsqueeze(0) for a in arrays]


@pytest.mark.parametrize("gates", GATES)
def test_gates_equal_the_reference(gates: str) -> None:
    cell = seeded_cell("liquid_flow", {"gates": gates, "tau_min": 0.05, "tau_max": 3.0})
    v_inf, tau = cell.gates(*as_batch(U, V))
    expected_v_inf, expected_tau = flow_gates(parameters(cell), U, V, 0.05, 3.0)
    np.testing.assert_allclose(v_inf[0].detach().numpy(), expected_v_inf, rtol=1e-12)
    np.testing.assert_allclose(tau[0].detach().numpy(), expected_tau, rtol=1e-12)


@pytest.mark.parametrize("dt", [1e-4, 0.03, 2.0, 30.0])
def test_step_solves_the_equation_of_its_gates(dt: float) -> None:
    cell = seeded_cell("liquid_flow", {})
    v_inf, tau = flow_gates(parameters(cell), U, V, 0.02, 10.0)
    solution = solve_ivp(
        lambda _, v: (v_inf - v) / tau,
        (0.0, dt),
        V,
        method="Radau",
        rtol=1e-9,
        atol=1e-11,
    ).y[:, -1]
    stepped = cell.step(*as_batch(U, V, dt))[0].detach().numpy()
    np.testing.assert_allclose(stepped, solution, atol=1e-7)


def test_gates_that_read_the_input_alone_ignore_events_that_bring_nothing_new() -> None:
    cell = seeded_cell("liquid_flow", {"gates": "input"})
    u, v, first, second = as_batch(U, V, 0.13, 0.41)
    through_an_event = cell.step(u, cell.step(u, v, first), second)
    torch.testing.assert_close(
        through_an_event, cell.step(u, v, first + second), rtol=1e-13, atol=1e-13
    )


def test_time_constants_start_log_uniform() -> None:
    cell = seeded_cell("liquid_flow", {}, input_size=8, units=40)
    _, tau = cell.gates(torch.zeros(1, 8).double(), torch.zeros(1, 40).double())
    spread = torch.diff(tau[0].detach().log().sort().values)
    torch.testing.assert_close(spread, torch.full_like(spread, np.log(500.0) / 40))
    assert 0.02 < tau.min() < 0.03
    assert 8.0 < tau.max() < 10.0


def test_bounds_are_approached() -> None:
    cell = seeded_cell("liquid_flow", {})
    u = 1e5 * torch.randn(200, 3, generator=torch.Generator().manual_seed(0)).double()
    v_inf, tau = cell.gates(u, cell.initial_state(200))
    low, high, tau_low, tau_high = cell.bounds()
    for attained, bound in (
        (v_inf.amin(0), low),
        (v_inf.amax(0), high),
        (tau.amin(0), tau_low),
        (tau.amax(0), tau_high),
    ):
        torch.testing.assert_close(attained, bound, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("tau_min", [0.003, 0.01, 0.02, 0.05, 0.07, 0.3])
def test_certified_time_constants_enclose_the_limits_closely(tau_min: float) -> None:
    limits = {"tau_min": tau_min, "tau_max": 51.0 * tau_min}
    _, _, low, high = seeded_cell("liquid_flow", limits, dtype=torch.float32).bounds()
    for bound, limit, sign in ((low, tau_min, 1.0), (high, 51.0 * tau_min, -1.0)):
        inside = sign * (limit - bound.double()) / limit
        assert torch.all((inside >= 0.0) & (inside < 1e-5))


def test_inputs_whose_weighted_sum_would_overflow_give_numbers() -> None:
    cell = seeded_cell("liquid_flow", {}, dtype=torch.float32)
    with torch.no_grad():
        cell.get_parameter("input_weight").copy_(torch.tensor([50.0, -50.0, 50.0]).repeat(8, 1))
    state = cell.step(torch.full((1, 3), 3e38), torch.zeros(1, 4), torch.tensor([0.1]))
    assert torch.isfinite(state).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gates": "output"}, "input_and_state, input"),
        ({"tau_min": 0.0}, "tau_min"),
        ({"tau_min": 2.0, "tau_max": 1.0}, "tau_min"),
        ({"tau_max": float("inf")}, "tau_max"),
        ({"tau": 1.0}, "liquid_flow"),
        ({"hidden": -1}, "hidden"),
        ({"hidden": 8, "lipschitz": 1.0}, "hidden"),
        ({"lipschitz": 0.0}, "lipschitz"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_cell("liquid_flow", 3, 4, **options)


def test_an_unknown_cell_is_refused_with_the_known_names() -> None:
    with pytest.raises(ConfigError, match="liquid_flow, lstm, ltc"):
        make_cell("lstn", 3, 4)


@pytest.mark.parametrize("name", sorted(CELLS))
@pytest.mark.parametrize("sizes", [(0, 4), (3, 0)])
def test_empty_cells_are_refused(name: str, sizes: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        make_cell(name, *sizes)


@pytest.mark.parametrize("gates", GATES)
@pytest.mark.parametrize("constant", [0.3, 2.0])
def test_gates_and_steps_keep_the_lipschitz_constant_they_promise(
    gates: str, constant: float
) -> None:
    cell = seeded_cell("liquid_flow", {"gates": gates, "lipschitz": constant})
    assert isinstance(cell, LiquidFlow)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.copy_(20.0 * torch.randn(parameter.shape, generator=generator))
        cell.bias.zero_()
    by_u, by_v = cell.step_lipschitz()
    steepest = 0.0
    for k in range(60):
        # Small inputs stay where the logistic is steep.
        u = 0.02 * k / 60 * torch.randn(1, 3, generator=generator).double()
        v = (2.0 * torch.rand(1, 4, generator=generator) - 1.0).double() * (k / 60) ** 2
        dt = torch.tensor([10.0 ** (k / 10 - 3)]).double()
        of_target, of_tau = torch.autograd.functional.jacobian(
            lambda x: tuple(
                g[0] if i == 0 else g[0].log() for i, g in enumerate(cell.gates(x[:, :3], x[:, 3:]))
            ),
            torch.cat((u, v), 1),
        )
        for jacobian in (of_target, of_tau):
            norm = float(torch.linalg.matrix_norm(jacobian.squeeze(1), 2))
            assert norm <= constant
            steepest = max(steepest, norm)
        in_u, in_v = torch.autograd.functional.jacobian(
            lambda u, v, dt=dt: cell.step(u, v, dt)[0], (u, v)
        )
        assert torch.linalg.matrix_norm(in_u.squeeze(1), 2) <= by_u
        assert torch.linalg.matrix_norm(in_v.squeeze(1), 2) <= by_v
    assert steepest > 0.9 * constant


def test_weights_within_the_constant_are_left_alone() -> None:
    plain, bound = (seeded_cell("liquid_flow", options) for options in ({}, {"lipschitz": 100.0}))
    for ours, theirs in zip(
        bound.gates(*as_batch(U, V)), plain.gates(*as_batch(U, V)), strict=True
    ):
        assert torch.equal(ours, theirs)


def test_a_cell_without_a_constant_promises_none() -> None:
    cell = seeded_cell("liquid_flow", {})
    assert isinstance(cell, LiquidFlow)
    with pytest.raises(ConfigError, match="lipschitz"):
        cell.step_lipschitz()
