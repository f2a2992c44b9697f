"""LiquidFlow: a closed-form liquid cell that is a true flow."""

import math
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from liquid_nav.errors import ConfigError
from liquid_nav.liquid import scan
from liquid_nav.liquid.cell import LiquidCell, exponential_flow

GATES = ("input_and_state", "input")
"""What the gates of a LiquidFlow may read at an event."""


class LiquidFlow(LiquidCell):
    """Time constant and target are dense functions of what is known at an event.

    With s() the logistic function and x = [u, v] at the event,

        v_inf = tanh(W x + b),  tau = tau_min (tau_max / tau_min) ** s(W' x + b')
        v(t) = v_inf + (v - v_inf) exp(-t / tau),

    the flow of the liquid time-constant networks (Hasani et al. 2021) with its gates held between
    events: exact at any time, where the closed form of CfC (Hasani et al. 2022) is no flow.
    Time constants start log-uniform between the limits.

    Args:
        input_size: I.
        units: N.
        tau_min: seconds, the lower limit of the time constants.
        tau_max: seconds, the upper limit.
        gates: "input_and_state", or "input" for gates that read u alone; these make the sequence
            a linear recurrence, and an event that brings nothing new changes nothing.

    Raises:
        ConfigError: on sizes below 1, limits that are not 0 < tau_min < tau_max < inf, or an
            unknown `gates`.
    """

    input_limit: Final[float] = 1e6
    """Inputs are clamped to this magnitude, lest their weighted sum be infinity less infinity."""

    offset: Tensor
    scale: Tensor

    def __init__(
        self,
        input_size: int,
        units: int,
        tau_min: float = 0.02,
        tau_max: float = 10.0,
        gates: str = "input_and_state",
    ) -> None:
        super().__init__(input_size, units)
        if not 0.0 < tau_min < tau_max < math.inf:
            raise ConfigError(f"need 0 < tau_min < tau_max < inf, got {tau_min} and {tau_max}")
        if gates not in GATES:
            raise ConfigError(f"gates must be one of {', '.join(GATES)}, got {gates!r}")
        # Both heads lie in one product: rows 0 ... N - 1 are v_inf's, the others tau's. As torch's
        # tanh on a CPU costs ten sigmoids, v_inf is 2 s(y) - 1 with y = 2 (W x + b), and since
        # log(tau) is affine in its sigmoid as well, one multiply-add serves both.
        self.input_weight = nn.Parameter(torch.empty(2 * units, input_size))
        self.state_weight: nn.Parameter | None = None
        if gates == "input_and_state":
            self.state_weight = nn.Parameter(torch.empty(2 * units, units))
        self.bias = nn.Parameter(torch.empty(2 * units))
        log_min, log_range = math.log(tau_min), math.log(tau_max / tau_min)
        offset = torch.tensor([-1.0, log_min]).repeat_interleave(units)
        scale = torch.tensor([2.0, log_range]).repeat_interleave(units)
        self.register_buffer("offset", offset, persistent=False)
        self.register_buffer("scale", scale, persistent=False)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the weights anew; the time constants at rest are spread log-uniformly."""
        n = self.units
        limit = (self.input_size + n) ** -0.5
        for weight in (self.input_weight, self.state_weight):
            if weight is not None:
                weight.uniform_(-limit, limit)
                weight[:n] *= 2.0
        self.bias.zero_()
        self.bias[n:] = torch.logit((torch.arange(n, dtype=self.bias.dtype) + 0.5) / n)

    @torch.jit.export
    def initial_state(self, batch: int) -> Tensor:
        """Zeros (B, N)."""
        return torch.zeros((batch, self.units), dtype=self.bias.dtype, device=self.bias.device)

    @torch.jit.export
    def gates(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Target v_inf (B, N) and time constant (B, N) in seconds, for u (B, I) and v (B, N)."""
        self.check_gates(u, v)
        return self._gates(self._drive(u), v)

    @torch.jit.export
    def step(self, u: Tensor, v: Tensor, dt: Tensor) -> Tensor:
        """See `LiquidCell.step`: the exact flow of the gates at (u, v)."""
        self.check_step(u, v, dt)
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            scanned = self._scan(u.unsqueeze(1), dt.unsqueeze(1), v)
            if scanned is not None:
                return scanned[:, 0]
        v_inf, time_constant = self._gates(self._drive(u), v)
        return exponential_flow(v, v_inf, time_constant, dt)

    def forward(self, u: Tensor, dt: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """See `LiquidCell.forward`."""
        self.check_sequence(u, dt, v)
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            scanned = self._scan(u, dt, v)
            if scanned is not None:
                return scanned, scanned[:, -1]
        states: list[Tensor] = []
        # Indexing inside the loop would make the backward pass quadratic in T; unbind does not.
        elapsed = dt.unbind(1)
        for k, drive in enumerate(self._drive(u).unbind(1)):
            v_inf, time_constant = self._gates(drive, v)
            v = exponential_flow(v, v_inf, time_constant, elapsed[k])
            states.append(v)
        return torch.stack(states, 1), v

    def bounds(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """See `LiquidCell.bounds`: -1, 1, tau_min, tau_max.

        v_inf = 2 s - 1 with s in [0, 1] is within [-1, 1] in floating point, and a flow stays
        between v and v_inf. The time constants' interval is wider by the rounding of the
        exponential and of its argument.
        """
        with torch.no_grad():
            one = torch.ones_like(self.offset[: self.units])
            log_min, log_range = self.offset[self.units :], self.scale[self.units :]
            log_max = log_min + log_range
            widest = torch.maximum(log_min.abs(), log_max.abs())
            slack = (8.0 + 4.0 * widest) * torch.finfo(one.dtype).eps
            return -one, one, torch.exp(log_min - slack), torch.exp(log_max + slack)

    @torch.jit.unused
    def _scan(self, u: Tensor, dt: Tensor, v: Tensor) -> Tensor | None:
        if not scan.usable(u, dt, v, self.bias):
            return None
        return scan.flow_scan(self._drive(u), dt, v, self.state_weight, self.offset, self.scale)

    def _drive(self, u: Tensor) -> Tensor:
        """Compute the input's share (..., 2N) of the gates, for u (..., I)."""
        u = u.clamp(-self.input_limit, self.input_limit)
        return functional.linear(u, self.input_weight, self.bias)

    def _gates(self, drive: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        weight = self.state_weight
        if weight is not None:
            drive = torch.addmm(drive, v, weight.t())
        v_inf, log_tau = torch.addcmul(self.offset, self.scale, torch.sigmoid(drive)).chunk(2, 1)
        return v_inf, torch.exp(log_tau)
