"""What the controller node subscribes to: one event per message, the moment it comes.

There is no synchroniser: each message becomes an event of its own.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from rclpy.callback_groups import CallbackGroup
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from liquid_nav.errors import ConfigError, LiquidNavError
from liquid_nav.events import SECOND, Channel, Event
from liquid_nav.messages.camera import CameraAdapter
from liquid_nav.messages.plug import EventMessage, Rotation, SensorSetup, message_of
from liquid_nav.messages.transforms import StaticTransforms
from liquid_nav.onboard import Policy
from liquid_nav.ros.backends.messages import message_class
from liquid_nav.ros.controller.diagnostics import MessageCounts, Monitor
from liquid_nav.ros.controller.losses import Backlog, Losses
from liquid_nav.ros.controller.parameters import Parameters
from liquid_nav.ros.controller.receiver import MessageInfo
from liquid_nav.ros.parameters import first_line

ALWAYS = frozenset({Channel.GOAL, Channel.ODOMETRY})
"""Channels that every controller subscribes to: goals for the recordings, odometry for the geofence
and for back-ends that command in world frames."""

OnMessage = Callable[[Any, int], "Event | None"]
"""From a message and its arrival in ns to an event, or to None when it makes none."""

_DEPTH = {Channel.IMU: 2000, Channel.CAMERA: 4}
"""Messages that wait in the middleware, at most; of others, `_OTHER_DEPTH`. Some drivers hold their
samples back and send hundreds at once. Images are large, and only the newest ones count."""

_OTHER_DEPTH = 200


class Topic(NamedTuple):
    """A topic to read.

    Attributes:
        parameter: the parameter that names it.
        channel: the channel that its messages count for.
        type, name: of the topic.
        on_message: takes each message.
        qos: of the subscription.
        measured: whether the messages are measurements, which become events.

    """

    parameter: str
    channel: Channel
    type: str
    name: str
    on_message: OnMessage
    qos: QoSProfile
    measured: bool = True


class Sensors:
    """Subscriptions of a controller, and the decoding of what comes.

    A message that cannot become an event is counted in the monitor, with its reason; and so is one
    that never came, or came and had to be dropped because the machine could not keep up.

    A thread of the node receives the messages (`Receiver`), and calls `answer` after each turn.

    Args:
        node: subscribes.
        group: callback group of the subscriptions, that of the node's `Receiver`.
        parameters: topics, frames, rotations.
        policy: whose channels are read; those in `ALWAYS` are added. Every image is turned into
            that of its camera.
        monitor: counts.
        now: reads the controller's clock, ns.
        enter: gives an event to the controller; the second argument is when its message was taken
            up, s on the steady clock.
        send: sends the command that follows from the events entered since the last one.
        on_qos: called with a topic and the publishers whose QoS is incompatible.

    Raises:
        ConfigError: if the message package of a topic is not installed, or a channel has no topic
            although the policy reads it.

    """

    def __init__(
        self,
        node: Node,
        group: CallbackGroup,
        parameters: Parameters,
        policy: Policy,
        monitor: Monitor,
        now: Callable[[], int],
        enter: Callable[[Event, float], None],
        send: Callable[[], None],
        on_qos: Callable[[str, Any], None],
    ) -> None:
        camera = policy.config.camera
        self._node, self._parameters, self._policy, self._camera = node, parameters, policy, camera
        self._monitor, self._now, self._on_qos = monitor, now, on_qos
        self._group, self._enter, self._send = group, enter, send
        self._backlog = Backlog()
        # When the oldest message was taken up that no command has answered, s on the steady clock.
        self._unanswered: float | None = None
        self._subscriptions: list[Any] = []
        self._transforms = StaticTransforms()
        self._calibration: tuple[Any, ...] | None = None
        self._setup = SensorSetup(
            imu_rotation=self._imu_rotation, goal_frame=parameters.values["world_frame"]
        )
        if camera is not None and not parameters.values["use_camera_info"]:
            self._setup.camera = CameraAdapter(camera)
        self._wanted = self._find(policy.channels)
        for wanted in self._wanted:
            package = wanted.type.partition("/")[0]
            if importlib.util.find_spec(package) is None:
                raise ConfigError(
                    f"{wanted.name} needs the ROS package {package}, which is not installed"
                )

    @property
    def topics(self) -> dict[str, str]:
        """The topics that are read, by the parameter that names each."""
        return {wanted.parameter: wanted.name for wanted in self._wanted}

    def listen(self) -> None:
        """Subscribe to every topic."""
        for wanted in self._wanted:
            self._subscribe(wanted)

    def close(self) -> None:
        """Destroy the subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def _find(self, channels: Collection[Channel]) -> list[Topic]:
        """Topics to read for these channels, and for what it takes to decode them."""
        values, found = self._parameters.values, []
        for channel in sorted({*channels, *ALWAYS}):
            name, topic = self._parameters.topic(channel)
            if topic:
                message_type = self._parameters.message_type(channel)
                decode = self._decode_by(message_of(channel, message_type))
                found.append(self._sensor(name, channel, message_type, topic, decode))
            elif channel in channels:
                raise ConfigError(
                    f"{name} is empty, but the policy reads {channel.value}: set it to its topic"
                )
        if Channel.CAMERA in channels and values["use_camera_info"]:
            name, info = "topics.camera_info", "sensor_msgs/msg/CameraInfo"
            if not values[name]:
                raise ConfigError(
                    f"{name} is empty, but use_camera_info is true: set it to the topic of the "
                    "calibration, or use_camera_info to false"
                )
            calibration = self._sensor(name, Channel.CAMERA, info, values[name], self._calibrate)
            found.append(calibration._replace(measured=False))
        if Channel.IMU in channels and values["imu_from_tf"]:
            qos = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
            transforms = "tf2_msgs/msg/TFMessage"
            found.append(
                Topic(
                    "imu_from_tf",
                    Channel.IMU,
                    transforms,
                    "/tf_static",
                    self._add_transforms,
                    qos,
                    measured=False,
                )
            )
        return found

    def _decode_by(self, kind: EventMessage) -> OnMessage:
        decode, setup = kind.decode, self._setup
        return lambda message, now: decode(message, now, setup)

    def _sensor(
        self,
        parameter: str,
        channel: Channel,
        message_type: str,
        topic: str,
        on_message: OnMessage,
    ) -> Topic:
        reliability = ReliabilityPolicy[self._parameters.values["sensor_reliability"].upper()]
        qos = QoSProfile(depth=_DEPTH.get(channel, _OTHER_DEPTH), reliability=reliability)
        return Topic(parameter, channel, message_type, topic, on_message, qos)

    def _subscribe(self, topic: Topic) -> None:
        counts = self._monitor.counts[topic.channel]
        losses = counts.losses[topic.name] if topic.measured else Losses()
        losses.start()

        def on_message(message: Any, info: MessageInfo) -> None:
            losses.receive(info.number, subscription.get_publisher_count)
            if (
                topic.measured
                and self._may_drop(topic.channel)
                and self._backlog.drops(info.received, info.newest)
            ):
                counts.dropped += 1
            else:
                self._on_message(topic, counts, message)

        try:
            subscription = self._node.create_subscription(
                message_class(topic.type),
                topic.name,
                on_message,
                topic.qos,
                callback_group=self._group,
                event_callbacks=SubscriptionEventCallbacks(
                    incompatible_qos=lambda info: self._on_qos(topic.name, info),
                    message_lost=lambda info: losses.report(info.total_count),
                ),
            )
        except Exception as error:  # rclpy raises what it likes.
            raise ConfigError(
                f"{topic.parameter}: cannot read {topic.type} on {topic.name!r}: "
                f"{first_line(error)}"
            ) from error
        self._subscriptions.append(subscription)

    def _may_drop(self, channel: Channel) -> bool:
        """Whether a newer message of the channel makes up for an older one: not so for goals."""
        return channel is Channel.ODOMETRY or self._policy.staleness.get(channel) is not None

    def _on_message(self, topic: Topic, counts: MessageCounts, received: Any) -> None:
        start = time.monotonic()
        if not self._subscriptions:  # A message that was waiting when they were closed.
            return
        try:
            event = topic.on_message(received, self._now())
        except LiquidNavError as error:
            counts.received += 1
            counts.reject(str(error))
            return
        except Exception as error:  # No message, however odd, ends a flight.
            counts.received += 1
            counts.reject(f"{type(error).__name__}: {error}")
            return
        if event is None:
            return
        counts.received += 1
        self._enter(event, start)
        if self._unanswered is None:
            self._unanswered = start

    def answer(self) -> None:
        """Send the command that follows from the events of this turn, if there were any."""
        start, self._unanswered = self._unanswered, None
        if start is not None:
            self._send()
            self._monitor.latencies.append(round((time.monotonic() - start) * SECOND))

    def _imu_rotation(self, frame_id: str | None) -> Rotation | None:
        if frame_id is None or not self._parameters.values["imu_from_tf"]:
            return self._parameters.imu_rotation
        return self._transforms.rotation(frame_id, self._parameters.values["body_frame"])

    def _add_transforms(self, transforms: Any, now: int) -> None:
        self._transforms.add(transforms)

    def _calibrate(self, info: Any, now: int) -> None:
        assert self._camera is not None
        lens = (info.width, info.height, info.distortion_model, info.k.tobytes(), tuple(info.d))
        if lens == self._calibration:
            return
        adapter = CameraAdapter(self._camera, info)
        words = "calibrated" if self._calibration is None else "another calibration came"
        self._setup.camera, self._calibration = adapter, lens
        self._node.get_logger().info(
            f"camera: {words}; it covers {adapter.covers:.0%} of the policy's view"
        )
