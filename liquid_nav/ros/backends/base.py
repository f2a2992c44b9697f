"""What all back-ends share: what may be sent at all, and what is sent in its place.

A back-end turns a `Command` into the setpoint that one autopilot takes, in its units and frames.
It is the last in the chain, and trusts nobody before it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from liquid_nav.command import Command, Mode
from liquid_nav.errors import ConfigError
from liquid_nav.events import SECOND, Odometry
from liquid_nav.ros.backends.frames import Vector3, heading_frame_to_enu, heading_of
from liquid_nav.ros.backends.messages import Fields, fill, message_class

if TYPE_CHECKING:
    from rclpy.node import Node

LARGEST = 100.0
"""m/s and rad/s. Commands come here clipped far below; beyond this they are a fault, not a wish."""


class Backend(ABC):
    """Sends commands to one kind of autopilot.

    Nothing here raises or waits in flight: what cannot be sent is refused, and `fault` says why.

    Args:
        node: makes the publishers.
        pose_timeout: age in seconds past which odometry no longer tells the heading.

    Attributes:
        name: what it is asked for by.
        messages: the ROS package of the messages that it sends.
        how_to_get: what to do when that package is not installed.
        rate: Hz; call `send` at least this often while inference is fresh, for the autopilot takes
            longer silence as the loss of its companion.
        fault: why the last command was not sent as it was asked; empty when it was.

    """

    name: ClassVar[str]
    messages: ClassVar[str]
    how_to_get: ClassVar[str]
    rate: ClassVar[float]

    def __init__(self, node: Node, *, pose_timeout: float = 0.5) -> None:
        if not 0 < pose_timeout <= 5:
            raise ConfigError(f"pose_timeout must be in (0, 5] s, got {pose_timeout!r}")
        self.fault = ""
        self._node = node
        self._pose_timeout = round(pose_timeout * SECOND)
        self._publishers: dict[str, Any] = {}
        # One per topic, filled anew: making one takes as long as sending it.
        self._messages: dict[str, Any] = {}

    def send(self, command: Command, pose: Odometry | None, fresh: bool) -> Command | None:
        """Publish a command, or what is safe in its place.

        Args:
            command: what the safety layer let out; its stamp is now, on the clock of `pose`.
            pose: the newest odometry, or None. Back-ends that speak in world frames turn by it.
            fresh: whether inference is: whether the controller still takes in what it needs. A
                nominal command is not sent without, so that no timer keeps a dead policy flying.
                Failsafe commands are, for they are the answer to it.

        Returns:
            The command that was sent, with its reason if it is not the one asked for, or None when
            nothing was.

        """
        self.fault = ""
        if not all(abs(value) <= LARGEST for value in command.vector):  # False for NaN too.
            command = self._at_rest(command, "the command is not finite")
        if command.mode is Mode.NOMINAL and not fresh:
            self.fault = "withheld: inference is not fresh"
            return None
        pose = self._timely(pose, command.stamp)
        return self._send(command, None if pose is None else heading_of(pose), fresh)

    def close(self) -> None:
        """Destroy the publishers."""
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)
        self._publishers.clear()

    @abstractmethod
    def _send(self, command: Command, heading: float | None, fresh: bool) -> Command | None:
        """As `send`, with a command that is finite and the heading in radians, None if unknown."""

    def _advertise(self, topic: str, message_type: str) -> None:
        # Depth 1: only the newest setpoint counts. A reliable writer matches any reader.
        kind = message_class(message_type)
        self._publishers[topic] = self._node.create_publisher(kind, topic, 1)
        self._messages[topic] = kind()

    def _publish(self, topic: str, fields: Fields) -> None:
        """Send a message, always with the same fields for a topic; others are at their default."""
        self._publishers[topic].publish(fill(self._messages[topic], fields))

    def _timely(self, pose: Odometry | None, now: int) -> Odometry | None:
        if pose is None or abs(now - pose.stamp) > self._pose_timeout:
            return None
        return pose

    def _world(self, command: Command, heading: float | None) -> tuple[Command, Vector3]:
        """Turn into the world frame, or hover; returns the command and its ENU velocity, m/s."""
        if heading is None and is_horizontal(command):
            command = self._refuse(command, "no fresh odometry to turn the velocity by")
        # What is left without a heading is vertical, and the same in both frames.
        return command, heading_frame_to_enu(velocity_of(command), heading or 0.0)

    def _refuse(self, command: Command, why: str) -> Command:
        """Hover instead, and note why. A landing goes on, straight down."""
        return self._at_rest(command, why, command.vz if command.mode is Mode.LAND else 0.0)

    def _at_rest(self, command: Command, why: str, vz: float = 0.0) -> Command:
        self.fault = f"refused: {why}"
        return replace(
            command,
            vx=0.0,
            vy=0.0,
            vz=vz,
            yaw_rate=0.0,
            mode=Mode.HOVER if command.mode is Mode.NOMINAL else command.mode,
            reason="; ".join(filter(None, (command.reason, f"{self.name}: {why}"))),
        )


def velocity_of(command: Command) -> Vector3:
    """(forward, left, up) in m/s."""
    return (command.vx, command.vy, command.vz)


def is_horizontal(command: Command) -> bool:
    """Whether the velocity changes when it is turned about the vertical."""
    return command.vx != 0 or command.vy != 0
