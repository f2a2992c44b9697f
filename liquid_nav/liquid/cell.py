"""The interface of every cell, that of the liquid ones, and the formula by which states relax."""

import math
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from liquid_nav.errors import ConfigError
from liquid_nav.onboard.cells import FoldedCell


def exponential_flow(v: Tensor, v_inf: Tensor, time_constant: Tensor, dt: Tensor) -> Tensor:
    """Relax v (B, N) towards v_inf (B, N) for dt (B,) seconds: v_inf + (v - v_inf) exp(-dt / tau).

    This is exact for frozen gates (`v_inf` and `time_constant` (B, N) in seconds) and the identity
    at dt = 0. The result never leaves [min(v, v_inf), max(v, v_inf)], in floating point too:
    `torch.lerp` starts from the nearer end and adds at most half the distance, so no rounding can
    overshoot, and it meets both ends exactly. expm1 keeps the digits of a dt far below the time
    constant.
    """
    return torch.lerp(v, v_inf, -torch.expm1(-dt.unsqueeze(1) / time_constant))


class RecurrentCell(nn.Module):
    """A recurrent cell driven by events. The state goes in and out explicitly, and so does time.

    Between two events the input u (B, I) is held. A subclass implements `initial_state` and
    `step`, exports both to TorchScript by `torch.jit.export`, and overrides `read` if its state
    holds more than it shows. Scripted and eager cells give the same numbers. Values of u must not
    be NaN.

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
        ConfigError: if a size is below 1. In eager mode `step` and `forward` raise it too, if a
            shape is wrong or a dt is negative or not finite. Scripted cells do not check.
    """

    continuous: ClassVar[bool] = False

    def __init__(self, input_size: int, units: int, state_size: int = 0) -> None:
        super().__init__()
        if input_size < 1 or units < 1:
            raise ConfigError(
                f"input_size and units must be at least 1, got {input_size} and {units}"
            )
        self.input_size = input_size
        self.units = units
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
        if v is None:
            v = self.initial_state(u.shape[0])
        self.check_sequence(u, dt, v)
        return v

    # TorchScript compiles the bodies of these checks away, so they cost nothing on board.

    def check_gates(self, u: Tensor, v: Tensor) -> None:
        """Raise ConfigError unless u is (B, I) and v is (B, S)."""
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            _require("v", v, (_size(v, 0), self.state_size))
            _require("u", u, (v.shape[0], self.input_size))

    def check_step(self, u: Tensor, v: Tensor, dt: Tensor) -> None:
        """Raise ConfigError unless u, v and dt suit `step`."""
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            self.check_gates(u, v)
            _require("dt", dt, (v.shape[0],))
            _require_durations(dt)

    def check_sequence(self, u: Tensor, dt: Tensor, v: Tensor) -> None:
        """Raise ConfigError unless u, dt and v suit `forward`."""
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            _require("v", v, (_size(v, 0), self.state_size))
            _require("u", u, (v.shape[0], max(1, _size(u, 1)), self.input_size))
            _require("dt", dt, tuple(u.shape[:2]))
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


def clamp_input(u: Tensor) -> Tensor:
    """Clamp u to +-1e6, so that a weighted sum of it cannot be infinity minus infinity."""
    return u.clamp(-1e6, 1e6)


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


def _size(value: Tensor, axis: int) -> int:
    return value.shape[axis] if value.ndim > axis else 1


def _require(name: str, value: Tensor, shape: tuple[int, ...]) -> None:
    if value.shape != shape:
        raise ConfigError(f"{name} must have shape {shape}, got {tuple(value.shape)}")


def _require_durations(dt: Tensor) -> None:
    # Under torch.compile and torch.export a look at the values would break the graph.
    if torch.compiler.is_compiling() or dt.numel() == 0:
        return
    low, high = torch.aminmax(dt.detach())
    if not (float(low) >= 0.0 and float(high) < math.inf):
        raise ConfigError(f"dt must be finite seconds, not negative, got {low} to {high}")
