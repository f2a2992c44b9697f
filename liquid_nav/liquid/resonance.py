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
