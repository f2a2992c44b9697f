"""The classic Runge-Kutta method."""

from typing import ClassVar, final

import torch
from torch import Tensor

from liquid_nav.liquid.cell import exponential_flow
from liquid_nav.liquid.solvers.base import Solver
from liquid_nav.liquid.solvers.substeps import substep
from liquid_nav.liquid.synapses import Neurons, gates


@final
class RungeKutta4(Solver):
    """The classic explicit Runge-Kutta method (Kutta 1901).

    Order 4, four stages a substep. It is neither A-stable nor a convex combination. To keep it
    bounded, a substep counts for at most 2 tau, where the method is still stable, and stages are
    clamped to the neurons' interval. Choose a `max_step` well below the shortest time constant.
    An exponential step solves what is left after `max_substeps` of `max_step`.
    """

    clamps: ClassVar[bool] = True

    def solve(self, neurons: Neurons, v: Tensor, dt: Tensor, count: int) -> Tensor:
        """See `Solver.solve`."""
        interval = neurons.interval
        assert interval is not None
        low, high = interval
        for i in range(count):
            elapsed = substep(dt, i, self.max_step, self.max_substeps)
            h = elapsed.clamp(max=self.max_step).unsqueeze(1)
            v_inf, tau = gates(neurons, v)
            change = (h / tau).clamp(max=2.0) * (v_inf - v)
            total = change
            for weight, part in ((2.0, 0.5), (2.0, 0.5), (1.0, 1.0)):
                stage = torch.clamp(v + part * change, low, high)
                v_inf, tau = gates(neurons, stage)
                change = (h / tau).clamp(max=2.0) * (v_inf - stage)
                total = total + weight * change
            v = torch.clamp(v + total / 6.0, low, high)
            if i + 1 == self.max_substeps:
                v_inf, tau = gates(neurons, v)
                v = exponential_flow(v, v_inf, tau, (elapsed - self.max_step).clamp(min=0.0))
        return v
