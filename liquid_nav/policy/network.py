"""The policy network: one encoder per channel, a liquid core, a command head.

TorchScript can compile every method, and exports those that a vehicle needs.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from liquid_nav.liquid import make_cell
from liquid_nav.onboard.config import PolicyConfig
from liquid_nav.policy.encoders import make_module


class PolicyNetwork(nn.Module):
    """Encoders, liquid core and command head.

    The *latch* (B, L) holds the newest features of each channel, in the order of the encoders; the
    *state* (B, S) is that of the liquid core. In `on_event` the state first flows over the
    time since the last event under the old latch, then the measurement enters the latch. The head
    reads the state and, of the latch, the features of `PolicyConfig.direct`: their measurements
    act at once, all others through the state.

    Args:
        config: architecture of the network.

    """

    scale: Tensor
    head_mask: Tensor

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.latch_size = config.latch_size
        self.encoders = nn.ModuleDict(
            {encoder.channel.value: make_module(encoder) for encoder in config.encoders}
        )
        self.core = make_cell(config.cell, self.latch_size, config.units, **config.cell_options)
        self.head = nn.Linear(self.core.units + self.latch_size, 4)
        # A mask keeps one head for all policies: the runtimes need not know what it reads.
        head_mask = torch.ones_like(self.head.weight)
        for channel, place in config.layout.items():
            if channel not in (config.direct or ()):
                head_mask[:, self.core.units + place.start : self.core.units + place.stop] = 0.0
        self.register_buffer("head_mask", head_mask, persistent=False)
        self.register_buffer("scale", torch.tensor(config.limits.magnitude))

    def forward(self, state: Tensor, latch: Tensor) -> Tensor:
        """Read commands (..., 4) off state (..., S) and latch (..., L): m/s and rad/s."""
        known = torch.cat((self.core.read(state), latch), dim=-1)
        return torch.tanh(functional.linear(known, self.head_weight(), self.head.bias)) * self.scale

    @torch.jit.export
    def head_weight(self) -> Tensor:
        """Give the weight (4, S + L) of the head, zero where it reads no direct channel."""
        return self.head.weight * self.head_mask

    @torch.jit.export
    def initial(self, batch: int) -> tuple[Tensor, Tensor]:
        """State (B, S) and latch (B, L) before any event."""
        state = self.core.initial_state(batch)
        return state, torch.zeros((batch, self.latch_size), dtype=state.dtype, device=state.device)

    @torch.jit.export
    def on_event(
        self,
        state: Tensor,
        latch: Tensor,
        dt: Tensor,
        channel: str,
        measurement: Tensor,
        age: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Advance by dt (B,) seconds, then latch measurements of a channel, whose age (B,) is in s.

        Returns state, latch, and commands (B, 4). Measurements are (B, *shape), see
        `Encoder.measure`; a channel that the network does not read leaves the latch as it is.
        """
        state = self.core.step(latch, state, dt)
        begin = 0
        # TorchScript writes one branch for each encoder.
        for name, encoder in self.encoders.items():
            end = begin + encoder.features  # type: ignore[operator]
            if name == channel:
                features = encoder(measurement, age)
                latch = torch.cat((latch[:, :begin], features, latch[:, end:]), dim=1)
            begin = end  # type: ignore[assignment]
        return state, latch, self.forward(state, latch)

    @torch.jit.export
    def clear(
        self, state: Tensor, latch: Tensor, dt: Tensor, channel: str
    ) -> tuple[Tensor, Tensor]:
        """Advance by dt (B,) seconds, then set the features of a channel in the latch to zero.

        This is what happens when an optional channel falls silent: an event of the channel, with
        zeros in place of its features. Returns state and latch.
        """
        state = self.core.step(latch, state, dt)
        begin = 0
        for name, encoder in self.encoders.items():
            end = begin + encoder.features  # type: ignore[operator]
            if name == channel:
                silent = torch.zeros_like(latch[:, begin:end])
                latch = torch.cat((latch[:, :begin], silent, latch[:, end:]), dim=1)
            begin = end  # type: ignore[assignment]
        return state, latch

    @torch.jit.export
    def query(self, state: Tensor, latch: Tensor, dt: Tensor) -> Tensor:
        """Commands (B, 4) at dt (B,) s after the last event; changes nothing."""
        return self.forward(self.core.step(latch, state, dt), latch)


def current_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a network under their present names.

    Bundles of format 1, which have camera and IMU only, keep these two outside ``encoders``.
    """
    return {
        f"encoders.{name}" if name.startswith(("camera.", "imu.")) else name: value
        for name, value in weights.items()
    }
