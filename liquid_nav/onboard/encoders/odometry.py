"""The encoder of odometry."""

import math
from dataclasses import dataclass

from liquid_nav.errors import ConfigError
from liquid_nav.events import Odometry
from liquid_nav.onboard.encoders.dense import DenseEncoder
from liquid_nav.rotations import yaw_of

REACH = 100.0
"""Metres; a coordinate beyond this is read as being at this distance from the origin."""


@dataclass(frozen=True)
class OdometryEncoder(DenseEncoder):
    """Reads velocity and height; with `pose` also the horizontal position and the heading.

    Attributes:
        pose: also read the horizontal position and the heading, which a policy needs to fly to a
            goal. Without them it flies the same wherever the origin of the world is.

    Raises:
        ConfigError: on a `pose` that is not a bool.

    """

    features: int = 16
    pose: bool = False

    name = "odometry"
    event = Odometry

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.pose, bool):
            raise ConfigError(
                f"pose of the encoder 'odometry' must be true or false, got {self.pose!r}"
            )

    @property
    def scale(self) -> tuple[float, ...]:
        """Factor of each number."""
        return (1.0, 1.0, 1.0, 0.1) + (0.1, 0.1, 1.0, 1.0) * self.pose

    @property
    def mirror(self) -> tuple[float, ...]:
        """Factor of each number when left and right are swapped."""
        return (1.0, -1.0, 1.0, 1.0) + (1.0, -1.0, -1.0, 1.0) * self.pose

    def measure(self, event: Odometry) -> list[float]:
        """Velocity in m/s, body FLU, height in m; with `pose` x, y in m, sine and cosine of yaw."""
        x, y, z = (min(max(value, -REACH), REACH) for value in event.position.tolist())
        numbers = [*event.linear_velocity.tolist(), z]
        if self.pose:
            yaw = yaw_of(event.orientation)
            numbers += [x, y, math.sin(yaw), math.cos(yaw)]
        return numbers
