"""Event-XOR: the parity of a stream of bits, of which a cell sees only the changes.

The task of the CfC paper (Hasani et al. 2022, after Lechner and Hasani 2020): a stream of 2 to 31
fair bits is given as its runs, each an event with the bit (-1 or +1) and, as elapsed time, the
length of the run, 1 s a bit. So how long a run lasted reaches the cells as dt alone. The answer is
the parity of the number of ones. Published: CfC 99.42 %, with mixed memory 99.72 %, LTC 49.11 %.

No cell learns the parity of 31 bits from scratch, and fair bits seldom make the long runs that
matter. So training streams are drawn run by run, every length up to a longest one equally often,
and the longest grows as the cell learns the shorter ones. A stream cut after any of its runs is a
stream too, so all of these have labels. No stream is used twice. Every 250 steps, other streams of
fair bits decide whether the weights are the best so far, which are kept. The accuracy is measured
on 10,000 further streams, by the answer after the last event.

    python benchmarks/event_xor.py --seeds 3

Prints, cell by cell, the accuracy of each seed and the processor time that training took.
"""

import copy
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from liquid_nav.liquid import LTC, CfC, LiquidFlow, RecurrentCell

SHORTEST, LONGEST = 2, 31
"""Numbers of bits in a stream."""
LONGEST_RUN = 12
"""Bits in the longest run of training; one stream in a thousand has a longer run of ones."""


@dataclass
class Options:
    """What to train."""

    cells: tuple[str, ...] = field(default_factory=lambda: tuple(CELLS))
    """Names of the cells."""
    seeds: int = 3
    """Number of runs of each cell."""
    first_seed: int = 0
    """Seed of the first run; the next ones follow it."""
    units: int = 64
    """Number of neurons."""
    batch: int = 128
    """Number of streams in a training step."""
    seconds: float = 30.0
    """Longest processor time of a run, which also ends when it has learnt the task."""
    learning_rate: float = 5e-3
    """Learning rate at the start; it falls to zero along a cosine."""


def cfc(units: int) -> RecurrentCell:
    """Build a CfC whose gates open one neuron after another, over the lengths of the runs.

    From its usual initial weights all neurons switch at once, near dt = 0, and training has to
    separate them. The published form is unchanged; as in the chrono initialisation of Tallec and
    Ollivier (2018), the biases cover the range of times to be told apart.
    """
    cell = CfC(1, units, activation="silu", backbone_units=64)
    times = LONGEST_RUN * (torch.arange(units) + 0.5) / units
    heads = cell.rest[-1]
    assert isinstance(heads, nn.Linear)
    with torch.no_grad():
        _, _, slope, offset = heads.bias.chunk(4)
        slope.fill_(8.0)
        offset.copy_(-8.0 * times)
    return cell


CELLS: dict[str, Callable[[int], RecurrentCell]] = {
    "CfC": cfc,
    "LiquidFlow, resonant": lambda units: LiquidFlow(
        1, units, tau_min=1.0, tau_max=300.0, gates="input", max_frequency=1.0, parallel=True
    ),
    "LiquidFlow": lambda units: LiquidFlow(1, units, tau_min=0.3, tau_max=30.0, hidden=64),
    "LTC": lambda units: LTC(1, units, max_step=1.0, max_substeps=6),
}
"""How to build each cell."""


