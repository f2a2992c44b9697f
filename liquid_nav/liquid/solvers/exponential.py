"""The exponential step, the default solver."""

from typing import ClassVar, final

from torch import Tensor

from liquid_nav.liquid.cell import exponential_flow
from liquid_nav.liquid.scans import usable
from liquid_nav.liquid.scans.ltc import ltc_scan
from liquid_nav.liquid.solvers.base import Solver
from liquid_nav.liquid.solvers.substeps import substep
from liquid_nav.liquid.synapses import Interval, Membrane, Neurons, Synapses, gates


@final
class Exponential(Solver):
    """Solves the equation with the synapses frozen at the start of each substep, exactly.

    Order 1 in the substep, one evaluation of the synapses each, A-stable. A substep is a convex
    combination of v and v_inf. This is the exponential Euler method (Hochbruck and Ostermann
    2010, "Exponential integrators").
    """

    one_gate: ClassVar[bool] = True

    def solve(self, neurons: Neurons, v: Tensor, dt: Tensor, count: int) -> Tensor:
        """See `Solver.solve`."""
        for i in range(count):
            v_inf, time_constant = gates(neurons, v)
            elapsed = substep(dt, i, self.max_step, self.max_substeps)
            v = exponential_flow(v, v_inf, time_constant, elapsed)
        return v

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
        """See `Solver.scan`."""
        if not usable(u, dt, v, membrane[0]):
            return None
        return ltc_scan(u, dt, v, membrane, sensory, recurrent, self.max_step, self.max_substeps)
