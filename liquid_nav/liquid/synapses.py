"""Conductance synapses, and the equation of an LTC's neurons under one held input."""

from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from liquid_nav.liquid.precision import full_precision

Synapses: TypeAlias = tuple[Tensor, Tensor, Tensor]
"""Slope sigma and offset -sigma mu, (N, J, 1) each, and gains w and w E, (N, 2, J)."""

Membrane: TypeAlias = tuple[Tensor, Tensor, Tensor]
"""Leak conductance, leak current and capacitance, (N,) each."""

Interval: TypeAlias = tuple[Tensor, Tensor]
"""The lowest and the highest value (N,) that a state can reach."""


class Neurons(NamedTuple):
    """The neurons of an LTC under one held input: c dv/dt = current(v) - conductance(v) v.

    Attributes:
        drive: conductance and current (N, 2, B) of the leak and of the sensory synapses.
        recurrent: the synapses from v (B, N).
        capacitance: c, (N,).
        interval: what no state can leave, for solvers that clamp to it; otherwise None.

    """

    drive: Tensor
    recurrent: Synapses
    capacitance: Tensor
    interval: Interval | None


def in_use(sigma: Tensor, mu: Tensor, weight: Tensor, reversal: Tensor) -> Synapses:
    """Turn parameters of synapses (N, J) into the form that `add_synapses` takes."""
    gains = torch.stack((weight, weight * reversal), 1)
    return sigma.unsqueeze(2), (-sigma * mu).unsqueeze(2), gains


def add_synapses(total: Tensor, x: Tensor, synapses: Synapses) -> Tensor:
    """Add conductance and current of synapses from x (B, J) to `total` (N, 2, B)."""
    slope, offset, gains = synapses
    # Sources before the batch: the product runs several times faster than in the other order.
    opening = torch.sigmoid(torch.addcmul(offset, slope, x.t()))
    if not torch.jit.is_scripting():  # type: ignore[attr-defined]
        # Autocast would round the sums whose ratio must stay between the reversal potentials.
        with full_precision(total):
            return torch.baddbmm(total, gains, opening)
    return torch.baddbmm(total, gains, opening)


def gates(neurons: Neurons, v: Tensor) -> tuple[Tensor, Tensor]:
    """Freeze the synapses at v (B, N): target v_inf and time constant in seconds, (B, N) each."""
    conductance, current = add_synapses(neurons.drive, v, neurons.recurrent).unbind(1)
    return (current / conductance).t(), neurons.capacitance / conductance.t()


def highest_target(leak: Tensor, v_leak: Tensor, weight: Tensor, reversal: Tensor) -> Tensor:
    """Maximise v_inf (N,) over all openings in [0, 1] of synapses (N, J)."""
    reversal, order = reversal.sort(1, descending=True)
    weight = weight.gather(1, order)
    current = (leak * v_leak).unsqueeze(1) + (weight * reversal).cumsum(1)
    conductance = leak.unsqueeze(1) + weight.cumsum(1)
    return torch.maximum(v_leak, (current / conductance).amax(1))
