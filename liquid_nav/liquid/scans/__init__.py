"""Whole sequences of a cell at once, each with a gradient of its own: one file a recurrence.

A cell's `step` and the loop over it are the definition: TorchScript, torch.compile, torch.export
and the transforms of torch.func see nothing else. The scans here compute the same numbers, to
rounding, for eager training. A formula is written more than once only where a measurement
defends it, which docs/liquid.md gives ("Why a formula is written more than once"):

- the native kernel (`liquid_nav.onboard.native`) trains and flies the LTC and the LiquidFlow;
- the same scans in torch run on other devices and where the kernel is not built. They keep the
  states alone and recompute the gates, where autograd would keep every gate of every event;
- the resonant scan keeps as little, for a cell that the kernel does not have;
- the linear scan takes 2 log2 T rounds of operations instead of T steps.

The gradients cannot be differentiated again, but for those of the linear scan.
"""

import torch
from torch import Tensor

from liquid_nav.onboard import native


def usable(*values: Tensor) -> bool:
    """Whether a scan can replace plain torch operations: eager, and all of one float type."""
    return (
        not torch.compiler.is_compiling()
        and not torch._C._are_functorch_transforms_active()
        and len({(value.dtype, value.device) for value in values}) == 1
        and values[0].dtype in (torch.float32, torch.float64)
    )


def kernel_for(value: Tensor) -> native.Kernel | None:
    """Give the native kernel if there is one for tensors like this one."""
    kernel = native.kernel
    return kernel if kernel is not None and kernel.takes(value) else None
