"""What every liquid cell is, and the one formula by which their states move."""

import math

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


class LiquidCell(nn.Module):
    """A continuous-time recurrent cell: a state that evolves by the time that really passed.

    Between two events the input u (B, I) is held and the state v (B, N) flows. Subclasses are
    scriptable by TorchScript and give the same numbers scripted as eager. Values of u must not be
    NaN, and v must lie within `bounds()`, as `initial_state` does and every step keeps it.

    Args:
        input_size: I, at least 1.
        units: N, at least 1.

    Raises:
        ConfigError: on a size below 1; in eager mode also from `gates`, `step` and `forward`, on
            a wrong shape or a dt that is negative or not finite. Scripted cells do not check.
    """

    def __init__(self, input_size: int, units: int) -> None:
        super().__init__()
        if input_size < 1 or units < 1:
            raise ConfigError(
                f"input_size and units must be at least 1, got {input_size} and {units}"
            )
        self.input_size = input_size
        self.units = units

    def initial_state(self, batch: int) -> Tensor:
        """State (B, N) before any event."""
        raise NotImplementedError

    def gates(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Gates frozen at an event: v_inf (B, N) and time constant (B, N) in seconds.

        `exponential_flow` follows from them at any time after the event.
        """
        raise NotImplementedError

    def step(self, u: Tensor, v: Tensor, dt: Tensor) -> Tensor:
        """State (B, N) after v (B, N) flowed for dt (B,) seconds under the input u (B, I).

        dt = 0 gives v, exactly. Nothing is modified in place.
        """
        raise NotImplementedError

    def forward(self, u: Tensor, dt: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Flow along a sequence: over dt[:, k] seconds under u[:, k], for k = 0 ... T - 1.

        u (B, T, I) with T >= 1, dt (B, T) and v (B, N) give the states (B, T, N), of which the
        k-th is the one at the end of interval k, and the last of them (B, N). The same numbers as
        `step` gives one by one, to float rounding (1e-6 in float32): the input's share of the
        gates is one product over the whole sequence, whose sums may be ordered differently.
        """
        raise NotImplementedError

    def bounds(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Certified intervals for any input and any timing: state low, high, tau low, high.

        Each is (N,), time constants in seconds. A state within its interval never leaves it.
        For analysis and tests: scripted cells do not have it.
        """
        raise NotImplementedError

    # The checks below are compiled away by TorchScript: the onboard path does not pay for them.

    def check_gates(self, u: Tensor, v: Tensor) -> None:
        """Raise ConfigError unless u is (B, I) and v is (B, N)."""
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            _require("v", v, (_size(v, 0), self.units))
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
            _require("v", v, (_size(v, 0), self.units))
            _require("u", u, (v.shape[0], max(1, _size(u, 1)), self.input_size))
            _require("dt", dt, tuple(u.shape[:2]))
            _require_durations(dt)


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
