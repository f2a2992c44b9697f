"""Parameters of the controller node, one by one and checked together.

The table and `Parameters` need no ROS: a parameter file can be checked and tested without it.
"""

from __future__ import annotations

import importlib.resources
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from liquid_nav.command import CommandLimits
from liquid_nav.errors import ConfigError
from liquid_nav.events import Channel
from liquid_nav.messages.camera.calibration import GEOMETRIES, ImageOptions
from liquid_nav.messages.decode import MessageError
from liquid_nav.messages.plug import Rotation, channel_types
from liquid_nav.messages.transforms import rotation_of
from liquid_nav.ros.backends import Backend
from liquid_nav.ros.parameters import EXECUTOR, PRIORITY, Spec, name_or_empty_fault, plain
from liquid_nav.safety.layer import Geofence, SafetyConfig, Staleness

IN_FLIGHT = (
    "limits.",
    "staleness.",
    "frozen.",
    "geofence.",
    "recovery",
    "landing_speed",
    "minimum_rate",
    "cross_checks",
)
"""Parameters that may change while the node is configured, by the start of their names."""

AT_START = ("autostart", "executor", "priority")
"""Parameters that have no effect any more once the node runs."""

_STALE = {"camera": (0.3, 2.0), "imu": (0.1, 2.0), "odometry": (0.5, 5.0), "range": (0.5, 2.0)}
_FROZEN = {"camera": 1.0, "imu": 0.1}
_TRANSPORTS = ("raw", "compressed")
_RELIABILITY = ("best_effort", "reliable")
_TYPES = channel_types()


def _channels_fault(names: str) -> str:
    """Return what is wrong with channels separated by spaces; empty if nothing is."""
    known = [channel.value for channel in _TYPES]
    unknown = [name for name in names.split() if name not in known]
    return f"names {unknown[0]!r}, must be of {', '.join(known)}" if unknown else ""


_LIMITS = {
    "vx": "Largest forward speed, m/s.",
    "vy": "Largest sideways speed, m/s.",
    "vz": "Largest climb and sink speed, m/s.",
    "yaw_rate": "Largest yaw rate, rad/s.",
    "acceleration": "Largest change of a velocity, m/s^2.",
    "yaw_acceleration": "Largest change of the yaw rate, rad/s^2.",
}

