"""Drawings of wirings. They need matplotlib, which is imported only when something is drawn."""

from typing import TYPE_CHECKING

import numpy as np

from liquid_nav.errors import ConfigError
from liquid_nav.liquid.wiring import Wiring

if TYPE_CHECKING:
    from matplotlib.axes import Axes

EXCITATORY, INHIBITORY = "tab:green", "tab:red"


def draw_wiring(wiring: Wiring, inputs: int, axes: "Axes") -> None:
    """Draw the inputs and the neurons in columns, a column a layer, and the synapses as arrows.

    Excitatory synapses are green, inhibitory ones red. A ring around a neuron is a synapse onto
    itself.

    Raises:
        ConfigError: if matplotlib is not installed, or the wiring does not fit the inputs.
    """
    try:
        from matplotlib.patches import Circle, FancyArrowPatch
    except ImportError as error:
        raise ConfigError("drawing needs matplotlib: pip install 'liquid_nav[viz]'") from error
    sensory, recurrent = wiring.synapses(inputs)
    columns = {"input": range(inputs), **wiring.layers}
    radius = 0.3 / max(len(column) for column in columns.values())
    places: dict[tuple[bool, int], tuple[float, float]] = {}
    for x, (name, column) in enumerate(columns.items()):
        axes.text(x, 1.05, name, ha="center")
        for rank, neuron in enumerate(column):
            # A layer lies on an arc, so that synapses within it do not lie on one line.
            y = 1.0 - (rank + 0.5) / len(column)
            places[name == "input", neuron] = (x + 0.5 * y * (1.0 - y), y)
    for from_input, matrix in ((True, sensory), (False, recurrent)):
        for target, source in zip(*np.nonzero(matrix), strict=True):
            colour = EXCITATORY if matrix[target, source] > 0 else INHIBITORY
            end, begin = places[False, int(target)], places[from_input, int(source)]
            if end == begin:
                axes.add_patch(Circle(end, 1.6 * radius, fill=False, color=colour))
                continue
            axes.add_patch(
                FancyArrowPatch(
                    begin,
                    end,
                    arrowstyle="-|>",
                    mutation_scale=6.0,
                    shrinkA=4.0,
                    shrinkB=4.0,
                    color=colour,
                    alpha=0.5,
                    linewidth=0.7,
                )
            )
    across, up = zip(*places.values(), strict=True)
    axes.scatter(across, up, s=25.0, color="black", zorder=3)
    axes.set_xlim(-0.3, len(columns) - 0.5)
    axes.set_ylim(-0.05, 1.15)
    axes.axis("off")
