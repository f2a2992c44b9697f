"""What a policy is made of: all that it takes to build it and to check it against a robot."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from liquid_nav.command import CommandLimits
from liquid_nav.errors import ConfigError


@dataclass(frozen=True)
class PolicyCamera:
    """The camera that a policy was trained for; frames must come from this one.

    Attributes:
        width, height: pixels.
        horizontal_fov: radians between the centres of view of the left and right image borders.

    Raises:
        ConfigError: on a value out of range.

    """

    width: int = 64
    height: int = 48
    horizontal_fov: float = math.pi / 2

    def __post_init__(self) -> None:
        if self.width < 16 or self.height < 16:
            raise ConfigError(f"policy camera must be 16x16 or larger, got {self}")
        if not 0 < self.horizontal_fov < math.pi:
            raise ConfigError(f"policy camera horizontal_fov must be in (0, pi), got {self}")


@dataclass(frozen=True)
class PolicyConfig:
    """Architecture of a policy.

    Attributes:
        camera: the camera model that frames must match.
        cell: name of the liquid cell, a key of `liquid_nav.liquid.CELLS`.
        units: neurons of the cell.
        cell_options: further arguments of the cell, plain JSON (a wiring as `Wiring.to_dict`).
        convolutions: output channels of the stride-2 convolutions, first to last.
        camera_features: length of the encoded frame.
        imu_features: length of the encoded IMU sample.
        limits: the head's range: its output is tanh times ``limits.magnitude``.

    Raises:
        ConfigError: on a size that is not positive.

    """

    camera: PolicyCamera = field(default_factory=PolicyCamera)
    cell: str = "liquid_flow"
    units: int = 48
    cell_options: dict[str, Any] = field(default_factory=dict)
    convolutions: tuple[int, ...] = (16, 24, 32, 32)
    camera_features: int = 64
    imu_features: int = 32
    limits: CommandLimits = field(default_factory=CommandLimits)

    def __post_init__(self) -> None:
        sizes = (self.units, self.camera_features, self.imu_features, *self.convolutions)
        if not self.convolutions or min(sizes) < 1:
            raise ConfigError(f"every size of a policy must be at least 1, got {self}")

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types; `from_dict` inverts it."""
        return asdict(self) | {"convolutions": list(self.convolutions)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "PolicyConfig":
        """Build from what `to_dict` gave.

        Raises:
            ConfigError: on a missing, unknown or ill-typed field.

        """
        try:
            return cls(
                **(
                    data
                    | {
                        "camera": PolicyCamera(**data["camera"]),
                        "limits": CommandLimits(**data["limits"]),
                        "convolutions": tuple(data["convolutions"]),
                    }
                )
            )
        except (KeyError, TypeError) as error:
            raise ConfigError(f"not a policy configuration: {error}") from error
