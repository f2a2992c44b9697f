"""LiquidFlow: a closed-form liquid cell that is a true flow."""

import math
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from liquid_nav.errors import ConfigError
from liquid_nav.liquid import scan
from liquid_nav.liquid.cell import LiquidCell, exponential_flow
from liquid_nav.liquid.wiring import Wiring, wiring_masks

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
        hidden: width of a hidden layer tanh(V x + c) that the gates read instead of x; without
            one, 0, the gates of a single event cannot tell what is not linearly separable.
        lipschitz: where given, W and W' are scaled down to a spectral norm that makes both v_inf
            and log(tau) Lipschitz in x with this constant, see `step_lipschitz`. Costs two
            singular value decompositions a call.
        wiring: which synapses there are, for both heads; all by default.

    Raises:
        ConfigError: on sizes below 1, limits that are not 0 < tau_min < tau_max < inf, an unknown
            `gates`, a constant that is not positive and finite, a wiring that does not fit, or a
            hidden layer together with `lipschitz` or a wiring.
    """

    input_limit: Final[float] = 1e6
    """Inputs are clamped to this magnitude, lest their weighted sum be infinity less infinity."""

    offset: Tensor
    scale: Tensor
    input_mask: Tensor
    state_mask: Tensor

    def __init__(
        self,
        input_size: int,
        units: int,
        tau_min: float = 0.02,
        tau_max: float = 10.0,
        gates: str = "input_and_state",
        hidden: int = 0,
        lipschitz: float | None = None,
        wiring: Wiring | dict[str, Any] | None = None,
    ) -> None:
        super().__init__(input_size, units)
        if not 0.0 < tau_min < tau_max < math.inf:
            raise ConfigError(f"need 0 < tau_min < tau_max < inf, got {tau_min} and {tau_max}")
        if gates not in GATES:
            raise ConfigError(f"gates must be one of {', '.join(GATES)}, got {gates!r}")
        if hidden < 0 or (hidden and (lipschitz is not None or wiring is not None)):
            raise ConfigError(
                f"hidden must be at least 0, and 0 with lipschitz or a wiring, got {hidden}"
            )
        if lipschitz is not None and not 0.0 < lipschitz < math.inf:
            raise ConfigError(f"lipschitz must be positive and finite, got {lipschitz}")
        self.lipschitz = lipschitz
        self.log_range = math.log(tau_max / tau_min)
        self.wired = wiring is not None
        sensory, recurrent = wiring_masks(wiring, input_size, units)
        # Masks are kept with the weights, so that a saved model holds its wiring whole.
        self.register_buffer("input_mask", sensory.repeat(2, 1), persistent=self.wired)
        self.register_buffer("state_mask", recurrent.repeat(2, 1), persistent=self.wired)
        # Both heads lie in one product: rows 0 ... N - 1 are v_inf's, the others tau's. As torch's
        # tanh on a CPU costs ten sigmoids, v_inf is 2 s(y) - 1 with y = 2 (W x + b), and since
        # log(tau) is affine in its sigmoid as well, one multiply-add serves both.
        rows = hidden or 2 * units
        self.input_weight = nn.Parameter(torch.empty(rows, input_size))
        self.state_weight: nn.Parameter | None = None
        if gates == "input_and_state":
            self.state_weight = nn.Parameter(torch.empty(rows, units))
        self.bias = nn.Parameter(torch.empty(rows))
        self.heads: nn.Linear | None = nn.Linear(hidden, 2 * units) if hidden else None
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
                weight[: n if self.heads is None else None] *= 2.0
        self.bias.zero_()
        bias: Tensor = self.bias
        if self.heads is not None:
            self.bias.uniform_(-limit, limit)
            nn.init.xavier_uniform_(self.heads.weight, 2.0)
            bias = self.heads.bias.zero_()
        bias[n:] = torch.logit((torch.arange(n, dtype=bias.dtype) + 0.5) / n)

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

    def step_lipschitz(self) -> tuple[float, float]:
        """Certified Lipschitz constants of a step of any dt, in u and in v, Euclidean norms.

        v' = v_inf + (v - v_inf) e with e = exp(-dt / tau). Its derivative by log(tau) is
        (v - v_inf) e dt / tau, at most 2 / exp(1) as x exp(-x) is at most 1 / exp(1) and both
        potentials are within [-1, 1]; by v_inf it is at most 1, by v itself at most 1. With gates
        of constant L that makes (1 + 2 / exp(1)) L in u, and one more in v. Where the gates read
        u alone, it is 1 in v.

        Raises:
            ConfigError: where the cell was built without `lipschitz`.
        """
        if self.lipschitz is None:
            raise ConfigError("a LiquidFlow without lipschitz promises no constant")
        of_gates = (1.0 + 2.0 / math.e) * self.lipschitz
        return of_gates, 1.0 if self.state_weight is None else 1.0 + of_gates

    @torch.jit.unused
    def _scan(self, u: Tensor, dt: Tensor, v: Tensor) -> Tensor | None:
        if self.heads is not None or not scan.usable(u, dt, v, self.bias):
            return None
        return scan.flow_scan(self._drive(u), dt, v, self._weights()[1], self.offset, self.scale)

    def _drive(self, u: Tensor) -> Tensor:
        """Compute the input's share (..., 2N) of the gates, for u (..., I)."""
        u = u.clamp(-self.input_limit, self.input_limit)
        return functional.linear(u, self._weights()[0], self.bias)

    def _gates(self, drive: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        weight = self._weights()[1]
        if weight is not None:
            drive = torch.addmm(drive, v, weight.t())
        if self.heads is not None:
            drive = self.heads(2.0 * torch.sigmoid(2.0 * drive) - 1.0)
        v_inf, log_tau = torch.addcmul(self.offset, self.scale, torch.sigmoid(drive)).chunk(2, 1)
        return v_inf, torch.exp(log_tau)

    def _weights(self) -> tuple[Tensor, Tensor | None]:
        """Weights in force, (2N, I) and (2N, N): masked by the wiring, scaled to the norm."""
        inputs: Tensor = self.input_weight
        states: Tensor | None = self.state_weight
        if self.wired:
            inputs = inputs * self.input_mask
            if states is not None:
                states = states * self.state_mask
        limit = self.lipschitz
        if limit is not None:
            whole = inputs if states is None else torch.cat((inputs, states), 1)
            n = self.units
            # Slopes of the heads per unit of their weights: tanh(y / 2) has 1 / 2, a logistic of
            # range log(tau_max / tau_min) a fourth of it.
            slopes = (0.5, 0.25 * self.log_range)
            norms = (
                torch.linalg.matrix_norm(whole[:n], 2) * slopes[0],
                torch.linalg.matrix_norm(whole[n:], 2) * slopes[1],
            )
            # A hair below, for the rounding of the norm itself.
            goal = limit * (1.0 - 1e-5)
            factors = (goal / norms[0].clamp(min=goal), goal / norms[1].clamp(min=goal))
            factor = torch.cat((factors[0].expand(n), factors[1].expand(n))).unsqueeze(1)
            inputs = inputs * factor
            if states is not None:
                states = states * factor
        return inputs, states