def fair_streams(rng: np.random.Generator, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw streams: bits u (B, T, 1), dt (B, T) s, index of the last event (B, 1), parity (B, 1).

    Events after the last of a stream are padding.
    """
    length = rng.integers(SHORTEST, LONGEST + 1, (count, 1))
    bits = rng.integers(0, 2, (count, LONGEST)) * (np.arange(LONGEST) < length)
    begins = np.ones((count, LONGEST), bool)
    begins[:, 1:] = bits[:, 1:] != bits[:, :-1]
    begins &= np.arange(LONGEST) < length
    row, position = np.nonzero(begins)
    column = begins.cumsum(1)[row, position] - 1
    # A run ends where the next one of its stream begins, or with the stream.
    is_last = np.append(row[1:] != row[:-1], True)
    end = np.where(is_last, length[row, 0], np.append(position[1:], 0))
    u, dt = np.zeros((2, count, int(column.max()) + 1), np.float32)
    u[row, column] = 2.0 * bits[row, position] - 1.0
    dt[row, column] = end - position
    last, parity = column[is_last], bits.sum(1) % 2
    return (
        torch.from_numpy(u).unsqueeze(2),
        torch.from_numpy(dt),
        torch.from_numpy(last).unsqueeze(1),
        torch.from_numpy(parity).unsqueeze(1),
    )


def streams_of_runs(
    rng: np.random.Generator, count: int, longest: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw streams of runs of up to `longest` bits: u (B, T, 1), dt (B, T), parity (B, T) so far.

    Seven of ten calls draw 2 to 5 runs of equally likely lengths, which teach to tell lengths
    apart. The others draw the runs of fair bits, up to 20 of them once all lengths are in use,
    which teach to remember.
    """
    if rng.random() < 0.7:
        runs = rng.integers(1, longest + 1, (count, rng.integers(2, 6)))
    else:
        events = rng.integers(2, 21 if longest == LONGEST_RUN else 6)
        runs = np.minimum(rng.geometric(0.5, (count, events)), longest)
    events = runs.shape[1]
    bits = (rng.integers(0, 2, (count, 1)) + np.arange(events)) % 2
    parity = (runs * bits).cumsum(1) % 2
    u, dt, parity = (torch.from_numpy(x.astype(np.float32)) for x in (2 * bits - 1, runs, parity))
    return u.unsqueeze(2), dt, parity


class Classifier(nn.Module):
    """A cell, and a head of one hidden layer that reads its state after each event."""

    def __init__(self, cell: RecurrentCell) -> None:
        super().__init__()
        self.cell = cell
        self.head = nn.Sequential(nn.Linear(cell.units, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, u: Tensor, dt: Tensor) -> Tensor:
        """Compute the logits (B, T) of odd parity."""
        states, _ = self.cell(u, dt)
        logits: Tensor = self.head(self.cell.read(states)).squeeze(2)
        return logits


@torch.no_grad()
def accuracy(model: Classifier, rng: np.random.Generator, count: int) -> float:
    """Measure the share of right answers after whole streams of fair bits."""
    u, dt, last, parity = fair_streams(rng, count)
    odd = model(u, dt).gather(1, last) > 0
    return float((odd == (parity > 0)).float().mean())


def train(label: str, seed: int, options: Options) -> tuple[float, float]:
    """Train one cell; give its accuracy and the seconds of processor time."""
    torch.manual_seed(seed)
    # Training, validation and test each have a stream of random numbers.
    drawn, checked, tested = (np.random.default_rng((k, seed)) for k in range(3))
    model = Classifier(CELLS[label](options.units))
    optimiser = torch.optim.Adam(model.parameters(), options.learning_rate)
    begin, longest, right, step = time.process_time(), 2, 0.5, 0
    best, kept = 0.0, copy.deepcopy(model.state_dict())
    while (spent := time.process_time() - begin) < options.seconds:
        for group in optimiser.param_groups:
            group["lr"] = options.learning_rate * (1 + np.cos(np.pi * spent / options.seconds)) / 2
        u, dt, parity = streams_of_runs(drawn, options.batch, longest)
        logits = model(u, dt)
        loss = nn.functional.binary_cross_entropy_with_logits(logits, parity)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        step += 1
        right += 0.05 * (float(((logits > 0) == (parity > 0.5)).float().mean()) - right)
        if right > 0.95 and longest < LONGEST_RUN:
            longest, right = longest + 1, 0.9
        if step % 250 == 0:
            so_far = accuracy(model, checked, 2000)
            print(
                f"{label}, seed {seed}, step {step}: runs of {longest}, loss {loss.item():.3f}, "
                f"accuracy {so_far:.3f}, {spent:.0f} s",
                flush=True,
            )
            if so_far > best:
                best, kept = so_far, copy.deepcopy(model.state_dict())
            if best >= 0.9995:
                break
    model.load_state_dict(kept)
    return accuracy(model, tested, 10_000), time.process_time() - begin


def main() -> None:
    """Measure and print."""
    options = tyro.cli(Options)
    torch.set_num_threads(1)
    title = (
        f"event-XOR, {options.units} units, {options.seeds} seeds; load {os.getloadavg()[0]:.1f}"
    )
    table = Table(title=title)
    for column in ("cell", "accuracy", "+-", "least", "s a run"):
        table.add_column(column, justify="left" if column == "cell" else "right")
    for label in options.cells:
        seeds = range(options.first_seed, options.first_seed + options.seeds)
        runs = [train(label, seed, options) for seed in seeds]
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
