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
        direct: channels whose features the head reads from the latch, beside the state of the
            core; by default (None) every channel but the IMU. A measurement of a direct channel
            changes the command the moment it arrives, which is right for a frame: it is late
            already. Of the IMU it is wrong. One sample on a vibrating vehicle is mostly noise,
            and a head that reads it passes the noise on at the full rate of the sensor; an
            autopilot that differentiates its setpoint answers by ringing. The IMU therefore
            reaches the command through the state only: a sample leaves the command as it is and
            turns its rate of change, which the time constants of the cell bound. Bundles from
            before this field read every channel directly.
        optional: channels that the policy flies without. It uses them while they come; their
            silence starts no failsafe. When the newest measurement of one reaches the age at
            which a needed channel would make the vehicle hover (`Staleness.hover`), its features
            in the latch become zeros, as they were before its first measurement.

    Raises:
        ConfigError: on a field of another type, a size that is not positive, no encoder, two
            encoders of one channel, a direct or optional channel without an encoder, or if no
            channel is needed.

    """

    encoders: tuple[Encoder, ...] = CAMERA_AND_IMU
    cell: str = "liquid_flow"
    units: int = 48
    cell_options: dict[str, Any] = field(default_factory=dict)
    limits: CommandLimits = field(default_factory=CommandLimits)
    direct: tuple[str, ...] | None = None
    optional: tuple[str, ...] = ()

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
        if self.direct is None:
            direct = tuple(channel for channel in self.by_channel if channel != Channel.IMU)
        else:
            direct = self._channels("direct", self.direct)
        object.__setattr__(self, "direct", direct)
        object.__setattr__(self, "optional", self._channels("optional", self.optional))
        if len(self.optional) == len(self.encoders):
            raise ConfigError(
                "a policy must need at least one channel, but all of its channels are optional: "
                f"{', '.join(self.optional)}"
            )

    def _channels(self, name: str, given: object) -> tuple[Channel, ...]:
        """Return the channels of a field in the order of the latch.

        Raises:
            ConfigError: if they are not a tuple of names, or the policy does not read one of them.

        """
        if not isinstance(given, tuple) or not all(isinstance(item, str) for item in given):
            raise ConfigError(f"{name} of a policy must be a tuple of channels, got {given!r:.120}")
        known = self.by_channel
        if not set(given) <= known.keys():
            raise ConfigError(
                f"{name} of a policy must be channels that it reads ({', '.join(known)}), got "
                f"{', '.join(given)}"
            )
        return tuple(channel for channel in known if channel in given)

    @property
    def by_channel(self) -> dict[Channel, Encoder]:
        """The encoder of each channel, in the order of the latch."""
        return {encoder.channel: encoder for encoder in self.encoders}

    @property
    def needed(self) -> frozenset[Channel]:
        """The channels that are not optional."""
        return frozenset(self.by_channel) - frozenset(map(Channel, self.optional))

    @property
    def channels_in_words(self) -> str:
        """The channels that it needs, and those that it uses where they come."""
        needed = [channel for channel in self.by_channel if channel not in self.optional]
        can_use = f"; can use {', '.join(self.optional)}" if self.optional else ""
        return f"needs {', '.join(needed)}{can_use}"

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
        channels = {
            name: [Channel(channel).value for channel in getattr(self, name)]
            for name in ("direct", "optional")
        }
        return {"encoders": encoders, **fields, "limits": asdict(self.limits), **channels}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "PolicyConfig":
        """Build from what `to_dict` gave, or from the manifest of an older bundle.

        Those of format 1 have camera and IMU only; without `direct` and `optional`, every channel
        is direct and needed.

        Raises:
            ConfigError: on a missing, unknown or ill-typed field.

        """
        try:
            fields = dict(data) if "encoders" in data else _from_format_1(data)
            encoders = tuple(map(encoder_from_dict, fields.pop("encoders")))
            limits = CommandLimits(**fields.pop("limits"))
            direct = tuple(fields.pop("direct", [encoder.channel for encoder in encoders]))
            optional = tuple(fields.pop("optional", ()))
            return cls(encoders, limits=limits, direct=direct, optional=optional, **fields)
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
