"""The interface of every cell, that of the liquid ones, and the formula by which states relax."""

import math
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from liquid_nav.errors import ConfigError
from liquid_nav.liquid.options import check_counts
from liquid_nav.liquid.precision import clamp_input
from liquid_nav.onboard.cells import FoldedCell

__all__ = ["LiquidCell", "RecurrentCell", "clamp_input", "exponential_flow", "folded_arrays"]


def exponential_flow(v: Tensor, v_inf: Tensor, time_constant: Tensor, dt: Tensor) -> Tensor:
    """Relax v (B, N) towards v_inf (B, N) for dt (B,) seconds: v_inf + (v - v_inf) exp(-dt / tau).

    This is exact for frozen gates (`v_inf` and `time_constant` (B, N) in seconds) and the identity
    at dt = 0. The result never leaves [min(v, v_inf), max(v, v_inf)], in floating point too:
    `torch.lerp` starts from the nearer end and adds at most half the distance, so no rounding can
    overshoot, and it meets both ends exactly. expm1 keeps the digits of a dt far below the time
    constant. The result has the type of v, also where autocast gives the gates another one.
    """
    share = -torch.expm1(-dt.unsqueeze(1) / time_constant)
    return torch.lerp(v, v_inf.to(v.dtype), share.to(v.dtype))


