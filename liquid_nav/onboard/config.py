"""The configuration of a policy: enough to build it and to check it against a vehicle."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from liquid_nav.command import CommandLimits
from liquid_nav.errors import ConfigError
from liquid_nav.events import Channel
from liquid_nav.onboard.encoders import (
    CAMERA_AND_IMU,
    ENCODERS,
    CameraEncoder,
    Encoder,
    ImuEncoder,
    OdometryEncoder,
    PolicyCamera,
    encoder_from_dict,
)

__all__ = ["PolicyCamera", "PolicyConfig"]


@dataclass(frozen=True)
class PolicyConfig:
    """Architecture of a policy.

    Attributes:
        encoders: one encoder for each channel that it reads; their order is that of the latch.
        cell: name of the liquid cell, a key of `liquid_nav.liquid.CELLS`.
        units: neurons of the cell.
        cell_options: further arguments of the cell, plain JSON (a wiring as `Wiring.to_dict`).
        limits: range of the head, whose output is tanh times ``limits.magnitude``.

    Raises:
        ConfigError: on a field of another type, a size that is not positive, no encoder, or two
            encoders of one channel.

    """

    encoders: tuple[Encoder, ...] = CAMERA_AND_IMU
    cell: str = "liquid_flow"
    units: int = 48
    cell_options: dict[str, Any] = field(default_factory=dict)
    limits: CommandLimits = field(default_factory=CommandLimits)

    def __post_init__(self) -> None:
        if not isinstance(self.units, int) or isinstance(self.units, bool):
            raise ConfigError(f"units of a policy must be a whole number, got {self.units!r}")
        for name, kind in (("cell", str), ("cell_options", dict), ("limits", CommandLimits)):
            value = getattr(self, name)
            if not isinstance(value, kind):
                raise ConfigError(
                    f"{name} of a policy must be a {kind.__name__}, got {value!r:.120}"
                )
        if not isinstance(self.encoders, tuple) or not all(
            isinstance(encoder, Encoder) for encoder in self.encoders
        ):
            raise ConfigError(
                f"encoders of a policy must be a tuple of encoders, got {self.encoders!r:.120}"
            )
        if self.units < 1:
            raise ConfigError(f"units of a policy must be at least 1, got {self.units}")
        if not self.encoders:
            raise ConfigError("a policy must have at least one encoder")
        if len(self.by_channel) < len(self.encoders):
            names = ", ".join(encoder.channel for encoder in self.encoders)
            raise ConfigError(f"a policy must have one encoder for each channel, got {names}")

    @property
    def by_channel(self) -> dict[Channel, Encoder]:
        """The encoder of each channel, in the order of the latch."""
        return {encoder.channel: encoder for encoder in self.encoders}

    @property
    def layout(self) -> dict[Channel, slice]:
        """Where the features of each channel are in the latch."""
        return dict(_layout(self.encoders))

    @property
    def latch_size(self) -> int:
        """Length of the latch, L."""
        return sum(encoder.features for encoder in self.encoders)

    @property
    def camera(self) -> PolicyCamera | None:
        """The camera that frames must come from; None if the policy does not read frames."""
        return next((e.camera for e in self.encoders if isinstance(e, CameraEncoder)), None)

    @classmethod
    def of_channels(cls, names: Iterable[str], **options: Any) -> "PolicyConfig":
        """Configure a policy that reads some channels, each by an encoder with its defaults.

        Together with a goal, odometry includes the pose, because a goal is useless without it.

        Args:
            names: names of encoders in `ENCODERS`, in the order of the latch: camera, imu, goal,
                range, odometry, or those of installed packages.
            options: further fields of the configuration.

        Raises:
            ConfigError: on an unknown name, or one that is given twice.

        """
        encoders = [ENCODERS.get(name)() for name in names]  # type: ignore[call-arg]
        if any(encoder.channel == Channel.GOAL for encoder in encoders):
            encoders = [
                replace(encoder, pose=True) if isinstance(encoder, OdometryEncoder) else encoder
                for encoder in encoders
            ]
        return cls(tuple(encoders), **options)

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain JSON types; `from_dict` converts back."""
        encoders = [encoder.to_dict() for encoder in self.encoders]
        fields = {name: getattr(self, name) for name in ("cell", "units", "cell_options")}
        return {"encoders": encoders, **fields, "limits": asdict(self.limits)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "PolicyConfig":
        """Build from what `to_dict` gave, or from the manifest of a bundle of format 1.

        Raises:
            ConfigError: on a missing, unknown or ill-typed field.

        """
        try:
            fields = dict(data) if "encoders" in data else _from_format_1(data)
            encoders = tuple(map(encoder_from_dict, fields.pop("encoders")))
            limits = CommandLimits(**fields.pop("limits"))
            return cls(encoders=encoders, limits=limits, **fields)
        except (AttributeError, KeyError, OverflowError, TypeError) as error:
            raise ConfigError(f"not a policy configuration: {error!r}") from error


def _layout(encoders: Iterable[Encoder]) -> Iterator[tuple[Channel, slice]]:
    begin = 0
    for encoder in encoders:
        yield encoder.channel, slice(begin, begin + encoder.features)
        begin += encoder.features


def _from_format_1(data: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a configuration of format 1, which has camera and IMU only, to the present one."""
    fields = dict(data)
    camera = {
        "encoder": CameraEncoder.name,
        "features": fields.pop("camera_features"),
        "camera": fields.pop("camera"),
        "convolutions": fields.pop("convolutions"),
    }
    imu = {"encoder": ImuEncoder.name, "features": fields.pop("imu_features")}
    return fields | {"encoders": [camera, imu]}
