"""The supervisor: a process of its own that brings the vehicle to rest when the controller dies.

The controller publishes a heartbeat while it is active, and a last one, which says so, when it is
deactivated. Silence without that last one means that the controller is dead, or hangs, which is as
bad: the supervisor then sends zero commands, by a back-end of its own, until the next heartbeat.

It never sends the proof of life that some autopilots ask for (PX4): when the controller is dead,
the autopilot's own failsafe must follow.
"""

from __future__ import annotations

import time
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from liquid_nav.command import Command, Mode
from liquid_nav.ros.backends import backend_specs, selected_backend
from liquid_nav.ros.backends.messages import message_class
from liquid_nav.ros.controller.diagnostics import ERROR, OK, TOPIC, WARN, Status, message
from liquid_nav.ros.parameters import (
    EXECUTOR,
    Spec,
    check_topics,
    declare,
    name_fault,
    read,
    read_checked,
    refuse_changes,
)

HEARTBEAT_TYPE = "lifecycle_msgs/msg/State"
HEARTBEAT_PERIOD = 0.05
"""s between two heartbeats of an active controller."""

_ACTIVE, _INACTIVE = 3, 2
"""PRIMARY_STATE_ACTIVE and PRIMARY_STATE_INACTIVE of the heartbeat's type."""

_CHECK_PERIOD = 0.02
"""s between two checks of the heartbeat."""

_SPECS = (
    Spec(
        "heartbeat",
        "liquid_nav_node/heartbeat",
        "Topic of the controller's heartbeat.",
        fault=name_fault,
    ),
    Spec("timeout", 0.3, "s without a heartbeat after which the controller is dead.", (0.1, 0.45)),
    Spec("rate", 20.0, "Hz of the zero commands; a back-end may need more.", (2.0, 50.0)),
    EXECUTOR,
)


def heartbeat(active: bool) -> Any:
    """Heartbeat of a controller that is active, or the last one, of one that is deactivated."""
    state = message_class(HEARTBEAT_TYPE)()
    state.id, state.label = (_ACTIVE, "active") if active else (_INACTIVE, "inactive")
    return state


class SupervisorNode(Node):  # type: ignore[misc, unused-ignore]
    """`liquid_nav_supervisor`.

    It sends nothing before the first heartbeat, and nothing after the last one of a controller that
    was deactivated. It measures time on a steady clock, so that neither simulated time nor a clock
    that is set can delay it.

    Args:
        options: of `rclpy.node.Node`.

    Raises:
        ConfigError: on a back-end that cannot be made, or that needs more commands per second.

    """

    def __init__(self, **options: Any) -> None:
        super().__init__("liquid_nav_supervisor", **options)
        backends = backend_specs()
        declare(self, (*backends, *_SPECS))
        values = read(self, backends) | read_checked(self, _SPECS)
        self._backend = selected_backend(values)
        self._backend.check_rate("rate", values["rate"])
        self._backend.configure(self)
        check_topics(
            self, {"/diagnostics": TOPIC, "heartbeat": values["heartbeat"], **self._backend.topics}
        )
        self._timeout, self._period = values["timeout"], 1 / values["rate"]
        # Times on the steady clock, s: of the last heartbeat of an active controller, and of the
        # last zero command.
        self._last_heartbeat: float | None = None
        self._last_command = 0.0
        self._overdue = False
        self._status = Status(
            WARN, "controller", "no heartbeat yet: no controller is supervised", {}
        )
        self.create_subscription(
            message_class(HEARTBEAT_TYPE), values["heartbeat"], self._on_heartbeat, 1
        )
        self._diagnostics_publisher = self.create_publisher(
            message_class("diagnostic_msgs/msg/DiagnosticArray"), TOPIC, 10
        )
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        refuse_changes(self, (*backends, *_SPECS))
        self.create_timer(_CHECK_PERIOD, self._check, clock=steady)
        self.create_timer(1.0, self._report, clock=steady)

    def _on_heartbeat(self, state: Any) -> None:
        active = state.id == _ACTIVE
        if self._backend.active:
            self._backend.deactivate()
            self.get_logger().warning(f"the controller is alive again: it is {state.label}")
        elif active and self._last_heartbeat is None:
            self.get_logger().info("the controller is active, and supervised")
        self._last_heartbeat = time.monotonic() if active else None
        self._status = Status(OK, "controller", "alive" if active else "deactivated", {})

    def _check(self) -> None:
        """Send a zero command if the heartbeat is overdue."""
        now = time.monotonic()
        if self._last_heartbeat is None or now - self._last_heartbeat <= self._timeout:
            self._overdue = False
            return
        if not self._overdue:
            # If this process was delayed itself, a heartbeat may be waiting: it is read first.
            self._overdue = True
            return
        first = not self._backend.active
        if first:
            self._backend.activate(None)
        elif now - self._last_command < self._period:
            return
        self._last_command = now
        stamp = int(self.get_clock().now().nanoseconds)
        reason = "supervisor: the controller is dead"
        self._backend.command(Command(stamp, mode=Mode.HOVER, reason=reason), None, fresh=False)
        if first:  # Reported only after the command was sent.
            self._status = Status(ERROR, "controller", "dead: zero commands are sent", {})
            silence = now - self._last_heartbeat
            self.get_logger().error(
                f"no heartbeat for {silence:.2f} s: the controller is dead, zero commands are sent"
            )

    def _report(self) -> None:
        """Publish the diagnostics."""
        now = int(self.get_clock().now().nanoseconds)
        self._diagnostics_publisher.publish(
            message(self.get_fully_qualified_name(), now, [self._status])
        )

    def close(self) -> None:
        """Close the back-end and destroy the node."""
        self._backend.close()
        self.destroy_node()
