"""Records what a controller takes in and gives out, as a vehicle's own recorder would.

What `liquid_nav.replay` reads back are the same events, bit for bit: images are raw, numbers are
float64, stamps are in headers and arrivals are log times.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from liquid_nav.command import Command
from liquid_nav.events import (
    CameraFrame,
    Event,
    Goal,
    ImuSample,
    Odometry,
    OperatorStop,
    RangeSample,
)
from liquid_nav.files import WholeFile
from liquid_nav.onboard.config import PolicyCamera
from liquid_nav.recording.settings import Reconfigured, encode
from liquid_nav.recording.writer import McapWriter, header, message, twist, vector3
from liquid_nav.safety.layer import SafetyConfig

CAMERA = "/camera/image_raw"
CAMERA_INFO = "/camera/camera_info"
IMU = "/imu/data_raw"
ODOMETRY = "/odom"
RANGE = "/range"
GOAL = "/goal_pose"
COMMAND = "/liquid_nav/command"
OPERATOR_STOP = "/liquid_nav/operator_stop"
SETTINGS = "/liquid_nav/settings"

BODY, OPTICAL, WORLD, HEADING = "base_link", "camera_optical_frame", "odom", "base_stabilized"
"""Frames of the messages: FLU, optical (REP-103), ENU, and FLU turned level."""

BEAM = "range_finder"
"""Frame of ranges: x points along the beam."""


NO_DISTORTION = (0.0, 0.0, 0.0, 0.0, 0.0)
"""Of an ideal pinhole camera."""


class FlightRecorder(WholeFile):
    """Writes one flight to an MCAP file.

    Args:
        path: the file.
        camera: the camera that frames come from.
        distortion: of its lens, Brown-Conrady k1, k2, p1, p2, k3 as in OpenCV.
        safety: settings in force from the first record on, which a replay then takes; None for
            settings that nobody knows.

    Raises:
        OSError: when the file cannot be written.

    """

    def __init__(
        self,
        path: Path,
        camera: PolicyCamera,
        distortion: Sequence[float] = NO_DISTORTION,
        safety: SafetyConfig | None = None,
    ) -> None:
        self._writer = McapWriter(path)
        self._camera, self._distortion = camera, distortion
        # Written with the first record, as its time is not known before.
        self._initial = safety
        # Found by their type even where nothing was ever sent.
        self._writer.announce(COMMAND, "geometry_msgs/msg/TwistStamped")

    def close(self) -> None:
        """Finish the file and give it its name."""
        self._writer.close()

    def discard(self) -> None:
        """Leave no file, unless it was closed."""
        self._writer.discard()

    def event(self, event: Event) -> None:
        """Record an event, at its arrival; events of no kind known here are left out."""
        self._begin(event.arrival)
        for topic, content in self._messages(event):
            self._writer.write(topic, content, event.arrival, event.stamp)

    def command(self, command: Command) -> None:
        """Record a command, at the time for which it was asked."""
        self._begin(command.stamp)
        content = message(
            "geometry_msgs/msg/TwistStamped",
            header=header(command.stamp, HEADING),
            twist=twist(command.vector[:3], (0.0, 0.0, command.yaw_rate)),
        )
        self._writer.write(COMMAND, content, command.stamp)

    def write(self, topic: str, content: Any, time: int) -> None:
        """Record a further message at `time` ns, see `liquid_nav.recording.writer.message`."""
        self._writer.write(topic, content, time)

    def reconfigured(self, change: Reconfigured) -> None:
        """Record a change of settings."""
        self._begin(change.arrival)
        content = message("std_msgs/msg/String", data=encode(change.safety))
        self._writer.write(SETTINGS, content, change.arrival)

    def _begin(self, now: int) -> None:
        if self._initial is not None:
            initial, self._initial = self._initial, None
            self.reconfigured(Reconfigured(now, initial))

    def _messages(self, event: Event) -> list[tuple[str, Any]]:
        if isinstance(event, CameraFrame):
            info = camera_info(self._camera, header(event.stamp, OPTICAL), self._distortion)
            return [(CAMERA_INFO, info), (CAMERA, _image(event))]
        if isinstance(event, ImuSample):
            return [(IMU, imu_message(event))]
        if isinstance(event, Odometry):
            return [(ODOMETRY, odometry_message(event))]
        if isinstance(event, RangeSample):
            return [(RANGE, _range(event))]
        if isinstance(event, Goal):
            pose = pose_message(event.position, (0.0, 0.0, 0.0, 1.0))
            head = header(event.stamp, WORLD)
            return [(GOAL, message("geometry_msgs/msg/PoseStamped", header=head, pose=pose))]
        if isinstance(event, OperatorStop):
            return [(OPERATOR_STOP, message("std_msgs/msg/Bool", data=event.engaged))]
        return []


def _range(sample: RangeSample) -> Any:
    return message(
        "sensor_msgs/msg/Range",
        header=header(sample.stamp, BEAM),
        radiation_type=1,  # infrared
        field_of_view=0.0,
        # What is out of range says so itself, by REP-117.
        min_range=0.0,
        max_range=math.inf,
        range=sample.distance,
        variance=0.0,
    )


def camera_info(
    camera: PolicyCamera, head: Any, distortion: Sequence[float] = NO_DISTORTION
) -> Any:
    """``sensor_msgs/CameraInfo`` with the header `head`.

    Pixel centres are at whole coordinates and `distortion` is k1, k2, p1, p2, k3, as in OpenCV.
    """
    focal = camera.width / 2 / math.tan(camera.horizontal_fov / 2)
    cx, cy = (camera.width - 1) / 2, (camera.height - 1) / 2
    none = message(
        "sensor_msgs/msg/RegionOfInterest",
        x_offset=0,
        y_offset=0,
        height=0,
        width=0,
        do_rectify=False,
    )
    return message(
        "sensor_msgs/msg/CameraInfo",
        header=head,
        height=camera.height,
        width=camera.width,
        distortion_model="plumb_bob",
        d=np.array(distortion, np.float64),
        k=np.array([focal, 0, cx, 0, focal, cy, 0, 0, 1]),
        r=np.eye(3).ravel(),
        p=np.array([focal, 0, cx, 0, 0, focal, cy, 0, 0, 0, 1, 0]),
        binning_x=0,
        binning_y=0,
        roi=none,
    )


def _image(frame: CameraFrame) -> Any:
    height, width, _ = frame.image.shape
    return message(
        "sensor_msgs/msg/Image",
        header=header(frame.stamp, OPTICAL),
        height=height,
        width=width,
        encoding="rgb8",
        is_bigendian=0,
        step=3 * width,
        data=np.ascontiguousarray(frame.image).ravel(),
    )


def imu_message(sample: ImuSample) -> Any:
    """``sensor_msgs/Imu`` of a sample, in the body frame."""
    # By its covariance the orientation says that nobody measured it.
    unknown = np.zeros(9)
    unknown[0] = -1
    return message(
        "sensor_msgs/msg/Imu",
        header=header(sample.stamp, BODY),
        orientation=quaternion_message((0.0, 0.0, 0.0, 1.0)),
        orientation_covariance=unknown,
        angular_velocity=vector3(sample.angular_velocity),
        angular_velocity_covariance=np.zeros(9),
        linear_acceleration=vector3(sample.specific_force),
        linear_acceleration_covariance=np.zeros(9),
    )


def odometry_message(event: Odometry) -> Any:
    """``nav_msgs/Odometry``: pose in `WORLD`, twist in `BODY`."""
    pose = message(
        "geometry_msgs/msg/PoseWithCovariance",
        pose=pose_message(event.position, event.orientation),
        covariance=np.zeros(36),
    )
    motion = message(
        "geometry_msgs/msg/TwistWithCovariance",
        twist=twist(event.linear_velocity, event.angular_velocity),
        covariance=np.zeros(36),
    )
    return message(
        "nav_msgs/msg/Odometry",
        header=header(event.stamp, WORLD),
        child_frame_id=BODY,
        pose=pose,
        twist=motion,
    )


def pose_message(position: ArrayLike, orientation: ArrayLike) -> Any:
    """``geometry_msgs/Pose`` of metres (3,) and a quaternion x, y, z, w."""
    x, y, z = np.asarray(position, np.float64).tolist()
    point = message("geometry_msgs/msg/Point", x=x, y=y, z=z)
    return message(
        "geometry_msgs/msg/Pose", position=point, orientation=quaternion_message(orientation)
    )


def quaternion_message(orientation: ArrayLike) -> Any:
    """``geometry_msgs/Quaternion`` of x, y, z, w."""
    x, y, z, w = np.asarray(orientation, np.float64).tolist()
    return message("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w)
