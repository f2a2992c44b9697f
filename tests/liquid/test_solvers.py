"""The solvers against an independent integration of the same equation."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp  # type: ignore[import-untyped]

from liquid_nav.errors import ConfigError
from liquid_nav.liquid import LTC
from liquid_nav.liquid.solvers import dopri5
from liquid_reference import Array, ltc_derivative, parameters, seeded_cell

U = np.array([0.9, -0.2, 0.5])
V = parameters(seeded_cell("ltc", {}))["v_leak"]
DT = 0.32
V_BATCH = torch.from_numpy(V).repeat(2, 1)


def as_batch(*arrays: Any) -> list[torch.Tensor]:
    return [torch.as_tensor(a, dtype=torch.float64).unsqueeze(0) for a in arrays]


def ltc_truth() -> Array:
    p = parameters(seeded_cell("ltc", {}))
    solution = solve_ivp(
        lambda _, v: ltc_derivative(p, U, v), (0, DT), V, "DOP853", rtol=1e-12, atol=1e-13
    )
    return np.array(solution.y[:, -1])


def observed_orders(errors: list[float]) -> Array:
    return np.log2(np.array(errors[:-1]) / np.array(errors[1:]))


@pytest.mark.parametrize(("solver", "order"), [("exponential", 1), ("fused", 1), ("rk4", 4)])
def test_ltc_solvers_converge_with_their_order(solver: str, order: int) -> None:
    true, errors = ltc_truth(), []
    for pieces in (16, 32, 64, 128):
        cell = seeded_cell("ltc", {"solver": solver, "max_step": DT / pieces * (1 + 1e-9)})
        u, v, dt = as_batch(U, V, DT / pieces)
        for _ in range(pieces):
            v = cell.step(u, v, dt)
        errors.append(float(np.abs(v[0].detach().numpy() - true).max()))
    orders = observed_orders(errors)
    assert np.all(np.abs(orders - order) < 0.3), (errors, orders)


def test_ctrnn_converges_with_order_one() -> None:
    p = parameters(seeded_cell("ctrnn", {}))
    tau = 0.02 * 500.0 ** (1.0 / (1.0 + np.exp(-p["tau_raw"])))
    drive = p["input_weight"] @ U + p["bias"]
    true = solve_ivp(
        lambda _, v: (np.tanh(drive + p["state_weight"] @ v) - v) / tau,
        (0, DT),
        V,
        "DOP853",
        rtol=1e-12,
        atol=1e-13,
    ).y[:, -1]
    errors = []
    for max_step in (0.04, 0.02, 0.01, 0.005):
        cell = seeded_cell("ctrnn", {"max_step": max_step, "max_substeps": 100})
        stepped = cell.step(*as_batch(U, V, DT))[0].detach().numpy()
        errors.append(float(np.abs(stepped - true).max()))
    orders = observed_orders(errors)
    assert np.all(np.abs(orders - 1) < 0.2), (errors, orders)


@pytest.mark.parametrize("tolerance", [1e-4, 1e-7, 1e-10])
def test_dopri5_keeps_its_tolerance(tolerance: float) -> None:
    cell = seeded_cell("ltc", {"solver": "dopri5", "tolerance": tolerance})
    stepped = cell.step(*as_batch(U, V, DT))[0].detach().numpy()
    assert np.abs(stepped - ltc_truth()).max() < 20 * tolerance


@pytest.mark.parametrize("adjoint", [False, True])
def test_dopri5_keeps_the_laws(adjoint: bool) -> None:
    cell = seeded_cell("ltc", {"solver": "dopri5", "adjoint": adjoint})
    low, high, _, _ = cell.bounds()
    u = torch.randn(3, 4, 3).double().requires_grad_()
    dt = torch.tensor([[0.0, 0.3, 0.0, 1e6]] * 3).double().requires_grad_()
    v = torch.lerp(low, high, torch.rand(3, 4).double())
    states, _ = cell(u, dt, v)
    assert torch.equal(states[:, 0], v)
    assert torch.equal(states[:, 2], states[:, 1])
    assert torch.all((states >= low) & (states <= high))
    states.sum().backward()
    for leaf in (u, dt, *cell.parameters()):
        assert leaf.grad is not None
        assert torch.isfinite(leaf.grad).all()


def test_the_adjoint_gives_the_gradient_of_the_stored_steps() -> None:
    found = []
    for adjoint in (False, True):
        cell = seeded_cell("ltc", {"solver": "dopri5", "tolerance": 1e-9, "adjoint": adjoint})
        generator = torch.Generator().manual_seed(4)
        u = torch.rand(2, 5, 3, generator=generator).double().requires_grad_()
        dt = (0.2 * torch.rand(2, 5, generator=generator).double()).requires_grad_()
        states, _ = cell(u, dt, cell.initial_state(2))
        states.square().sum().backward()
        found.append([leaf.grad for leaf in (u, dt, *cell.parameters())])
    for stored, adjoint_gradient in zip(*found, strict=True):
        torch.testing.assert_close(adjoint_gradient, stored, rtol=1e-5, atol=1e-6)


def test_the_adjoint_keeps_nothing_but_states() -> None:
    cell = seeded_cell("ltc", {"solver": "dopri5", "adjoint": True})
    parameters = {p.untyped_storage().data_ptr() for p in cell.parameters()}
    kept: list[int] = []
    for length in (3, 12):
        u, dt, v = torch.rand(2, length, 3).double(), torch.rand(2, length).double(), V_BATCH
        known = parameters | {x.untyped_storage().data_ptr() for x in (u, dt, v)}
        saved: dict[int, int] = {}

        def note(x: torch.Tensor, known: set[int] = known, saved: Any = saved) -> torch.Tensor:
            if x.untyped_storage().data_ptr() not in known:
                saved[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
            return x

        with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
            states, _ = cell(u, dt, v)
        kept.append(sum(saved.values()))
        del states
    assert kept[1] - kept[0] == (12 - 3) * V_BATCH.nbytes


def test_the_adjoint_sees_parameters_that_stand_in_for_others() -> None:
    cell = seeded_cell("ltc", {"solver": "dopri5", "adjoint": True})
    others = {name: (1.1 * p).detach().requires_grad_() for name, p in cell.named_parameters()}
    u, dt = torch.rand(2, 4, 3).double(), 0.1 * torch.rand(2, 4).double()
    found = []
    for own in (False, True):
        if own:
            cell.load_state_dict(others, strict=False)
            last = cell(u, dt, V_BATCH)[1]
            found.append(torch.autograd.grad(last.sum(), list(cell.parameters())))
        else:
            last = torch.func.functional_call(cell, others, (u, dt, V_BATCH))[1]
            found.append(torch.autograd.grad(last.sum(), list(others.values())))
    for swapped, loaded in zip(*found, strict=True):
        torch.testing.assert_close(swapped, loaded)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torchdiffeq", None)
    with pytest.raises(ConfigError, match=r"pip install 'liquid_nav\[ode\]'"):
        dopri5.torchdiffeq()
    with pytest.raises(ConfigError, match="torchdiffeq"):
        LTC(3, 4, solver="dopri5")
