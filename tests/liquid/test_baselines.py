"""Cells that are not flows: what they keep all the same, and that they say what they do not."""

from typing import Any

import pytest
import torch

from liquid_nav.errors import ConfigError
from liquid_nav.liquid import CELLS, LiquidCell, make_cell
from liquid_reference import BASELINE_CASES, seeded_recurrent

each_cell = pytest.mark.parametrize(("name", "options"), BASELINE_CASES, ids=str)


def test_every_cell_says_whether_it_flows() -> None:
    for kind in map(CELLS.get, CELLS):
        assert kind.continuous == issubclass(kind, LiquidCell)


@each_cell
def test_no_time_moves_the_state(name: str, options: dict[str, Any]) -> None:
    cell = seeded_recurrent(name, options)
    v = cell.initial_state(2)
    moved = cell.step(torch.randn(2, 3).double(), v, torch.zeros(2).double())
    assert not torch.equal(cell.read(moved), cell.read(v))


@each_cell
def test_a_sequence_is_its_steps_and_steps_are_pure(name: str, options: dict[str, Any]) -> None:
    cell = seeded_recurrent(name, options)
    u, v, dt = torch.randn(4, 9, 3).double(), cell.initial_state(4), torch.rand(4, 9).double()
    states, last = cell(u, dt, v)
    assert states.shape == (4, 9, cell.state_size)
    assert cell.read(states).shape == (4, 9, 4)
    for k in range(9):
        stepped = cell.step(u[:, k], v, dt[:, k])
        assert torch.equal(stepped, cell.step(u[:, k], v, dt[:, k]))
        v = stepped
        torch.testing.assert_close(states[:, k], v)
    torch.testing.assert_close(last, v)


@each_cell
@pytest.mark.parametrize("loudness", [0.0, 1.0, 1e30])
def test_any_timing_gives_numbers(name: str, options: dict[str, Any], loudness: float) -> None:
    cell = seeded_recurrent(name, options, dtype=torch.float32)
    u = (loudness * torch.randn(3, 4, 3)).requires_grad_()
    dt = torch.tensor([[0.0, 1e6, 1e-9, 0.1]] * 3).requires_grad_()
    read = cell.read(cell(u, dt, cell.initial_state(3))[0])
    assert torch.isfinite(read).all()
    read.sum().backward()
    for leaf in (u, dt, *cell.parameters()):
        assert leaf.grad is None or not torch.isnan(leaf.grad).any()


@each_cell
def test_gradients_are_those_of_finite_differences(name: str, options: dict[str, Any]) -> None:
    cell = seeded_recurrent(name, options, input_size=2)
    u = torch.randn(2, 3, 2).double().requires_grad_()
    dt = (torch.rand(2, 3).double() + 0.05).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda u, dt: cell.read(cell(u, dt, cell.initial_state(2))[0]), (u, dt), fast_mode=True
    )


@each_cell
def test_bad_arguments_are_refused_by_name(name: str, options: dict[str, Any]) -> None:
    cell = seeded_recurrent(name, options, dtype=torch.float32)
    u, v, dt = torch.zeros(2, 5, 3), cell.initial_state(2), torch.zeros(2, 5)
    with pytest.raises(ConfigError, match="u must have shape"):
        cell.step(u[:, 0, :2], v, dt[:, 0])
    with pytest.raises(ConfigError, match="v must have shape"):
        cell(u, dt, v[:, 1:])
    with pytest.raises(ConfigError, match="dt must have shape"):
        cell(u, dt[:, 1:], v)
    with pytest.raises(ConfigError, match="dt must be finite seconds, not negative"):
        cell(u, dt - 1.0, v)


def test_the_transformer_sees_its_window_and_how_old_it_is_and_nothing_else() -> None:
    cell = seeded_recurrent("transformer", {"window": 3, "heads": 2})
    u, dt = torch.randn(1, 6, 3).double(), torch.rand(1, 6).double()
    other = torch.cat((torch.randn(1, 3, 3).double(), u[:, 3:]), 1)
    start = cell.initial_state(1)
    last = cell.read(cell(u, dt, start)[1])
    torch.testing.assert_close(cell.read(cell(other, dt, start)[1]), last)
    assert not torch.equal(cell.read(cell(other[:, 1:], dt[:, 1:], start)[1]), last - 1.0)
    older = torch.cat((dt[:, :-1], dt[:, -1:] + 0.3), 1)
    assert not torch.allclose(cell.read(cell(u, older, start)[1]), last)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cfc", {"mode": "minimal"}, "mode must be one of default, no_gate, pure"),
        ("cfc", {"activation": "cos"}, "activation must be one of"),
        ("cfc", {"backbone_layers": -1}, "backbone_layers"),
        ("gru", {"time_unit": 0.0}, "time_unit"),
        ("lstm", {"time_unit": float("inf")}, "time_unit"),
        ("transformer", {"window": 0}, "window"),
        ("transformer", {"heads": 3}, "heads must divide units"),
        ("transformer", {"shortest": 2.0, "longest": 1.0}, "shortest"),
        ("ctrnn", {"tau_min": 0.0}, "tau_min"),
        ("ctrnn", {"max_step": 0.0}, "max_step"),
        ("ctrnn", {"max_substeps": 0}, "max_substeps"),
        ("ltc", {"solver": "euler"}, "solver must be one of exponential, fused, rk4, dopri5"),
        ("ltc", {"adjoint": True}, "adjoint goes with the solver dopri5"),
        ("ltc", {"tolerance": 0.0}, "tolerance"),
    ],
)
def test_bad_options_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_cell(name, 3, 4, **options)