SPECS = (
    Spec("model", "target", "Name of a shipped model, or the path of a bundle (with a slash)."),
    Spec("model_sha256", "", "SHA-256 that the bundle's manifest.json must have; empty for any."),
    Spec("task", "", "Task to be flown; a model of another one is warned of. Empty: the model's."),
    Spec("image_transport", "raw", "raw: Image; compressed: CompressedImage.", choices=_TRANSPORTS),
    *(
        Spec(f"topics.{name}", topic, text, fault=name_or_empty_fault)
        for name, topic, text in (
            ("image", "camera/image_raw", "Base topic; compressed adds /compressed to it."),
            ("camera_info", "camera/camera_info", "Calibration of the images."),
            ("imu", "imu", "Gyro and accelerometer, see imu_type."),
            ("goal", "goal", "geometry_msgs/PoseStamped; empty for none."),
            ("odometry", "odometry", "Pose and motion, see odometry_type; empty for none."),
            ("range", "range", "Range finder, sensor_msgs/Range, for policies that read one."),
        )
    ),
    Spec(
        "imu_type",
        _TYPES[Channel.IMU][0],
        "An IMU as in REP-145, or PX4's own in FRD.",
        choices=_TYPES[Channel.IMU],
    ),
    Spec(
        "odometry_type",
        _TYPES[Channel.ODOMETRY][0],
        "Odometry in ENU and FLU, or PX4's own in NED and FRD.",
        choices=_TYPES[Channel.ODOMETRY],
    ),
    Spec(
        "use_camera_info",
        True,
        "Refuse images until the calibration is there; false trusts the lens to be the model's.",
    ),
    Spec(
        "image_geometry",
        "auto",
        "Rectified images take P of camera_info and no D; auto goes by the topic's name.",
        choices=GEOMETRIES,
    ),
    Spec("image_bits", 0, "Bits of images of 16 bits: 8, 10, 12, 14 or 16; 0 finds them.", (0, 16)),
    Spec("sensor_reliability", "best_effort", "QoS of the sensors.", choices=_RELIABILITY),
    Spec(
        "imu_rotation",
        [0.0, 0.0, 0.0, 1.0],
        "Unit quaternion x, y, z, w from the IMU's frame to body FLU; one that turns wins over tf.",
    ),
    Spec(
        "imu_from_tf",
        True,
        "Rotate the IMU by /tf_static, from its frame_id to body_frame; needs tf2_msgs.",
    ),
    Spec(
        "arrival_stamps",
        "",
        "Channels, such as imu odometry, whose stamps are not of this computer's clock: they are "
        "mapped onto it by their arrivals.",
        fault=_channels_fault,
    ),
    Spec("body_frame", "base_link", "Body FLU in /tf_static."),
    Spec("world_frame", "", "Frame that goals must be in; empty takes any."),
    Spec(
        "minimum_rate",
        20.0,
        "Commands per s at least, also between events; a back-end may need more.",
        (1.0, 200.0),
    ),
    Spec(
        "liquid_state_rate",
        0.0,
        "Hz at most of the core's state and time constants on ~/liquid_state; 0 for none.",
        (0.0, 1000.0),
    ),
    Spec(
        "black_box.seconds",
        60.0,
        "s of events and commands kept for the file of a failsafe; 0 for no black box.",
        (0.0, 3600.0),
    ),
    Spec("black_box.megabytes", 64.0, "Memory that these may take, 10^6 bytes.", (1.0, 4096.0)),
    Spec("black_box.folder", "~/.ros/liquid_nav", "Where the files go."),
    Spec("black_box.after", 5.0, "s from a failsafe or a stop to its file.", (0.0, 60.0)),
    Spec("black_box.pause", 30.0, "s between two files, at least.", (0.0, 3600.0)),
    Spec("flight_log", "", "Folder for an MCAP of each whole flight; empty for none."),
    EXECUTOR,
    PRIORITY,
    Spec(
        "autostart",
        False,
        "Configure and activate at the start, or end with the reason why not.",
    ),
    *(
        Spec(f"limits.{name}", getattr(CommandLimits(), name), text, (0.01, 100.0))
        for name, text in _LIMITS.items()
    ),
    *(
        Spec(f"staleness.{channel}.{action}", age, f"Age in s at which to {action}.", (0.01, 60.0))
        for channel, ages in _STALE.items()
        for action, age in zip(("hover", "land"), ages, strict=True)
    ),
    *(
        Spec(
            f"frozen.{channel}",
            age,
            "s of the same values after which they are rejected; 0 for a source without noise.",
            (0.0, 60.0),
        )
        for channel, age in _FROZEN.items()
    ),
    Spec(
        "cross_checks",
        True,
        "Compare sensors with gravity and with each other; false takes them as they are.",
    ),
    Spec("recovery", 0.3, "s of fresh input before a failsafe is left.", (0.0, 60.0)),
    Spec("landing_speed", 0.5, "Descent when landing, m/s; at most limits.vz.", (0.01, 10.0)),
    Spec("geofence.enabled", False, "Stay in the box; odometry becomes a needed channel."),
    Spec("geofence.low", [-10.0, -10.0, 0.3], "Lowest x, y, z, metres, ENU; z: minimum height."),
    Spec("geofence.high", [10.0, 10.0, 5.0], "Highest x, y, z, metres, ENU."),
    Spec("geofence.deceleration", 2.0, "m/s^2 to brake with at the walls.", (0.01, 50.0)),
)
"""Parameters of the controller node, beside those of `backend_specs` and `channel_specs`."""


def channel_specs() -> list[Spec]:
    """Parameters of the channels that installed packages add: a topic each, and a choice of types.

    A channel of ours has a choice of types here too, where a package adds another type to it.
    """
    known, specs = {spec.name for spec in SPECS}, []
    for channel, types in channel_types().items():
        if channel in (Channel.CAMERA, Channel.OPERATOR):
            continue
        name, text = channel.value, " or ".join(types)
        words = f"Channel {name}, {text}; empty for none."
        specs.append(Spec(f"topics.{name}", name, words, fault=name_or_empty_fault))
        if len(types) > 1:
            specs.append(
                Spec(f"{name}_type", types[0], f"Message of the channel {name}.", choices=types)
            )
    return [spec for spec in specs if spec.name not in known]


