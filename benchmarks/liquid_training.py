"""A training step, forward and backward, of our cells beside `ncps` and torch's GRU, in one run.

One thread, batch of 32, 64 inputs, intervals below one substep. The candidates take turns, so that
other load on the machine affects all of them; figures are medians. Run it with

    python benchmarks/liquid_training.py [--lengths 64 300] [--units 32 64] [--rounds 9]

`pip install liquid_nav[bench]` installs `ncps`; without it there is no such column.
"""

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import tyro
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from liquid_nav.liquid import make_cell
from liquid_nav.onboard import native

BATCH, INPUTS = 32, 64
KERNEL = native.kernel
"""The native kernel, or None; the cases switch it on and off."""


@dataclass(frozen=True)
class Options:
    """Time a training step of our cells, ncps and GRU."""

    lengths: tuple[int, ...] = (64, 300)
    """Numbers of events in a sequence."""
    units: tuple[int, ...] = (32, 64)
    """Numbers of neurons."""
    rounds: int = 9
    """Timed steps of each candidate; ncps is slow and takes part in the first three only."""


Case = tuple[native.Kernel | None, Callable[[], Tensor], nn.Module]


def cases(length: int, units: int) -> dict[str, Case]:
    """List what to time, by name: the kernel to use, a forward pass, and its module."""
    u, dt = torch.rand(BATCH, length, INPUTS), 0.02 * torch.rand(BATCH, length)
    gru: nn.Module = nn.GRU(INPUTS, units, batch_first=True)
    found: dict[str, Case] = {"torch GRU": (None, lambda: gru(u)[0], gru)}
    try:
        from ncps.torch import LTC
    except ModuleNotFoundError:
        pass
    else:
        # All intervals have one length, as `ncps` takes no batch of irregular ones.
        peer: Any = LTC(INPUTS, units)
        found["ncps LTC"] = (None, lambda: peer(u)[0], peer)
    kernels = {"torch": None} | ({f"native {KERNEL.instruction_set}": KERNEL} if KERNEL else {})
    for name, options in (
        ("ltc", {}),
        ("liquid_flow", {}),
        ("liquid_flow", {"gates": "input", "parallel": False}),
        ("liquid_flow", {"gates": "input", "parallel": True}),
        ("liquid_flow", {"max_frequency": 5.0}),
    ):
        cell = make_cell(name, INPUTS, units, **options)
        has_kernel = not (options.get("parallel") or "max_frequency" in options)
        for way, kernel in (kernels if has_kernel else {"torch": None}).items():
            label = " ".join((name, *(f"{k}={v}" for k, v in options.items()), way))
            found[label] = (
                kernel,
                lambda cell=cell: cell(u, dt)[0],
                cell,
            )
    return found


def milliseconds(case: Case) -> float:
    """Time one training step."""
    native.kernel, forward, module = case
    module.zero_grad()
    begin = time.perf_counter()
    forward().square().mean().backward()
    return (time.perf_counter() - begin) * 1e3


def saved_megabytes(case: Case) -> float:
    """Sum up what autograd keeps of the forward pass."""
    native.kernel, forward, _ = case
    saved: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        forward()
    return sum(saved.values()) / 1e6


def main() -> None:
    """Measure and print."""
    options = tyro.cli(Options)
    torch.set_num_threads(1)
    console = Console()
    for length in options.lengths:
        for units in options.units:
            times: dict[str, list[float]] = {}
            candidates = cases(length, units)
            for turn in range(options.rounds + 1):
                for name, case in candidates.items():
                    if turn == 0 or turn <= 3 or not name.startswith("ncps"):
                        times.setdefault(name, []).append(milliseconds(case))
            medians = {name: statistics.median(taken[1:]) for name, taken in times.items()}
            peers = [name for name in ("ncps LTC", "torch GRU") if name in medians]
            load = os.getloadavg()[0]
            table = Table(title=f"B = {BATCH}, T = {length}, N = {units}; load {load:.1f}")
            for column in ("cell", "ms", "saved MB", *(f"{peer} / this" for peer in peers)):
                table.add_column(column, justify="left" if column == "cell" else "right")
            for name, median in medians.items():
                ratios = [f"{medians[peer] / median:.2f}" for peer in peers]
                memory = saved_megabytes(candidates[name])
                table.add_row(name, f"{median:.2f}", f"{memory:.1f}", *ratios)
            console.print(table)


if __name__ == "__main__":
    main()
