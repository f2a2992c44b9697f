"""The encoder of inertial samples."""

import math
from dataclasses import dataclass
from typing import ClassVar

from liquid_nav.events import ImuSample
from liquid_nav.onboard.encoders.dense import DenseEncoder

GRAVITY = 9.80665


@dataclass(frozen=True)
class ImuEncoder(DenseEncoder):
    """Reads angular velocity in rad/s and specific force minus its value at rest, in g."""

    features: int = 32

    name = "imu"
    event = ImuSample
    # Samples arrive within milliseconds.
    age_unit: ClassVar[float] = 0.01
    scale = (1.0, 1.0, 1.0, 1 / GRAVITY, 1 / GRAVITY, 1 / GRAVITY)
    offset = (0.0, 0.0, 0.0, 0.0, 0.0, -1.0)
    # Roll and yaw rates and the sideways force change sign under y -> -y.
    mirror = (-1.0, 1.0, -1.0, 1.0, -1.0, 1.0)

    def measure(self, event: ImuSample) -> list[float]:
        """Angular velocity in rad/s and specific force in m/s^2, body FLU."""
        return [*event.angular_velocity.tolist(), *event.specific_force.tolist()]

    def example(self, k: int) -> list[float]:
        """See `Encoder.example`. Bundles store commands for exactly these numbers."""
        return [math.sin(1.7 * k + axis) * (1.0 if axis < 3 else 6.0) for axis in range(6)]
