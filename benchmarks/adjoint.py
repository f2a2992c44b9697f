"""The adjoint method against backpropagation through time: memory and error of the gradient.

One LTC runs over T events of an irregular stream, in float64, with "dopri5" at a tolerance of 1e-6.
There are three ways to the gradient of the last state by all parameters:

    stored   backpropagation through every step of the solver; its gradient is the reference
    events   LTC(solver="dopri5", adjoint=True): only the states at events are kept, and the adjoint
             is integrated backward from each event to the one before
    whole    one adjoint over the whole stream: nothing is kept, so the state too is integrated
             backward, against the direction in which it contracts

Memory is what autograd keeps between the forward and the backward pass, besides parameters and
inputs.

    python benchmarks/adjoint.py
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torchdiffeq
import tyro
from rich.console import Console
from rich.table import Table
from torch import Tensor

from liquid_nav.liquid import LTC

TOLERANCE = 1e-6
"""Relative and absolute tolerance of the solver."""


@dataclass
class Options:
    """What to measure."""

    lengths: tuple[int, ...] = (64, 256, 1024)
    """Numbers T of events in a stream."""
    inputs: int = 4
    """Number of inputs."""
    units: int = 8
    """Number of neurons."""
    interval: float = 0.05
    """Mean time between events, seconds."""


def last_of_whole(cell: LTC, u: Tensor, dt: Tensor, v: Tensor) -> Tensor:
    """Solve for the last state with one adjoint; event k takes the time from k to k + 1."""
    length = dt.shape[1]

    def slope(t: Tensor, state: Tensor) -> Tensor:
        k = min(max(int(t), 0), length - 1)
        v_inf, tau = cell.gates(u[:, k], state)
        return dt[:, k : k + 1] * ((v_inf - state) / tau)

    ends = torch.tensor([0.0, float(length)], dtype=v.dtype)
    jumps = torch.arange(1, length, dtype=v.dtype)
    # Without a limit the solver would follow a diverging state in ever smaller steps.
    options: dict[str, Any] = {"jump_t": jumps, "max_num_steps": 200 * length}
    path = torchdiffeq.odeint_adjoint(
        slope,
        v,
        ends,
        rtol=TOLERANCE,
        atol=TOLERANCE,
        method="dopri5",
        options=options,
        adjoint_options=options | {"norm": "seminorm"},
        adjoint_params=tuple(cell.parameters()),
    )
    last: Tensor = path[-1]
    return last


def measure(
    cell: LTC, forward: Callable[[], Tensor], known: set[int]
) -> tuple[float, list[Tensor], float]:
    """Measure kept bytes, gradients by parameter, and seconds; `known` storages do not count."""
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    cell.zero_grad()
    begin = time.perf_counter()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        last = forward()
    total = float(sum(kept.values()))
    last.square().sum().backward()
    seconds = time.perf_counter() - begin
    return total, [p.grad.clone() for p in cell.parameters() if p.grad is not None], seconds


def main() -> None:
    """Measure and print."""
    options = tyro.cli(Options)
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    table = Table(title=f"{options.units} units, {options.inputs} inputs, batch 1")
    for column in ("T", "gradient by", "kept kB", "relative error", "s"):
        table.add_column(column, justify="left" if column == "gradient by" else "right")
    for length in options.lengths:
        torch.manual_seed(0)
        u = torch.rand(1, length, options.inputs)
        dt = 2.0 * options.interval * torch.rand(1, length)
        cells = [
            LTC(
                options.inputs, options.units, solver="dopri5", tolerance=TOLERANCE, adjoint=adjoint
            )
            for adjoint in (False, True)
        ]
        cells[1].load_state_dict(cells[0].state_dict())
        stored, events = cells
        v = stored.initial_state(1).detach()
        ways: dict[str, tuple[LTC, Callable[[], Tensor]]] = {
            "stored": (stored, lambda u=u, dt=dt, v=v, c=stored: c(u, dt, v)[1]),
            "events": (events, lambda u=u, dt=dt, v=v, c=events: c(u, dt, v)[1]),
            "whole": (stored, lambda u=u, dt=dt, v=v, c=stored: last_of_whole(c, u, dt, v)),
        }
        reference: list[Tensor] = []
        for label, (cell, forward) in ways.items():
            known = {t.untyped_storage().data_ptr() for t in (u, dt, v, *cell.parameters())}
            try:
                kept, gradients, seconds = measure(cell, forward, known)
            except AssertionError as error:
                # torchdiffeq raises this when the state diverges on its way back.
                table.add_row(str(length), label, "-", f"failed: {str(error)[:60]}", "-")
                continue
            reference = reference or gradients
            flat, wanted = (torch.cat([g.flatten() for g in gs]) for gs in (gradients, reference))
            error = float((flat - wanted).norm() / wanted.norm())
            table.add_row(str(length), label, f"{kept / 1e3:.0f}", f"{error:.1e}", f"{seconds:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
