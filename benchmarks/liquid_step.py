"""One event through one cell: ours (native, scripted and eager) and those of `ncps`, in one run.

Batch of one, one thread, medians. The sequence modules of `ncps` are called with one event and its
elapsed time, which is the only way to give them an event. Run it with

    python benchmarks/liquid_step.py [--units 32] [--inputs 64] [--calls 3000]

`pip install liquid_nav[bench]` installs `ncps`; without it there are only our own figures.
"""

import os
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from liquid_nav.liquid import CELLS, make_cell
from liquid_nav.onboard import native
from liquid_nav.onboard.cells import OnboardCell


@dataclass(frozen=True)
class Options:
    """Time one event through one cell, ours and ncps."""

    units: int = 32
    """Number of neurons."""
    inputs: int = 64
    """Number of inputs."""
    calls: int = 3000
    """Timed calls of each cell."""


def microseconds(call: Callable[[], object], calls: int) -> tuple[float, float]:
    """Measure median and 99th percentile of the time of one call, after a warm-up."""
    for _ in range(calls // 10 + 10):
        call()
    times = []
    for _ in range(calls):
        begin = time.perf_counter()
        call()
        times.append((time.perf_counter() - begin) * 1e6)
    return statistics.median(times), statistics.quantiles(times, n=100)[98]


def ours(options: Options) -> dict[str, Callable[[], object]]:
    """List calls of our cells, by name."""
    u, dt = torch.randn(1, options.inputs), torch.tensor([0.005])
    latch = u[0].numpy()
    calls: dict[str, Callable[[], object]] = {}
    for name in CELLS:
        cell = make_cell(name, options.inputs, options.units).eval()
        # Frozen, so that what depends on parameters alone is computed once.
        scripted = torch.jit.freeze(
            torch.jit.script(cell), preserved_attrs=["step", "initial_state"]
        )
        v = cell.initial_state(1)
        calls[f"{name} eager"] = lambda cell=cell, v=v: cell.step(u, v, dt)
        calls[f"{name} scripted"] = lambda cell=scripted, v=v: cell.step(u, v, dt)
        if native.kernel is not None and name in ("ltc", "liquid_flow"):
            folded = cell.fold()
            assert folded is not None
            step = folded.start()
            calls[f"{name} native"] = lambda step=step: native_event(step, latch)
    return calls


def native_event(step: OnboardCell, latch: NDArray[np.float32]) -> NDArray[np.float32]:
    """Write the input, as after an event, and flow."""
    step.input[:] = latch
    return step.flow(0.005)


def peers(options: Options) -> dict[str, Callable[[], object]]:
    """List calls of the cells of `ncps`, by name; none if it is not installed."""
    try:
        from ncps.torch import LTC, CfC
    except ModuleNotFoundError:
        return {}
    x, spans = torch.randn(1, 1, options.inputs), torch.tensor([[0.005]])
    calls: dict[str, Callable[[], object]] = {}
    for kind in (LTC, CfC):
        net = kind(options.inputs, options.units).eval()
        h = torch.zeros(1, options.units)
        calls[f"ncps {kind.__name__} eager"] = lambda net=net, h=h: net(x, h, timespans=spans)
    return calls


def main() -> None:
    """Measure and print."""
    options = tyro.cli(Options)
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    with torch.inference_mode():
        figures = {
            name: microseconds(call, options.calls)
            for name, call in (peers(options) | ours(options)).items()
        }
    references = [name for name in figures if name.startswith("ncps")]
    table = Table(title=f"one event, {options.inputs} inputs, {options.units} units, batch 1")
    for column in ("cell", "p50 us", "p99 us", *(f"{name} / this" for name in references)):
        table.add_column(column, justify="left" if column == "cell" else "right")
    for name, (median, high) in figures.items():
        ratios = [f"{figures[reference][0] / median:.1f}" for reference in references]
        table.add_row(name, f"{median:.1f}", f"{high:.1f}", *ratios)
    Console().print(table)
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
