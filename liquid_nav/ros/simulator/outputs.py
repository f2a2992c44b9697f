"""Publishers of the simulated drone, and the order in which they publish.

The eyes of a vehicle that something else flies share those of sensors and of outcomes.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.serialization import serialize_message

from liquid_nav.events import SECOND, Event
from liquid_nav.messages.plug import WritableMessage, writable_message
from liquid_nav.ros.backends.messages import message_class
from liquid_nav.ros.clock import ClockPublisher, clock
from liquid_nav.ros.simulator import messages
from liquid_nav_sim.arena import Arena
from liquid_nav_sim.config import FittedSensor
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.tasks.base import Outcome
from liquid_nav_sim.world import World

_DEPTH = 5
"""Smallest queue of a sensor's publisher, messages, for a subscriber that is busy."""

_CLOCK_REPEAT = 0.05
"""Wall-clock seconds between two repetitions of /clock while the world stands still."""


def publisher(node: Node, kind: str, topic: str, qos: Any) -> Any:
    """Create a publisher; it is reliable, as such a one matches every subscription."""
    return node.create_publisher(message_class(kind), topic, qos)


class SensorOutput:
    """Publisher of one sensor, on a topic of the sensor's name.

    A camera has two topics, NAME/image_raw and NAME/camera_info, as in ``image_transport``.

    Args:
        node: owns the publishers.
        sensor: the sensor.
        kind: type of message that carries its events.

    """

    def __init__(self, node: Node, sensor: FittedSensor, kind: WritableMessage) -> None:
        self._kind, self._model = kind, sensor.model
        mount = sensor.model.mount(sensor.name)
        self._frame = None if mount is None else mount.frame
        self._camera_info: Any = None
        topic = sensor.name
        if isinstance(self._model, CameraModel):
            self._camera_info = publisher(
                node, "sensor_msgs/msg/CameraInfo", f"{topic}/camera_info", _DEPTH
            )
            topic = f"{topic}/image_raw"
        # A subscriber may be busy for a quarter of a second without losing messages.
        depth = max(_DEPTH, round(sensor.timing.rate / 4))
        self.publisher = publisher(node, kind.type, topic, depth)

    def has_subscriber(self) -> bool:
        """Whether anybody subscribes to its measurements."""
        return bool(self.publisher.get_subscription_count())

    def message(self, event: Event) -> Any:
        """Make the message of an event; for a camera, publish its calibration first."""
        if isinstance(self._model, CameraModel):
            info = messages.camera_info(self._model, event.stamp)
            self._camera_info.publish(self._in_frame(info))
        return self._in_frame(messages.measurement(self._kind, event))

    def _in_frame(self, message: Any) -> Any:
        if self._frame is not None:
            message.header.frame_id = self._frame
        return message


def sensor_outputs(node: Node, sensors: Iterable[FittedSensor]) -> dict[str, SensorOutput]:
    """Create the publishers of sensors, by their names; warn of those that no message carries."""
    outputs = {}
    for sensor in sensors:
        kind = writable_message(sensor.model.channel)
        if kind is None:
            node.get_logger().warning(
                f"sensor {sensor.name} is not published: no message carries its channel "
                f"{sensor.model.channel.value}"
            )
            continue
        outputs[sensor.name] = SensorOutput(node, sensor, kind)
    return outputs


class OutcomeOutput:
    """Publisher of how flights ended, on ``~/outcome``; a late subscriber gets the last ten.

    Args:
        node: owns the publisher.

    """

    def __init__(self, node: Node) -> None:
        latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._name = node.get_fully_qualified_name()
        kind = "diagnostic_msgs/msg/DiagnosticStatus"
        self._publisher = publisher(node, kind, "~/outcome", latched)

    def publish(self, world: Arena, figures: Mapping[str, object], void: str = "") -> None:
        """Publish how the flight ended.

        Args:
            world: where the flight has ended, or is given up.
            figures: the seed and other values, by name.
            void: why there is no verdict; empty if there is one.

        """
        how = "void" if void or world.outcome is None else world.outcome.value
        figures = {
            "outcome": how,
            "duration": repr(world.time / SECOND),
            "position": " ".join(map(repr, world.state.position.tolist())),
            **figures,
        }
        values = {name: str(value) for name, value in figures.items()}
        succeeded = how == Outcome.SUCCESS.value
        self._publisher.publish(messages.outcome(self._name, void or how, succeeded, values))

    def flush(self) -> None:
        """Wait until every subscriber has the last outcome, at most 1 s."""
        self._publisher.wait_for_all_acked(Duration(seconds=1.0))


class Outputs:
    """Publishers of a simulated drone: sensors, odometry, /clock, and how its flights ended.

    Args:
        node: node that owns the publishers.
        world: simulator whose measurements are published.
        odometry_rate: rate of the true state on ``odometry``, Hz of simulated time; 0 for none.

    Attributes:
        clock: publishes the simulated time.
        outcome: publishes how each flight ended.

    """

    def __init__(self, node: Node, world: World, odometry_rate: float) -> None:
        self._world = world
        self._odometry_period = round(SECOND / odometry_rate) if odometry_rate > 0 else 0
        self.clock = ClockPublisher(node, 10)
        self._sensors = sensor_outputs(node, world.config.sensors)
        # A sensor named odometry publishes on that topic instead of the true state.
        if "odometry" in self._sensors:
            self._odometry_period = 0
        else:
            self._odometry = publisher(node, "nav_msgs/msg/Odometry", "odometry", 10)
        self.outcome = OutcomeOutput(node)
        self.begin()

    def begin(self) -> None:
        """Begin a flight at time 0."""
        self._next_odometry = self._odometry_period
        self._odometry_messages: list[Any] = []
        self.time(0)

    def have_subscribers(self) -> bool:
        """Whether every sensor that is published has a subscriber."""
        return all(sensor.has_subscriber() for sensor in self._sensors.values())

    def publishes(self, event: Event) -> bool:
        """Whether an event comes from a sensor that is published."""
        return self._world.sensor_of(event) in self._sensors

    def time(self, now: int) -> None:
        """Publish the simulated time, ns."""
        self._last_time, self._last_time_published_at = now, time.monotonic()
        self.clock.publish(now)

    def repeat_time(self) -> None:
        """Publish the last time again: new subscribers of /clock may have missed it."""
        if time.monotonic() - self._last_time_published_at <= _CLOCK_REPEAT:
            return
        if self.clock.settled and not self.clock.obstacle():
            self.time(self._last_time)

    def measurement(self, event: Event) -> None:
        """Publish a measurement that has arrived, right after the time of its arrival."""
        sensor = self._sensors[self._world.sensor_of(event)]
        message = sensor.message(event)
        # Both are serialised first, so that almost no time passes between the two: a controller
        # whose timer fires in between answers at the new time without the measurement.
        now, measured = serialize_message(clock(event.arrival)), serialize_message(message)
        self.clock.publish(now)
        sensor.publisher.publish(measured)
        self._last_time, self._last_time_published_at = event.arrival, time.monotonic()

    def sample_odometry(self) -> None:
        """Store the true state when odometry is due; call this after each physics step."""
        now = self._world.time
        if self._odometry_period and now >= self._next_odometry:
            self._next_odometry += self._odometry_period
            self._odometry_messages.append(messages.odometry(self._world.state, now))

    def publish_odometry(self) -> None:
        """Publish the states that `sample_odometry` stored."""
        for message in self._odometry_messages:
            self._odometry.publish(message)
        self._odometry_messages.clear()
