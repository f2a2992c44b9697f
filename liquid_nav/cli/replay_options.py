"""Options of ``liquid-nav replay``: the command line, and the YAML file for the rest."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import numpy as np
import tyro
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from liquid_nav.errors import ConfigError
from liquid_nav.events import SECOND, TAKEN_IN, Channel
from liquid_nav.replay.topics import Topics

Name = Annotated[
    str | None, tyro.conf.arg(metavar="TOPIC", help_behavior_hint="(default: by type)")
]


@dataclass(frozen=True)
class Options:
    """Replay a recorded flight through the controller, open loop, and show what it did.

    FLIGHT is a rosbag2 directory, or a file: .mcap, .db3, .bag (ROS 1) or .ulg (PX4). Topics are
    found by type; `none` leaves one out. What is damaged is read as far as it can be, and what is
    lost is counted. With --drop, --delay, --limits or --other the flight is replayed a second time,
    changed so, and shown beside the first.
    """

    flight: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FLIGHT")]
    """The recording."""
    model: Annotated[
        Path | None, tyro.conf.arg(metavar="PATH", help_behavior_hint="(default: the shipped one)")
    ] = None
    """Directory of the model bundle."""
    camera: Name = None
    """Images, raw or compressed."""
    camera_info: Annotated[
        str | None,
        tyro.conf.arg(metavar="TOPIC", help_behavior_hint="(default: beside the images)"),
    ] = None
    """Calibration of the camera."""
    imu: Name = None
    """Inertial samples."""
    odom: Name = None
    """Odometry."""
    goal: Name = None
    """Goals; found by type only where the model reads them."""
    range: Name = None
    """Ranges along a beam; found by type only where the model reads them."""
    cmd: Name = None
    """Recorded commands; found by type only with --compare, which it implies."""
    config: Annotated[
        Path | None, tyro.conf.arg(metavar="YAML", help_behavior_hint="(default: no file)")
    ] = None
    """File for the rest: topics, camera_model, imu_rotation, limits."""
    imu_rotation: Annotated[
        tuple[float, float, float, float] | None,
        tyro.conf.arg(metavar="X Y Z W", help_behavior_hint="(default: by /tf_static)"),
    ] = None
    """Unit quaternion from the IMU's frame to the body's."""
    clock: Annotated[str, tyro.conf.arg(metavar="log|stamp")] = "log"
    """What arrivals are: log times, or stamps, where the logger had another clock."""
    start: Annotated[float, tyro.conf.arg(metavar="S")] = 0.0
    """Seconds after the first message at which to begin."""
    duration: Annotated[
        float | None, tyro.conf.arg(metavar="S", help_behavior_hint="(default: all)")
    ] = None
    """Seconds to replay."""
    rate: Annotated[float, tyro.conf.arg(metavar="HZ")] = 20.0
    """How often commands are asked for in silences; it changes no other command."""
    reorder: Annotated[float, tyro.conf.arg(metavar="S")] = 1.0
    """Seconds by which messages may be out of order in the file; later ones are dropped."""
    compare: bool = False
    """Compare with the recorded commands."""
    drop: Annotated[tuple[str, ...], tyro.conf.arg(metavar="CHANNEL")] = ()
    """What if these channels had been silent: camera, imu, goal, odometry."""
    delay: Annotated[tuple[str, ...], tyro.conf.arg(metavar="CHANNEL=S")] = ()
    """What if measurements had come so many seconds later, as camera=0.1."""
    limits: Annotated[tuple[str, ...], tyro.conf.arg(metavar="LIMIT=X")] = ()
    """What if other limits had held, as vx=1.0; of vx, vy, vz, yaw_rate, acceleration,
    yaw_acceleration."""
    other: Annotated[
        Path | None, tyro.conf.arg(metavar="PATH", help_behavior_hint="(default: the same)")
    ] = None
    """What if this model had flown."""
    out: Annotated[
        Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: no files)")
    ] = None
    """Where replay.mcap, replay.json and report.html go."""
    report: bool = True
    """Write report.html, one page that opens offline."""
    view: bool = False
    """Open the replay in the Rerun viewer while it goes on."""
    view_file: Annotated[
        Path | None, tyro.conf.arg(metavar="RRD", help_behavior_hint="(default: no file)")
    ] = None
    """Write what --view shows to a file that Rerun opens."""

    @property
    def changed(self) -> bool:
        """Whether a second replay is asked for."""
        return bool(self.drop or self.delay or self.limits or self.other)


@dataclass(frozen=True)
class Config:
    """What the YAML file says.

    Attributes:
        topics: by role.
        camera_model: calibration, as ``sensor_msgs/CameraInfo``, or None.
        imu_rotation: unit quaternion x, y, z, w, or None.
        limits: that the controller flew with, in place of recorded ones.

    """

    topics: Topics = field(default_factory=Topics)
    camera_model: Any | None = None
    imu_rotation: tuple[float, float, float, float] | None = None
    limits: Mapping[str, float] = field(default_factory=dict)


def load_config(path: Path | None) -> Config:
    """Read the YAML file; no file gives the defaults.

    Raises:
        ConfigError: when it cannot be read, naming the key that is wrong.

    """
    if path is None:
        return Config()
    try:
        with path.open(encoding="utf-8") as file:
            content = YAML(typ="safe").load(file) or {}
    except (YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error
    known = [entry.name for entry in fields(Config)]
    if not isinstance(content, dict) or not content.keys() <= set(known):
        raise ConfigError(f"{path} must be a mapping with keys of {', '.join(known)}")
    try:
        values: dict[str, Any] = {}
        if "topics" in content:
            values["topics"] = Topics.of({k: str(v) for k, v in content["topics"].items()})
        if "camera_model" in content:
            values["camera_model"] = _camera_model(**content["camera_model"])
        if "imu_rotation" in content:
            x, y, z, w = map(float, content["imu_rotation"])
            values["imu_rotation"] = (x, y, z, w)
        if "limits" in content:
            values["limits"] = {str(k): float(v) for k, v in content["limits"].items()}
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    return Config(**values)


def topics_of(options: Options, config: Config) -> Topics:
    """Topics chosen; the command line goes before the file."""
    given = {
        "camera": options.camera,
        "camera_info": options.camera_info,
        "imu": options.imu,
        "odometry": options.odom,
        "goal": options.goal,
        "range": options.range,
        "command": options.cmd,
    }
    return Topics.of(config.topics.roles | {k: v for k, v in given.items() if v is not None})


def channel_of(name: str) -> Channel:
    """Channel by its name.

    Raises:
        ConfigError: on an unknown one.

    """
    names = [channel.value for channel in TAKEN_IN]
    if name not in names:
        raise ConfigError(f"unknown channel {name!r}, choose from {', '.join(names)}")
    return Channel(name)


def delays_of(texts: tuple[str, ...]) -> dict[Channel, int]:
    """Delays in ns of ``channel=seconds``."""
    delays = numbers_of("--delay", texts)
    return {channel_of(name): round(seconds * SECOND) for name, seconds in delays.items()}


def numbers_of(flag: str, texts: tuple[str, ...]) -> dict[str, float]:
    """Numbers by name of ``name=number``.

    Raises:
        ConfigError: on anything else, or a number that is not finite.

    """
    numbers = {}
    for text in texts:
        name, _, number = text.partition("=")
        try:
            numbers[name] = float(number)
        except ValueError:
            numbers[name] = np.nan
        if not np.isfinite(numbers[name]):
            raise ConfigError(f"{flag} takes NAME=NUMBER, got {text!r}")
    return numbers


def _camera_model(
    width: int, height: int, k: list[float], d: list[float], distortion_model: str = "plumb_bob"
) -> Any:
    if len(k) != 9:
        raise ValueError(f"camera_model.k must be 9 numbers, got {len(k)}")
    return SimpleNamespace(
        width=int(width),
        height=int(height),
        k=np.array(k, np.float64),
        d=np.array(d, np.float64),
        distortion_model=str(distortion_model),
    )
