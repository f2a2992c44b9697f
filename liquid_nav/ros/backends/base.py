"""The life of a back-end, and the rules that all of them keep: what may be sent, and what instead.

A back-end turns a `Command` into the setpoint of one autopilot, in its units and frames. It is the
last step before the autopilot, and checks what it is given once more.
"""

from __future__ import annotations

import importlib.util
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from liquid_nav.command import Command, Mode
from liquid_nav.errors import ConfigError
from liquid_nav.events import SECOND, Channel, Odometry
from liquid_nav.ros.backends.frames import Vector3, heading_frame_to_enu, heading_of
from liquid_nav.ros.backends.loss import (
    HOLD_AFTER_LOSS,
    SETPOINT_TIMEOUT,
    LossHold,
    landings_forestalled,
)
from liquid_nav.ros.backends.messages import Fields, fill, message_class
from liquid_nav.ros.parameters import Spec, check_all, first_line
from liquid_nav.safety.freshness import Staleness

if TYPE_CHECKING:
    from rclpy.node import Node

STATUS_TIMEOUT = 3.0
"""s after which the mode of an autopilot is no longer known: it is repeated at 1 Hz or more."""

LARGEST = 100.0
"""m/s and rad/s. Commands arrive here clipped far below; a larger one is a fault."""

POSE_TIMEOUT = Spec(
    "pose_timeout",
    0.5,
    "Age in s above which odometry is not used.",
    (0.01, 5.0),
)
"""The option of every back-end that turns velocities into a world frame."""


