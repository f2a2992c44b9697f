"""Pairs of neurons that rotate as they relax: the damped oscillators of a resonant cell.

Neuron i of N and neuron i + N / 2 form the pair (x, y), and share the time constant tau and the
angular frequency omega:

    dv/dt = -(v - v_inf) / tau + omega J v,  J = (0 -1; 1 0),

the damped harmonic oscillator in its rotating form, which coupled oscillatory networks (Rusch and
Mishra 2021) and complex diagonal recurrent networks (Orvieto et al. 2023) use too. It rests at
v* = (I - omega tau J)^-1 v_inf, and with the complex number a(t) = exp((-1 / tau + i omega) t)

    v(t) = v* + a(t) (v - v*).

Since d|v|/dt is at most (|v_inf| - |v|) / tau, a pair in the unit disc stays there as long as
|v_inf| is at most 1.
"""

import torch
from torch import Tensor


def oscillation(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Turn gates (..., 2 N) into rest (..., N), time constant in s and frequency in rad/s.

    The gates are N of v_inf, then N / 2 of log(tau) and N / 2 of omega; the last two results are
    (..., N / 2).
    """
    pairs = values.shape[-1] // 4
    v_inf, log_tau, omega = values.split([2 * pairs, pairs, pairs], -1)
    tau = torch.exp(log_tau)
    return rest(v_inf, tau, omega), tau, omega


def rest(v_inf: Tensor, time_constant: Tensor, angular_frequency: Tensor) -> Tensor:
    """Compute where pairs come to rest, v* (..., N).

    Takes v_inf (..., N), and time constants in s and frequencies in rad/s, (..., N / 2) each.
    """
    x, y = v_inf.chunk(2, -1)
    turn = angular_frequency * time_constant
    share = 1.0 / (1.0 + turn * turn)
    return torch.cat(((x - turn * y) * share, (y + turn * x) * share), -1)


def growth(time_constant: Tensor, angular_frequency: Tensor, dt: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the real and the imaginary part of a(dt) - 1.

    Both are exactly zero at dt = 0 and keep all digits for small dt. Arguments are (..., N / 2) or
    broadcast to it.
    """
    half = torch.sin(0.5 * angular_frequency * dt)
    phase = angular_frequency * dt
    decay = torch.expm1(-dt / time_constant)
    real = decay * torch.cos(phase) - 2.0 * half * half
    return real, (1.0 + decay) * torch.sin(phase)


def into_disc(v: Tensor) -> Tensor:
    """Pull back the pairs of v (..., N) that rounding has put outside the unit disc; no others."""
    x, y = v.chunk(2, -1)
    excess = (x * x + y * y).clamp(min=1.0)
    # Several times the excess, so that rounding here cannot leave any of it.
    factor = 1.0 / (excess * excess * excess)
    return v * torch.cat((factor, factor), -1)


def resonant_flow(
    v: Tensor, target: Tensor, time_constant: Tensor, angular_frequency: Tensor, dt: Tensor
) -> Tensor:
    """Rotate pairs v (..., N) about their rest `target` (..., N) as they relax, for dt seconds.

    Exact for frozen gates: time constant in s and frequency in rad/s, (..., N / 2) each, and dt of
    the same shape, or with a 1 for N / 2. It is the identity at dt = 0, and never leaves the unit
    disc, in floating point too.
    """
    x, y = (v - target).chunk(2, -1)
    real, imaginary = growth(time_constant, angular_frequency, dt)
    moved = torch.cat((real * x - imaginary * y, imaginary * x + real * y), -1)
    return into_disc(v + moved)
