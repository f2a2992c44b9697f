"""The published semi-implicit step."""

from typing import Final, final

import torch
from torch import Tensor

from liquid_nav.liquid.solvers.base import Solver
from liquid_nav.liquid.synapses import Neurons, gates


@final
class Fused(Solver):
    """The semi-implicit step of Hasani et al. 2021, kept for parity with the literature.

    Order 1, one evaluation of the synapses a substep, A-stable, a convex combination. An interval
    is always cut into six equal substeps h, each v + (v_inf - v) h / (tau + h), however long the
    interval is.
    """

    unfolds: Final[int] = 6

    def count(self, dt: Tensor) -> list[int]:
        """See `Solver.count`."""
        return [self.unfolds] * dt.shape[1]

    def solve(self, neurons: Neurons, v: Tensor, dt: Tensor, count: int) -> Tensor:
        """See `Solver.solve`."""
        for _ in range(count):
            v_inf, time_constant = gates(neurons, v)
            h = (dt / self.unfolds).unsqueeze(1)
            share = h / (time_constant + h)
            v = torch.lerp(v, v_inf.to(v.dtype), share.to(v.dtype))
        return v
