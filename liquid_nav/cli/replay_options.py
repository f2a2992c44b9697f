"""The options of ``liquid-nav replay``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

TASK = "target"
"""The task whose shipped model replays when no model is given."""

Topic = Annotated[
    str | None, tyro.conf.arg(metavar="TOPIC", help_behavior_hint="(default: found by type)")
]


@dataclass(frozen=True)
class ReplayOptions:
    """The options of ``liquid-nav replay``; the help text of each is its docstring."""

    flight: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FLIGHT")]
    """The recording: a rosbag2 directory, or a file .mcap, .db3, .bag (ROS 1) or .ulg (PX4)."""
    model: Annotated[
        Path | None,
        tyro.conf.arg(metavar="PATH", help_behavior_hint=f"(default: the one shipped for {TASK})"),
    ] = None
    """Directory of the model bundle."""
    camera: Topic = None
    """Topic of the images, raw or compressed. Here as for all topics, `none` leaves it out."""
    camera_info: Annotated[
        str | None,
        tyro.conf.arg(metavar="TOPIC", help_behavior_hint="(default: next to the images)"),
    ] = None
    """Topic of the camera's calibration."""
    imu: Topic = None
    """Topic of the inertial samples."""
    odom: Topic = None
    """Topic of the odometry."""
    goal: Topic = None
    """Topic of the goals; it is found by type only when the model reads goals."""
    range: Topic = None
    """Topic of the range finder; it is found by type only when the model reads ranges."""
    cmd: Topic = None
    """Topic of the recorded commands; it implies --compare, and is found by type only with it."""
    config: Annotated[
        Path | None, tyro.conf.arg(metavar="YAML", help_behavior_hint="(default: no file)")
    ] = None
    """YAML file with any of topics, camera_model, imu_rotation and limits, see docs/replay.md."""
    imu_rotation: Annotated[
        tuple[float, float, float, float] | None,
        tyro.conf.arg(metavar="X Y Z W", help_behavior_hint="(default: from /tf_static)"),
    ] = None
    """Unit quaternion from the IMU's frame to the body's."""
    imu_from_tf: bool = True
    """Rotate the IMU by /tf_static, from its frame_id to the body frame, unless that is given."""
    body_frame: Annotated[str, tyro.conf.arg(metavar="FRAME")] = "base_link"
    """Body frame in /tf_static."""
    image_geometry: Literal["auto", "raw", "rectified"] = "auto"
    """Rectified images take P of camera_info and no D; auto goes by the topic's name."""
    image_bits: Literal[0, 8, 10, 12, 14, 16] = 0
    """Bits that images of 16 bits use; 0 finds them."""
    clock: Literal["log", "stamp"] = "log"
    """Arrival times: those of the log, or the stamps, for a logger or sensors on another clock."""
    start: Annotated[float, tyro.conf.arg(metavar="S")] = 0.0
    """Seconds after the first message at which the replay begins."""
    duration: Annotated[
        float | None, tyro.conf.arg(metavar="S", help_behavior_hint="(default: to the end)")
    ] = None
    """Seconds to replay."""
    rate: Annotated[float, tyro.conf.arg(metavar="HZ")] = 20.0
    """How often a command is asked for while no message arrives; it changes no other command."""
    reorder: Annotated[float, tyro.conf.arg(metavar="S")] = 1.0
    """Seconds by which messages in the file may be out of order; those later still are dropped."""
    compare: bool = False
    """Compare with the recorded commands."""
    drop: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="CHANNEL", help_behavior_hint="(default: none)")
    ] = ()
    """What if these channels had been silent? For example camera, imu, goal, odometry and range."""
    delay: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="CHANNEL=S", help_behavior_hint="(default: none)")
    ] = ()
    """What if measurements had arrived this much later? For example camera=0.1."""
    limits: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="LIMIT=X", help_behavior_hint="(default: none)")
    ] = ()
    """What if vx, vy, vz, yaw_rate, acceleration, yaw_acceleration had other limits, as vx=1.0?"""
    other: Annotated[
        Path | None, tyro.conf.arg(metavar="PATH", help_behavior_hint="(default: the same)")
    ] = None
    """What if this model had flown?"""
    out: Annotated[
        Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: no files)")
    ] = None
    """Directory for replay.mcap, replay.json and report.html."""
    report: Annotated[bool, tyro.conf.arg(help_behavior_hint="(default: write it)")] = True
    """Do not write report.html, a page that opens offline."""
    view: bool = False
    """Show the replay in the Rerun viewer while it runs."""
    view_file: Annotated[
        Path | None, tyro.conf.arg(metavar="RRD", help_behavior_hint="(default: no file)")
    ] = None
    """File for what --view shows, which Rerun can open."""

    @property
    def changed(self) -> bool:
        """Whether a second, changed replay is asked for."""
        return bool(self.drop or self.delay or self.limits or self.other)
