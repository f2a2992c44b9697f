"""Recorded commands of any autopilot, as the controller gives its own: in the heading frame.

A velocity in a world frame is turned by the heading of the newest odometry before it. What a
message does not command (a masked axis, NaN), or cannot be turned, is NaN.
"""

import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from liquid_nav.bags.bag import Recording
from liquid_nav.errors import ReplayError
from liquid_nav.events import Odometry
from liquid_nav.rotations import yaw_of

Vector = tuple[float, float, float, float]
"""vx, vy, vz in m/s and yaw rate in rad/s."""

WORLD_FRAMES = ("map", "odom", "world", "earth", "local_origin")
"""Beginnings of the names of frames that do not turn with the vehicle (REP-105, MAVROS)."""

_BODY_FRAMES = (8, 9)
"""FRAME_BODY_NED and FRAME_BODY_OFFSET_NED of ``mavros_msgs/PositionTarget``; despite its name
MAVROS takes the numbers in base_link, FLU, and those of its other frames in ENU."""

_MASKS = (8, 16, 32, 2048)
"""IGNORE_VX, IGNORE_VY, IGNORE_VZ and IGNORE_YAW_RATE of ``mavros_msgs/PositionTarget``."""


class Setpoint(NamedTuple):
    """What a message commands: x, y and z of the velocity and the rate about z.

    Attributes:
        vector: axes forward, left, up; or east, north, up if `frame` is a world frame.
        frame: name of the world frame, for texts; empty for a frame that turns with the vehicle.

    """

    vector: Vector
    frame: str


def _twist(message: Any) -> Setpoint:
    """Read a Twist, in the body's frame, or a TwistStamped, in that of its header."""
    motion = message.twist if hasattr(message, "twist") else message
    x, y, z, turn = motion.linear.x, motion.linear.y, motion.linear.z, motion.angular.z
    header = getattr(message, "header", None)
    frame = str(getattr(header, "frame_id", "")).rpartition("/")[2]
    world = frame.startswith(WORLD_FRAMES)
    if world and frame.endswith("_ned"):
        x, y, z, turn = y, x, -z, -turn
    elif frame.endswith(("_frd", "_ned")):
        y, z, turn = -y, -z, -turn
    return Setpoint((x, y, z, turn), frame if world else "")


def _trajectory_setpoint(message: Any) -> Setpoint:
    """Read PX4's setpoint, in NED; before PX4 1.14 its fields were vx, vy and vz."""
    names = ("vx", "vy", "vz")
    velocity = getattr(message, "velocity", None)
    north, east, down = (
        [getattr(message, name) for name in names] if velocity is None else map(float, velocity)
    )
    return Setpoint((east, north, -down, -float(message.yawspeed)), "NED")


def _position_target(message: Any) -> Setpoint:
    """Read MAVROS's ``setpoint_raw/local``; an axis that its mask ignores is NaN."""
    velocity = message.velocity
    values = (velocity.x, velocity.y, velocity.z, message.yaw_rate)
    x, y, z, turn = (
        math.nan if message.type_mask & mask else float(value)
        for value, mask in zip(values, _MASKS, strict=True)
    )
    body = message.coordinate_frame in _BODY_FRAMES
    return Setpoint((x, y, z, turn), "" if body else "local ENU")


READERS: dict[str, Callable[[Any], Setpoint]] = {
    "geometry_msgs/msg/TwistStamped": _twist,
    "geometry_msgs/msg/Twist": _twist,
    "px4_msgs/msg/TrajectorySetpoint": _trajectory_setpoint,
    "mavros_msgs/msg/PositionTarget": _position_target,
}
"""Types of messages that hold commands, and what reads each."""


class RecordedCommands:
    """Reads recorded commands, and turns those in a world frame.

    Attributes:
        frame: the world frame that the commands are in; empty if they turn with the vehicle.
        turned: how many were turned by odometry.

    """

    def __init__(self) -> None:
        self.frame, self.turned = "", 0
        self._heading: float | None = None

    def see(self, odometry: Odometry) -> None:
        """Take the heading by which commands are turned from now on."""
        heading = yaw_of(odometry.orientation)
        self._heading = heading if math.isfinite(heading) else None

    def vector(self, kind: str, message: Any) -> Vector:
        """Return a command in the heading frame; what is unknown of it is NaN.

        Args:
            kind: type of the message, a key of `READERS`.
            message: read by attribute.

        """
        (x, y, z, turn), frame = READERS[kind](message)
        if not frame:
            return (x, y, z, turn)
        self.frame = frame
        if self._heading is None:
            return (math.nan, math.nan, z, turn)
        self.turned += 1
        c, s = math.cos(self._heading), math.sin(self._heading)
        return (c * x + s * y, c * y - s * x, z, turn)


def check_commands(recording: Recording, topic: str | None, odometry: str | None) -> None:
    """Check, by the first of them, that recorded commands can be brought to the heading frame.

    Args:
        recording: the recording.
        topic: of the commands; None if there are none.
        odometry: topic of the odometry, or None.

    Raises:
        ReplayError: when they are in a world frame and there is no odometry to turn them by.

    """
    if topic is None or odometry is not None:
        return
    first, frame = next(recording.messages({topic}), None), ""
    if first is not None:
        # A message that does not hold what its type says is counted when it is replayed.
        with suppress(Exception):
            frame = READERS[first.topic.type](first.content).frame
    if frame:
        raise ReplayError(
            f"the commands on {topic} are in frame {frame}, and without odometry they cannot be "
            "turned to the vehicle's heading: choose it by --odom TOPIC, or other commands by --cmd"
        )