class Backend(ABC):
    """Sends commands to one kind of autopilot.

    The life of a back-end: made with its options, which are checked then; `configure` makes its
    publishers; `activate` begins to command a vehicle; `command` sends one command; `deactivate`
    ends that, and `activate` may follow again, of a vehicle that is somewhere else by then;
    `close` destroys the publishers. What it needs is known as soon as it is made, before anything
    is connected: `minimum_rate`, `needs_odometry` and `starts_at_pose`.

    A vehicle that one process stops commanding may be taken over by another one: the supervisor
    when the controller dies, a controller when it is started again. What the first one holds beyond
    its last command, such as a height setpoint, is its `handover`, which travels with every
    heartbeat; the other one begins by `take_over` in place of `activate`.

    An autopilot that takes the vehicle over when its companion is silent may give it back by
    itself. A back-end with the option `HOLD_AFTER_LOSS` then sends nothing until `release`.

    `command` neither raises nor waits: what cannot be sent is refused, and `fault` says why.

    A subclass declares the class attributes, implements `_command`, and extends `configure`, where
    it calls `_advertise` for each topic. It extends the constructor to check options against each
    other, and the other methods where it has more to do there; each calls that of this class first.

    Args:
        options: values by name; those that are left out are at their defaults.

    Attributes:
        name: what it is asked for by; the name of its entry point.
        options: table of its options; each is the parameter ``<name>.<option>`` of a node.
        message_package: the ROS package of the messages that it sends.
        install_hint: what to do when that package is not installed.
        minimum_rate: Hz. The autopilot takes a longer silence as the loss of its companion, so
            that a node refuses to be configured for fewer commands than that.
        parameters_note: what the user must check because the link cannot; empty for nothing.
        setpoint_timeout: s of silence after which the autopilot acts by itself; None if unknown.
        proof_needs_inference: whether the autopilot counts as silence what is sent without fresh
            inference.
        needs_odometry: whether it turns velocities by odometry, and cannot send them without.
        starts_at_pose: whether `activate` should be given the pose of the vehicle if it is known.
        values: value of every option by name.
        active: whether it is between `activate` and `deactivate`.
        fault: why the last command was not sent as it was asked for; empty when it was.

    Raises:
        ConfigError: on an unknown option, a value out of range, or options that do not fit
            together.

    """

    name: ClassVar[str]
    options: ClassVar[tuple[Spec, ...]] = ()
    message_package: ClassVar[str] = "geometry_msgs"
    install_hint: ClassVar[str] = "it comes with every ROS 2; with pip: ros-jazzy-geometry-msgs"
    minimum_rate: ClassVar[float]
    proof_needs_inference: ClassVar[bool] = False
    parameters_note: ClassVar[str] = ""

    setpoint_timeout: float | None = None
    needs_odometry = False
    starts_at_pose = False

    def __init__(self, **options: Any) -> None:
        self.values = check_all(self.options, options, f"back-end {self.name}")
        self.active, self.fault = False, ""
        self.setpoint_timeout = self.values.get(SETPOINT_TIMEOUT.name, self.setpoint_timeout)
        holds = self.values.get(HOLD_AFTER_LOSS.name, False)
        self._hold = LossHold(self.setpoint_timeout if holds else None)
        # Without such an option odometry of any age will do, as its heading is not used.
        self._pose_timeout = round(self.values.get(POSE_TIMEOUT.name, 0.0) * SECOND)
        self._pose: Odometry | None = None  # That of the last command, if it was fresh.
        self._node: Any = None
        # Whether the autopilot follows setpoints by its last status, and when that came.
        self._engaged, self._engaged_at = False, -math.inf
        self._subscriptions: list[Any] = []
        self._publishers: dict[str, Any] = {}
        # One message per topic, filled anew: making one takes as long as sending it.
        self._messages: dict[str, Any] = {}

    def check_rate(self, parameter: str, rate: float) -> None:
        """Check before take-off that commands will be frequent enough for the autopilot.

        Args:
            parameter: the one that sets the rate, for the error.
            rate: commands per second at least, Hz.

        Raises:
            ConfigError: if it is below `minimum_rate`.

        """
        if rate < self.minimum_rate:
            raise ConfigError(
                f"{parameter} is {rate:g} Hz, but back-end {self.name} needs commands at "
                f"{self.minimum_rate:g} Hz or more"
            )

    def configure(self, node: Node) -> None:
        """Make the publishers; nothing is sent yet.

        Args:
            node: makes them.

        """
        self._node = node

    def activate(self, pose: Odometry | None) -> None:
        """Begin to command a vehicle, and forget what was before.

        Args:
            pose: where the vehicle is now, or None if nothing is known of that.

        Raises:
            ConfigError: before `configure`.

        """
        if self._node is None:
            raise ConfigError(f"back-end {self.name} must be configured before it is activated")
        self.active, self.fault = True, ""

    @property
    def engaged(self) -> bool | None:
        """Whether the autopilot follows setpoints now; None if it does not say."""
        if time.monotonic() - self._engaged_at > STATUS_TIMEOUT:
            return None
        return self._engaged

    def release(self) -> None:
        """Command the vehicle again after its loss to the autopilot: the operator wants it so."""
        self._hold.release()

    @property
    def held(self) -> str:
        """Why nothing is sent until `release`; empty when the vehicle was not lost."""
        if not self._hold.lost(time.monotonic()):
            return ""
        return (
            f"{self.name}: the autopilot took over after {self.setpoint_timeout:g} s without proof "
            "of life; release by the service stop with data: false"
        )

    def parameter_warnings(self, now: int) -> list[str]:
        """Which parameters of the autopilot do not fit, as far as it has told them; `now` in ns."""
        return []

    def timing_warning(self, staleness: Mapping[Channel, Staleness]) -> str:
        """Say which of our landings the autopilot forestalls; empty if there is none.

        Args:
            staleness: of each channel that is needed.

        """
        if not self.proof_needs_inference or self.setpoint_timeout is None:
            return ""
        return landings_forestalled(self.name, self.setpoint_timeout, staleness)

    def handover(self) -> dict[str, str]:
        """What a back-end of the same name must hold that commands this vehicle next; by name."""
        return self._hold.handover(time.monotonic())

    def take_over(self, values: Mapping[str, str]) -> None:
        """Begin to command a vehicle that another process commanded until now.

        Args:
            values: the `handover` of its back-end; a value that is missing, or cannot be read, is
                as if nothing was known.

        Raises:
            ConfigError: before `configure`.

        """
        self.activate(None)
        self._hold.take_over(values, time.monotonic())

    def command(self, command: Command, pose: Odometry | None, fresh: bool) -> Command | None:
        """Publish a command, or what is safe in its place.

        Args:
            command: the command of the safety layer; its stamp is now, on the clock of `pose`.
            pose: the newest odometry, or None. Back-ends that speak in world frames turn by it.
            fresh: whether inference is fresh: whether the controller still receives what the
                policy needs. Without it no nominal command is sent, so that no timer keeps a dead
                policy flying. Failsafe commands are sent, because they are the answer to that.

        Returns:
            The command that was sent, with its reason if it is not the one asked for, or None when
            nothing was sent.

        """
        if not self.active:
            self.fault = "withheld: the back-end is not active"
            return None
        self.fault = self.held
        if self.fault:
            return None
        if not all(abs(value) <= LARGEST for value in command.vector):  # False for NaN too.
            command = self._at_rest(command, "the command is not finite")
        if command.mode is Mode.NOMINAL and not fresh:
            self.fault = "withheld: inference is not fresh"
            return None
        if pose is not None and abs(command.stamp - pose.stamp) > self._pose_timeout:
            pose = None
        self._pose = pose
        sent = self._command(command, None if pose is None else heading_of(pose), fresh)
        if sent is not None and (fresh or not self.proof_needs_inference):
            if self.engaged is False:  # Somebody else flies: no silence can lose the vehicle.
                self._hold.release()
            else:
                self._hold.prove(time.monotonic())
        return sent

    def deactivate(self) -> None:
        """Command the vehicle no more."""
        self.active = False
        self._hold.release()

    def close(self) -> None:
        """Destroy the publishers; again without effect."""
        self.deactivate()
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._publishers.clear()
        self._subscriptions.clear()

    @property
    def topics(self) -> tuple[str, ...]:
        """Fully qualified names of the topics that it publishes on."""
        return tuple(publisher.topic_name for publisher in self._publishers.values())

    @property
    def topics_by_parameter(self) -> dict[str, str]:
        """Topics that it publishes on, by the parameter that names each where there is one."""
        parameters = {str(value): f"{self.name}.{name}" for name, value in self.values.items()}
        return {
            parameters.get(topic, f"back-end {self.name} ({topic})"): topic
            for topic in self._publishers
        }

    @abstractmethod
    def _command(self, command: Command, heading: float | None, fresh: bool) -> Command | None:
        """As `command`, with a command that is finite and the heading in radians, None if unknown.

        A command that is not nominal may come when nothing is fresh; a nominal one does not.
        """

    def _advertise(self, topic: str, message_type: str) -> None:
        kind = message_class(message_type)
        try:
            # Depth 1: only the newest setpoint counts. A reliable writer matches any reader.
            self._publishers[topic] = self._node.create_publisher(kind, topic, 1)
        except Exception as error:  # rclpy raises what it likes; a bad name is a ValueError.
            raise ConfigError(
                f"back-end {self.name} cannot publish {message_type} on {topic!r}: "
                f"{first_line(error)}"
            ) from error
        self._messages[topic] = kind()

    def _read_status(self, topic: str, message_type: str, engaged: Callable[[Any], bool]) -> None:
        """Learn from a topic of the autopilot whether it follows setpoints.

        Without the package of the message nothing is learnt. The name of a topic of PX4 has the
        version of its message, where that has one.
        """
        if importlib.util.find_spec(message_type.partition("/")[0]) is None:
            return
        from rclpy.qos import qos_profile_sensor_data  # Only here: the rest runs without ROS.

        def on_status(message: Any) -> None:
            self._engaged, self._engaged_at = engaged(message), time.monotonic()

        kind = message_class(message_type)
        version = getattr(kind, "MESSAGE_VERSION", 0)
        topic = f"{topic}_v{version}" if version else topic
        self._subscriptions.append(
            self._node.create_subscription(kind, topic, on_status, qos_profile_sensor_data)
        )

    def _publish(self, topic: str, fields: Fields) -> None:
        """Send a message, always with the same fields for a topic; others are at their default."""
        self._publishers[topic].publish(fill(self._messages[topic], fields))

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
        mode = Mode.HOVER if command.mode is Mode.NOMINAL else command.mode
        resting = replace(command, vx=0.0, vy=0.0, vz=vz, yaw_rate=0.0, mode=mode)
        self.fault = f"refused: {why}"
        return self._with_reason(resting, why)

    def _with_reason(self, command: Command, why: str) -> Command:
        """The command, with what this back-end did to it among its reasons."""
        reasons = filter(None, (command.reason, f"{self.name}: {why}"))
        return replace(command, reason="; ".join(reasons))


def velocity_of(command: Command) -> Vector3:
    """(forward, left, up) in m/s."""
    return (command.vx, command.vy, command.vz)


def is_horizontal(command: Command) -> bool:
    """Whether the velocity changes when it is turned about the vertical."""
    return command.vx != 0 or command.vy != 0
