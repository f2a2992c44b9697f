"""The adaptive method of Dormand and Prince, by `torchdiffeq`, an optional dependency."""

from types import ModuleType
from typing import ClassVar, final

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from liquid_nav.errors import ConfigError
from liquid_nav.liquid.cell import exponential_flow
from liquid_nav.liquid.precision import widened
from liquid_nav.liquid.solvers.base import Solver, SolverOptions
from liquid_nav.liquid.synapses import (
    Interval,
    Membrane,
    Neurons,
    Synapses,
    add_synapses,
    gates,
)


def torchdiffeq() -> ModuleType:
    """Import `torchdiffeq`. Raises ConfigError if it is not installed."""
    try:
        import torchdiffeq as module
    except ImportError as error:
        raise ConfigError("dopri5 needs torchdiffeq: pip install 'liquid_nav[ode]'") from error
    found: ModuleType = module
    return found


@final
class Dopri5(Solver):
    """The adaptive method of Dormand and Prince 1980, for reference and research.

    Order 5 with an error estimate of order 4, seven stages a step, its step size from
    `tolerance`. The batch is one system, in which each element has its own unit of time. An
    exponential step solves what is left after `max_substeps` of `max_step`. TorchScript and
    torch.export cannot compile it.

    With `adjoint`, gradients come from integrating the adjoint equation backward (Chen et al.
    2018) instead of from stored steps. A sequence keeps the states at its events alone, and
    solves each event anew in the backward pass.
    """

    clamps: ClassVar[bool] = True
    scriptable: ClassVar[bool] = False
    has_adjoint: ClassVar[bool] = True

    def __init__(self, options: SolverOptions) -> None:
        super().__init__(options)
        torchdiffeq()
        self.tolerance = options.tolerance
        self.adjoint = options.adjoint

    def count(self, dt: Tensor) -> list[int]:
        """See `Solver.count`: one; the method chooses its steps itself."""
        return [1] * dt.shape[1]

    @torch.jit.unused
    def solve(self, neurons: Neurons, v: Tensor, dt: Tensor, count: int) -> Tensor:
        """See `Solver.solve`."""
        interval = neurons.interval
        assert interval is not None
        # Half precision cannot meet any tolerance.
        low, high, state, dt = map(widened, (*interval, v, dt))
        first, second, third = map(widened, neurons.recurrent)
        capacitance = widened(neurons.capacitance)
        wide = Neurons(widened(neurons.drive), (first, second, third), capacitance, None)
        solved = dt.clamp(max=self.max_step * self.max_substeps)
        state = self._integrate(wide, state, solved).clamp(low, high)
        return exponential_flow(state, *gates(wide, state), dt - solved).to(v.dtype)

    def scan(
        self,
        u: Tensor,
        dt: Tensor,
        v: Tensor,
        membrane: Membrane,
        sensory: Synapses,
        recurrent: Synapses,
        interval: Interval | None,
    ) -> Tensor | None:
        """See `Solver.scan`: of a sequence with `adjoint`, autograd keeps the states alone."""
        if not self.adjoint:
            return None
        assert interval is not None
        leak, leak_current, capacitance = membrane
        rest = torch.stack((leak, leak_current), 1).unsqueeze(2)

        # A function of its arguments alone: when it runs again in the backward pass, the cell may
        # hold other parameters (torch.func.functional_call).
        def solve(u: Tensor, v: Tensor, dt: Tensor, *fixed: Tensor) -> Tensor:
            rest, capacitance, low, high, *synapses = fixed
            drive = add_synapses(rest, u, (synapses[0], synapses[1], synapses[2]))
            recurrent = (synapses[3], synapses[4], synapses[5])
            return self.solve(Neurons(drive, recurrent, capacitance, (low, high)), v, dt, 1)

        states = []
        fixed = (rest, capacitance, *interval, *sensory, *recurrent)
        for now, elapsed in zip(u.unbind(1), dt.unbind(1), strict=True):
            v = checkpoint(
                solve, now, v, elapsed, *fixed, use_reentrant=False, preserve_rng_state=False
            )
            states.append(v)
        return torch.stack(states, 1)

    def _integrate(self, neurons: Neurons, v: Tensor, dt: Tensor) -> Tensor:
        """Integrate dv/dt = (v_inf - v) / tau from v (B, N) over dt (B,) seconds.

        A dt of zero gives v exactly.
        """
        package = torchdiffeq()
        duration = dt.unsqueeze(1)

        def slope(_: Tensor, state: Tensor) -> Tensor:
            v_inf, time_constant = gates(neurons, state)
            return duration * ((v_inf - state) / time_constant)

        ends = torch.tensor([0.0, 1.0], dtype=v.dtype, device=v.device)
        about = {"rtol": self.tolerance, "atol": self.tolerance, "method": "dopri5"}
        if self.adjoint:
            # All tensors besides v on which the slope depends.
            held = (dt, neurons.drive, *neurons.recurrent, neurons.capacitance)
            path = package.odeint_adjoint(slope, v, ends, adjoint_params=held, **about)
        else:
            path = package.odeint(slope, v, ends, **about)
        return torch.where(duration > 0.0, path[-1], v)
