"""What the controller node hears: one event per message, the moment it comes, no synchroniser."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from liquid_nav.errors import ConfigError, LiquidNavError
from liquid_nav.events import Channel, Event
from liquid_nav.messages import decode as messages
from liquid_nav.messages.camera import CameraAdapter
from liquid_nav.messages.px4 import FLU_IN_FRD, px4_imu_sample, px4_odometry
from liquid_nav.messages.transforms import StaticTransforms
from liquid_nav.onboard import PolicyCamera
from liquid_nav.ros.backends.messages import message_class
from liquid_nav.ros.controller.diagnostics import Monitor
from liquid_nav.ros.controller.parameters import PX4_IMU, PX4_ODOMETRY, Settings

Convert = Callable[[Any, int], "Event | None"]
"""From a message and its arrival in ns to an event, or to None when it makes none."""


class Source(NamedTuple):
    """A topic to hear: whose channel, the type of its messages, what makes events of them."""

    channel: Channel
    kind: str
    topic: str
    convert: Convert
    qos: QoSProfile


_DEPTH = {Channel.IMU: 50, Channel.CAMERA: 2}


class Sensors:
    """Subscriptions of a controller, and the conversion of what comes.

    What no event can be made of is counted in the monitor with its reason, and nothing else.

    Args:
        node: subscribes.
        settings: topics, frames, rotations.
        camera: the model's, into which every image is turned.
        monitor: counts.
        now: reads the controller's clock, ns.
        enter: takes each event in; the time it takes counts as event to command.
        on_qos: told of a topic and of publishers whose QoS does not fit.

    Raises:
        ConfigError: if the message package of a topic is not installed.

    """

    def __init__(
        self,
        node: Node,
        settings: Settings,
        camera: PolicyCamera,
        monitor: Monitor,
        now: Callable[[], int],
        enter: Callable[[Event], None],
        on_qos: Callable[[str, Any], None],
    ) -> None:
        self._node, self._settings, self._camera = node, settings, camera
        self._monitor, self._now, self._enter, self._on_qos = monitor, now, enter, on_qos
        self._subscriptions: list[Any] = []
        self._transforms = StaticTransforms()
        self._calibration: tuple[Any, ...] | None = None
        self._adapter: CameraAdapter | None = None
        if not settings.values["use_camera_info"]:
            self._adapter = CameraAdapter(camera)
        self._sources = self._find_sources(settings.values)
        for source in self._sources:
            package = source.kind.partition("/")[0]
            if importlib.util.find_spec(package) is None:
                raise ConfigError(
                    f"{source.topic} needs the ROS package {package}, which is not installed"
                )

    def listen(self) -> None:
        """Subscribe to everything that the settings name."""
        for source in self._sources:
            self._subscribe(source)

    def close(self) -> None:
        """Hear no more."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def _find_sources(self, values: Mapping[str, Any]) -> list[Source]:
        def sensor(channel: Channel, kind: str, topic: str, convert: Convert) -> Source:
            reliability = ReliabilityPolicy[values["sensor_reliability"].upper()]
            qos = QoSProfile(depth=_DEPTH.get(channel, 5), reliability=reliability)
            return Source(channel, kind, topic, convert, qos)

        image = "CompressedImage" if values["image_transport"] == "compressed" else "Image"
        locate = px4_odometry if values["odometry_type"] == PX4_ODOMETRY else messages.odometry
        feel = self._px4_imu if values["imu_type"] == PX4_IMU else self._imu
        image_topic, places = self._settings.image_topic, values["topics.odometry"]
        sources = [
            sensor(Channel.CAMERA, f"sensor_msgs/msg/{image}", image_topic, self._frame),
            sensor(Channel.IMU, values["imu_type"], values["topics.imu"], feel),
            sensor(
                Channel.GOAL, "geometry_msgs/msg/PoseStamped", values["topics.goal"], self._goal
            ),
            sensor(Channel.ODOMETRY, values["odometry_type"], places, locate),
        ]
        if values["use_camera_info"]:
            info, topic = "sensor_msgs/msg/CameraInfo", values["topics.camera_info"]
            sources.append(sensor(Channel.CAMERA, info, topic, self._calibrate))
        if values["imu_from_tf"]:
            latched = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
            transforms = "tf2_msgs/msg/TFMessage"
            sources.append(Source(Channel.IMU, transforms, "/tf_static", self._mount, latched))
        return [source for source in sources if source.topic]

    def _subscribe(self, source: Source) -> None:
        channel, kind, topic, convert, qos = source
        intake = self._monitor.counts[channel]
        lost = 0

        def count_loss(info: Any) -> None:
            nonlocal lost
            intake.lost += info.total_count - lost
            lost = info.total_count

        self._subscriptions.append(
            self._node.create_subscription(
                message_class(kind),
                topic,
                lambda received: self._on_message(channel, convert, received),
                qos,
                event_callbacks=SubscriptionEventCallbacks(
                    incompatible_qos=lambda info: self._on_qos(topic, info), message_lost=count_loss
                ),
            )
        )

    def _on_message(self, channel: Channel, convert: Convert, received: Any) -> None:
        start = time.perf_counter_ns()
        if not self._subscriptions:  # What was already waiting when they were closed.
            return
        intake = self._monitor.counts[channel]
        try:
            event = convert(received, self._now())
        except LiquidNavError as error:
            intake.received += 1
            intake.reject(str(error))
            return
        except Exception as error:  # No message, however odd, ends a flight.
            intake.received += 1
            intake.reject(f"{type(error).__name__}: {error}")
            return
        if event is None:
            return
        intake.received += 1
        self._enter(event)
        self._monitor.latencies.append(time.perf_counter_ns() - start)

    def _frame(self, image: Any, now: int) -> Event:
        if self._adapter is None:
            raise messages.MessageError("no camera_info has come yet, see use_camera_info")
        return messages.camera_frame(image, now, self._adapter)

    def _imu(self, imu: Any, now: int) -> Event:
        rotation = self._settings.imu_rotation
        if self._settings.values["imu_from_tf"]:
            body = self._settings.values["body_frame"]
            rotation = self._transforms.rotation(imu.header.frame_id, body)
        return messages.imu_sample(imu, now, rotation)

    def _px4_imu(self, imu: Any, now: int) -> Event:
        return px4_imu_sample(imu, now, self._settings.imu_rotation @ FLU_IN_FRD)

    def _goal(self, pose: Any, now: int) -> Event:
        return messages.goal(pose, now, self._settings.values["world_frame"] or None)

    def _mount(self, transforms: Any, now: int) -> None:
        self._transforms.add(transforms)

    def _calibrate(self, info: Any, now: int) -> None:
        lens = (info.width, info.height, info.distortion_model, info.k.tobytes(), tuple(info.d))
        if lens == self._calibration:
            return
        self._adapter = CameraAdapter(self._camera, info)
        words = "calibrated" if self._calibration is None else "another calibration came"
        self._calibration = lens
        self._node.get_logger().info(
            f"camera: {words}; it covers {self._adapter.covers:.0%} of the model's view"
        )
