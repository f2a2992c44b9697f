"""What the controller node subscribes to: one event per message, the moment it comes.

There is no synchroniser: each message becomes an event of its own.
"""

from __future__ import annotations

import importlib.util
import math
import time
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from rclpy.callback_groups import CallbackGroup
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from liquid_nav.errors import ConfigError, LiquidNavError
from liquid_nav.events import SECOND, Channel, Event
from liquid_nav.messages.camera import CameraAdapter, CameraSource
from liquid_nav.messages.camera.depth import Depth
from liquid_nav.messages.plug import EventMessage, SensorSetup, message_of
from liquid_nav.messages.stamps import ArrivalStamps, raw_stamp, shifted
from liquid_nav.messages.transforms import ImuMounting
from liquid_nav.onboard import Policy
from liquid_nav.ros.backends.messages import message_class
from liquid_nav.ros.controller.diagnostics.monitor import Monitor
from liquid_nav.ros.controller.diagnostics.topics import TF_STATIC, Wanted
from liquid_nav.ros.controller.parameters import Parameters
from liquid_nav.ros.controller.sensors.losses import Backlog, Losses
from liquid_nav.ros.controller.sensors.receiver import MessageInfo
from liquid_nav.ros.parameters import first_line

ALWAYS = frozenset({Channel.GOAL, Channel.ODOMETRY})
"""Channels that every controller subscribes to: goals for the recordings, odometry for the geofence
and for back-ends that command in world frames."""

OnMessage = Callable[[Any, int], "Event | None"]
"""From a message and its arrival in ns to an event, or to None when it makes none."""

_DURABILITIES = {DurabilityPolicy.VOLATILE, DurabilityPolicy.TRANSIENT_LOCAL}

_DEPTH = {Channel.IMU: 2000, Channel.CAMERA: 4}
"""Messages that wait in the middleware, at most; of others, `_OTHER_DEPTH`. Some drivers hold their
samples back and send hundreds at once. Images are large, and only the newest ones count."""

_OTHER_DEPTH = 200


