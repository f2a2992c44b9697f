"""LTC against the equation it integrates."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp  # type: ignore[import-untyped]

from liquid_nav.errors import ConfigError
from liquid_nav.liquid import LTC
from liquid_nav.liquid.scans import ltc as ltc_scan
from liquid_nav.onboard import native
from liquid_reference import (
    Array,
    ltc_conductance_current,
    ltc_derivative,
    ltc_gates,
    ltc_step,
    parameters,
    seeded_cell,
)

U = np.array([0.9, -0.2, 0.5])
V = np.array([0.3, -0.6, 0.8, 0.0])


def as_batch(*arrays: Any) -> list[torch.Tensor]:
    return [torch.as_tensor(a, dtype=torch.float64).unsqueeze(0) for a in arrays]


def test_gates_equal_the_scalar_loops() -> None:
    cell = seeded_cell("ltc", {})
    v_inf, tau = cell.gates(*as_batch(U, V))
    expected_v_inf, expected_tau = ltc_gates(parameters(cell), U, V)
    np.testing.assert_allclose(v_inf[0].detach().numpy(), expected_v_inf, rtol=1e-12)
    np.testing.assert_allclose(tau[0].detach().numpy(), expected_tau, rtol=1e-12)


@pytest.mark.parametrize("dt", [0.0, 0.007, 0.02, 0.05, 0.0999, 0.3, 40.0])
def test_step_equals_the_loop_of_substeps(dt: float) -> None:
    cell = seeded_cell("ltc", {"max_step": 0.02, "max_substeps": 8})
    stepped = cell.step(*as_batch(U, V, dt))[0].detach().numpy()
    np.testing.assert_allclose(stepped, ltc_step(parameters(cell), U, V, dt, 0.02, 8), rtol=1e-9)


def test_one_substep_solves_the_frozen_equation() -> None:
    cell = seeded_cell("ltc", {"max_step": 1.0})
    p = parameters(cell)
    pairs = np.array([ltc_conductance_current(p, U, V, i) for i in range(4)])
    capacitance = np.log1p(np.exp(p["capacitance_raw"])) + 1e-6

    def frozen(_: float, v: Array) -> Array:
        slope: Array = (pairs[:, 1] - pairs[:, 0] * v) / capacitance
        return slope

    solution = solve_ivp(frozen, (0.0, 0.4), V, rtol=1e-11, atol=1e-12).y[:, -1]
    stepped = cell.step(*as_batch(U, V, 0.4))[0].detach().numpy()
    np.testing.assert_allclose(stepped, solution, atol=1e-9)


def test_substeps_converge_with_order_one_to_the_true_equation() -> None:
    p = parameters(seeded_cell("ltc", {}))
    true = solve_ivp(lambda _, v: ltc_derivative(p, U, v), (0.0, 0.32), V, rtol=1e-9, atol=1e-11).y[
        :, -1
    ]
    errors = []
    for max_step in (0.02, 0.01, 0.005, 0.0025):
        cell = seeded_cell("ltc", {"max_step": max_step, "max_substeps": 1000})
        stepped = cell.step(*as_batch(U, V, 0.32))[0].detach().numpy()
        errors.append(float(np.abs(stepped - true).max()))
    orders = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    assert np.all((orders > 0.85) & (orders < 1.2)), (errors, orders)
    assert errors[-1] < 2e-3


def test_each_element_of_a_batch_is_cut_by_its_own_dt() -> None:
    cell = seeded_cell("ltc", {"max_substeps": 6})
    u, v = torch.rand(5, 3).double(), torch.rand(5, 4).double()
    dt = torch.tensor([0.0, 0.01, 0.03, 0.06, 9.0]).double()
    together = cell.step(u, v, dt)
    for k in range(5):
        alone = cell.step(u[k : k + 1], v[k : k + 1], dt[k : k + 1])
        torch.testing.assert_close(together[k : k + 1], alone, rtol=1e-12, atol=1e-12)


def test_a_long_gap_costs_no_more_than_max_substeps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    evaluations = 0
    original = ltc_scan._open

    def counted(*args: Any) -> Any:
        nonlocal evaluations
        evaluations += 1
        return original(*args)

    monkeypatch.setattr(ltc_scan, "_open", counted)
    monkeypatch.setattr(native, "kernel", None)
    cell = seeded_cell("ltc", {"max_step": 0.02, "max_substeps": 7})
    for dt, expected in ((0.004, 1), (0.05, 3), (1e6, 7)):
        evaluations = 0
        u, v, elapsed = as_batch(U, V, dt)
        cell(u.unsqueeze(1), elapsed.unsqueeze(1), v)
        assert evaluations == 1 + expected, "the sensory synapses once, the recurrent each time"


def test_parameters_start_in_the_published_ranges_and_time_constants_suit_seconds() -> None:
    cell = seeded_cell("ltc", {}, input_size=64, units=32)
    assert isinstance(cell, LTC)
    p = parameters(cell)

    def softplus(raw: Array) -> Array:
        positive: Array = np.log1p(np.exp(raw))
        return positive

    for name, values, low, high in (
        ("leak", softplus(p["leak_raw"]), 0.001, 1.0),
        ("weight", softplus(p["sensory_weight_raw"]), 0.001, 1.0),
        ("weight", softplus(p["recurrent_weight_raw"]), 0.001, 1.0),
        ("v_leak", p["v_leak"], -0.2, 0.2),
        ("sigma", p["sensory_sigma"], 3.0, 8.0),
        ("mu", p["recurrent_mu"], 0.3, 0.8),
    ):
        assert low - 1e-5 <= values.min() < values.max() <= high + 1e-5, name
    assert set(np.unique(p["sensory_reversal"])) == {-1.0, 1.0}
    _, tau = cell.gates(torch.rand(50, 64).double(), torch.rand(50, 32).double())
    assert 0.02 < tau.min() < 0.1
    assert 1.0 < tau.max() < 4.0


@pytest.mark.parametrize("tau_min", [0.02, 0.05, 0.5])
def test_no_weights_make_a_neuron_faster_than_tau_min(tau_min: float) -> None:
    torch.manual_seed(1)
    cell = LTC(8, 16, tau_min=tau_min)
    fastest = cell.bounds()[2]
    assert fastest.min() >= tau_min * (1 - 1e-5)
    # Time constants start log-uniform, the slowest neurons at 2 s.
    assert cell.gates(torch.rand(5, 8), torch.zeros(5, 16))[1].max() > 1.0
    with torch.no_grad():
        for weight in cell.parameters():
            weight.add_(torch.randn_like(weight).abs(), alpha=30.0)
        cell.capacitance_raw.fill_(-100.0)
    _, tau = cell.gates(torch.full((1, 8), 1e6), torch.rand(1, 16))
    assert tau.min() >= tau_min * (1 - 1e-5)


def test_bounds_are_met_when_the_synapses_can_be_opened_one_by_one() -> None:
    cell = seeded_cell("ltc", {}, input_size=5, units=2)
    assert isinstance(cell, LTC)
    with torch.no_grad():
        cell.recurrent_weight_raw.fill_(-60.0)
        cell.sensory_reversal.copy_(torch.linspace(-1.5, 1.0, 10).view(5, 2).t())
    low, high, tau_low, tau_high = cell.bounds()
    openings = torch.cartesian_prod(*[torch.tensor([-1e3, 1e3])] * 5).double()
    with torch.no_grad():
        v_inf, tau = cell.gates(openings, cell.initial_state(32))
    for attained, bound in (
        (v_inf.amin(0), low),
        (v_inf.amax(0), high),
        (tau.amin(0), tau_low),
        (tau.amax(0), tau_high),
    ):
        torch.testing.assert_close(attained, bound, rtol=1e-9, atol=1e-9)
    assert torch.all(high < cell.sensory_reversal.amax(1)), "the leak pulls every target inside"


@pytest.mark.parametrize(
    "options",
    [
        {"max_step": 0.0},
        {"max_step": float("nan")},
        {"max_substeps": 0},
        {"tau_min": -0.1},
        {"tau_min": 3.0},
        {"no_such_option": 1},
    ],
)
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        seeded_cell("ltc", options)
