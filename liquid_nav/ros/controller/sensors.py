"""What the controller node subscribes to: one event per message, the moment it comes.

There is no synchroniser: each message becomes an event of its own.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from liquid_nav.errors import ConfigError, LiquidNavError
from liquid_nav.events import Channel, Event
from liquid_nav.messages.camera import CameraAdapter
from liquid_nav.messages.plug import EventMessage, Rotation, SensorSetup, message_of
from liquid_nav.messages.transforms import StaticTransforms
from liquid_nav.onboard import PolicyCamera
from liquid_nav.ros.backends.messages import message_class
from liquid_nav.ros.controller.diagnostics import Monitor
from liquid_nav.ros.controller.parameters import Parameters
from liquid_nav.ros.parameters import first_line

ALWAYS = frozenset({Channel.GOAL, Channel.ODOMETRY})
"""Channels that every controller subscribes to: goals for the recordings, odometry for the geofence
and for back-ends that command in world frames."""

OnMessage = Callable[[Any, int], "Event | None"]
"""From a message and its arrival in ns to an event, or to None when it makes none."""

_DEPTH = {Channel.IMU: 50, Channel.CAMERA: 2}
_OTHER_DEPTH = 5


class Subscription(NamedTuple):
    """A topic to read: the parameter that names it, the channel it counts for, and the rest."""

    parameter: str
    channel: Channel
    type: str
    topic: str
    on_message: OnMessage
    qos: QoSProfile


class Sensors:
    """Subscriptions of a controller, and the decoding of what comes.

    A message that cannot become an event is counted in the monitor, with its reason.

    Args:
        node: subscribes.
        parameters: topics, frames, rotations.
        channels: that the policy reads; those in `ALWAYS` are added.
        camera: the policy's, into which every image is turned; None for a policy without one.
        monitor: counts.
        now: reads the controller's clock, ns.
        enter: gives each event to the controller; the time it takes counts as event to command.
        on_qos: called with a topic and the publishers whose QoS is incompatible.

    Raises:
        ConfigError: if the message package of a topic is not installed, or a channel has no topic
            although the policy reads it.

    """

    def __init__(
        self,
        node: Node,
        parameters: Parameters,
        channels: Collection[Channel],
        camera: PolicyCamera | None,
        monitor: Monitor,
        now: Callable[[], int],
        enter: Callable[[Event], None],
        on_qos: Callable[[str, Any], None],
    ) -> None:
        self._node, self._parameters, self._camera = node, parameters, camera
        self._monitor, self._now, self._enter, self._on_qos = monitor, now, enter, on_qos
        self._subscriptions: list[Any] = []
        self._transforms = StaticTransforms()
        self._calibration: tuple[Any, ...] | None = None
        self._setup = SensorSetup(
            imu_rotation=self._imu_rotation, goal_frame=parameters.values["world_frame"]
        )
        if camera is not None and not parameters.values["use_camera_info"]:
            self._setup.camera = CameraAdapter(camera)
        self._wanted = self._find(channels)
        for wanted in self._wanted:
            package = wanted.type.partition("/")[0]
            if importlib.util.find_spec(package) is None:
                raise ConfigError(
                    f"{wanted.topic} needs the ROS package {package}, which is not installed"
                )

    @property
    def topics(self) -> dict[str, str]:
        """The topics that are read, by the parameter that names each."""
        return {wanted.parameter: wanted.topic for wanted in self._wanted}

    def listen(self) -> None:
        """Subscribe to every topic."""
        for wanted in self._wanted:
            self._subscribe(wanted)

    def close(self) -> None:
        """Destroy the subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def _find(self, channels: Collection[Channel]) -> list[Subscription]:
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
            found.append(self._sensor(name, Channel.CAMERA, info, values[name], self._calibrate))
        if Channel.IMU in channels and values["imu_from_tf"]:
            qos = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
            transforms = "tf2_msgs/msg/TFMessage"
            found.append(
                Subscription(
                    "imu_from_tf",
                    Channel.IMU,
                    transforms,
                    "/tf_static",
                    self._add_transforms,
                    qos,
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
    ) -> Subscription:
        reliability = ReliabilityPolicy[self._parameters.values["sensor_reliability"].upper()]
        qos = QoSProfile(depth=_DEPTH.get(channel, _OTHER_DEPTH), reliability=reliability)
        return Subscription(parameter, channel, message_type, topic, on_message, qos)

    def _subscribe(self, wanted: Subscription) -> None:
        channel, topic, on_message = wanted.channel, wanted.topic, wanted.on_message
        counts = self._monitor.counts[channel]
        lost = 0

        def count_loss(info: Any) -> None:
            nonlocal lost
            counts.lost += info.total_count - lost
            lost = info.total_count

        try:
            subscription = self._node.create_subscription(
                message_class(wanted.type),
                topic,
                lambda received: self._on_message(channel, on_message, received),
                wanted.qos,
                event_callbacks=SubscriptionEventCallbacks(
                    incompatible_qos=lambda info: self._on_qos(topic, info), message_lost=count_loss
                ),
            )
        except Exception as error:  # rclpy raises what it likes.
            raise ConfigError(
                f"{wanted.parameter}: cannot read {wanted.type} on {topic!r}: {first_line(error)}"
            ) from error
        self._subscriptions.append(subscription)

    def _on_message(self, channel: Channel, on_message: OnMessage, received: Any) -> None:
        start = time.perf_counter_ns()
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
        self._enter(event)
        self._monitor.latencies.append(time.perf_counter_ns() - start)

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
