"""The scan of a LiquidFlow that relaxes: by the native kernel, or in torch."""

from typing import Any

import torch
from torch import Tensor

from liquid_nav.liquid.scans import kernel_for
from liquid_nav.onboard import native


def flow_scan(
    drive: Tensor,
    dt: Tensor,
    v: Tensor,
    state_weight: Tensor | None,
    offset: Tensor,
    scale: Tensor,
) -> Tensor:
    """Compute the states (B, T, N) of a LiquidFlow.

    Args:
        drive: the input's share of the gates (B, T, 2N), targets first.
        dt: seconds (B, T).
        v: the state (B, N) before the first interval.
        state_weight: (2N, N), or None if the gates read the input alone.
        offset: (2N,); with `scale` it turns openings into targets and logarithms of time constants.
        scale: (2N,).

    """
    tensors = (drive, dt, v, state_weight)
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors):
        states: Tensor = _FlowScan.apply(*tensors, offset, scale)  # type: ignore[no-untyped-call]
        return states
    return _forward(drive, dt, v, state_weight, offset, scale)


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
        states = _forward(drive, dt, v, state_weight, offset, scale)
        ctx.save_for_backward(drive, dt, v, state_weight, offset, scale, states)
        return states

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        drive, dt, v, state_weight, offset, scale, states = ctx.saved_tensors
        before = torch.cat((v.unsqueeze(1), states[:, :-1]), 1)
        grads: tuple[Tensor, ...]
        kernel = kernel_for(drive)
        if kernel is None:
            grads = _torch_backward(drive, dt, before, state_weight, offset, scale, grad)
        else:
            inputs = _contiguous(drive, dt, v, state_weight, offset, scale, states, grad)
            grads = tuple(
                torch.empty_like(x, memory_format=torch.contiguous_format) for x in (drive, dt, v)
            )
            kernel.call("flow_backward", _sizes(drive, v), inputs, list(grads))
        weight_grad = None
        if state_weight is not None:
            weight_grad = grads[0].flatten(0, 1).t() @ before.flatten(0, 1)
        return (*grads, weight_grad, None, None)


def _forward(
    drive: Tensor,
    dt: Tensor,
    v: Tensor,
    state_weight: Tensor | None,
    offset: Tensor,
    scale: Tensor,
) -> Tensor:
    kernel = kernel_for(drive)
    if kernel is None:
        return _torch_forward(drive, dt, v, state_weight, offset, scale)
    states = drive.new_empty(*drive.shape[:2], v.shape[1])
    inputs = _contiguous(drive, dt, v, state_weight, offset, scale)
    kernel.call("flow_forward", _sizes(drive, v), inputs, [states])
    return states


def _contiguous(*tensors: Tensor | None) -> list[Tensor | None]:
    return [None if tensor is None else tensor.detach().contiguous() for tensor in tensors]


def _sizes(drive: Tensor, v: Tensor) -> native.FlowSizes:
    return native.FlowSizes(drive.shape[0], drive.shape[1], 0, v.shape[1], 0.0)


@torch.no_grad()
def _torch_forward(
    drive: Tensor,
    dt: Tensor,
    v: Tensor,
    state_weight: Tensor | None,
    offset: Tensor,
    scale: Tensor,
) -> Tensor:
    states = []
    for y, elapsed in zip(drive.unbind(1), dt.unbind(1), strict=True):
        if state_weight is not None:
            y = torch.addmm(y, v, state_weight.t())
        target, log_tau = torch.addcmul(offset, scale, y.sigmoid()).chunk(2, 1)
        v = torch.lerp(v, target, -torch.expm1(-elapsed.unsqueeze(1) * torch.exp(-log_tau)))
        states.append(v)
    return torch.stack(states, 1)


@torch.no_grad()
def _torch_backward(
    drive: Tensor,
    dt: Tensor,
    before: Tensor,
    state_weight: Tensor | None,
    offset: Tensor,
    scale: Tensor,
    grad: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the gradients of drive, dt and v from the gradient of the states.

    `before` (B, T, N) are the states at the beginning of each interval. They are known, so
    everything that does not depend on the gradient is computed for the whole sequence at once.
    """
    if state_weight is not None:
        drive = drive + before @ state_weight.t()
    opening = torch.sigmoid(drive)
    target, log_tau = torch.addcmul(offset, scale, opening).chunk(2, 2)
    rate = torch.exp(-log_tau)
    # Beyond 700 nothing of v is left, and infinity times zero would be NaN.
    z = (dt.unsqueeze(2) * rate).clamp(max=700.0)
    share = -torch.expm1(-z)
    kept = 1.0 - share
    by_z = (target - before) * kept
    by_drive = torch.cat((share, -by_z * z), 2) * scale * opening * (1.0 - opening)
    carry = torch.zeros_like(before[:, 0])
    totals, drive_grads = [], []
    for now, factor, rest in zip(
        reversed(grad.unbind(1)),
        reversed(by_drive.unbind(1)),
        reversed(kept.unbind(1)),
        strict=True,
    ):
        total = carry + now
        drive_grad = total.repeat(1, 2) * factor
        carry = total * rest
        if state_weight is not None:
            carry = torch.addmm(carry, drive_grad, state_weight)
        totals.append(total)
        drive_grads.append(drive_grad)
    dt_grad = (torch.stack(totals[::-1], 1) * by_z * rate).sum(2)
    return torch.stack(drive_grads[::-1], 1), dt_grad, carry
