"""What every cell is, what every liquid one is, and the formula by which their states move."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from liquid_nav.errors import ConfigError


def exponential_flow(v: Tensor, v_inf: Tensor, time_constant: Tensor, dt: Tensor) -> Tensor:
    """Relax v (B, N) towards v_inf (B, N) for dt (B,) seconds: v_inf + (v - v_inf) exp(-dt / tau).

    Exact for frozen gates (`v_inf` and `time_constant` (B, N) in seconds), the identity at dt = 0,
    and never outside [min(v, v_inf), max(v, v_inf)], in floating point too: `torch.lerp` starts
    from the nearer end and adds at most half the distance, so that no rounding can overshoot, and
    both ends are met exactly. With expm1 a dt far below the time constant keeps its digits.
    """
    return torch.lerp(v, v_inf, -torch.expm1(-dt.unsqueeze(1) / time_constant))


class RecurrentCell(nn.Module):
    """A recurrent cell driven by events: the state goes in and out explicitly, time with it.

    Between two events the input u (B, I) is held. Subclasses are scriptable by TorchScript and
    give the same numbers scripted as eager. Values of u must not be NaN.

    Attributes:
        continuous: whether the state is a function of time that flows: dt = 0 changes nothing.
            A cell of which this is False takes every step as an event of its own: dt = 0 moves the
            state, one interval cut in two is not the same interval, and a query at a time after an
            event answers as if something had happened then.
        input_size: I.
        units: N, the length of what `read` gives.
        state_size: S, the length of the state; N unless the cell remembers more than it shows.

    Args:
        input_size: I, at least 1.
        units: N, at least 1.
        state_size: S, where it is not N.

    Raises:
        ConfigError: on a size below 1; in eager mode also from `step` and `forward`, on a wrong
            shape or a dt that is negative or not finite. Scripted cells do not check.
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
        """State (B, S) before any event."""
        raise NotImplementedError

    @torch.jit.export
    def read(self, v: Tensor) -> Tensor:
        """What the cell shows (..., N) of its state v (..., S); the state itself where S is N."""
        return v

    def step(self, u: Tensor, v: Tensor, dt: Tensor) -> Tensor:
        """State (B, S) after dt (B,) seconds from v (B, S) under the input u (B, I).

        Nothing is modified in place.
        """
        raise NotImplementedError

    def forward(self, u: Tensor, dt: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Go along a sequence: dt[:, k] seconds under u[:, k], for k = 0 ... T - 1.

        u (B, T, I) with T >= 1, dt (B, T) and v (B, S) give the states (B, T, S), of which the
        k-th is the one at the end of interval k, and the last of them (B, S). The same numbers as
        `step` gives one by one, to float rounding (1e-6 in float32): the input's share is one
        product over the whole sequence, whose sums may be ordered differently.
        """
        raise NotImplementedError

    # The checks below are compiled away by TorchScript: the onboard path does not pay for them.

    def check_gates(self, u: Tensor, v: Tensor) -> None:
        """Raise ConfigError unless u is (B, I) and v is (B, S)."""
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            _require("v", v, (_size(v, 0), self.state_size))
            _require("u", u, (v.shape[0], self.input_size))

    def check_step(self, u: Tensor, v: Tensor, dt: Tensor) -> None:
        """Raise ConfigError unless `step` can take these."""
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            self.check_gates(u, v)
            _require("dt", dt, (v.shape[0],))
            _require_durations(dt)

    def check_sequence(self, u: Tensor, dt: Tensor, v: Tensor) -> None:
        """Raise ConfigError unless `forward` can take these."""
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            _require("v", v, (_size(v, 0), self.state_size))
            _require("u", u, (v.shape[0], max(1, _size(u, 1)), self.input_size))
            _require("dt", dt, tuple(u.shape[:2]))
            _require_durations(dt)


class LiquidCell(RecurrentCell):
    """A continuous-time cell: a state that flows by the time that really passed.

    Between two events the input u (B, I) is held and the state v (B, N) relaxes towards a target,
    with a time constant, both given by the gates. dt = 0 gives v, exactly. v must lie within
    `bounds()`, as `initial_state` does and every step keeps it.

    Raises:
        ConfigError: as `RecurrentCell`; also from `gates`, on a wrong shape.
    """

    continuous: ClassVar[bool] = True

    def gates(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Gates frozen at an event: v_inf (B, N) and time constant (B, N) in seconds.

        `exponential_flow` follows from them at any time after the event.
        """
        raise NotImplementedError

    def bounds(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Certified intervals for any input and any timing: state low, high, tau low, high.

        Each is (N,), time constants in seconds. A state within its interval never leaves it.
        For analysis and tests: scripted cells do not have it.
        """
        raise NotImplementedError


def count_substeps(dt: Tensor, max_step: float, max_substeps: int) -> list[int]:
    """Count the substeps that the longest of dt (B, T) needs, for each of T intervals.

    One more than the whole number of `max_step`, so that rounding never leaves a rest: a substep
    of length zero changes nothing.
    """
    # A compiled graph cannot depend on values; the substeps in excess are identities.
    if not torch.jit.is_scripting() and torch.compiler.is_compiling():  # type: ignore[attr-defined]
        return [max_substeps] * dt.shape[1]
    longest: list[float] = dt.detach().amax(0).tolist()
    # Written so that what is no number costs no more than the longest gap.
    return [
        int(t / max_step) + 1 if t < max_step * (max_substeps - 1) else max_substeps
        for t in longest
    ]


def substep(dt: Tensor, index: int, max_step: float, max_substeps: int) -> Tensor:
    """Length (B,) of substep `index` of dt (B,): the last one allowed takes all that is left."""
    rest = (dt - index * max_step).clamp(min=0.0)
    if index + 1 < max_substeps:
        rest = rest.clamp(max=max_step)
    return rest


def clamp_input(u: Tensor) -> Tensor:
    """Keep u within +-1e6, lest a weighted sum of it be infinity less infinity."""
    return u.clamp(-1e6, 1e6)


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
