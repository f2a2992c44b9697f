"""A linear recurrence over a whole sequence in a number of operations that grows as log2 T."""

from typing import Any

import torch
from torch import Tensor


def linear_scan(factor: Tensor, term: Tensor, v: Tensor) -> Tensor:
    """Compute the states v_k = factor_k v_(k-1) + term_k (B, T, N) from v (B, N); real or complex.

    Composing two steps of the recurrence is associative, so T steps take 2 log2 T rounds of
    elementwise operations (Blelloch 1990). Autograd keeps the factors and the states. The gradient
    is such a recurrence backward in time, so it can be differentiated again.
    """
    states: Tensor = _LinearScan.apply(factor, term, v)  # type: ignore[no-untyped-call]
    return states


class _LinearScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, factor: Tensor, term: Tensor, v: Tensor) -> Tensor:
        first = torch.addcmul(term[:, :1], factor[:, :1], v.unsqueeze(1))
        states = _prefixes(factor, torch.cat((first, term[:, 1:]), 1))
        ctx.save_for_backward(factor, v, states)
        return states

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        factor, v, states = ctx.saved_tensors
        back = factor.conj()
        after = torch.cat((back[:, 1:], torch.zeros_like(back[:, :1])), 1)
        term_grad = linear_scan(after.flip(1), grad.flip(1), torch.zeros_like(v)).flip(1)
        before = torch.cat((v.unsqueeze(1), states[:, :-1]), 1)
        return term_grad * before.conj(), term_grad, term_grad[:, 0] * back[:, 0]


def _prefixes(factor: Tensor, term: Tensor) -> Tensor:
    """Compute the states of the recurrence from zero: every second one by composing neighbours."""
    length = term.shape[1]
    if length == 1:
        return term
    paired = length - length % 2
    odd_factor, odd_term = factor[:, 1::2], term[:, 1::2]
    odd = _prefixes(
        odd_factor * factor[:, :paired:2], torch.addcmul(odd_term, odd_factor, term[:, :paired:2])
    )
    states = torch.empty_like(term)
    states[:, 0] = term[:, 0]
    states[:, 1::2] = odd
    states[:, 2::2] = torch.addcmul(term[:, 2::2], factor[:, 2::2], odd[:, : (length - 1) // 2])
    return states
