"""What the simulated drone publishes, and in which order."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.serialization import serialize_message

from liquid_nav.events import SECOND, Event
from liquid_nav.messages.plug import WritableMessage, writable_message
from liquid_nav.ros.backends.messages import message_class
from liquid_nav.ros.simulator import messages
from liquid_nav_sim.config import FittedSensor
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.world import World

_DEPTH = 5
"""Messages of a sensor that are kept for a reader that is busy, at least."""

_BEAT = 0.05
"""s of the wall between two repetitions of /clock while the world stands still."""


class _SensorOutput:
    """Publisher of one sensor, on a topic of the sensor's name.

    Those of a camera are NAME/image_raw and NAME/camera_info, as ``image_transport`` has them.

    Args:
        sensor: what is published.
        kind: message that carries its events.
        publisher: makes a publisher of a type, a topic and a depth.

    """

    def __init__(
        self, sensor: FittedSensor, kind: WritableMessage, publisher: Callable[..., Any]
    ) -> None:
        self._kind, self._model = kind, sensor.model
        mount = sensor.model.mount(sensor.name)
        self._frame = None if mount is None else mount.frame
        self._camera_info: Any = None
        topic = sensor.name
        if isinstance(self._model, CameraModel):
            self._camera_info = publisher(
                "sensor_msgs/msg/CameraInfo", f"{topic}/camera_info", _DEPTH
            )
            topic = f"{topic}/image_raw"
        # The messages of a quarter of a second, for a reader that is busy.
        depth = max(_DEPTH, round(sensor.timing.rate / 4))
        self.publisher = publisher(kind.type, topic, depth)

    def is_read(self) -> bool:
        """Whether its measurements have a reader."""
        return bool(self.publisher.get_subscription_count())

    def message(self, event: Event) -> Any:
        """Make the message of an event; the calibration of a camera is published before it."""
        if isinstance(self._model, CameraModel):
            info = messages.camera_info(self._model, event.stamp)
            self._camera_info.publish(self._in_frame(info))
        return self._in_frame(messages.measurement(self._kind, event))

    def _in_frame(self, message: Any) -> Any:
        if self._frame is not None:
            message.header.frame_id = self._frame
        return message


class Outputs:
    """Publishers of a simulated drone: sensors, odometry, /clock, and how its flights ended.

    Args:
        node: publishes.
        world: what is measured.
        odometry_rate: Hz of simulated time; 0 for none.

    """

    def __init__(self, node: Node, world: World, odometry_rate: float) -> None:
        def publisher(kind: str, topic: str, qos: Any) -> Any:
            # A reliable writer matches any reader.
            return node.create_publisher(message_class(kind), topic, qos)

        self._world = world
        self._name = node.get_fully_qualified_name()
        self._odometry_period = round(SECOND / odometry_rate) if odometry_rate > 0 else 0
        self._clock = publisher("rosgraph_msgs/msg/Clock", "/clock", 10)
        self._sensors: dict[str, _SensorOutput] = {}
        for sensor in world.config.sensors:
            kind = writable_message(sensor.model.channel)
            if kind is None:
                node.get_logger().warning(
                    f"sensor {sensor.name} is not published: no message carries its channel "
                    f"{sensor.model.channel.value}"
                )
                continue
            self._sensors[sensor.name] = _SensorOutput(sensor, kind, publisher)
        # A sensor of that name takes the place of the true state.
        if "odometry" in self._sensors:
            self._odometry_period = 0
        else:
            self._odometry = publisher("nav_msgs/msg/Odometry", "odometry", 10)
        latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._outcome = publisher("diagnostic_msgs/msg/DiagnosticStatus", "~/outcome", latched)
        self.begin()

    def begin(self) -> None:
        """Begin a flight: the time is 0."""
        self._next_odometry = self._odometry_period
        self._seen: list[Any] = []
        self.time(0)

    def have_readers(self) -> bool:
        """Whether every sensor that is published has a reader."""
        return all(sensor.is_read() for sensor in self._sensors.values())

    def publishes(self, event: Event) -> bool:
        """Whether there is a message for an event of the world."""
        return self._world.sensor_of(event) in self._sensors

    def time(self, now: int) -> None:
        """Publish the simulated time, ns."""
        self._told, self._told_at = now, time.monotonic()
        self._clock.publish(messages.clock(now))

    def repeat_time(self) -> None:
        """Publish it again, for those who came late: readers of /clock may miss one."""
        if time.monotonic() - self._told_at > _BEAT:
            self.time(self._told)

    def measurement(self, event: Event) -> None:
        """Publish what has arrived, with the time of its arrival right before it."""
        sensor = self._sensors[self._world.sensor_of(event)]
        message = sensor.message(event)
        # Serialised before, so that next to nothing can come between the two: a controller that
        # is asked for a command there answers with the new time and without the measurement.
        now, measured = serialize_message(messages.clock(event.arrival)), serialize_message(message)
        self._clock.publish(now)
        sensor.publisher.publish(measured)
        self._told, self._told_at = event.arrival, time.monotonic()

    def look(self) -> None:
        """Take down the true state when odometry is due; call it after each physics step."""
        now = self._world.time
        if self._odometry_period and now >= self._next_odometry:
            self._next_odometry += self._odometry_period
            self._seen.append(messages.odometry(self._world.state, now))

    def odometry(self) -> None:
        """Publish what was taken down."""
        for message in self._seen:
            self._odometry.publish(message)
        self._seen.clear()

    def outcome(self, counts: Mapping[str, int]) -> None:
        """Publish how the flight ended, with the seed and other counts of the node."""
        world = self._world
        assert world.outcome is not None
        figures = {
            "outcome": world.outcome.value,
            "duration": repr(world.time / SECOND),
            "position": " ".join(map(repr, world.state.position.tolist())),
            **{name: str(count) for name, count in counts.items()},
        }
        self._outcome.publish(messages.outcome(self._name, world.outcome, figures))

    def flush(self) -> None:
        """Wait until the last outcome has been read, or 1 s."""
        self._outcome.wait_for_all_acked(Duration(seconds=1.0))
