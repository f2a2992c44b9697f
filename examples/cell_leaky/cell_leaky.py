"""A recurrent cell of one's own: leaky neurons, each with one learnt time constant."""

import math

import torch
from cell_leaky_onboard import FoldedLeaky
from torch import Tensor, nn

from liquid_nav.liquid import LiquidCell, clamp_input, exponential_flow, folded_arrays


class LeakyCell(LiquidCell):
    """Neurons that relax towards tanh(W u + U v + b), frozen at the event.

    Args:
        input_size: the number of inputs I.
        units: the number of neurons N.
        tau: seconds, the time constant with which every neuron starts.

    """

    def __init__(self, input_size: int, units: int, tau: float = 0.3) -> None:
        super().__init__(input_size, units)
        self.inputs = nn.Linear(input_size, units)
        self.states = nn.Linear(units, units, bias=False)
        self.log_tau = nn.Parameter(torch.full((units,), math.log(tau)))

    @torch.jit.export
    def initial_state(self, batch: int) -> Tensor:
        """Give zeros (B, N)."""
        return self.log_tau.new_zeros((batch, self.units))

    @torch.jit.export
    def gates(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Give the target and the time constant, (B, N) each, for u (B, I) and v (B, N)."""
        self.check_gates(u, v)
        target = torch.tanh(self.inputs(clamp_input(u)) + self.states(v))
        return target, torch.exp(self.log_tau).expand_as(v)

    @torch.jit.export
    def step(self, u: Tensor, v: Tensor, dt: Tensor) -> Tensor:
        """Give the state (B, N) after dt (B,) seconds under u (B, I)."""
        self.check_step(u, v, dt)
        target, tau = self.gates(u, v)
        return exponential_flow(v, target, tau, dt)

    # Optional: without this method the cell flies by TorchScript.
    def fold(self) -> FoldedLeaky:
        """Give the parameters for flight without torch."""
        return FoldedLeaky(
            folded_arrays(
                {
                    "initial": self.initial_state(1)[0],
                    "input_weight": self.inputs.weight,
                    "state_weight": self.states.weight,
                    "bias": self.inputs.bias,
                    "tau": torch.exp(self.log_tau),
                }
            )
        )
