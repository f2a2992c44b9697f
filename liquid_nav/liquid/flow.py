"""LiquidFlow: a closed-form liquid cell that is a true flow."""

import math
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from liquid_nav.errors import ConfigError
from liquid_nav.liquid.cell import LiquidCell, exponential_flow, folded_arrays
from liquid_nav.liquid.options import check_choice, check_counts, check_flags, check_numbers
from liquid_nav.liquid.precision import clamp_input, widened
from liquid_nav.liquid.resonance import growth, into_disc, oscillation, resonant_flow
from liquid_nav.liquid.scans import kernel_for, usable
from liquid_nav.liquid.scans.flow import flow_scan
from liquid_nav.liquid.scans.linear import linear_scan
from liquid_nav.liquid.scans.resonant import resonant_scan
from liquid_nav.liquid.wiring import Wiring, wiring_masks
from liquid_nav.onboard.cells.flow import FoldedFlow

GATES = ("input_and_state", "input")
"""What the gates of a LiquidFlow can read at an event."""


class LiquidFlow(LiquidCell):
    """A liquid cell whose time constant and target are dense functions of input and state.

    With s() the logistic function and x = [u, v] at the event,

        v_inf = tanh(W x + b),  tau = tau_min (tau_max / tau_min) ** s(W' x + b')
        v(t) = v_inf + (v - v_inf) exp(-t / tau),

    the flow of liquid time-constant networks (Hasani et al. 2021) with the gates held between
    events. It is exact at any time, whereas the closed form of CfC (Hasani et al. 2022) is not a
    flow. Time constants start log-uniform between the limits.

    With `max_frequency` the cell resonates: neurons i and i + N / 2 form a pair that rotates as it
    relaxes, see `resonance`. Both have one time constant and one angular frequency,
    2 pi max_frequency (2 s(W" x + b") - 1), and v_inf = sqrt(1 / 2) tanh(W x + b). Such a cell
    tells elapsed times apart by their phase, which a relaxation cannot, and models oscillations.
    Pairs start at phase zero on the unit circle. Each pair of a state must lie within the unit
    disc, and every step keeps it there.

    Args:
        input_size: the number of inputs I.
        units: the number of neurons N.
        tau_min: seconds, the lower limit of the time constants.
        tau_max: seconds, the upper limit of the time constants.
        gates: "input_and_state", or "input" for gates that read u alone. The latter make the
            sequence a linear recurrence, and an event that brings nothing new changes nothing.
        hidden: the width of a hidden layer tanh(V x + c), which the gates read instead of x.
            Without one (0), a single event cannot set the gates by what is not linearly separable.
        max_frequency: hertz, the upper limit of the frequencies; 0 for a cell that only relaxes.
        parallel: whether a parallel scan over time, `linear_scan`, computes a sequence under gates
            that read the input alone. The numbers are the same to rounding (1e-5 in float32). By
            default (None) it does so wherever the native kernel cannot: on other devices than the
            CPU, and for cells that the kernel does not have. Scripted cells go event by event.
        lipschitz: a constant, with which v_inf and log(tau) are to be Lipschitz in x, see
            `step_lipschitz`: W and W' are scaled down to the spectral norm that this needs. It
            costs two singular value decompositions a call.
        wiring: which synapses exist, for both heads; all of them by default.

    Raises:
        ConfigError: if a size is below 1; the limits are not 0 < tau_min < tau_max < inf; `gates`
            is unknown; `lipschitz` is not positive and finite; the wiring does not fit; a hidden
            layer or a frequency comes with `lipschitz` or a wiring; a frequency comes with an odd
            number of units or exceeds 1e4 / tau_max, beyond which single precision loses the
            phase; `parallel` comes with gates that read the state; or a wiring comes with gates
            that do not, and so have no recurrent synapses.
    """

    input_limit: Final[float] = 1e6
    """Inputs are clamped to this magnitude, so that no weighted sum is infinity minus infinity."""

    parallel: Final[bool | None]
    resonant: Final[bool]

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
        max_frequency: float = 0.0,
        parallel: bool | None = None,
        lipschitz: float | None = None,
        wiring: Wiring | dict[str, Any] | None = None,
    ) -> None:
        super().__init__(input_size, units)
        check_numbers(tau_min=tau_min, tau_max=tau_max, max_frequency=max_frequency)
        check_counts(0, hidden=hidden)
        check_choice(GATES, gates=gates)
        if parallel is not None:
            check_flags(parallel=parallel)
        if lipschitz is not None:
            check_numbers(lipschitz=lipschitz)
        if not 0.0 < tau_min < tau_max < math.inf:
            raise ConfigError(f"need 0 < tau_min < tau_max < inf, got {tau_min} and {tau_max}")
        if not 0.0 <= max_frequency * tau_max <= 1e4:
            raise ConfigError(
                f"max_frequency must be from 0 to 1e4 / tau_max = {1e4 / tau_max:g} Hz, got "
                f"{max_frequency}"
            )
        if lipschitz is not None and not 0.0 < lipschitz < math.inf:
            raise ConfigError(f"lipschitz must be positive and finite, got {lipschitz}")
        self._check_combination(gates, hidden, max_frequency, parallel, lipschitz, wiring)
        self.lipschitz = lipschitz
        self.parallel = parallel
        self.resonant = max_frequency > 0.0
        self.log_range = math.log(tau_max / tau_min)
        # exp(-1000) is zero in double precision too.
        self.forgotten = 1000.0 * tau_max
        self.wired = wiring is not None
        sensory, recurrent = wiring_masks(wiring, input_size, units)
        # Masks are saved with the weights, so that a saved model contains its wiring.
        self.register_buffer("input_mask", sensory.repeat(2, 1), persistent=self.wired)
        self.register_buffer("state_mask", recurrent.repeat(2, 1), persistent=self.wired)
        # One product computes both heads: rows 0 ... N - 1 belong to v_inf, the others to tau. On a
        # CPU torch's tanh costs as much as ten sigmoids, so v_inf is 2 s(y) - 1 with
        # y = 2 (W x + b). log(tau) is affine in its sigmoid too, so one multiply-add serves both.
        # In a resonant cell, half of tau's rows belong to the frequencies.
        rows = hidden or 2 * units
        self.input_weight = nn.Parameter(torch.empty(rows, input_size))
        self.state_weight: nn.Parameter | None = None
        if gates == "input_and_state":
            self.state_weight = nn.Parameter(torch.empty(rows, units))
        self.bias = nn.Parameter(torch.empty(rows))
        self.heads: nn.Linear | None = nn.Linear(hidden, 2 * units) if hidden else None
        offset, scale = _gate_ranges(units, tau_min, tau_max, max_frequency)
        self.register_buffer("offset", offset, persistent=False)
        self.register_buffer("scale", scale, persistent=False)
        self.reset_parameters()

    def _check_combination(
        self,
        gates: str,
        hidden: int,
        max_frequency: float,
        parallel: bool | None,
        lipschitz: float | None,
        wiring: Wiring | dict[str, Any] | None,
    ) -> None:
        """Raise ConfigError if the options exclude each other."""
        constrained = lipschitz is not None or wiring is not None
        if hidden < 0 or (hidden and constrained):
            raise ConfigError(
                f"hidden must be at least 0, and 0 with lipschitz or a wiring, got {hidden}"
            )
        if max_frequency and (self.units % 2 or constrained):
            raise ConfigError(
                "max_frequency needs an even number of units, and neither lipschitz nor a wiring"
            )
        if wiring is not None and gates == "input":
            raise ConfigError("a wired LiquidFlow needs gates='input_and_state'")
        if parallel and gates != "input":
            raise ConfigError(f"parallel needs gates='input', got {gates!r}")

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the weights anew: at rest, log-uniform time constants and uniform frequencies."""
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
        for rows in bias[n:].chunk(2) if self.resonant else (bias[n:],):
            rows.copy_(torch.logit((torch.arange(len(rows), dtype=bias.dtype) + 0.5) / len(rows)))

    @torch.jit.export
    def initial_state(self, batch: int) -> Tensor:
        """Give zeros (B, N), or pairs (1, 0) in a resonant cell."""
        v = torch.zeros((batch, self.units), dtype=self.bias.dtype, device=self.bias.device)
        if self.resonant:
            v[:, : self.units // 2] = 1.0
        return v

    @torch.jit.export
    def gates(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """See `LiquidCell.gates`. The target of a resonant cell is where its pairs come to rest."""
        self.check_gates(u, v)
        values = self._gates(self._drive(u), v)
        if self.resonant:
            target, tau, _ = oscillation(values)
            return target, torch.cat((tau, tau), 1)
        return self._relaxation(values)

    @torch.jit.export
    def frequency(self, u: Tensor, v: Tensor) -> Tensor:
        """Give the frequency (B, N) in hertz of each neuron: negative clockwise, 0 without one."""
        self.check_gates(u, v)
        if not self.resonant:
            return torch.zeros_like(v)
        omega = oscillation(self._gates(self._drive(u), v))[2]
        return torch.cat((omega, omega), 1) / (2.0 * math.pi)

    @torch.jit.export
    def step(self, u: Tensor, v: Tensor, dt: Tensor) -> Tensor:
        """See `LiquidCell.step`: the exact flow for the gates at (u, v)."""
        self.check_step(u, v, dt)
        return self._flow(self._gates(self._drive(u), v), v, dt)

    def forward(self, u: Tensor, dt: Tensor, v: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See `RecurrentCell.forward`."""
        v = self._begin(u, dt, v)
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            scanned = self._scan(u, dt, v)
            if scanned is not None:
                return scanned, scanned[:, -1]
        states: list[Tensor] = []
        # Indexing inside the loop would make the backward pass quadratic in T; unbind does not.
        elapsed = dt.unbind(1)
        for k, drive in enumerate(self._drive(u).unbind(1)):
            v = self._flow(self._gates(drive, v), v, elapsed[k])
            states.append(v)
        return torch.stack(states, 1), v

    def bounds(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """See `LiquidCell.bounds`: -1, 1, tau_min, tau_max.

        v_inf = 2 s - 1 with s in [0, 1] is within [-1, 1] in floating point, and a flow stays
        between v and v_inf. A pair of a resonant cell stays in the unit disc, because its v_inf is
        there and `into_disc` removes what rounding adds. The interval of the time constants is
        wider by the rounding of the exponential and of its argument.
        """
        with torch.no_grad():
            one = torch.ones_like(self.offset[: self.units])
            # Time constants have the second N rows; in a resonant cell half of these, one a pair.
            log_min, log_range = self.offset[self.units :], self.scale[self.units :]
            if self.resonant:
                half = self.units // 2
                log_min, log_range = log_min[:half].repeat(2), log_range[:half].repeat(2)
            log_max = log_min + log_range
            widest = torch.maximum(log_min.abs(), log_max.abs())
            slack = (8.0 + 4.0 * widest) * torch.finfo(one.dtype).eps
            return -one, one, torch.exp(log_min - slack), torch.exp(log_max + slack)

    def step_lipschitz(self) -> tuple[float, float]:
        """Give certified Lipschitz constants of a step of any dt, in u and in v (Euclidean norms).

        v' = v_inf + (v - v_inf) e with e = exp(-dt / tau). Its derivative by log(tau) is
        (v - v_inf) e dt / tau, at most 2 / exp(1) as x exp(-x) is at most 1 / exp(1) and both
        potentials are within [-1, 1]; by v_inf it is at most 1, and by v itself at most 1. With
        gates of constant L that makes (1 + 2 / exp(1)) L in u, and one more in v. If the gates
        read u alone, it is 1 in v.

        Raises:
            ConfigError: if the cell was built without `lipschitz`.
        """
        if self.lipschitz is None:
            raise ConfigError("only a LiquidFlow built with lipschitz has certified constants")
        of_gates = (1.0 + 2.0 / math.e) * self.lipschitz
        return of_gates, 1.0 if self.state_weight is None else 1.0 + of_gates

    @torch.no_grad()
    def fold(self) -> FoldedFlow | None:
        """See `RecurrentCell.fold`: none with a hidden layer or resonance."""
        if self.heads is not None or self.resonant:
            return None
        inputs, states = self._weights()
        parts: dict[str, Tensor | float | None] = {"initial": self.initial_state(1)[0]}
        parts |= {"states": states, "offset": self.offset, "scale": self.scale}
        parts |= {"inputs": inputs, "bias": self.bias, "input_limit": self.input_limit}
        return FoldedFlow(folded_arrays(parts))

    @torch.jit.unused
    def _scan(self, u: Tensor, dt: Tensor, v: Tensor) -> Tensor | None:
        if not usable(u, dt, v, self.bias):
            return None
        if u.shape[1] > 1 and self._in_parallel(v):
            return self._parallel_scan(u, dt, v)
        if self.heads is not None:
            return None
        drive, weight = self._drive(u), self._weights()[1]
        if not self.resonant:
            return flow_scan(drive, dt, v, weight, self.offset, self.scale)
        if weight is None:
            return None
        return resonant_scan(drive, self._limited(dt), v, weight, self.offset, self.scale)

    def _in_parallel(self, v: Tensor) -> bool:
        if self.parallel is not None:
            return self.parallel
        in_kernel = kernel_for(v) is not None and self.heads is None and not self.resonant
        return self.state_weight is None and not in_kernel

    def _parallel_scan(self, u: Tensor, dt: Tensor, v: Tensor) -> Tensor:
        values, dt = self._open(self._drive(u)), dt.unsqueeze(2)
        if self.resonant:
            target, tau, omega = oscillation(values)
            change = torch.complex(*growth(tau, omega, self._limited(dt)))
            term = -change * torch.complex(*target.chunk(2, 2))
            states = linear_scan(1.0 + change, term, torch.complex(*v.chunk(2, 1)))
            return into_disc(torch.cat((states.real, states.imag), 2))
        v_inf, tau = self._relaxation(values)
        change = torch.expm1(-self._limited(dt) / tau)
        # The sum of the two terms of a convex combination may exceed its ends by a rounding.
        return linear_scan(1.0 + change, -change * v_inf, v).clamp(-1.0, 1.0)

    def _drive(self, u: Tensor) -> Tensor:
        """Compute the share (..., 2N) of the input u (..., I) in the gates."""
        u = clamp_input(u, self.input_limit)
        return functional.linear(u, self._weights()[0], self.bias)

    def _gates(self, drive: Tensor, v: Tensor) -> Tensor:
        """Compute the values (B, 2N) of the gates from the input's share (B, 2N) and v (B, N)."""
        weight = self._weights()[1]
        if weight is not None:
            drive = torch.addmm(drive, v, weight.t())
        return self._open(drive)

    def _open(self, drive: Tensor) -> Tensor:
        if self.heads is not None:
            drive = self.heads(2.0 * torch.sigmoid(2.0 * drive) - 1.0)
        return torch.addcmul(self.offset, self.scale, torch.sigmoid(drive))

    def _flow(self, values: Tensor, v: Tensor, dt: Tensor) -> Tensor:
        if self.resonant:
            target, tau, omega = oscillation(values)
            return resonant_flow(v, target, tau, omega, self._limited(dt).unsqueeze(1))
        v_inf, tau = self._relaxation(values)
        return exponential_flow(v, v_inf, tau, dt)

    def _relaxation(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Split values (..., 2N) into target and time constant (..., N) of a cell that relaxes."""
        v_inf, log_tau = values.chunk(2, -1)
        return v_inf, torch.exp(log_tau)

    def _limited(self, dt: Tensor) -> Tensor:
        """Limit dt to where nothing of any state is left, so that phase and dt / tau are finite."""
        return dt.clamp(max=self.forgotten)

    def _weights(self) -> tuple[Tensor, Tensor | None]:
        """Give the weights (2N, I) and (2N, N), masked by the wiring and scaled to the norm."""
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
            # The steepest slope of each head: 1 / 2 for tanh(y / 2), and a fourth of its range
            # log(tau_max / tau_min) for the logistic function.
            slopes = (0.5, 0.25 * self.log_range)
            wide = widened(whole)
            norms = (
                torch.linalg.matrix_norm(wide[:n], 2) * slopes[0],
                torch.linalg.matrix_norm(wide[n:], 2) * slopes[1],
            )
            # Slightly less, for the rounding of the norm itself, and that of the product in half
            # precision: its norm grows by at most its rounding times the root of the rank.
            rounding = 1e-5 if whole.dtype == wide.dtype else 2.0**-8 * math.sqrt(n)
            goal = limit / (1.0 + rounding)
            factors = (goal / norms[0].clamp(min=goal), goal / norms[1].clamp(min=goal))
            factor = torch.cat((factors[0].expand(n), factors[1].expand(n))).unsqueeze(1)
            factor = factor.to(whole.dtype)
            inputs = inputs * factor
            if states is not None:
                states = states * factor
        return inputs, states


def _gate_ranges(
    units: int, tau_min: float, tau_max: float, max_frequency: float
) -> tuple[Tensor, Tensor]:
    """Give offset and scale (2N,) that turn openings in [0, 1] into the values of the gates."""
    log_min, log_range = math.log(tau_min), math.log(tau_max / tau_min)
    offset = torch.tensor([-1.0, log_min]).repeat_interleave(units)
    scale = torch.tensor([2.0, log_range]).repeat_interleave(units)
    if max_frequency:
        # Slightly less than sqrt(1 / 2), for the rounding of the target's norm.
        offset[:units] *= math.sqrt(0.5) * (1.0 - 1e-6)
        scale[:units] *= math.sqrt(0.5) * (1.0 - 1e-6)
        offset[units + units // 2 :] = -2.0 * math.pi * max_frequency
        scale[units + units // 2 :] = 4.0 * math.pi * max_frequency
    return offset, scale
