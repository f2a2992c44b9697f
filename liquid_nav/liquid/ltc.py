"""LTC: the liquid time-constant cell in conductance form."""

import math
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from liquid_nav.errors import ConfigError
from liquid_nav.liquid import scan
from liquid_nav.liquid.adaptive import dopri5, torchdiffeq
from liquid_nav.liquid.cell import LiquidCell, count_substeps, exponential_flow, substep
from liquid_nav.liquid.torch_scan import Synapses
from liquid_nav.liquid.wiring import Wiring, wiring_polarities

SOLVERS = ("exponential", "fused", "rk4", "dopri5")
"""How an LTC is advanced."""


class LTC(LiquidCell):
    """Liquid time-constant neurons joined by conductance synapses.

    Hasani et al. 2021, Lechner et al. 2020: with s() the logistic function,

        c dv/dt = g_leak (v_leak - v) + sum_j w_j s(sigma_j (x_j - mu_j)) (E_j - v)

    over the sensory synapses, x = u, and the recurrent ones, x = v; c, g_leak > 0 and w >= 0 by
    construction. With the synapses frozen at v this is linear, with conductance
    g = g_leak + sum w s, time constant c / g and v_inf = (g_leak v_leak + sum w s E) / g.

    The solvers, all of which leave v as it is at dt = 0 and inside `bounds()` at any dt:

    - "exponential" solves the frozen equation; of order 1 in the substep, A-stable, and a convex
      combination of v and v_inf.
    - "fused", the published semi-implicit step: six substeps of dt / 6, however long dt is, each
      v + (v_inf - v) h / (tau + h). Of order 1, A-stable, a convex combination.
    - "rk4", the classic Runge-Kutta method, of order 4. Neither A-stable nor a convex combination:
      a substep counts for 2 tau at most, where it is still stable, and its stages are clamped to
      the certified interval. Choose a `max_step` well below the shortest time constant.
    - "dopri5", adaptive, of order 5, by the package torchdiffeq (the extra "ode"). For reference
      and research: it does not go through TorchScript or torch.export.

    A step of "exponential" and "rk4" is cut, from the event on, into substeps of `max_step` with
    the remainder last, and the synapses are evaluated anew in each; the `max_substeps`-th takes
    all that is left, so that no gap costs more. Every element of a batch is cut by its own dt.
    What "rk4" and "dopri5" have not solved after `max_substeps` of `max_step`, an exponential step
    takes.

    Parameters start in the published ranges, sigma and mu being made for inputs in about [0, 1].
    The published unit of time is arbitrary, though, and with c in 0.4-0.6 the time constant would
    shrink with the number of synapses. Here c is set so that with all synapses half open the time
    constants are log-uniform in 0.05-2 s, what control on a scale of seconds asks for.

    Args:
        input_size: I.
        units: N.
        max_step: seconds, the longest time over which the synapses are frozen.
        max_substeps: the most substeps in one step.
        solver: one of `SOLVERS`.
        tolerance: of "dopri5", relative and absolute.
        adjoint: whether "dopri5" gets its gradients by integrating backward instead of storing its
            steps. It starts anew from the stored state at each event, and in between it errs where
            the dynamics contract: see docs/liquid.md.
        wiring: which synapses there are, and with which sign of E they start; by default all, with
            either sign.

    Raises:
        ConfigError: on sizes below 1, a `max_step` that is not positive and finite, a
            `max_substeps` below 1, an unknown solver, an adjoint of another solver than "dopri5",
            a "dopri5" without its package, a tolerance outside (0, 1), or a wiring that does not
            fit. Scripting a cell with "dopri5" raises it too.
    """

    sensory_mask: Tensor
    recurrent_mask: Tensor

    min_capacitance: Final[float] = 1e-6
    min_leak: Final[float] = 1e-6
    """Floors under softplus, which underflows to zero: both are divisors."""

    unfolds: Final[int] = 6
    """Substeps of "fused"."""

    def __init__(
        self,
        input_size: int,
        units: int,
        max_step: float = 0.02,
        max_substeps: int = 50,
        solver: str = "exponential",
        tolerance: float = 1e-6,
        adjoint: bool = False,
        wiring: Wiring | dict[str, Any] | None = None,
    ) -> None:
        super().__init__(input_size, units)
        if not 0.0 < max_step < math.inf:
            raise ConfigError(f"max_step must be positive and finite seconds, got {max_step}")
        if max_substeps < 1:
            raise ConfigError(f"max_substeps must be at least 1, got {max_substeps}")
        if solver not in SOLVERS:
            raise ConfigError(f"solver must be one of {', '.join(SOLVERS)}, got {solver!r}")
        if adjoint and solver != "dopri5":
            raise ConfigError(f"adjoint goes with the solver dopri5, not with {solver}")
        if not 0.0 < tolerance < 1.0:
            raise ConfigError(f"tolerance must be between 0 and 1, got {tolerance}")
        if solver == "dopri5":
            torchdiffeq()
        self.max_step = max_step
        self.max_substeps = max_substeps
        self.solver = solver
        self.tolerance = tolerance
        self.adjoint = adjoint
        sensory, recurrent = wiring_polarities(wiring, input_size, units)
        self.wired = wiring is not None
        # Masks are kept with the weights, so that a saved model holds its wiring whole.
        self.register_buffer("sensory_mask", sensory.abs(), persistent=self.wired)
        self.register_buffer("recurrent_mask", recurrent.abs(), persistent=self.wired)
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
        if wiring is not None:
            with torch.no_grad():
                self.sensory_reversal.copy_(sensory)
                self.recurrent_reversal.copy_(recurrent)

    def __prepare_scriptable__(self) -> "LTC":
        """Refuse TorchScript with one clear error: `torch.jit.script` calls this first."""
        if self.solver == "dopri5":
            raise ConfigError(
                "an LTC with the solver dopri5 cannot be scripted; choose exponential, fused or rk4"
            )
        return self

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw all parameters anew, in the ranges that the class names."""
        weight = torch.empty(self.units, self.input_size + self.units, dtype=self.v_leak.dtype)
        leak = torch.empty_like(self.v_leak).uniform_(1e-3, 1.0)
        weight.uniform_(1e-3, 1.0)
        spread = torch.linspace(math.log(0.05), math.log(2.0), self.units, dtype=leak.dtype)
        mask = torch.cat((self.sensory_mask, self.recurrent_mask), 1)
        capacitance = torch.exp(spread) * (leak + 0.5 * (weight * mask).sum(1))
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
        return self._gates(self._rest(), torch.cat((u, v), 1), self._all(), self._capacitance())

    @torch.jit.export
    def step(self, u: Tensor, v: Tensor, dt: Tensor) -> Tensor:
        """See `LiquidCell.step`."""
        self.check_step(u, v, dt)
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            scanned = self._scan(u.unsqueeze(1), dt.unsqueeze(1), v)
            if scanned is not None:
                return scanned[:, 0]
        count = self._substeps(dt.unsqueeze(1))[0]
        if count == 1 and self.solver == "exponential":
            v_inf, time_constant = self.gates(u, v)
            return exponential_flow(v, v_inf, time_constant, dt)
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
            weight = torch.cat((self._sensory_weight(), self._recurrent_weight()), 1)
            leak, capacitance = self._leak(), self._capacitance()
            slack = (weight.shape[1] + 8) * torch.finfo(weight.dtype).eps
            low, high = self._potentials()
            return (
                low,
                high,
                capacitance / (leak + weight.sum(1)) * (1.0 - slack),
                capacitance / leak * (1.0 + slack),
            )

    @torch.jit.unused
    def _scan(self, u: Tensor, dt: Tensor, v: Tensor) -> Tensor | None:
        if self.adjoint:
            return self._by_adjoint(u, dt, v)
        if self.solver != "exponential" or not scan.usable(u, dt, v, self.v_leak):
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

    @torch.jit.unused
    def _by_adjoint(self, u: Tensor, dt: Tensor, v: Tensor) -> Tensor:
        """States (B, T, N). They are all that autograd keeps: backward, each event is solved anew.

        What is solved must be a function of its arguments alone, as parameters may be others then
        (torch.func.functional_call).
        """
        leak, leak_current, capacitance = self._membrane()
        membrane = torch.stack((leak, leak_current), 1).unsqueeze(2)

        def solve(u: Tensor, v: Tensor, dt: Tensor, *fixed: Tensor) -> Tensor:
            drive = _add_synapses(fixed[0], u, (fixed[2], fixed[3], fixed[4]))
            return self._adaptive(drive, v, dt, (fixed[5], fixed[6], fixed[7]), fixed[1])

        states = []
        fixed = (membrane, capacitance, *self._sensory(), *self._recurrent())
        for now, elapsed in zip(u.unbind(1), dt.unbind(1), strict=True):
            v = checkpoint(
                solve, now, v, elapsed, *fixed, use_reentrant=False, preserve_rng_state=False
            )
            states.append(v)
        return torch.stack(states, 1)

    def _potentials(self) -> tuple[Tensor, Tensor]:
        """Lowest and highest v_inf (N,) that any opening of the synapses gives, see `bounds`."""
        weight = torch.cat((self._sensory_weight(), self._recurrent_weight()), 1).detach()
        reversal = torch.cat((self.sensory_reversal, self.recurrent_reversal), 1).detach()
        leak, v_leak = self._leak().detach(), self.v_leak.detach().unsqueeze(1)
        # What a synapse that is not there would pull to is nobody's affair.
        reversal = torch.where(weight > 0.0, reversal, v_leak)
        v_leak = v_leak.squeeze(1)
        # torch.finfo does not go through TorchScript.
        epsilon = 2.0**-52 if weight.dtype == torch.float64 else 2.0**-23
        slack = (weight.shape[1] + 8) * epsilon
        margin = slack * torch.maximum(reversal.abs().amax(1), v_leak.abs())
        low = -_highest_target(leak, -v_leak, weight, -reversal) - margin
        return low, _highest_target(leak, v_leak, weight, reversal) + margin

    def _capacitance(self) -> Tensor:
        return functional.softplus(self.capacitance_raw) + self.min_capacitance

    def _leak(self) -> Tensor:
        return functional.softplus(self.leak_raw) + self.min_leak

    def _membrane(self) -> tuple[Tensor, Tensor, Tensor]:
        leak = self._leak()
        return leak, leak * self.v_leak, self._capacitance()

    def _sensory_weight(self) -> Tensor:
        return functional.softplus(self.sensory_weight_raw) * self.sensory_mask

    def _recurrent_weight(self) -> Tensor:
        return functional.softplus(self.recurrent_weight_raw) * self.recurrent_mask

    def _sensory(self) -> Synapses:
        return _synapses(
            self.sensory_sigma,
            self.sensory_mu,
            self._sensory_weight(),
            self.sensory_reversal,
        )

    def _recurrent(self) -> Synapses:
        return _synapses(
            self.recurrent_sigma,
            self.recurrent_mu,
            self._recurrent_weight(),
            self.recurrent_reversal,
        )

    def _all(self) -> Synapses:
        """Sensory synapses, then recurrent ones: from sources (u, v)."""
        sensory, recurrent = self._sensory(), self._recurrent()
        return (
            torch.cat((sensory[0], recurrent[0]), 1),
            torch.cat((sensory[1], recurrent[1]), 1),
            torch.cat((sensory[2], recurrent[2]), 2),
        )

    def _rest(self) -> Tensor:
        """Conductance and current (N, 2, 1) of the leak."""
        leak = self._leak()
        return torch.stack((leak, leak * self.v_leak), 1).unsqueeze(2)

    def _drive(self, u: Tensor) -> Tensor:
        """Sum conductance and current (N, 2, B) of leak and sensory synapses, for u (B, I)."""
        return _add_synapses(self._rest(), u, self._sensory())

    def _gates(
        self, drive: Tensor, v: Tensor, recurrent: Synapses, capacitance: Tensor
    ) -> tuple[Tensor, Tensor]:
        conductance, current = _add_synapses(drive, v, recurrent).unbind(1)
        return (current / conductance).t(), capacitance / conductance.t()

    def _substeps(self, dt: Tensor) -> list[int]:
        """Count the substeps of each of T intervals, dt (B, T)."""
        if self.solver == "fused":
            return [self.unfolds] * dt.shape[1]
        return count_substeps(dt, self.max_step, self.max_substeps)

    def _advance(
        self,
        drive: Tensor,
        v: Tensor,
        dt: Tensor,
        count: int,
        recurrent: Synapses,
        capacitance: Tensor,
    ) -> Tensor:
        if self.solver == "dopri5":
            return self._adaptive(drive, v, dt, recurrent, capacitance)
        if self.solver == "rk4":
            return self._runge_kutta(drive, v, dt, count, recurrent, capacitance)
        for i in range(count):
            v_inf, time_constant = self._gates(drive, v, recurrent, capacitance)
            if self.solver == "fused":
                h = (dt / self.unfolds).unsqueeze(1)
                v = torch.lerp(v, v_inf, h / (time_constant + h))
            else:
                elapsed = substep(dt, i, self.max_step, self.max_substeps)
                v = exponential_flow(v, v_inf, time_constant, elapsed)
        return v

    def _runge_kutta(
        self,
        drive: Tensor,
        v: Tensor,
        dt: Tensor,
        count: int,
        recurrent: Synapses,
        capacitance: Tensor,
    ) -> Tensor:
        low, high = self._potentials()
        for i in range(count):
            elapsed = substep(dt, i, self.max_step, self.max_substeps)
            h = elapsed.clamp(max=self.max_step).unsqueeze(1)
            v_inf, tau = self._gates(drive, v, recurrent, capacitance)
            change = (h / tau).clamp(max=2.0) * (v_inf - v)
            total = change
            for weight, part in ((2.0, 0.5), (2.0, 0.5), (1.0, 1.0)):
                stage = torch.clamp(v + part * change, low, high)
                v_inf, tau = self._gates(drive, stage, recurrent, capacitance)
                change = (h / tau).clamp(max=2.0) * (v_inf - stage)
                total = total + weight * change
            v = torch.clamp(v + total / 6.0, low, high)
            if i + 1 == self.max_substeps:
                v_inf, tau = self._gates(drive, v, recurrent, capacitance)
                v = exponential_flow(v, v_inf, tau, (elapsed - self.max_step).clamp(min=0.0))
        return v

    @torch.jit.unused
    def _adaptive(
        self,
        drive: Tensor,
        v: Tensor,
        dt: Tensor,
        recurrent: Synapses,
        capacitance: Tensor,
    ) -> Tensor:
        def gates(state: Tensor) -> tuple[Tensor, Tensor]:
            return self._gates(drive, state, recurrent, capacitance)

        solved = dt.clamp(max=self.max_step * self.max_substeps)
        held = (drive, *recurrent, capacitance) if self.adjoint else ()
        low, high = self._potentials()
        v = dopri5(gates, v, solved, self.tolerance, held).clamp(low, high)
        return exponential_flow(v, *gates(v), dt - solved)


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
