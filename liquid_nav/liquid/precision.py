"""Half precision and autocast: what the cells need beside the plain operations of torch."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def clamp_input(u: Tensor, limit: float = 1e6) -> Tensor:
    """Clamp u to +-1e6, or +-1e3 in float16, so that no weighted sum is infinity minus infinity."""
    if u.dtype == torch.float16 or _autocasts_to_float16(u):
        limit = min(limit, 1e3)
    return u.clamp(-limit, limit)


def widened(x: Tensor) -> Tensor:
    """Convert float16 and bfloat16 to float32, for what torch cannot or should not do in them."""
    return x.float() if x.dtype == torch.float16 or x.dtype == torch.bfloat16 else x


def epsilon(dtype: torch.dtype) -> float:
    """Give the spacing of the numbers just above 1, as torch.finfo, which TorchScript lacks."""
    if dtype == torch.float64:
        return 2.0**-52
    if dtype == torch.float16:
        return 2.0**-10
    return 2.0**-7 if dtype == torch.bfloat16 else 2.0**-23


@contextmanager
def full_precision(x: Tensor) -> Iterator[None]:
    """Switch autocast off on the device of x, where it is on."""
    if torch.is_autocast_enabled(x.device.type):
        with torch.autocast(x.device.type, enabled=False):
            yield
    else:
        yield


def _autocasts_to_float16(x: Tensor) -> bool:
    if torch.jit.is_scripting():  # type: ignore[attr-defined]
        return False
    kind = x.device.type
    return torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind) == torch.float16
