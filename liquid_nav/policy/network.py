"""The policy network: one encoder per channel, a liquid core, a command head.

Every method is scriptable by TorchScript; the ones that a vehicle needs are exported.
"""

from typing import Final

import torch
from torch import Tensor, nn

from liquid_nav.liquid import make_cell
from liquid_nav.onboard.config import PolicyConfig


class CameraEncoder(nn.Module):
    """Stride-2 convolutions over the frame, then a dense layer that also reads the frame's age."""

    age_unit: Final[float] = 0.1
    """Seconds of age that enter as one; camera latencies are of this order."""

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        self.height, self.width = config.camera.height, config.camera.width
        channels, height, width = 3, self.height, self.width
        for out_channels in config.convolutions:
            layers += [nn.Conv2d(channels, out_channels, 3, stride=2, padding=1), nn.ReLU()]
            channels, height, width = out_channels, (height + 1) // 2, (width + 1) // 2
        self.convolutions = nn.Sequential(*layers)
        self.dense = nn.Linear(channels * height * width + 1, config.camera_features)

    def forward(self, image: Tensor, age: Tensor) -> Tensor:
        """Encode uint8 RGB frames (B, H, W, 3) of age (B,) seconds to (B, camera_features)."""
        x = image.permute(0, 3, 1, 2).to(self.dense.weight.dtype) / 127.5 - 1.0
        x = self.convolutions(x).flatten(1)
        return torch.relu(self.dense(torch.cat((x, age.unsqueeze(1) / self.age_unit), dim=1)))


class ImuEncoder(nn.Module):
    """One dense layer over angular velocity, specific force less gravity, and age.

    They enter in rad/s, in g, and in units of 10 ms.
    """

    offset: Tensor
    scale: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.dense = nn.Linear(7, features)
        gravity = 9.80665
        offset = torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0])
        scale = torch.tensor([1.0] * 3 + [1 / gravity] * 3 + [1 / 0.01])
        self.register_buffer("offset", offset, persistent=False)
        self.register_buffer("scale", scale, persistent=False)

    def forward(self, sample: Tensor) -> Tensor:
        """Encode rad/s, m/s^2 and age in s (B, 7) to (B, imu_features)."""
        return torch.relu(self.dense(torch.addcmul(self.offset, sample, self.scale)))


class PolicyNetwork(nn.Module):
    """Encoders, liquid core and command head.

    The *latch* (B, L) holds the newest features of each channel, camera first; the *state* (B, S)
    is the liquid core's. `on_camera` and `on_imu` are one event each: the state first flows over
    the time since the last event under the old latch, then the measurement enters the latch. The
    head reads state and latch, so a measurement acts at once.
    """

    scale: Tensor

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.camera_features = config.camera_features
        self.latch_size = config.camera_features + config.imu_features
        self.camera = CameraEncoder(config)
        self.imu = ImuEncoder(config.imu_features)
        self.core = make_cell(config.cell, self.latch_size, config.units, **config.cell_options)
        self.head = nn.Linear(self.core.units + self.latch_size, 4)
        self.register_buffer("scale", torch.tensor(config.limits.magnitude))

    def forward(self, state: Tensor, latch: Tensor) -> Tensor:
        """Read commands (..., 4) off state (..., S) and latch (..., L): m/s and rad/s."""
        return torch.tanh(self.head(torch.cat((self.core.read(state), latch), dim=-1))) * self.scale

    @torch.jit.export
    def initial(self, batch: int) -> tuple[Tensor, Tensor]:
        """State (B, S) and latch (B, L) before any event."""
        state = self.core.initial_state(batch)
        return state, torch.zeros((batch, self.latch_size), dtype=state.dtype, device=state.device)

    @torch.jit.export
    def on_camera(
        self, state: Tensor, latch: Tensor, dt: Tensor, image: Tensor, age: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Advance by dt (B,) s, then latch uint8 frames (B, H, W, 3): state, latch, commands."""
        state = self.core.step(latch, state, dt)
        latch = torch.cat((self.camera(image, age), latch[:, self.camera_features :]), dim=1)
        return state, latch, self.forward(state, latch)

    @torch.jit.export
    def on_imu(
        self, state: Tensor, latch: Tensor, dt: Tensor, sample: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Advance by dt (B,) s, then latch IMU samples and their age (B, 7), see `ImuEncoder`."""
        state = self.core.step(latch, state, dt)
        latch = torch.cat((latch[:, : self.camera_features], self.imu(sample)), dim=1)
        return state, latch, self.forward(state, latch)

    @torch.jit.export
    def query(self, state: Tensor, latch: Tensor, dt: Tensor) -> Tensor:
        """Commands (B, 4) at dt (B,) s after the last event; changes nothing."""
        return self.forward(self.core.step(latch, state, dt), latch)
