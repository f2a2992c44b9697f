"""CTRNN: the classic continuous-time network with fixed time constants."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from liquid_nav.errors import ConfigError
from liquid_nav.liquid.cell import LiquidCell, clamp_input, exponential_flow
from liquid_nav.liquid.options import check_counts, check_numbers, check_seconds
from liquid_nav.liquid.solvers.substeps import count_substeps, substep
from liquid_nav.liquid.wiring import Wiring, wiring_masks


class CTRNN(LiquidCell):
    """Leaky neurons with fixed time constants (Funahashi and Nakamura 1993).

        tau dv/dt = tanh(W u + U v + b) - v

    Exponential steps advance it, as they do an `LTC`: exact for a target frozen at v, of order 1
    in the substep, and a convex combination. A step is cut into substeps of `max_step`, with the
    remainder last; the `max_substeps`-th takes all that is left. Time constants are learnt between
    the limits, and start log-uniform.

    Args:
        input_size: the number of inputs I.
        units: the number of neurons N.
        tau_min: seconds, the lower limit of the time constants.
        tau_max: seconds, the upper limit of the time constants.
        max_step: seconds, the longest time over which the target is frozen.
        max_substeps: the largest number of substeps in one step.
        wiring: which synapses exist; all of them by default.

    Raises:
        ConfigError: if a size is below 1, the limits are not 0 < tau_min < tau_max < inf,
            `max_step` is not positive and finite, `max_substeps` is below 1, or the wiring does
            not fit.
    """

    sensory_mask: Tensor
    recurrent_mask: Tensor

    def __init__(
        self,
        input_size: int,
        units: int,
        tau_min: float = 0.02,
        tau_max: float = 10.0,
        max_step: float = 0.02,
        max_substeps: int = 50,
        wiring: Wiring | dict[str, Any] | None = None,
    ) -> None:
        super().__init__(input_size, units)
        check_numbers(tau_min=tau_min, tau_max=tau_max)
        check_seconds(max_step=max_step)
        check_counts(most=10**6, max_substeps=max_substeps)
        if not 0.0 < tau_min < tau_max < math.inf:
            raise ConfigError(f"need 0 < tau_min < tau_max < inf, got {tau_min} and {tau_max}")
        self.log_min, self.log_range = math.log(tau_min), math.log(tau_max / tau_min)
        self.max_step = max_step
        self.max_substeps = max_substeps
        sensory, recurrent = wiring_masks(wiring, input_size, units)
        # Masks are saved with the weights, so that a saved model contains its wiring.
        wired = wiring is not None
        self.register_buffer("sensory_mask", sensory, persistent=wired)
        self.register_buffer("recurrent_mask", recurrent, persistent=wired)
        self.input_weight = nn.Parameter(torch.empty(units, input_size))
        self.state_weight = nn.Parameter(torch.empty(units, units))
        self.bias = nn.Parameter(torch.empty(units))
        self.tau_raw = nn.Parameter(torch.empty(units))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the weights anew, and spread the time constants log-uniformly."""
        n = self.units
        limit = (self.input_size + n) ** -0.5
        self.input_weight.uniform_(-limit, limit)
        self.state_weight.uniform_(-limit, limit)
        self.bias.zero_()
        self.tau_raw.copy_(torch.logit((torch.arange(n, dtype=self.bias.dtype) + 0.5) / n))

    @torch.jit.export
    def initial_state(self, batch: int) -> Tensor:
        """Give zeros (B, N)."""
        return self.bias.new_zeros((batch, self.units))

    @torch.jit.export
    def gates(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """See `LiquidCell.gates`."""
        self.check_gates(u, v)
        return self._target(self._drive(u), v, self._recurrent()), self._tau().expand_as(v)

    @torch.jit.export
    def step(self, u: Tensor, v: Tensor, dt: Tensor) -> Tensor:
        """See `LiquidCell.step`."""
        self.check_step(u, v, dt)
        count = count_substeps(dt.unsqueeze(1), self.max_step, self.max_substeps)[0]
        return self._advance(self._drive(u), v, dt, count, self._recurrent(), self._tau())

    def forward(self, u: Tensor, dt: Tensor, v: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See `RecurrentCell.forward`."""
        v = self._begin(u, dt, v)
        counts = count_substeps(dt, self.max_step, self.max_substeps)
        recurrent, tau = self._recurrent(), self._tau()
        elapsed = dt.unbind(1)
        states: list[Tensor] = []
        for k, drive in enumerate(self._drive(u).unbind(1)):
            v = self._advance(drive, v, elapsed[k], counts[k], recurrent, tau)
            states.append(v)
        return torch.stack(states, 1), v

    def bounds(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """See `LiquidCell.bounds`: -1, 1, and the one time constant of each neuron.

        The target 2 s - 1 with s in [0, 1] is within [-1, 1] in floating point, and a flow stays
        between v and its target.
        """
        with torch.no_grad():
            tau = self._tau()
            one = torch.ones_like(tau)
            return -one, one, tau, tau.clone()

    def _tau(self) -> Tensor:
        return torch.exp(self.log_min + self.log_range * torch.sigmoid(self.tau_raw))

    def _recurrent(self) -> Tensor:
        return (self.state_weight * self.recurrent_mask).t()

    def _drive(self, u: Tensor) -> Tensor:
        weight = self.input_weight * self.sensory_mask
        return functional.linear(clamp_input(u), weight, self.bias)

    def _target(self, drive: Tensor, v: Tensor, recurrent: Tensor) -> Tensor:
        # On a CPU torch's tanh costs as much as ten sigmoids.
        return 2.0 * torch.sigmoid(2.0 * torch.addmm(drive, v, recurrent)) - 1.0

    def _advance(
        self, drive: Tensor, v: Tensor, dt: Tensor, count: int, recurrent: Tensor, tau: Tensor
    ) -> Tensor:
        for i in range(count):
            elapsed = substep(dt, i, self.max_step, self.max_substeps)
            v = exponential_flow(v, self._target(drive, v, recurrent), tau.expand_as(v), elapsed)
        return v
