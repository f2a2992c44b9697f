"""Pairs of neurons that turn as they relax: the damped oscillators of a resonant cell.

Neuron i of N and neuron i + N / 2 are the pair (x, y), with the time constant tau and the angular
frequency omega in common:

    dv/dt = -(v - v_inf) / tau + omega J v,  J = (0 -1; 1 0),

the damped harmonic oscillator in its rotating form, as coupled oscillatory (Rusch and Mishra 2021)
and complex diagonal recurrent networks (Orvieto et al. 2023) use it. It rests at
v* = (I - omega tau J)^-1 v_inf, and with a(t) = exp((-1 / tau + i omega) t) as a complex number

    v(t) = v* + a(t) (v - v*).

As d|v|/dt is at most (|v_inf| - |v|) / tau, a pair in the unit disc stays there while |v_inf| is at
most 1.
"""

from typing import Any

import torch
from torch import Tensor


def oscillation(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rest (..., N), time constant in s and frequency in rad/s (..., N / 2), of gates (..., 2 N).

    The gates are v_inf, N of them, then N / 2 each of the logarithm of tau and of omega.
    """
    pairs = values.shape[-1] // 4
    v_inf, log_tau, omega = values.split([2 * pairs, pairs, pairs], -1)
    tau = torch.exp(log_tau)
    return rest(v_inf, tau, omega), tau, omega


def rest(v_inf: Tensor, time_constant: Tensor, angular_frequency: Tensor) -> Tensor:
    """Where pairs come to rest, v* (..., N).

    For v_inf (..., N), a time constant in seconds and a frequency in rad/s, (..., N / 2) each.
    """
    x, y = v_inf.chunk(2, -1)
    turn = angular_frequency * time_constant
    share = 1.0 / (1.0 + turn * turn)
    return torch.cat(((x - turn * y) * share, (y + turn * x) * share), -1)


def growth(time_constant: Tensor, angular_frequency: Tensor, dt: Tensor) -> tuple[Tensor, Tensor]:
    """Real and imaginary part of a(dt) - 1, exactly zero at dt = 0, of small dt to all digits.

    All arguments (..., N / 2) or of a shape that fits.
    """
    half = torch.sin(0.5 * angular_frequency * dt)
    phase = angular_frequency * dt
    decay = torch.expm1(-dt / time_constant)
    real = decay * torch.cos(phase) - 2.0 * half * half
    return real, (1.0 + decay) * torch.sin(phase)


def into_disc(v: Tensor) -> Tensor:
    """Pull pairs (..., N) that rounding has put outside the unit disc back; no others move."""
    x, y = v.chunk(2, -1)
    excess = (x * x + y * y).clamp(min=1.0)
    # By several times the excess, so that the rounding of this does not leave any.
    factor = 1.0 / (excess * excess * excess)
    return v * torch.cat((factor, factor), -1)


def resonant_flow(
    v: Tensor, target: Tensor, time_constant: Tensor, angular_frequency: Tensor, dt: Tensor
) -> Tensor:
    """Let pairs v (..., N) turn about and relax to their rest `target` (..., N) for dt seconds.

    Exact for frozen gates (time constant in s, frequency in rad/s, (..., N / 2) each; dt of the
    same shape, or with a 1 for N / 2), the identity at dt = 0, and never outside the unit disc, in
    floating point too.
    """
    x, y = (v - target).chunk(2, -1)
    real, imaginary = growth(time_constant, angular_frequency, dt)
    moved = torch.cat((real * x - imaginary * y, imaginary * x + real * y), -1)
    return into_disc(v + moved)


def resonant_scan(
    drive: Tensor, dt: Tensor, v: Tensor, state_weight: Tensor, offset: Tensor, scale: Tensor
) -> Tensor:
    """States (B, T, N) of a resonant LiquidFlow whose gates read the state, see `scan.flow_scan`.

    For drive (B, T, 2N), dt (B, T) and v (B, N). Autograd keeps these and the states; the gradient
    cannot be differentiated again.
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
        # Rows 0 to 3 are by the gates, 4 and 5 by the pair before, 6 by the elapsed time.
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
    """Of all events at once, the derivatives (B, T, 7, N / 2) of each x and each y.

    By what the pair alone depends on: its four gates before their sigmoid, its x and y before, and
    its own copy of the elapsed time. So the sum over all pairs has the derivatives of each.
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
