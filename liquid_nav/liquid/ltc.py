"""LTC: the liquid time-constant cell in conductance form."""

import math
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from liquid_nav.errors import ConfigError
from liquid_nav.liquid.cell import LiquidCell, exponential_flow, folded_arrays
from liquid_nav.liquid.options import check_numbers
from liquid_nav.liquid.precision import epsilon
from liquid_nav.liquid.solvers import SolverOptions, make_solver
from liquid_nav.liquid.synapses import (
    Interval,
    Membrane,
    Neurons,
    Synapses,
    add_synapses,
    gates,
    highest_target,
    in_use,
)
from liquid_nav.liquid.wiring import Wiring, wiring_polarities
from liquid_nav.onboard.cells.ltc import FoldedLtc

LONGEST_TAU_MIN = 0.5
"""Seconds; the time constants must have room above their lower limit."""


class LTC(LiquidCell):
    """Liquid time-constant neurons joined by conductance synapses.

    Hasani et al. 2021, Lechner et al. 2020: with s() the logistic function,

        c dv/dt = g_leak (v_leak - v) + sum_j w_j s(sigma_j (x_j - mu_j)) (E_j - v)

    over the sensory synapses, x = u, and the recurrent ones, x = v. By construction c, g_leak > 0
    and w >= 0. With the synapses frozen at v this is linear, with conductance
    g = g_leak + sum w s, time constant c / g and v_inf = (g_leak v_leak + sum w s E) / g.

    A solver advances the state; see the classes in `liquid_nav.liquid.solvers`. All of them leave
    v unchanged at dt = 0 and keep it inside `bounds()` at any dt. "exponential" and "rk4" cut a
    step into substeps of `max_step`, with the remainder last, and evaluate the synapses anew in
    each. The `max_substeps`-th takes all that is left, so that no gap costs more. Every element
    of a batch is cut by its own dt.

    Parameters start in the published ranges; those of sigma and mu suit inputs in about [0, 1].
    The published unit of time is arbitrary, however, and with c in 0.4-0.6 the time constant would
    shrink with the number of synapses. Here c is set so that, with all synapses half open, the
    time constants are log-uniform in 0.05-2 s, which suits control on a scale of seconds. Open
    synapses shorten them, and training may shorten them further; `tau_min` bounds them: then
    c = softplus(raw) + tau_min (g_leak + sum w), so that c / g >= tau_min with all synapses open.

    Args:
        input_size: the number of inputs I.
        units: the number of neurons N.
        max_step: seconds, the longest time over which the synapses are frozen.
        max_substeps: the largest number of substeps in one step.
        solver: "exponential", "fused", "rk4" or "dopri5".
        tolerance: relative and absolute tolerance of "dopri5".
        adjoint: whether "dopri5" computes gradients by integrating backward instead of storing its
            steps. It starts anew from the stored state at each event, but in between it errs where
            the dynamics contract: see docs/liquid.md.
        wiring: which synapses exist, and with which sign of E they start. By default all exist,
            with random signs.
        tau_min: seconds, the lower limit of the time constants; 0 for none, as in the literature.

    Raises:
        ConfigError: if a size is below 1, `tau_min` is not in [0, 0.5], the solver is unknown or
            refuses its options (see `SolverOptions`), the package of "dopri5" is missing, or the
            wiring does not fit. Scripting a cell with "dopri5" raises it too.
    """

    sensory_mask: Tensor
    recurrent_mask: Tensor

    min_capacitance: Final[float] = 1e-6
    min_leak: Final[float] = 1e-6
    """Lower limits of two divisors, since softplus underflows to zero."""

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
        tau_min: float = 0.0,
    ) -> None:
        super().__init__(input_size, units)
        check_numbers(tau_min=tau_min)
        if not 0.0 <= tau_min <= LONGEST_TAU_MIN:
            raise ConfigError(f"tau_min must be in [0, {LONGEST_TAU_MIN}] s, got {tau_min}")
        self.tau_min = float(tau_min)
        options = SolverOptions(max_step, max_substeps, tolerance, adjoint)
        self.solver = make_solver(solver, options)
        sensory, recurrent = wiring_polarities(wiring, input_size, units)
        self.wired = wiring is not None
        # Masks are saved with the weights, so that a saved model contains its wiring.
        self.register_buffer("sensory_mask", sensory.abs(), persistent=self.wired)
        self.register_buffer("recurrent_mask", recurrent.abs(), persistent=self.wired)
        self.capacitance_raw = nn.Parameter(torch.empty(units))
        self.leak_raw = nn.Parameter(torch.empty(units))
        self.v_leak = nn.Parameter(torch.empty(units))
        # Synapses are (target, source); a reversal potential is the E of the equation.
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
        if not self.solver.scriptable:
            raise ConfigError(
                "an LTC with the solver dopri5 cannot be scripted; choose exponential, fused or rk4"
            )
        return self

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw all parameters anew, in the ranges that the class documents."""
        weight = torch.empty(self.units, self.input_size + self.units, dtype=self.v_leak.dtype)
        leak = torch.empty_like(self.v_leak).uniform_(1e-3, 1.0)
        weight.uniform_(1e-3, 1.0)
        # Half open, a neuron is at most twice as slow as all open: the floor must be below that.
        fastest = max(0.05, 3.0 * self.tau_min)
        spread = torch.linspace(math.log(fastest), math.log(2.0), self.units, dtype=leak.dtype)
        mask = torch.cat((self.sensory_mask, self.recurrent_mask), 1)
        total = (weight * mask).sum(1)
        capacitance = torch.exp(spread) * (leak + 0.5 * total) - self.tau_min * (leak + total)
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
        """Give the leak potentials (B, N), where neurons rest while every synapse is closed."""
        return self.v_leak.repeat(batch, 1)

    @torch.jit.export
    def gates(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """See `LiquidCell.gates`."""
        self.check_gates(u, v)
        # Sensory and recurrent synapses in one product, from the sources (u, v).
        sensory, recurrent = self._sensory(), self._recurrent()
        synapses = (
            torch.cat((sensory[0], recurrent[0]), 1),
            torch.cat((sensory[1], recurrent[1]), 1),
            torch.cat((sensory[2], recurrent[2]), 2),
        )
        neurons = Neurons(self._rest(), synapses, self._capacitance(), None)
        return gates(neurons, torch.cat((u, v), 1))

    @torch.jit.export
    def step(self, u: Tensor, v: Tensor, dt: Tensor) -> Tensor:
        """See `LiquidCell.step`."""
        self.check_step(u, v, dt)
        count = self.solver.count(dt.unsqueeze(1))[0]
        if count == 1 and self.solver.one_gate:
            v_inf, time_constant = self.gates(u, v)
            return exponential_flow(v, v_inf, time_constant, dt)
        neurons = Neurons(
            self._drive(u), self._recurrent(), self._capacitance(), self._clamping_interval()
        )
        return self.solver.solve(neurons, v, dt, count)

    def forward(self, u: Tensor, dt: Tensor, v: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See `RecurrentCell.forward`."""
        v = self._begin(u, dt, v)
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            scanned = self._scan(u, dt, v)
            if scanned is not None:
                return scanned, scanned[:, -1]
        batch, length = dt.shape
        recurrent, capacitance = self._recurrent(), self._capacitance()
        interval = self._clamping_interval()
        counts = self.solver.count(dt)
        elapsed = dt.unbind(1)
        # Indexing inside the loop would make the backward pass quadratic in T; unbind does not.
        drives = self._drive(u.transpose(0, 1).flatten(0, 1)).view(self.units, 2, length, batch)
        states: list[Tensor] = []
        for k, drive in enumerate(drives.unbind(2)):
            neurons = Neurons(drive, recurrent, capacitance, interval)
            v = self.solver.solve(neurons, v, elapsed[k], counts[k])
            states.append(v)
        return torch.stack(states, 1), v

    def bounds(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """See `LiquidCell.bounds`: the extremes over all ways to open the synapses.

        g lies between g_leak and g_leak + sum w, which bounds c / g. v_inf is a ratio of functions
        that are linear in each opening s in [0, 1], so it is extreme where each s is 0 or 1. The
        highest v_inf opens the synapses with the highest E: sort the synapses by E, and the best
        prefix gives the bound; the lowest v_inf likewise. A flow stays between v and v_inf. A
        floating-point sum errs by less than its number of terms times the precision, relative to
        its largest sum of magnitudes; the intervals are wider by that much.
        """
        with torch.no_grad():
            weight = torch.cat((self._sensory_weight(), self._recurrent_weight()), 1)
            leak, capacitance = self._leak(), self._capacitance()
            slack = (weight.shape[1] + 8) * torch.finfo(weight.dtype).eps
            low, high = self._interval()
            return (
                low,
                high,
                capacitance / (leak + weight.sum(1)) * (1.0 - slack),
                capacitance / leak * (1.0 + slack),
            )

    @torch.no_grad()
    def fold(self) -> FoldedLtc | None:
        """See `RecurrentCell.fold`: only an LTC with the solver "exponential" has this form."""
        if not self.solver.one_gate:
            return None
        parts: dict[str, Tensor | float | None] = {"initial": self.initial_state(1)[0]}
        parts |= zip(("leak", "leak_current", "capacitance"), self._membrane(), strict=True)
        for side, synapses in (("sensory", self._sensory()), ("recurrent", self._recurrent())):
            names = (f"{side}_slope", f"{side}_offset", f"{side}_gains")
            parts |= zip(names, synapses, strict=True)
        parts |= {"max_substeps": float(self.solver.max_substeps)}
        parts |= {"max_step": self.solver.max_step}
        return FoldedLtc(folded_arrays(parts))

    @torch.jit.unused
    def _scan(self, u: Tensor, dt: Tensor, v: Tensor) -> Tensor | None:
        return self.solver.scan(
            u,
            dt,
            v,
            self._membrane(),
            self._sensory(),
            self._recurrent(),
            self._clamping_interval(),
        )

    def _clamping_interval(self) -> Interval | None:
        return self._interval() if self.solver.clamps else None

    def _interval(self) -> Interval:
        """Compute the lowest and highest v_inf (N,) that any opening gives, see `bounds`."""
        weight = torch.cat((self._sensory_weight(), self._recurrent_weight()), 1).detach()
        reversal = torch.cat((self.sensory_reversal, self.recurrent_reversal), 1).detach()
        leak, v_leak = self._leak().detach(), self.v_leak.detach().unsqueeze(1)
        # The potential of a synapse that does not exist must not widen the interval.
        reversal = torch.where(weight > 0.0, reversal, v_leak)
        v_leak = v_leak.squeeze(1)
        slack = (weight.shape[1] + 8) * epsilon(weight.dtype)
        margin = slack * torch.maximum(reversal.abs().amax(1), v_leak.abs())
        low = -highest_target(leak, -v_leak, weight, -reversal) - margin
        return low, highest_target(leak, v_leak, weight, reversal) + margin

    def _capacitance(self) -> Tensor:
        capacitance = functional.softplus(self.capacitance_raw) + self.min_capacitance
        if self.tau_min > 0.0:
            opened = self._sensory_weight().sum(1) + self._recurrent_weight().sum(1)
            capacitance = capacitance + self.tau_min * (self._leak() + opened)
        return capacitance

    def _leak(self) -> Tensor:
        return functional.softplus(self.leak_raw) + self.min_leak

    def _membrane(self) -> Membrane:
        leak = self._leak()
        return leak, leak * self.v_leak, self._capacitance()

    def _sensory_weight(self) -> Tensor:
        return functional.softplus(self.sensory_weight_raw) * self.sensory_mask

    def _recurrent_weight(self) -> Tensor:
        return functional.softplus(self.recurrent_weight_raw) * self.recurrent_mask

    def _sensory(self) -> Synapses:
        return in_use(
            self.sensory_sigma, self.sensory_mu, self._sensory_weight(), self.sensory_reversal
        )

    def _recurrent(self) -> Synapses:
        return in_use(
            self.recurrent_sigma,
            self.recurrent_mu,
            self._recurrent_weight(),
            self.recurrent_reversal,
        )

    def _rest(self) -> Tensor:
        """Stack conductance and current (N, 2, 1) of the leak."""
        leak = self._leak()
        return torch.stack((leak, leak * self.v_leak), 1).unsqueeze(2)

    def _drive(self, u: Tensor) -> Tensor:
        """Sum conductance and current (N, 2, B) of leak and sensory synapses, for u (B, I)."""
        return add_synapses(self._rest(), u, self._sensory())


def _inverse_softplus(y: Tensor) -> Tensor:
    return y + torch.log(-torch.expm1(-y))
