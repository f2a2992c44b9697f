"""Scans of the cells along a sequence, with gradients that save the states and recompute the gates.

The native kernel runs them where there is one and the tensors suit it; elsewhere `torch_scan` does,
with the same numbers to rounding. TorchScript, torch.compile, torch.export and the transforms of
torch.func see none of this but the plain loops of the cells.

The gradients cannot be differentiated again. Where dt is a whole number of `max_step`, the LTC has
a kink in dt; the gradient is the one from below.
"""

from typing import Any, TypeAlias

import torch
from torch import Tensor

from liquid_nav.liquid import torch_scan
from liquid_nav.liquid.synapses import Membrane, Synapses
from liquid_nav.onboard import native

Gradients: TypeAlias = tuple[Tensor | None, ...]


def usable(*values: Tensor) -> bool:
    """Whether the scans can stand in for plain torch operations: eager, and of one float type."""
    return (
        not torch.compiler.is_compiling()
        and not torch._C._are_functorch_transforms_active()
        and len({(value.dtype, value.device) for value in values}) == 1
        and values[0].dtype in (torch.float32, torch.float64)
    )


def has_kernel(value: Tensor) -> bool:
    """Whether the native kernel runs the scans of tensors like this one."""
    return native.kernel is not None and native.kernel.takes(value)


def ltc_scan(
    u: Tensor,
    dt: Tensor,
    v: Tensor,
    membrane: Membrane,
    sensory: Synapses,
    recurrent: Synapses,
    max_step: float,
    max_substeps: int,
) -> Tensor:
    """States (B, T, N) of an LTC by exponential steps, for u (B, T, I), dt (B, T), v (B, N).

    Args:
        membrane: leak conductance, leak current and capacitance, (N,) each.
        sensory: slope and offset (N, I, 1), gains (N, 2, I), see `ltc.Synapses`.
        recurrent: slope and offset (N, N, 1), gains (N, 2, N).
        max_step: seconds.
        max_substeps: at least 1.

    """
    tensors = (u, dt, v, *membrane, *sensory, *recurrent)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        states: Tensor = _LtcScan.apply(max_step, max_substeps, *tensors)  # type: ignore[no-untyped-call]
        return states
    return _ltc_forward(max_step, max_substeps, tensors, keep=False)[0]


def flow_scan(
    drive: Tensor,
    dt: Tensor,
    v: Tensor,
    state_weight: Tensor | None,
    offset: Tensor,
    scale: Tensor,
) -> Tensor:
    """States (B, T, N) of a LiquidFlow, for drive (B, T, 2N), dt (B, T) and v (B, N).

    Args:
        drive: the input's share of the gates, targets first.
        dt: seconds.
        v: state before the first interval.
        state_weight: (2N, N); None where the gates read the input alone.
        offset: (2N,), with `scale` turns openings into targets and log time constants.
        scale: (2N,).

    """
    tensors = (drive, dt, v, state_weight)
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors):
        states: Tensor = _FlowScan.apply(*tensors, offset, scale)  # type: ignore[no-untyped-call]
        return states
    return _flow_forward(tensors, offset, scale)


class _LtcScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, max_step: float, max_substeps: int, *tensors: Tensor) -> Tensor:
        ctx.max_step, ctx.max_substeps = max_step, max_substeps
        states, saved, ctx.native = _ltc_forward(max_step, max_substeps, tensors, keep=True)
        ctx.save_for_backward(*tensors, states, saved)
        return states

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Gradients:
        *tensors, states, saved = ctx.saved_tensors
        wants_u = ctx.needs_input_grad[2]
        if ctx.native is None:
            grads = torch_scan.ltc_backward(
                tensors, states, saved, grad, ctx.max_step, ctx.max_substeps, wants_u
            )
            return (None, None, *grads)
        tensors = [tensor.contiguous() for tensor in tensors]
        outputs: list[Tensor | None] = [torch.empty_like(tensor) for tensor in tensors]
        if not wants_u:
            outputs[0] = None
        sizes = _ltc_sizes(tensors, ctx.max_step, ctx.max_substeps)
        ctx.native.call(
            "ltc_backward", sizes, [*tensors, states, saved, grad.contiguous()], outputs
        )
        return (None, None, *outputs)


