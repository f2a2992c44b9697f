"""Event-XOR: the parity of a stream of bits of which only the changes are seen.

The task of the CfC paper (Hasani et al. 2022, after Lechner and Hasani 2020): a stream of random
bits is given as its runs, each an event with the bit (-1 or +1) and, as elapsed time, the length
of the run. How long it lasted reaches the cells as dt alone; the label is the parity of the number
of ones. Test streams have 32 bits and one label, that of the whole. No cell learns the parity of 32
bits from nothing: training streams start with 4 bits and grow as they are understood, and as a
stream cut after any of its runs is a stream as well, all of those are labelled at once. Streams are
drawn anew in every step, so that none is seen twice.

    python benchmarks/event_xor.py --seeds 3

Prints, cell by cell, the accuracy over 10,000 streams of each seed and the time that it took.
"""

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from liquid_nav.liquid import make_cell

BITS = 32
CELLS: dict[str, tuple[str, dict[str, Any]]] = {
    "CfC": ("cfc", {}),
    "LiquidFlow": ("liquid_flow", {"tau_min": 0.03, "tau_max": 3.0, "hidden": 128}),
    "LTC": ("ltc", {"max_step": 0.1, "max_substeps": 6}),
}
"""What is measured: label, cell, options. A bit lasts 0.1 s."""


@dataclass
class Options:
    """What to train."""

    cells: tuple[str, ...] = field(default_factory=lambda: tuple(CELLS))
    """Which of the cells."""
    seeds: int = 3
    """Runs of each cell, with seeds 0, 1, ..."""
    units: int = 64
    """Neurons."""
    steps: int = 5000
    """Training steps at most; a run ends as well when it has learnt the task."""
    batch: int = 128
    """Streams in a step."""
    seconds: float = 130.0
    """Training time of one run at most."""
    learning_rate: float = 3e-3
    """At the start; it falls to nothing along a cosine."""


def streams(
    rng: np.random.Generator, count: int, length: int = BITS
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw streams: bits u (B, T, 1), dt (B, T) s, which events there are and parities after each.

    Events after the last of a stream are padding.
    """
    bits = rng.integers(0, 2, (count, length))
    begins = np.ones((count, length), bool)
    begins[:, 1:] = bits[:, 1:] != bits[:, :-1]
    row, position = np.nonzero(begins)
    column = begins.cumsum(1)[row, position] - 1
    # A run ends where the next one of its stream begins, or with the stream.
    end = np.append(position[1:], 0)
    end[np.append(row[1:] != row[:-1], True)] = length
    shape = (count, int(column.max()) + 1)
    u = np.zeros((*shape, 1), np.float32)
    dt, there, parity = (np.zeros(shape, kind) for kind in (np.float32, bool, np.float32))
    u[row, column, 0] = 2.0 * bits[row, position] - 1.0
    dt[row, column] = 0.1 * (end - position)
    there[row, column] = True
    parity[row, column] = bits.cumsum(1)[row, end - 1] % 2
    return (
        torch.from_numpy(u),
        torch.from_numpy(dt),
        torch.from_numpy(there),
        torch.from_numpy(parity),
    )


class Classifier(nn.Module):
    """A cell, and a head of one hidden layer that reads its state after each event."""

    def __init__(self, name: str, units: int, options: dict[str, Any]) -> None:
        super().__init__()
        self.cell = make_cell(name, 1, units, **options)
        self.head = nn.Sequential(nn.Linear(units, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, u: Tensor, dt: Tensor) -> Tensor:
        """Logits (B, T) of odd parity."""
        states, _ = self.cell(u, dt, self.cell.initial_state(u.shape[0]))
        logits: Tensor = self.head(self.cell.read(states)).squeeze(2)
        return logits


@torch.no_grad()
def accuracy(model: Classifier, seed: int, count: int) -> float:
    """Share of right answers after whole streams that training never draws."""
    u, dt, there, parity = streams(np.random.default_rng((1, seed)), count)
    right = (model(u, dt) > 0) == (parity > 0.5)
    last = there.sum(1, keepdim=True) - 1
    return float(right.gather(1, last).float().mean())


def train(label: str, seed: int, options: Options) -> tuple[float, float]:
    """Train one cell; accuracy and seconds."""
    torch.manual_seed(seed)
    rng = np.random.default_rng((0, seed))
    name, arguments = CELLS[label]
    model = Classifier(name, options.units, arguments)
    optimiser = torch.optim.Adam(model.parameters(), options.learning_rate)
    begin, length = time.perf_counter(), 4
    for step in range(options.steps):
        spent = time.perf_counter() - begin
        share = max(step / options.steps, spent / options.seconds)
        if share >= 1.0:
            break
        optimiser.param_groups[0]["lr"] = options.learning_rate * (1 + np.cos(np.pi * share)) / 2
        u, dt, there, parity = streams(rng, options.batch, length)
        logits, wanted = model(u, dt)[there], parity[there]
        loss = nn.functional.binary_cross_entropy_with_logits(logits, wanted)
        right = float(((logits > 0) == (wanted > 0.5)).float().mean())
        if right > 0.97:
            length = min(length + 1, BITS)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if step % 250 == 249:
            so_far = accuracy(model, seed + 1000, 1000)
            print(
                f"{label} seed {seed} step {step + 1} bits {length} loss {loss.item():.3f} "
                f"accuracy {so_far:.3f} {spent:.0f} s",
                flush=True,
            )
            if so_far == 1.0:
                break
    return accuracy(model, seed, 10_000), time.perf_counter() - begin


def main() -> None:
    """Measure and print."""
    options = tyro.cli(Options)
    torch.set_num_threads(1)
    table = Table(title=f"event-XOR, {BITS} bits, {options.units} units, {options.seeds} seeds")
    for column in ("cell", "accuracy", "+-", "least", "s a run"):
        table.add_column(column, justify="left" if column == "cell" else "right")
    for label in options.cells:
        runs = [train(label, seed, options) for seed in range(options.seeds)]
        reached = np.array([run[0] for run in runs]) * 100
        table.add_row(
            label,
            f"{reached.mean():.2f} %",
            f"{reached.std():.2f}",
            f"{reached.min():.2f} %",
            f"{np.mean([run[1] for run in runs]):.0f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
