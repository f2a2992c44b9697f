"""Long intervals cut into substeps, over each of which the gates are held."""

import torch
from torch import Tensor

from liquid_nav.liquid.precision import widened


def count_substeps(dt: Tensor, max_step: float, max_substeps: int) -> list[int]:
    """Count the substeps that the longest of dt (B, T) needs, for each of T intervals.

    The count is one more than the whole number of `max_step` in it, so that rounding never leaves
    a remainder. A substep of length zero changes nothing.
    """
    # A compiled graph cannot depend on values, and surplus substeps are identities.
    if not torch.jit.is_scripting() and torch.compiler.is_compiling():  # type: ignore[attr-defined]
        return [max_substeps] * dt.shape[1]
    longest: list[float] = widened(dt.detach()).amax(0).tolist()
    # NaN fails the comparison, and so costs no more than the longest gap.
    return [
        int(t / max_step) + 1 if t < max_step * (max_substeps - 1) else max_substeps
        for t in longest
    ]


def substep(dt: Tensor, index: int, max_step: float, max_substeps: int) -> Tensor:
    """Give the length (B,) of substep `index` of dt (B,).

    Substeps have the length `max_step`, the last one that is needed has the remainder, and the
    `max_substeps`-th has all that is left.
    """
    rest = (dt - index * max_step).clamp(min=0.0)
    if index + 1 < max_substeps:
        rest = rest.clamp(max=max_step)
    return rest
