"""Cells compiled by TorchScript, as they fly, and by torch.export."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from liquid_nav.errors import ConfigError
from liquid_nav.liquid import LiquidCell
from liquid_reference import BASELINE_CASES, CELL_CASES, seeded_cell, seeded_recurrent

every_cell = pytest.mark.parametrize(("name", "options"), CELL_CASES + BASELINE_CASES, ids=str)
each_cell = pytest.mark.parametrize(("name", "options"), CELL_CASES, ids=str)
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


def compare(compiled: Any, cell: Any, batch: int, length: int) -> None:
    generator = torch.Generator().manual_seed(batch)
    u = torch.randn(batch, length, 3, generator=generator)
    # Gaps of every kind: none, of one substep, of several, beyond the last.
    gaps = torch.tensor([0.0, 0.01, 0.3, 50.0])
    dt = gaps[torch.randint(4, (batch, length), generator=generator)]
    v = compiled.initial_state(batch)
    torch.testing.assert_close(v, cell.initial_state(batch), rtol=0, atol=0)
    states = cell(u, dt, v)
    pairs = [
        (compiled(u, dt, v), states),
        (compiled(u, dt), states),
        (compiled.step(u[:, 0], v, dt[:, 0]), cell.step(u[:, 0], v, dt[:, 0])),
        (compiled.read(states[0]), cell.read(states[0])),
    ]
    if isinstance(cell, LiquidCell):
        pairs.append((compiled.gates(u[:, 0], v), cell.gates(u[:, 0], v)))
    for scripted, eager in pairs:
        torch.testing.assert_close(scripted, eager, rtol=1e-6, atol=1e-6)


@every_cell
def test_scripted_equals_eager_at_any_batch_and_length(name: str, options: dict[str, Any]) -> None:
    cell = seeded_recurrent(name, options, dtype=torch.float32)
    scripted = torch.jit.script(cell)
    # Several sizes twice: TorchScript specialises its graphs over the first calls.
    for batch, length in ((1, 1), (1, 1), (5, 3), (2, 17), (1, 1)):
        compare(scripted, cell, batch, length)


@every_cell
def test_a_saved_script_is_the_same_cell(
    name: str, options: dict[str, Any], tmp_path: Path
) -> None:
    cell = seeded_recurrent(name, options, dtype=torch.float32)
    path = str(tmp_path / "cell.pt")
    scripted: Any = torch.jit.script(cell)
    scripted.save(path)
    compare(torch.jit.load(path), cell, 3, 4)


@every_cell
def test_a_state_dict_restores_the_cell(name: str, options: dict[str, Any]) -> None:
    cell = seeded_recurrent(name, options, dtype=torch.float32)
    other = seeded_recurrent(name, options, dtype=torch.float32)
    for parameter in other.parameters():
        nn.init.normal_(parameter)
    u, v, dt = torch.randn(2, 3), cell.initial_state(2), torch.rand(2)
    expected = cell.read(cell.step(u, v, dt))
    assert not torch.equal(other.read(other.step(u, v, dt)), expected)
    other.load_state_dict(cell.state_dict())
    assert torch.equal(other.read(other.step(u, v, dt)), expected)


@each_cell
def test_a_scripted_step_keeps_the_state_at_no_time(name: str, options: dict[str, Any]) -> None:
    scripted = torch.jit.script(seeded_cell(name, options, dtype=torch.float32))
    v = 0.1 * torch.randn(1, 4)
    for _ in range(4):
        assert torch.equal(scripted.step(torch.randn(1, 3), v, torch.zeros(1)), v)


class Step(nn.Module):
    """`step` as the method that torch.export sees."""

    def __init__(self, cell: Any) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, u: Tensor, v: Tensor, dt: Tensor) -> Tensor:
        stepped: Tensor = self.cell.step(u, v, dt)
        return stepped


@pytest.mark.parametrize(
    ("name", "options"),
    [case for case in CELL_CASES if case != ("ltc", {})] + BASELINE_CASES,
    ids=str,
)
def test_an_exported_step_takes_any_batch_and_dt(name: str, options: dict[str, Any]) -> None:
    cell = seeded_recurrent(name, options, dtype=torch.float32)
    batch = {0: torch.export.Dim("batch")}
    example = (torch.randn(2, 3), cell.initial_state(2).detach(), torch.rand(2))
    program = torch.export.export(Step(cell), example, dynamic_shapes=(batch, batch, batch))
    u, v = torch.randn(5, 3), cell.initial_state(5)
    dt = torch.tensor([0.0, 0.01, 0.03, 0.07, 40.0])
    torch.testing.assert_close(
        program.module()(u, v, dt), cell.step(u, v, dt), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("liquid_flow", {}),
        ("ltc", {"max_substeps": 2}),
        ("ctrnn", {"max_substeps": 2}),
        *BASELINE_CASES,
    ],
    ids=str,
)
def test_an_exported_sequence_starts_from_the_initial_state(
    name: str, options: dict[str, Any]
) -> None:
    cell = seeded_recurrent(name, options, dtype=torch.float32)
    batch = {0: torch.export.Dim("batch")}
    example = (torch.randn(2, 3, 3), torch.rand(2, 3))
    program = torch.export.export(cell, example, dynamic_shapes=(batch, batch))
    u, dt = torch.randn(5, 3, 3), torch.rand(5, 3)
    torch.testing.assert_close(program.module()(u, dt), cell(u, dt), rtol=1e-6, atol=1e-6)


def test_a_cell_that_cannot_be_scripted_says_so() -> None:
    with pytest.raises(ConfigError, match="dopri5 cannot be scripted"):
        torch.jit.script(seeded_cell("ltc", {"solver": "dopri5"}))
