"""Make the picture of docs/liquid.md: `python docs/make_liquid_images.py`."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import torch

from liquid_nav.liquid import NCP, make_cell
from liquid_nav.liquid.drawing import draw_wiring

CELLS: list[tuple[str, str, dict[str, Any]]] = [
    ("LTC, exponential", "ltc", {"max_substeps": 100}),
    ("LTC, fused", "ltc", {"solver": "fused"}),
    ("LiquidFlow", "liquid_flow", {}),
    ("LiquidFlow, resonant", "liquid_flow", {"max_frequency": 5.0, "tau_min": 0.2}),
    ("CTRNN", "ctrnn", {}),
    ("CfC", "cfc", {}),
    ("GRU", "gru", {}),
    ("LSTM", "lstm", {}),
    ("Transformer", "transformer", {}),
]
EVENTS = (0.0, 0.35, 0.5, 1.1)
END = 1.6


def main() -> None:
    """Draw what a query at any time shows of four neurons, with dots at the events."""
    figure, axes = plt.subplots(2, 5, figsize=(16, 6), layout="constrained")
    for (title, name, options), ax in zip(CELLS, axes.flat, strict=False):
        torch.manual_seed(1)
        cell = make_cell(name, 3, 4, **options)
        generator = torch.Generator().manual_seed(2)
        v = cell.initial_state(1)
        with torch.no_grad():
            for begin, end in zip(EVENTS, (*EVENTS[1:], END), strict=True):
                u = 2.0 * torch.rand(1, 3, generator=generator) - 0.5
                dt = torch.linspace(0.0, end - begin, 120)
                states = cell.step(u.expand(120, -1), v.expand(120, -1), dt)
                colours = [f"C{k}" for k in range(4)]
                for k, colour in enumerate(colours):
                    ax.plot(begin + dt, cell.read(states)[:, k], color=colour)
                ax.scatter([begin] * 4, cell.read(v)[0], color=colours, s=18)
                v = cell.step(u, v, dt[-1:])
        flows = "flows" if cell.continuous else "jumps"
        ax.set_title(f"{title}: {flows}")
        ax.vlines(EVENTS, *ax.get_ylim(), color="0.8", zorder=0)
    axes[1, 2].set_xlabel("time / s")
    last = axes.flat[-1]
    draw_wiring(NCP(6, 4, 2, 3, 2, 4, 2), 4, last)
    last.set_title("NCP")
    figure.savefig(Path(__file__).parent / "images" / "liquid_cells.png", dpi=100)


if __name__ == "__main__":
    main()