class Subscription(NamedTuple):
    """A topic to read.

    Attributes:
        parameter: the parameter that names it.
        channel: the channel that its messages count for.
        type, topic: its type and its name.
        on_message: takes each message.
        qos: of the subscription.
        other_durability: whether publishers may be of the other durability than `qos`. A volatile
            subscription misses what a latched publisher has published before, and a transient-local
            one matches no volatile publisher. So it is with what is published once and stays, such
            as a calibration, and not with measurements.

    """

    parameter: str
    channel: Channel
    type: str
    topic: str
    on_message: OnMessage
    qos: QoSProfile
    other_durability: bool = False


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
        self._node, self._group, self._parameters, self._policy = node, group, parameters, policy
        self._monitor, self._now, self._on_qos = monitor, now, on_qos
        self._enter, self._send = enter, send
        self._backlog = Backlog()
        # When the oldest message was taken up that no command has answered, s on the steady clock.
        self._unanswered: float | None = None
        self._subscriptions: list[Any] = []
        self._to_match: list[Subscription] = []
        values = parameters.values
        self._mounting = ImuMounting(
            parameters.imu_rotation, values["imu_from_tf"], values["body_frame"]
        )
        images = parameters.images
        self._setup = SensorSetup(
            imu_rotation=self._mounting.rotation,
            goal_frame=values["world_frame"],
            depth=Depth(images.bits),
        )
        self._wanted = self._find(policy.channels, policy.needed)
        for wanted in self._wanted:
            package = wanted.type.partition("/")[0]
            if importlib.util.find_spec(package) is None:
                raise ConfigError(
                    f"{wanted.topic} needs the ROS package {package}, which is not installed"
                )
        camera = policy.config.camera
        if camera is not None:
            topic = node.resolve_topic_name(parameters.topic(Channel.CAMERA)[1])
            self._source = CameraSource(camera, topic, images)
            if not values["use_camera_info"]:
                self._setup.camera = CameraAdapter(camera)

    @property
    def topics(self) -> dict[str, str]:
        """The topics that are read, by the parameter that names each."""
        return {wanted.parameter: wanted.topic for wanted in self._wanted}

    def wanted(self, needed: Collection[Channel]) -> list[Wanted]:
        """The topics that are read, for `topics_status`; `needed`: channels that must flow."""
        return [
            Wanted(
                item.parameter,
                item.topic,
                item.type,
                # An IMU that nobody publishes transforms for is taken to be in the body's frame.
                item.channel in needed and item.topic != TF_STATIC,
                item.channel == Channel.GOAL,
            )
            for item in self._wanted
        ]

    def listen(self) -> None:
        """Subscribe to every topic."""
        for wanted in self._wanted:
            self._subscribe(wanted)
        self._to_match = [wanted for wanted in self._wanted if wanted.other_durability]
        self.match_publishers()

    def match_publishers(self) -> None:
        """Subscribe a second time where a publisher is of the other durability, see `Subscription`.

        What both receive comes twice. Without such a publisher there is no second subscription: it
        would match nothing, of which the nodes of the publishers would warn.
        """
        for wanted in tuple(self._to_match):
            topic = self._node.resolve_topic_name(wanted.topic)
            offered = {
                publisher.qos_profile.durability
                for publisher in self._node.get_publishers_info_by_topic(topic)
            }
            for durability in (offered & _DURABILITIES) - {wanted.qos.durability}:
                self._to_match.remove(wanted)
                # Reliable, or what was published before does not come.
                qos = QoSProfile(depth=wanted.qos.depth, durability=durability)
                self._subscribe(wanted._replace(qos=qos), report_qos=False)

    def close(self) -> None:
        """Destroy the subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def _find(
        self, channels: Collection[Channel], needed: Collection[Channel]
    ) -> list[Subscription]:
        """Topics to read for these channels, and for what it takes to decode them.

        Raises:
            ConfigError: if a channel that is needed has no topic.

        """
        values, found = self._parameters.values, []
        for channel in sorted({*channels, *ALWAYS}):
            name, topic = self._parameters.topic(channel)
            if topic:
                message_type = self._parameters.message_type(channel)
                decode = self._decode_by(channel, message_of(channel, message_type))
                found.append(self._sensor(name, channel, message_type, topic, decode))
            elif channel in needed:
                raise ConfigError(
                    f"{name} is empty, but the policy needs {channel.value}: set it to its topic"
                )
        if Channel.CAMERA in channels and values["use_camera_info"]:
            name, info = "topics.camera_info", "sensor_msgs/msg/CameraInfo"
            if not values[name]:
                raise ConfigError(
                    f"{name} is empty, but use_camera_info is true: set it to the topic of the "
                    "calibration, or use_camera_info to false"
                )
            calibration = self._sensor(name, Channel.CAMERA, info, values[name], self._calibrate)
            found.append(calibration._replace(other_durability=True))
        if Channel.IMU in channels and values["imu_from_tf"] and self._has_transforms():
            transforms = "tf2_msgs/msg/TFMessage"
            found.append(
                Subscription(
                    "imu_from_tf",
                    Channel.IMU,
                    transforms,
                    TF_STATIC,
                    self._add_transforms,
                    QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL),
                    other_durability=True,
                )
            )
        return found

    def _decode_by(self, channel: Channel, kind: EventMessage) -> OnMessage:
        decode, setup = kind.decode, self._setup
        if channel not in self._parameters.arrival_stamps:
            return lambda message, now: decode(message, now, setup)
        stamps = ArrivalStamps()

        def decode_by_arrival(message: Any, now: int) -> Event:
            stamp = raw_stamp(message)
            offset = 0 if stamp is None else stamps.offset(stamp, now)
            # The decoder checks the stamp on the clock of its source.
            return shifted(decode(message, now - offset, setup), offset)

        return decode_by_arrival

    def _sensor(
        self,
        parameter: str,
        channel: Channel,
        message_type: str,
        topic: str,
        on_message: OnMessage,
    ) -> Subscription:
        reliability = ReliabilityPolicy[self._parameters.values["sensor_reliability"].upper()]
        qos = QoSProfile(depth=_DEPTH.get(channel, _OTHER_DEPTH), reliability=reliability)
        return Subscription(parameter, channel, message_type, topic, on_message, qos)

    def _subscribe(self, wanted: Subscription, report_qos: bool = True) -> None:
        channel, topic, on_message = wanted.channel, wanted.topic, wanted.on_message
        counts, measured = self._monitor.counts[channel], not wanted.other_durability
        losses = counts.losses[topic] if measured else Losses()
        losses.start()
        may_drop, limit = measured and self._may_drop(channel), self._longest_wait()

        def take(message: Any, info: MessageInfo) -> None:
            losses.receive(info.number, subscription.get_publisher_count)
            if may_drop and self._backlog.drops(info.received, info.newest, limit):
                counts.dropped += 1
            else:
                self._on_message(channel, on_message, message)

        events = SubscriptionEventCallbacks(
            incompatible_qos=lambda info: self._on_qos(topic, info),
            message_lost=lambda info: losses.report(info.total_count),
        )
        if not report_qos:
            events = SubscriptionEventCallbacks(use_default_callbacks=False)
        try:
            subscription = self._node.create_subscription(
                message_class(wanted.type),
                topic,
                take,
                wanted.qos,
                callback_group=self._group,
                event_callbacks=events,
            )
        except Exception as error:  # rclpy raises what it likes.
            raise ConfigError(
                f"{wanted.parameter}: cannot read {wanted.type} on {topic!r}: {first_line(error)}"
            ) from error
        self._subscriptions.append(subscription)

    def _may_drop(self, channel: Channel) -> bool:
        """Whether a newer message of the channel makes up for an older one: not so for goals."""
        return channel is Channel.ODOMETRY or self._policy.staleness.get(channel) is not None

    def _longest_wait(self) -> float:
        """Seconds that a message may wait before a newer one of its channel acts in its place.

        All channels wait for one thread: none may keep another one waiting until that is stale.
        Half of the shortest age at which the vehicle hovers leaves time to handle what is newer.
        """
        policy, staleness = self._policy, self._parameters.safety.staleness
        ages = [staleness.get(c) or policy.staleness.get(c) for c in policy.needed]
        return min((each.hover / 2 for each in ages if each is not None), default=math.inf)

    def _on_message(self, channel: Channel, on_message: OnMessage, received: Any) -> None:
        start = time.monotonic()
        if not self._subscriptions:  # A message that was waiting when they were closed.
            return
        counts = self._monitor.counts[channel]
        try:
            event = on_message(received, self._now())
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
        if channel == Channel.CAMERA:
            counts.warnings = self._setup.camera_warnings
        elif channel == Channel.IMU:
            counts.warnings = self._mounting.warnings
        self._enter(event, start)
        # Odometry alone changes no answer of a policy that does not read it: the next measurement
        # or the timer sends a command that it turned, or that the geofence changed.
        if self._unanswered is None and channel in self._policy.channels:
            self._unanswered = start

    def answer(self) -> None:
        """Send the command that follows from the events of this turn, if there were any."""
        start, self._unanswered = self._unanswered, None
        if start is not None:
            self._send()
            self._monitor.latencies.append(round((time.monotonic() - start) * SECOND))

    def _has_transforms(self) -> bool:
        """Whether static transforms can be read."""
        there = importlib.util.find_spec("tf2_msgs") is not None
        if not there:
            self._node.get_logger().info(
                "the ROS package tf2_msgs is not installed: /tf_static is not read"
            )
        return there

    def _add_transforms(self, transforms: Any, now: int) -> None:
        self._mounting.add(transforms)

    def _calibrate(self, info: Any, now: int) -> None:
        known = self._source.adapter is not None
        if not self._source.calibrate(info):
            return
        adapter = self._setup.camera = self._source.adapter
        assert adapter is not None
        words = "another calibration came" if known else "calibrated"
        if adapter.calibrated:
            self._node.get_logger().info(f"camera: {words}; {adapter.summary}")
        # What is unusual about it is logged with the diagnostics.
        self._monitor.counts[Channel.CAMERA].warnings = self._setup.camera_warnings