@dataclass(frozen=True)
class Parameters:
    """The parameters, checked together.

    Attributes:
        values: every parameter by name.
        safety: settings of the safety layer.
        imu_rotation: from the IMU's frame to body FLU, shape (3, 3), or None for the identity.

    """

    values: Mapping[str, Any]
    safety: SafetyConfig
    imu_rotation: Rotation | None

    @classmethod
    def of(cls, values: Mapping[str, Any], specs: Iterable[Spec] = SPECS) -> Parameters:
        """Check the parameters of `specs` one by one, and those of `SPECS` together.

        The others are kept as they are.

        Raises:
            ConfigError: on a value out of its range, or values that do not fit together.

        """
        for spec in specs:
            spec.check(values[spec.name])
        limits = CommandLimits(**{name: values[f"limits.{name}"] for name in _LIMITS})
        staleness = {Channel(name): _staleness(values, name) for name in _STALE}
        frozen = {Channel(name): values[f"frozen.{name}"] for name in _FROZEN}
        safety = SafetyConfig(
            limits,
            staleness,
            values["recovery"],
            values["landing_speed"],
            _geofence(values),
            frozen={channel: age for channel, age in frozen.items() if age > 0},
            cross_checks=values["cross_checks"],
        )
        try:
            rotation = rotation_of(_vector(values, "imu_rotation", 4))
        except MessageError as error:
            raise ConfigError(f"imu_rotation: {error}") from error
        turned = not np.array_equal(rotation, np.eye(3))
        return cls(dict(values), safety, rotation if turned else None)

    @property
    def bundle(self) -> Path:
        """Where the model bundle is."""
        model = self.values["model"]
        if "/" in model:
            return Path(str(model)).expanduser()
        return Path(str(importlib.resources.files("liquid_nav_models"))) / str(model)

    def topic(self, channel: Channel) -> tuple[str, str]:
        """Name of the parameter for the topic of a channel, and the topic; empty for none.

        Raises:
            ConfigError: when no registered message carries the channel.

        """
        name = f"topics.{'image' if channel == Channel.CAMERA else channel.value}"
        if name not in self.values:
            raise ConfigError(
                f"no ROS message carries the channel {channel.value}: install a package with an "
                "entry point of the group liquid_nav.messages for it"
            )
        topic = str(self.values[name])
        # By the convention of image_transport.
        compressed = topic and channel == Channel.CAMERA and self._compressed
        return name, f"{topic}/compressed" if compressed else topic

    def message_type(self, channel: Channel) -> str:
        """Type of the messages on the topic of a channel."""
        if channel == Channel.CAMERA:
            return f"sensor_msgs/msg/{'CompressedImage' if self._compressed else 'Image'}"
        return str(self.values.get(f"{channel.value}_type") or channel_types()[channel][0])

    @property
    def arrival_stamps(self) -> frozenset[Channel]:
        """Channels whose stamps are mapped onto our clock by their arrivals."""
        return frozenset(Channel(name) for name in self.values["arrival_stamps"].split())

    @property
    def images(self) -> ImageOptions:
        """What the images are that their messages do not say."""
        return ImageOptions(self.values["image_geometry"], self.values["image_bits"])

    @property
    def _compressed(self) -> bool:
        return bool(self.values["image_transport"] == "compressed")


def objection(
    specs: Iterable[Spec],
    values: Mapping[str, Any],
    changed: Iterable[Any],
    backend: Backend | None,
) -> str:
    """Return why these parameters may not be set now; empty when they may.

    Args:
        specs: the table of the node's parameters.
        values: of every parameter, by name, as they are.
        changed: the `rclpy.parameter.Parameter` that are to be set.
        backend: of the configured node; None before it is configured.

    """
    values, table = dict(values), {spec.name: spec for spec in specs}
    try:
        for name, value in ((p.name, plain(p.value)) for p in changed if p.name in table):
            if name in AT_START:
                return f"{name} is read only when the node starts"
            if backend is not None and not name.startswith(IN_FLIGHT):
                return f"{name} can only be set before the node is configured; clean it up"
            values[name] = table[name].check(value)
        Parameters.of(values)
        if backend is not None:
            backend.check_rate("minimum_rate", values["minimum_rate"])
    except ConfigError as error:
        return str(error)
    return ""


def _staleness(values: Mapping[str, Any], channel: str) -> Staleness:
    name = f"staleness.{channel}"
    try:
        return Staleness(values[f"{name}.hover"], values[f"{name}.land"])
    except ConfigError as error:
        raise ConfigError(f"{name}.hover and {name}.land: {error}") from error


def _geofence(values: Mapping[str, Any]) -> Geofence | None:
    if not values["geofence.enabled"]:
        return None
    if not values["topics.odometry"]:
        raise ConfigError(
            "geofence.enabled needs odometry, but topics.odometry is empty: set it to the topic of "
            "the odometry"
        )
    low, high = (_vector(values, f"geofence.{end}", 3) for end in ("low", "high"))
    try:
        return Geofence(
            (low[0], low[1], low[2]), (high[0], high[1], high[2]), values["geofence.deceleration"]
        )
    except ConfigError as error:
        raise ConfigError(f"geofence.low and geofence.high: {error}") from error


def _vector(values: Mapping[str, Any], name: str, size: int) -> list[float]:
    vector = values[name]
    if len(vector) != size or not all(map(math.isfinite, vector)):
        raise ConfigError(f"{name} must be {size} finite numbers, got {vector}")
    return [float(value) for value in vector]
