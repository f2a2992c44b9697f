"""What the simulated drone publishes, and in which order."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.serialization import serialize_message

from liquid_nav.events import SECOND, CameraFrame, Event, ImuSample
from liquid_nav.ros.backends.messages import message_class
from liquid_nav.ros.simulator import messages
from liquid_nav_sim.world import World

_BEAT = 0.05
"""s of the wall between two repetitions of /clock while the world stands still."""


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
        self._image = publisher("sensor_msgs/msg/Image", "camera/image_raw", 5)
        self._camera_info = publisher("sensor_msgs/msg/CameraInfo", "camera/camera_info", 5)
        self._imu = publisher("sensor_msgs/msg/Imu", "imu", 50)
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
        """Whether both sensors are read."""
        return all(sensor.get_subscription_count() for sensor in (self._image, self._imu))

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
        if isinstance(event, CameraFrame):
            info = messages.camera_info(self._world.config.sensor("camera").model, event.stamp)
            self._camera_info.publish(info)
            publisher, message = self._image, messages.image(event)
        else:
            assert isinstance(event, ImuSample)
            publisher, message = self._imu, messages.imu(event)
        # Serialised before, so that next to nothing can come between the two: a controller that
        # is asked for a command there answers with the new time and without the measurement.
        now, measured = serialize_message(messages.clock(event.arrival)), serialize_message(message)
        self._clock.publish(now)
        publisher.publish(measured)
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
