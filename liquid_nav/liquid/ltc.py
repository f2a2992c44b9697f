"""LTC: the liquid time-constant cell in conductance form, advanced by exponential steps."""

import math
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from liquid_nav.errors import ConfigError
from liquid_nav.liquid import scan
from liquid_nav.liquid.cell import LiquidCell, exponential_flow
from liquid_nav.liquid.torch_scan import Synapses


class LTC(LiquidCell):
    """Liquid time-constant neurons joined by conductance synapses.

    Hasani et al. 2021, Lechner et al. 2020: with s() the logistic function,

        c dv/dt = g_leak (v_leak - v) + sum_j w_j s(sigma_j (x_j - mu_j)) (E_j - v)

    over the sensory synapses, x = u, and the recurrent ones, x = v; c, g_leak > 0 and w >= 0 by
    construction. With the synapses frozen at v this is linear, with conductance
    g = g_leak + sum w s, time constant c / g and v_inf = (g_leak v_leak + sum w s E) / g, and one
    exponential step solves it. It is of order 1 in the step, A-stable, and a convex combination.

    A step is cut, from the event on, into substeps of `max_step` with the remainder last, and the
    synapses are evaluated anew in each; the `max_substeps`-th takes all that is left, so that no
    gap costs more. Every element of a batch is cut by its own dt.

    Parameters start in the published ranges, sigma and mu being made for inputs in about [0, 1].
    The published unit of time is arbitrary, though, and with c in 0.4-0.6 the time constant would
    shrink with the number of synapses. Here c is set so that with all synapses half open the time
    constants are log-uniform in 0.05-2 s, what control on a scale of seconds asks for.

    Args:
        input_size: I.
        units: N.
        max_step: seconds, the longest time over which the synapses are frozen.
        max_substeps: the most substeps in one step.

    Raises:
        ConfigError: on sizes below 1, a `max_step` that is not positive and finite, or a
            `max_substeps` below 1.
    """

    min_capacitance: Final[float] = 1e-6
    min_leak: Final[float] = 1e-6
    """Floors under softplus, which underflows to zero: both are divisors."""

    def __init__(
        self,
        input_size: int,
        units: int,
        max_step: float = 0.02,
        max_substeps: int = 50,
    ) -> None:
        super().__init__(input_size, units)
        if not 0.0 < max_step < math.inf:
            raise ConfigError(f"max_step must be positive and finite seconds, got {max_step}")
        if max_substeps < 1:
            raise ConfigError(f"max_substeps must be at least 1, got {max_substeps}")
        self.max_step = max_step
        self.max_substeps = max_substeps
        self.capacitance_raw = nn.Parameter(torch.empty(units))
        self.leak_raw = nn.Parameter(torch.empty(units))
        self.v_leak = nn.Parameter(torch.empty(units))
        # Synapses (target, source); a reversal potential is the E of the equation.
        self.sensory_sigma = nn.Parameter(torch.empty(units, input_size))
        self.sensory_mu = nn.Parameter(torch.empty(units, input_size))
        self.sensory_weight_raw = nn.Parameter(torch.empty(units, input_size))
        self.sensory_reversal = nn.Parameter(torch.empty(units, input_size))
        self.recurrent_sigma = nn.Parameter(torch.empty(units, units))
        self.recurrent_mu = nn.Parameter(torch.empty(units, units))
        self.recurrent_weight_raw = nn.Parameter(torch.empty(units, units))
        self.recurrent_reversal = nn.Parameter(torch.empty(units, units))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw all parameters anew, in the ranges that the class names."""
        weight = torch.empty(self.units, self.input_size + self.units, dtype=self.v_leak.dtype)
        leak = torch.empty_like(self.v_leak).uniform_(1e-3, 1.0)
        weight.uniform_(1e-3, 1.0)
        spread = torch.linspace(math.log(0.05), math.log(2.0), self.units, dtype=leak.dtype)
        capacitance = torch.exp(spread) * (leak + 0.5 * weight.sum(1))
        self.capacitance_raw.copy_(_inverse_softplus(capacitance - self.min_capacitance))
        self.leak_raw.copy_(_inverse_softplus(leak - self.min_leak))
        self.v_leak.uniform_(-0.2, 0.2)
        self.sensory_weight_raw.copy_(_inverse_softplus(weight[:, : self.input_size]))
        self.recurrent_weight_raw.copy_(_inverse_softplus(weight[:, self.input_size :]))
        for sigma in (self.sensory_sigma, self.recurrent_sigma):
            sigma.uniform_(3.0, 8.0)
        for mu in (self.sensory_mu, self.recurrent_mu):
            mu.uniform_(0.3, 0.8)
        for reversal in (self.sensory_reversal, self.recurrent_reversal):
            reversal.bernoulli_(0.5).mul_(2.0).sub_(1.0)

    @torch.jit.export
    def initial_state(self, batch: int) -> Tensor:
        """Leak potentials (B, N), where the neurons rest with every synapse closed."""
        return self.v_leak.repeat(batch, 1)

    @torch.jit.export
    def gates(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Target v_inf (B, N) and time constant (B, N) in seconds, for u (B, I) and v (B, N)."""
        self.check_gates(u, v)
        return self._gates(self._drive(u), v, self._recurrent(), self._capacitance())

    @torch.jit.export
    def step(self, u: Tensor, v: Tensor, dt: Tensor) -> Tensor:
        """See `LiquidCell.step`: one exponential step per substep."""
        self.check_step(u, v, dt)
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            scanned = self._scan(u.unsqueeze(1), dt.unsqueeze(1), v)
            if scanned is not None:
                return scanned[:, 0]
        count = self._substeps(dt.unsqueeze(1))[0]
        drive, recurrent, capacitance = (
            self._drive(u),
            self._recurrent(),
            self._capacitance(),
        )
        return self._advance(drive, v, dt, count, recurrent, capacitance)

    def forward(self, u: Tensor, dt: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """See `LiquidCell.forward`."""
        self.check_sequence(u, dt, v)
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            scanned = self._scan(u, dt, v)
            if scanned is not None:
                return scanned, scanned[:, -1]
        batch, length = dt.shape
        recurrent, capacitance = self._recurrent(), self._capacitance()
        counts = self._substeps(dt)
        elapsed = dt.unbind(1)
        # Indexing inside the loop would make the backward pass quadratic in T; unbind does not.
        drives = self._drive(u.transpose(0, 1).flatten(0, 1)).view(self.units, 2, length, batch)
        states: list[Tensor] = []
        for k, drive in enumerate(drives.unbind(2)):
            v = self._advance(drive, v, elapsed[k], counts[k], recurrent, capacitance)
            states.append(v)
        return torch.stack(states, 1), v

    def bounds(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """See `LiquidCell.bounds`: the extremes over all ways to open the synapses.

        g lies between g_leak and g_leak + sum w, which bounds c / g. v_inf is a ratio of functions
        linear in each opening s in [0, 1], hence extreme where each is 0 or 1, and the highest
        v_inf opens the synapses of the highest E: the best prefix of the synapses sorted by E is
        the bound, and the lowest likewise. A flow stays between v and v_inf. A floating-point sum
        errs by less than its number of terms times the precision, relative to its largest sum of
        magnitudes; the intervals are wider by that.
        """
        with torch.no_grad():
            raw = torch.cat((self.sensory_weight_raw, self.recurrent_weight_raw), 1)
            weight = functional.softplus(raw)
            reversal = torch.cat((self.sensory_reversal, self.recurrent_reversal), 1)
            leak, capacitance = self._leak(), self._capacitance()
            slack = (weight.shape[1] + 8) * torch.finfo(weight.dtype).eps
            margin = slack * torch.maximum(reversal.abs().amax(1), self.v_leak.abs())
            return (
                -_highest_target(leak, -self.v_leak, weight, -reversal) - margin,
                _highest_target(leak, self.v_leak, weight, reversal) + margin,
                capacitance / (leak + weight.sum(1)) * (1.0 - slack),
                capacitance / leak * (1.0 + slack),
            )

    @torch.jit.unused
    def _scan(self, u: Tensor, dt: Tensor, v: Tensor) -> Tensor | None:
        if not scan.usable(u, dt, v, self.v_leak):
            return None
        return scan.ltc_scan(
            u,
            dt,
            v,
            self._membrane(),
            self._sensory(),
            self._recurrent(),
            self.max_step,
            self.max_substeps,
        )

    def _capacitance(self) -> Tensor:
        return functional.softplus(self.capacitance_raw) + self.min_capacitance

    def _leak(self) -> Tensor:
        return functional.softplus(self.leak_raw) + self.min_leak

    def _membrane(self) -> tuple[Tensor, Tensor, Tensor]:
        leak = self._leak()
        return leak, leak * self.v_leak, self._capacitance()

    def _sensory(self) -> Synapses:
        return _synapses(
            self.sensory_sigma,
            self.sensory_mu,
            functional.softplus(self.sensory_weight_raw),
            self.sensory_reversal,
        )

    def _recurrent(self) -> Synapses:
        return _synapses(
            self.recurrent_sigma,
            self.recurrent_mu,
            functional.softplus(self.recurrent_weight_raw),
            self.recurrent_reversal,
        )

    def _drive(self, u: Tensor) -> Tensor:
        """Sum conductance and current (N, 2, B) of leak and sensory synapses, for u (B, I)."""
        leak = self._leak()
        total = torch.stack((leak, leak * self.v_leak), 1).unsqueeze(2)
        return _add_synapses(total, u, self._sensory())

    def _gates(
        self, drive: Tensor, v: Tensor, recurrent: Synapses, capacitance: Tensor
    ) -> tuple[Tensor, Tensor]:
        conductance, current = _add_synapses(drive, v, recurrent).unbind(1)
        return (current / conductance).t(), capacitance / conductance.t()

    def _substeps(self, dt: Tensor) -> list[int]:
        """Count the substeps that the longest of dt (B, T) needs, for each of T intervals.

        One more than the whole number of `max_step`, so that rounding never leaves a rest: a
        substep of length zero changes nothing.
        """
        # A compiled graph cannot depend on values; the substeps in excess are identities.
        if not torch.jit.is_scripting() and torch.compiler.is_compiling():  # type: ignore[attr-defined]
            return [self.max_substeps] * dt.shape[1]
        longest = torch.floor(dt.detach().amax(0) / self.max_step)
        counts: list[int] = (longest.to(torch.long) + 1).clamp(1, self.max_substeps).tolist()
        return counts

    def _advance(
        self,
        drive: Tensor,
        v: Tensor,
        dt: Tensor,
        count: int,
        recurrent: Synapses,
        capacitance: Tensor,
    ) -> Tensor:
        for i in range(count):
            v_inf, time_constant = self._gates(drive, v, recurrent, capacitance)
            rest = (dt - i * self.max_step).clamp(min=0.0)
            if i + 1 < self.max_substeps:
                rest = rest.clamp(max=self.max_step)
            v = exponential_flow(v, v_inf, time_constant, rest)
        return v


def _synapses(sigma: Tensor, mu: Tensor, weight: Tensor, reversal: Tensor) -> Synapses:
    """Put synapses (N, J) in the form of use: slope and offset (N, J, 1), gains (N, 2, J)."""
    gains = torch.stack((weight, weight * reversal), 1)
    return sigma.unsqueeze(2), (-sigma * mu).unsqueeze(2), gains


def _add_synapses(total: Tensor, x: Tensor, synapses: Synapses) -> Tensor:
    """Add to `total` (N, 2, B) the conductance and current of synapses from x (B, J)."""
    slope, offset, gains = synapses
    # Sources before the batch: the product runs several times faster than in the other order.
    opening = torch.sigmoid(torch.addcmul(offset, slope, x.t()))
    return torch.baddbmm(total, gains, opening)


def _highest_target(leak: Tensor, v_leak: Tensor, weight: Tensor, reversal: Tensor) -> Tensor:
    """Maximise v_inf (N,) over all openings of synapses (N, J) in [0, 1]."""
    reversal, order = reversal.sort(1, descending=True)
    weight = weight.gather(1, order)
    current = (leak * v_leak).unsqueeze(1) + (weight * reversal).cumsum(1)
    conductance = leak.unsqueeze(1) + weight.cumsum(1)
    return torch.maximum(v_leak, (current / conductance).amax(1))


def _inverse_softplus(y: Tensor) -> Tensor:
    return y + torch.log(-torch.expm1(-y))
