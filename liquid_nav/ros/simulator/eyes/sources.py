"""What tells the pose of a vehicle: odometry, PX4's odometry, or transforms."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from liquid_nav.errors import ConfigError
from liquid_nav.events import Odometry
from liquid_nav.messages.decode import MessageError, check_time, stamp_of, vector_of
from liquid_nav.messages.fields import plain_frame
from liquid_nav.messages.fields import time as encode_time
from liquid_nav.messages.odometry import OdometryMessage
from liquid_nav.messages.plug import EventMessage, SensorSetup
from liquid_nav.messages.px4 import Px4OdometryMessage
from liquid_nav.ros.backends.messages import message_class
from liquid_nav.ros.simulator.eyes.poses import Pose
from liquid_nav.rotations import IDENTITY, Quaternion, Vector, compose, rotate

_LATCHED = QoSProfile(
    depth=100,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
    reliability=ReliabilityPolicy.RELIABLE,
)
"""Of ``/tf_static``."""

_LIVE = QoSProfile(depth=250, reliability=ReliabilityPolicy.BEST_EFFORT)
"""Of poses: it matches publishers of any reliability, and outlasts a pause of 1 s at 250 Hz."""

_DEEPEST = 64
"""Largest number of links between two frames; a longer chain must be a ring."""


class OdometrySource:
    """Poses of messages that carry odometry.

    Args:
        kind: the type of message.
        topic: topic, if no other is given.
        restamp: sets the time of a message, ns.

    """

    def __init__(self, kind: EventMessage, topic: str, restamp: Callable[[Any, int], None]) -> None:
        self.type, self.topic = kind.type, topic
        self._kind, self._restamp = kind, restamp

    def decode(self, message: Any, arrival: int, by_arrival: bool) -> Pose | None:
        """Return the pose of a message.

        Args:
            message: the message.
            arrival: when it came, ns.
            by_arrival: whether its own time is ignored.

        Raises:
            MessageError: on a time out of range, a frame that is not the right one, an orientation
                that is not a unit quaternion, or numbers that are not finite.

        """
        if by_arrival:
            self._restamp(message, arrival)
        event = self._kind.decode(message, arrival, SensorSetup())
        assert isinstance(event, Odometry)
        x, y, z, w = event.orientation.tolist()
        norm = math.hypot(x, y, z, w)
        # PX4's quaternions are of single precision.
        if not abs(norm - 1) <= 1e-2:
            raise MessageError(f"orientation has norm {norm:g}, it must be a unit quaternion")
        attitude = (x, y, z, w)
        if abs(norm - 1) > 1e-15:
            attitude = (x / norm, y / norm, z / norm, w / norm)
        px, py, pz = event.position.tolist()
        pose = Pose(event.stamp, (px, py, pz), attitude)
        if not all(map(math.isfinite, pose.position)):
            raise MessageError(f"position is not finite: {pose.position}")
        velocity = event.linear_velocity.tolist()
        # A source that has no velocity says NaN.
        if all(map(math.isfinite, velocity)):
            pose = pose._replace(velocity=rotate(attitude, velocity))
        return pose


class TransformSource:
    """Poses by transforms: the chain from the frame of the world to that of the body.

    Args:
        world, body: names of the frames.

    """

    type, topic = "tf2_msgs/msg/TFMessage", "/tf"

    def __init__(self, world: str, body: str) -> None:
        self._world, self._body = plain_frame(world), plain_frame(body)
        # Parent, stamp (None of a static one), translation and rotation of each frame.
        self._links: dict[str, tuple[str, int | None, Vector, Quaternion]] = {}
        self._last: int | None = None

    def add_static(self, message: Any) -> None:
        """Take in a message of ``/tf_static``; transforms that make no sense are left out."""
        for transform in message.transforms:
            with contextlib.suppress(MessageError):
                self._add(transform, None)

    def decode(self, message: Any, arrival: int, by_arrival: bool) -> Pose | None:
        """Return the pose after a message of ``/tf``; None if it is not new, or not known yet.

        Raises:
            MessageError: on a time out of range, a rotation that is not a unit quaternion, numbers
                that are not finite, or frames that form a ring.

        """
        for transform in message.transforms:
            stamp = arrival if by_arrival else stamp_of(transform.header.stamp)
            self._add(transform, stamp)
        position: Vector = (0.0, 0.0, 0.0)
        orientation, stamps, frame = IDENTITY, [], self._body
        for _ in range(_DEEPEST):
            if frame == self._world:
                break
            if frame not in self._links:
                return None
            frame, stamp_, (dx, dy, dz), rotation = self._links[frame]
            x, y, z = rotate(rotation, position)
            position, orientation = (x + dx, y + dy, z + dz), compose(rotation, orientation)
            stamps += [] if stamp_ is None else [stamp_]
        else:
            raise MessageError(f"transforms form a ring at frame {frame[:64]!r}")
        if not stamps or max(stamps) == self._last:
            return None
        self._last = max(stamps)
        return Pose(check_time(self._last, arrival), position, orientation)

    def _add(self, transform: Any, stamp: int | None) -> None:
        x, y, z = vector_of(transform.transform.translation).tolist()
        q, child = transform.transform.rotation, plain_frame(transform.child_frame_id)
        norm = math.hypot(q.x, q.y, q.z, q.w)
        if not abs(norm - 1) <= 1e-2:
            raise MessageError(
                f"transform to {child[:64]!r}: its rotation has norm {norm:g}, it must be a unit "
                "quaternion"
            )
        if not all(map(math.isfinite, (x, y, z))):
            raise MessageError(f"transform to {child[:64]!r} is not finite")
        rotation = (q.x / norm, q.y / norm, q.z / norm, q.w / norm)
        self._links[child] = (plain_frame(transform.header.frame_id), stamp, (x, y, z), rotation)


Source = OdometrySource | TransformSource


def _restamp_header(message: Any, stamp: int) -> None:
    fields = encode_time(stamp)
    message.header.stamp.sec, message.header.stamp.nanosec = fields["sec"], fields["nanosec"]


def _restamp_px4(message: Any, stamp: int) -> None:
    message.timestamp_sample = stamp // 1000


SOURCES: Mapping[str, Callable[[str, str], Source]] = MappingProxyType(
    {
        "odometry": lambda *_: OdometrySource(OdometryMessage(), "odom", _restamp_header),
        "px4": lambda *_: OdometrySource(
            Px4OdometryMessage(), "/fmu/out/vehicle_odometry", _restamp_px4
        ),
        "tf": TransformSource,
    }
)
"""Sources of poses by name, made from the names of the frames of the world and of the body."""


def subscribe(node: Node, source: Source, topic: str, receive: Callable[[Any], None]) -> str:
    """Subscribe to the messages of a source.

    Args:
        node: subscribes.
        source: the source.
        topic: its topic; empty for the usual one.
        receive: takes each message that `Source.decode` reads.

    Returns:
        The name of the topic.

    Raises:
        ConfigError: if the package of the messages is not installed.

    """
    package = source.type.partition("/")[0]
    try:
        kind = message_class(source.type)
    except ImportError as error:
        raise ConfigError(
            f"pose: its messages are {source.type}, but the ROS package {package} cannot be "
            f"imported ({error}): install it, or take the pose from odometry"
        ) from error
    if isinstance(source, TransformSource):
        node.create_subscription(kind, "/tf_static", source.add_static, _LATCHED)
    subscription = node.create_subscription(kind, topic or source.topic, receive, _LIVE)
    return str(subscription.topic_name)
