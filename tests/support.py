"""What many tests share: small networks, and events made by hand."""

from typing import Any

import numpy as np
import torch

from liquid_nav.events import SECOND, CameraFrame, ImuSample
from liquid_nav.onboard import PolicyConfig
from liquid_nav.onboard.encoders import CameraEncoder, ImuEncoder
from liquid_nav.policy import PolicyNetwork


def small_network(
    cell: str = "liquid_flow", seed: int = 0, **cell_options: Any
) -> tuple[PolicyConfig, PolicyNetwork]:
    """An untrained network whose commands depend visibly on state and latch."""
    config = PolicyConfig(
        (CameraEncoder(8, convolutions=(4, 4, 4)), ImuEncoder(6)),
        cell=cell,
        units=12,
        cell_options=cell_options,
    )
    torch.manual_seed(seed)
    network = PolicyNetwork(config)
    with torch.no_grad():
        network.head.weight.mul_(3.0)
    return config, network.eval()


def frame(stamp: float, latency: float = 0.0, seed: int = 0) -> CameraFrame:
    """A frame of noise, times in seconds."""
    image = np.random.default_rng(seed).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    start = round(stamp * SECOND)
    return CameraFrame(start, start + round(latency * SECOND), image)


def sample(stamp: float, latency: float = 0.0, seed: int = 0) -> ImuSample:
    """An IMU sample of a vehicle that is shaken, times in seconds."""
    rng = np.random.default_rng(seed)
    start = round(stamp * SECOND)
    return ImuSample(
        start, start + round(latency * SECOND), rng.normal(size=3), rng.normal((0.0, 0.0, 9.8))
    )
