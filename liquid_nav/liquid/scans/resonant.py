"""The scan of a resonant LiquidFlow whose gates read the state, in torch.

The derivatives of one interval do not depend on the gradient, so autograd takes them for all
events at once; what is left to do one by one is small.
"""

from typing import Any

import torch
from torch import Tensor

from liquid_nav.liquid.resonance import oscillation, resonant_flow


def resonant_scan(
    drive: Tensor, dt: Tensor, v: Tensor, state_weight: Tensor, offset: Tensor, scale: Tensor
) -> Tensor:
    """Compute the states (B, T, N) of a resonant LiquidFlow whose gates read the state.

    The arguments are those of `flow_scan`. Autograd keeps them and the states.
    """
    states: Tensor = _ResonantScan.apply(  # type: ignore[no-untyped-call]
        drive, dt, v, state_weight, offset, scale
    )
    return states


def _advance(drive: Tensor, dt: Tensor, v: Tensor, offset: Tensor, scale: Tensor) -> Tensor:
    values = torch.addcmul(offset, scale, torch.sigmoid(drive))
    target, tau, omega = oscillation(values)
    return resonant_flow(v, target, tau, omega, dt)


class _ResonantScan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        drive: Tensor,
        dt: Tensor,
        v: Tensor,
        state_weight: Tensor,
        offset: Tensor,
        scale: Tensor,
    ) -> Tensor:
        last, states = v, []
        for y, elapsed in zip(drive.unbind(1), dt.unsqueeze(2).unbind(1), strict=True):
            y = torch.addmm(y, last, state_weight.t())
            last = _advance(y, elapsed, last, offset, scale)
            states.append(last)
        sequence = torch.stack(states, 1)
        ctx.save_for_backward(drive, dt, v, state_weight, offset, scale, sequence)
        return sequence

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        drive, dt, v, state_weight, offset, scale, states = ctx.saved_tensors
        before = torch.cat((v.unsqueeze(1), states[:, :-1]), 1)
        by_x, by_y = _jacobians(drive + before @ state_weight.t(), dt, before, offset, scale)
        carry = torch.zeros_like(v)
        totals, drive_grads = [], []
        # Rows 0 to 3 are derivatives by the gates, 4 and 5 by the pair before, 6 by the time.
        for now, from_x, from_y in zip(
            reversed(grad.unbind(1)),
            reversed(by_x[:, :, :6].unbind(1)),
            reversed(by_y[:, :, :6].unbind(1)),
            strict=True,
        ):
            total = carry + now
            x, y = total.unflatten(1, (2, 1, -1)).unbind(1)
            back = torch.addcmul(from_x * x, from_y, y).flatten(1)
            drive_grad, carry = back.split([drive.shape[2], v.shape[1]], 1)
            carry = torch.addmm(carry, drive_grad, state_weight)
            totals.append(total)
            drive_grads.append(drive_grad)
        x, y = torch.stack(totals[::-1], 1).chunk(2, 2)
        dt_grad = (x * by_x[:, :, 6] + y * by_y[:, :, 6]).sum(2)
        by_drive = torch.stack(drive_grads[::-1], 1)
        weight_grad = by_drive.flatten(0, 1).t() @ before.flatten(0, 1)
        return by_drive, dt_grad, carry, weight_grad, None, None


def _jacobians(
    drive: Tensor, dt: Tensor, before: Tensor, offset: Tensor, scale: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute the derivatives (B, T, 7, N / 2) of each x and of each y, for all events at once.

    They are taken by what one pair alone depends on: its four gates before their sigmoid, its x
    and y before the interval, and a copy of the elapsed time of its own. So the gradient of the
    sum over all pairs holds the derivatives of each pair.
    """
    pairs = before.shape[2] // 2
    leaves = [
        leaf.detach().requires_grad_()
        for leaf in (drive, before, dt.unsqueeze(2).expand(-1, -1, pairs))
    ]
    with torch.enable_grad():
        after = _advance(leaves[0], leaves[2], leaves[1], offset, scale)
        x, y = after.chunk(2, 2)
        by_x = torch.autograd.grad(x.sum(), leaves, retain_graph=True)
        by_y = torch.autograd.grad(y.sum(), leaves)
    first, second = (torch.cat(parts, 2).unflatten(2, (7, pairs)) for parts in (by_x, by_y))
    return first, second