class _FlowScan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        drive: Tensor,
        dt: Tensor,
        v: Tensor,
        state_weight: Tensor | None,
        offset: Tensor,
        scale: Tensor,
    ) -> Tensor:
        states = _flow_forward((drive, dt, v, state_weight), offset, scale)
        ctx.save_for_backward(drive, dt, v, state_weight, offset, scale, states)
        return states

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Gradients:
        drive, dt, v, state_weight, offset, scale, states = ctx.saved_tensors
        before = torch.cat((v.unsqueeze(1), states[:, :-1]), 1)
        grads: tuple[Tensor, ...]
        kernel = native.kernel
        if kernel is None or not kernel.takes(drive):
            grads = torch_scan.flow_backward(drive, dt, before, state_weight, offset, scale, grad)
        else:
            inputs = _contiguous(drive, dt, v, state_weight, offset, scale, states, grad)
            grads = tuple(
                torch.empty_like(x, memory_format=torch.contiguous_format) for x in (drive, dt, v)
            )
            kernel.call("flow_backward", _flow_sizes(drive, v), inputs, list(grads))
        weight_grad = None
        if state_weight is not None:
            weight_grad = grads[0].flatten(0, 1).t() @ before.flatten(0, 1)
        return (*grads, weight_grad, None, None)


def _ltc_forward(
    max_step: float, max_substeps: int, tensors: tuple[Tensor, ...], keep: bool
) -> tuple[Tensor, Tensor | None, native.Kernel | None]:
    """Compute states, and what a backward pass is to save; say which kernel did."""
    kernel = native.kernel
    if kernel is None or not kernel.takes(tensors[0]):
        return *torch_scan.ltc_forward(tensors, max_step, max_substeps), None
    tensors = tuple(tensor.detach().contiguous() for tensor in tensors)
    batch, length, _ = tensors[0].shape
    units = tensors[2].shape[1]
    states = tensors[0].new_empty(batch, length, units)
    # The kernel pads rows of neurons to a multiple of 16.
    padded = -(-units // 16) * 16
    saved = tensors[0].new_empty(length, 4, batch, padded) if keep else None
    sizes = _ltc_sizes(tensors, max_step, max_substeps)
    kernel.call("ltc_forward", sizes, list(tensors), [states, saved])
    return states, saved, kernel


def _flow_forward(
    tensors: tuple[Tensor, Tensor, Tensor, Tensor | None], offset: Tensor, scale: Tensor
) -> Tensor:
    drive, dt, v, state_weight = tensors
    kernel = native.kernel
    if kernel is None or not kernel.takes(drive):
        return torch_scan.flow_forward(drive, dt, v, state_weight, offset, scale)
    states = drive.new_empty(*drive.shape[:2], v.shape[1])
    inputs = _contiguous(drive, dt, v, state_weight, offset, scale)
    kernel.call("flow_forward", _flow_sizes(drive, v), inputs, [states])
    return states


def _contiguous(*tensors: Tensor | None) -> list[Tensor | None]:
    return [None if tensor is None else tensor.detach().contiguous() for tensor in tensors]


def _ltc_sizes(
    tensors: tuple[Tensor, ...] | list[Tensor], max_step: float, max_substeps: int
) -> native.LtcSizes:
    return native.LtcSizes(*tensors[0].shape, tensors[2].shape[1], max_substeps, max_step)


def _flow_sizes(drive: Tensor, v: Tensor) -> native.FlowSizes:
    return native.FlowSizes(drive.shape[0], drive.shape[1], 0, v.shape[1], 0.0)