class RecurrentCell(nn.Module):
    """A recurrent cell driven by events. The state goes in and out explicitly, and so does time.

    Between two events the input u (B, I) is held. A subclass implements `initial_state` and
    `step`, exports both to TorchScript by `torch.jit.export`, and overrides `read` if its state
    holds more than it shows. Scripted and eager cells give the same numbers. Values of u must not
    be NaN. Tensors have the floating-point type and the device of the cell's parameters; under
    `torch.autocast` u, v and dt may have any floating-point type. docs/liquid.md tells what each
    type is good for.

    Attributes:
        continuous: whether the state flows continuously in time, so that dt = 0 changes nothing.
            If False, the cell takes every step as an event of its own: dt = 0 moves the state,
            an interval cut in two gives another result than the whole one, and a query some time
            after an event answers as if something had happened then.
        input_size: the number of inputs I.
        units: the number N of values that `read` gives.
        state_size: the length S of the state; N unless the cell remembers more than it shows.

    Args:
        input_size: the number of inputs I, at least 1.
        units: the number of neurons N, at least 1.
        state_size: the length S of the state, if it is not N.

    Raises:
        ConfigError: if a size is not a whole number from 1 to `options.MOST`. In eager mode `step`
            and `forward` raise it too, if an argument is not a tensor of the right shape, type and
            device, or a dt is negative or not finite. Scripted cells do not check.
    """

    continuous: ClassVar[bool] = False

    def __init__(self, input_size: int, units: int, state_size: int = 0) -> None:
        super().__init__()
        check_counts(input_size=input_size, units=units)
        self.input_size = int(input_size)
        self.units = int(units)
        self.state_size = state_size or units

    def initial_state(self, batch: int) -> Tensor:
        """Give the state (B, S) before any event."""
        raise NotImplementedError

    @torch.jit.export
    def read(self, v: Tensor) -> Tensor:
        """Give what the cell shows (..., N) of its state v (..., S): the state itself if S = N."""
        return v

    def step(self, u: Tensor, v: Tensor, dt: Tensor) -> Tensor:
        """Give the state (B, S) after dt (B,) seconds from v (B, S) under the input u (B, I).

        Nothing is modified in place.
        """
        raise NotImplementedError

    def forward(self, u: Tensor, dt: Tensor, v: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Step along a sequence: dt[:, k] seconds under u[:, k], for k = 0 ... T - 1.

        The numbers are those of one `step` after the other, to rounding (1e-6 in float32): a
        subclass may multiply the inputs of the whole sequence at once, and sum in another order.

        Args:
            u: inputs (B, T, I), with T at least 1.
            dt: seconds (B, T).
            v: the state (B, S) at the start; by default `initial_state`.

        Returns:
            The states (B, T, S) at the end of each interval, and the last of them (B, S).

        """
        v = self._begin(u, dt, v)
        states: list[Tensor] = []
        # Indexing inside the loop would make the backward pass quadratic in T; unbind does not.
        elapsed = dt.unbind(1)
        for k, held in enumerate(u.unbind(1)):
            v = self.step(held, v, elapsed[k])
            states.append(v)
        return torch.stack(states, 1), v

    def fold(self) -> FoldedCell | None:
        """Give the parameters for flight, where no torch is needed. Later changes have no effect.

        Returns:
            The folded cell, or None for a cell without an onboard form. TorchScript flies all.

        Raises:
            ConfigError: if the cell is not on the CPU in float32 or float64.

        """
        return None

    def _begin(self, u: Tensor, dt: Tensor, v: Tensor | None) -> Tensor:
        """Check the arguments of `forward`, and give the state (B, S) that it starts from."""
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            _size("u", u, 0)
        if v is None:
            v = self.initial_state(u.shape[0])
        self.check_sequence(u, dt, v)
        return v

    # TorchScript compiles the bodies of these checks away, so they cost nothing on board.

    def check_gates(self, u: Tensor, v: Tensor) -> None:
        """Raise ConfigError unless u is (B, I) and v is (B, S)."""
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            of = next(self.parameters(), None)
            _require("v", v, (_size("v", v, 0), self.state_size), of)
            _require("u", u, (v.shape[0], self.input_size), of)

    def check_step(self, u: Tensor, v: Tensor, dt: Tensor) -> None:
        """Raise ConfigError unless u, v and dt suit `step`."""
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            self.check_gates(u, v)
            _require("dt", dt, (v.shape[0],), v)
            _require_durations(dt)

    def check_sequence(self, u: Tensor, dt: Tensor, v: Tensor) -> None:
        """Raise ConfigError unless u, dt and v suit `forward`."""
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            of = next(self.parameters(), None)
            _require("v", v, (_size("v", v, 0), self.state_size), of)
            _require("u", u, (v.shape[0], max(1, _size("u", u, 1)), self.input_size), of)
            _require("dt", dt, tuple(u.shape[:2]), v)
            _require_durations(dt)


class LiquidCell(RecurrentCell):
    """A continuous-time cell: its state flows for the time that really passed.

    Between two events the input u (B, I) is held, and the state v (B, N) relaxes towards a target
    with a time constant. The gates give both. dt = 0 gives v exactly. v must lie within
    `bounds()`; `initial_state` does, and every step stays there.

    Raises:
        ConfigError: as `RecurrentCell`; `gates` raises it too, if a shape is wrong.
    """

    continuous: ClassVar[bool] = True

    def gates(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Give the gates frozen at an event: v_inf (B, N) and time constant (B, N) in seconds.

        `exponential_flow` turns them into the state at any time after the event.
        """
        raise NotImplementedError

    def bounds(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Give certified intervals for any input and any timing: state low, high, tau low, high.

        Each is (N,), time constants in seconds. A state within its interval never leaves it.
        Scripted cells do not have this method; it is for analysis and tests.
        """
        raise NotImplementedError


@torch.no_grad()
def folded_arrays(parts: dict[str, Tensor | float | None]) -> dict[str, NDArray[Any]]:
    """Copy parameters to numpy for a `FoldedCell`; None leaves a name out.

    Raises:
        ConfigError: if a tensor is not on the CPU in float32 or float64.

    """
    arrays: dict[str, NDArray[Any]] = {}
    for name, part in parts.items():
        if isinstance(part, Tensor):
            if part.device.type != "cpu" or part.dtype not in (torch.float32, torch.float64):
                raise ConfigError(
                    "an onboard form needs a cell on the CPU in float32 or float64, got "
                    f"{name} in {part.dtype} on {part.device}"
                )
            arrays[name] = part.detach().numpy().copy()
        elif part is not None:
            arrays[name] = np.array(part)
    return arrays


def _size(name: str, value: Any, axis: int) -> int:
    if not isinstance(value, Tensor):
        raise ConfigError(f"{name} must be a tensor, got {value!r}")
    return value.shape[axis] if value.ndim > axis else 1


def _require(name: str, value: Any, shape: tuple[int, ...], of: Tensor | None) -> None:
    """Raise ConfigError unless a value is a tensor of this shape, of the type and place of `of`."""
    if not isinstance(value, Tensor):
        advice = f": torch.full({shape}, {value!r})" if name == "dt" else ""
        raise ConfigError(f"{name} must be a tensor of shape {shape}, got {value!r}{advice}")
    if value.shape != shape:
        raise ConfigError(f"{name} must have shape {shape}, got {tuple(value.shape)}")
    if of is None or (value.dtype == of.dtype and value.device == of.device):
        return
    mixed = value.is_floating_point() and torch.is_autocast_enabled(value.device.type)
    if not mixed or value.device != of.device:
        raise ConfigError(
            f"{name} must be in {of.dtype} on {of.device} as the cell, got {value.dtype} on "
            f"{value.device}; convert one of them with .to()"
        )


def _require_durations(dt: Tensor) -> None:
    # Under torch.compile and torch.export a look at the values would break the graph.
    if torch.compiler.is_compiling() or dt.numel() == 0:
        return
    low, high = torch.aminmax(dt.detach())
    if not (float(low) >= 0.0 and float(high) < math.inf):
        raise ConfigError(f"dt must be finite seconds, not negative, got {low} to {high}")
