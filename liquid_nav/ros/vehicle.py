"""A drone on ROS 2 behind the boundary of a vehicle: the node's decoders, and its back-ends.

The controller node flies such a drone with all its supervision. This is for short flights beside
it, such as the checks of `liquid_nav.evaluation.abroad.checks`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rclpy.qos import qos_profile_sensor_data

from liquid_nav.command import Command
from liquid_nav.events import Event, Odometry
from liquid_nav.messages.camera import CameraAdapter
from liquid_nav.messages.decode import MessageError
from liquid_nav.messages.plug import MESSAGES, EventMessage, SensorSetup
from liquid_nav.ros.backends import Backend
from liquid_nav.ros.backends.messages import message_class
from liquid_nav.vehicle import Equipment, Vehicle

if TYPE_CHECKING:
    from rclpy.node import Node


class RosVehicle(Vehicle):
    """A drone on ROS 2.

    Args:
        node: makes subscriptions and publishers; its clock gives arrivals.
        spin: receives for up to so many seconds, such as ``executor.spin_once`` of the node's.
        backend: sends the commands, see `liquid_nav.ros.backends.make_backend`.
        topics: topic of each message, by names in `MESSAGES`, such as imu and image.
        equipment: what the drone has; images are brought to the size of its camera.
        silence: seconds without any measurement after which the flight is over.

    Attributes:
        refused: number of messages that could not become an event.
        last_refusal: why the last of them could not.

    """

    def __init__(
        self,
        node: Node,
        spin: Callable[[float], object],
        backend: Backend,
        topics: Mapping[str, str],
        equipment: Equipment,
        silence: float = 5.0,
    ) -> None:
        self._node, self._spin, self._backend = node, spin, backend
        self._topics, self._equipment, self._silence = topics, equipment, silence
        camera = equipment.camera
        self._setup = SensorSetup(camera=None if camera is None else CameraAdapter(camera))
        self._subscriptions: list[Any] = []
        self._arrived: deque[Event] = deque()
        self._pose: Odometry | None = None
        self.refused, self.last_refusal = 0, ""

    @property
    def equipment(self) -> Equipment:
        """What the drone has."""
        return self._equipment

    def connect(self) -> None:
        """Subscribe to the sensors, and take command of the drone."""
        for name, topic in self._topics.items():
            kind = MESSAGES.get(name)()
            self._subscriptions.append(
                self._node.create_subscription(
                    message_class(kind.type), topic, self._receiver(kind), qos_profile_sensor_data
                )
            )
        self._backend.configure(self._node)
        self._backend.activate(None)

    def events(self) -> Iterator[Event]:
        """Yield measurements as they arrive, until none has come for `silence` seconds."""
        last = time.monotonic()
        while time.monotonic() - last < self._silence:
            self._spin(0.05)
            while self._arrived:
                event = self._arrived.popleft()
                if isinstance(event, Odometry):
                    self._pose = event
                yield event
                last = time.monotonic()

    def command(self, command: Command) -> None:
        """Send a command by the back-end, which refuses what it cannot send."""
        self._backend.command(command, self._pose, fresh=True)

    def disconnect(self) -> None:
        """Give the drone back, and destroy subscriptions and publishers."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()
        self._arrived.clear()
        self._backend.close()

    def _receiver(self, kind: EventMessage) -> Callable[[Any], None]:
        def receive(message: Any) -> None:
            arrival = self._node.get_clock().now().nanoseconds
            try:
                self._arrived.append(kind.decode(message, arrival, self._setup))
            except MessageError as error:
                self.refused, self.last_refusal = self.refused + 1, str(error)

        return receive
