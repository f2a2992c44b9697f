"""Adaptive integration of the frozen-input LTC by `torchdiffeq`, an optional dependency."""

from collections.abc import Callable
from types import ModuleType

import torch
from torch import Tensor

from liquid_nav.errors import ConfigError

Gates = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From v (B, N) to v_inf and time constant (B, N)."""


def torchdiffeq() -> ModuleType:
    """Import `torchdiffeq`; ConfigError where it is not installed."""
    try:
        import torchdiffeq as module
    except ImportError as error:
        raise ConfigError("dopri5 needs torchdiffeq: pip install 'liquid_nav[ode]'") from error
    found: ModuleType = module
    return found


def dopri5(
    gates: Gates,
    v: Tensor,
    dt: Tensor,
    tolerance: float,
    adjoint: tuple[Tensor, ...],
) -> Tensor:
    """Integrate dv/dt = (v_inf - v) / tau from v (B, N) over dt (B,) seconds.

    Dormand and Prince 1980, order 5 with an error estimate of order 4, step size from
    `tolerance`, relative and absolute. The batch is one system, each element in its own unit of
    time. A dt of zero gives v, exactly.

    With `adjoint`, all tensors besides v and dt on which the gates depend, the gradient comes from
    integrating the adjoint equation backward (Chen et al. 2018), and no step is stored.
    """
    package = torchdiffeq()
    duration = dt.unsqueeze(1)

    def slope(_: Tensor, state: Tensor) -> Tensor:
        v_inf, time_constant = gates(state)
        return duration * ((v_inf - state) / time_constant)

    ends = torch.tensor([0.0, 1.0], dtype=v.dtype, device=v.device)
    if adjoint:
        path = package.odeint_adjoint(
            slope,
            v,
            ends,
            rtol=tolerance,
            atol=tolerance,
            method="dopri5",
            adjoint_params=(dt, *adjoint),
        )
    else:
        path = package.odeint(slope, v, ends, rtol=tolerance, atol=tolerance, method="dopri5")
    return torch.where(duration > 0.0, path[-1], v)
