"""MAVLink without MAVROS: SET_POSITION_TARGET_LOCAL_NED over UDP or a serial line, by pymavlink."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from liquid_nav.command import Command, Mode
from liquid_nav.errors import ConfigError
from liquid_nav.events import Event, ImuSample, Odometry
from liquid_nav.messages.imu import ImuMessage
from liquid_nav.messages.odometry import OdometryMessage
from liquid_nav.ros.backends.base import Backend
from liquid_nav.ros.backends.messages import fill, message_class
from liquid_nav.ros.parameters import Spec, name_or_empty_fault

if TYPE_CHECKING:
    from rclpy.node import Node

    from liquid_nav.mavlink.link import Link


_SENSORS = {ImuSample: ("imu", ImuMessage()), Odometry: ("odometry", OdometryMessage())}
"""What is published of the autopilot's: the option that names its topic, and its message."""


class MavlinkBackend(Backend):
    """Sends velocity setpoints in OFFBOARD (PX4) or GUIDED (ArduPilot).

    The link is open while the back-end is active. It can publish the autopilot's IMU and odometry
    as ROS messages, for a controller that has no others; their stamps are on the node's clock.

    When the autopilot leaves the mode that follows setpoints, or falls silent, nothing more is sent
    until the operator engages the stop, or the node is activated anew.
    """

    name = "mavlink"
    message_package = "pymavlink"
    install_hint = "pip install liquid_nav[mavlink]"
    minimum_rate = 20.0  # PX4 leaves OFFBOARD below 2 Hz.
    options = (
        Spec(
            "address",
            "udp:14540",
            "Address of the autopilot: udp:[HOST:]PORT, udpout:HOST:PORT or serial:DEVICE[:BAUD].",
        ),
        Spec("system", 0, "System id of the autopilot; 0 takes the first one heard.", (0, 255)),
        Spec(
            "frame",
            "auto",
            "Frame of the velocities: body, local, or auto (PX4: local, ArduPilot: body).",
            choices=("auto", "body", "local"),
        ),
        Spec("rate", 50.0, "Setpoints per second at most.", (20.0, 250.0)),
        Spec("imu_rate", 200.0, "IMU samples per second to ask for.", (10.0, 1000.0)),
        Spec(
            "imu",
            "",
            "Topic to publish the autopilot's IMU on; empty for none.",
            fault=name_or_empty_fault,
        ),
        Spec(
            "odometry",
            "",
            "Topic to publish the autopilot's odometry on; empty for none.",
            fault=name_or_empty_fault,
        ),
    )

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._link: Link | None = None
        self._sensors: dict[type[Event], tuple[Any, Any]] = {}

    def configure(self, node: Node) -> None:
        """Make the link, which is not opened yet, and the publishers of what it measures."""
        from liquid_nav.mavlink.link import Link
        from liquid_nav.mavlink.transport import address_fault

        super().configure(node)
        fault = address_fault(self.values["address"])
        if fault:
            raise ConfigError(f"back-end {self.name}: {fault}")
        chosen = {name: self.values[name] for name in ("address", "system", "frame", "rate")}
        # Shared: the supervisor opens the same port when a controller that hangs still has it.
        self._link = Link(
            **chosen, imu_rate=self.values["imu_rate"], on_event=self._publish_event, shared=True
        )
        for kind, (option, message) in _SENSORS.items():
            topic = self.values[option]
            if topic:
                message_type = message_class(message.type)
                publisher = self._node.create_publisher(message_type, topic, 50)
                self._sensors[kind] = (publisher, message_type())

    @property
    def topics(self) -> tuple[str, ...]:
        """The address in place of topics, by which two nodes see that they command one vehicle."""
        return (f"mavlink:{self.values['address']}",)

    def activate(self, pose: Odometry | None) -> None:
        """Open the link; the autopilot follows once it is armed in the mode for that."""
        super().activate(pose)
        assert self._link is not None
        self._link.authority.release()
        try:
            self._link.open()
        except ConfigError as error:
            self._node.get_logger().error(f"back-end {self.name}: {error}")

    def handover(self) -> dict[str, str]:
        """See `Backend.handover`."""
        return {} if self._link is None else self._link.handover()

    def take_over(self, values: Mapping[str, str]) -> None:
        """Begin at the address from which the autopilot spoke with the other process."""
        super().take_over(values)
        assert self._link is not None
        self._link.take_over(values)

    def _command(self, command: Command, heading: float | None, fresh: bool) -> Command | None:
        assert self._link is not None
        if command.mode is Mode.STOP and self._link.authority.lapsed:
            self._link.authority.release()
        sent = self._link.command(command, fresh)
        # What the base class said about this command stays, if the link has nothing to add.
        self.fault = self._link.fault or self.fault
        return sent

    def deactivate(self) -> None:
        """End commanding, and close the link."""
        super().deactivate()
        if self._link is not None:
            self._link.close()

    def close(self) -> None:
        """Close the link and destroy the publishers."""
        if self._link is not None:
            self._link.close()
        super().close()
        for publisher, _ in self._sensors.values():
            self._node.destroy_publisher(publisher)
        self._sensors.clear()

    def _publish_event(self, event: Event) -> None:
        """Publish a measurement, on the thread of the link."""
        sensor = self._sensors.get(type(event))
        if sensor is None:
            return
        publisher, message = sensor
        now = int(self._node.get_clock().now().nanoseconds)
        event = replace(event, stamp=now - event.latency, arrival=now)
        fields = _SENSORS[type(event)][1].encode(event)
        publisher.publish(fill(message, fields))
