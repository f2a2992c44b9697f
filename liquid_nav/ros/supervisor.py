"""A process of its own that brings the vehicle to rest when the controller's dies.

The controller publishes a heartbeat while it is active, and a last one that says so when it leaves
in order. Silence in between is a death, or a hang, which is as bad: the supervisor publishes zero
commands, by the same kind of back-end, until a heartbeat is heard again.

A back-end with a proof of life of its own (PX4) is given none: the autopilot's own failsafe shall
follow when its companion is dead.
"""

from __future__ import annotations

import time
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from liquid_nav.command import Command, Mode
from liquid_nav.ros.backends import make_backend
from liquid_nav.ros.backends.messages import message_class
from liquid_nav.ros.controller.diagnostics import ERROR, OK, TOPIC, WARN, Status, message
from liquid_nav.ros.controller.parameters import (
    BACKEND_SPECS,
    EXECUTOR,
    Spec,
    backend_of,
    declare,
    read,
)

HEARTBEAT_TYPE = "lifecycle_msgs/msg/State"
HEARTBEAT_PERIOD = 0.05
"""s between two heartbeats of an active controller."""

_ACTIVE, _INACTIVE = 3, 2
"""PRIMARY_STATE_ACTIVE and PRIMARY_STATE_INACTIVE of the heartbeat's type."""

_CHECK_PERIOD = 0.02

_SPECS = (
    *BACKEND_SPECS,
    Spec("heartbeat", "liquid_nav_node/heartbeat", "Topic of the controller's heartbeat."),
    Spec("timeout", 0.3, "s of silence after which the controller is dead.", (0.1, 0.45)),
    Spec("rate", 20.0, "Hz of the zero commands.", (2.0, 50.0)),
    EXECUTOR,
)


def heartbeat(active: bool) -> Any:
    """Sign of life of a controller that commands, or the last one of a controller that leaves."""
    state = message_class(HEARTBEAT_TYPE)()
    state.id, state.label = (_ACTIVE, "active") if active else (_INACTIVE, "inactive")
    return state


class SupervisorNode(Node):  # type: ignore[misc, unused-ignore]
    """`liquid_nav_supervisor`.

    Silent before the first heartbeat and after an orderly leave. Times are steady, so that neither
    simulated time nor a clock that is set can hold it up.

    Args:
        options: of `rclpy.node.Node`.

    Raises:
        ConfigError: on a back-end that cannot be made.

    """

    def __init__(self, **options: Any) -> None:
        super().__init__("liquid_nav_supervisor", **options)
        declare(self, _SPECS)
        values = read(self, _SPECS)
        name, settings = backend_of(values)
        self._backend = make_backend(name, self, **settings)
        self._timeout, self._period = values["timeout"], 1 / values["rate"]
        self._heard: float | None = None
        self._sent: float | None = None
        self._overdue = False
        self._status = Status(WARN, "controller", "no heartbeat yet: nobody is guarded", {})
        self.create_subscription(
            message_class(HEARTBEAT_TYPE), values["heartbeat"], self._on_heartbeat, 1
        )
        self._reports = self.create_publisher(
            message_class("diagnostic_msgs/msg/DiagnosticArray"), TOPIC, 10
        )
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(_CHECK_PERIOD, self._check, clock=steady)
        self.create_timer(1.0, self._report, clock=steady)

    def _on_heartbeat(self, state: Any) -> None:
        if self._sent is not None:
            self.get_logger().warning("the controller is back: it has the command")
        if state.id == _ACTIVE:
            self._heard = time.monotonic()
            self._status = Status(OK, "controller", "alive", {})
        else:
            self._heard = None
            self._status = Status(OK, "controller", "left in order", {})
        self._sent = None

    def _check(self) -> None:
        now = time.monotonic()
        if self._heard is None or now - self._heard <= self._timeout:
            self._overdue = False
            return
        if not self._overdue:
            # When this process was held up itself, a heartbeat may be waiting: it is read first.
            self._overdue = True
            return
        first = self._sent is None
        if self._sent is not None and now - self._sent < self._period:
            return
        self._sent = now
        stamp = int(self.get_clock().now().nanoseconds)
        reason = "supervisor: the controller is dead"
        self._backend.send(Command(stamp, mode=Mode.HOVER, reason=reason), None, fresh=False)
        if first:  # Said after it was done.
            self._status = Status(ERROR, "controller", "dead: zero commands go out", {})
            self.get_logger().error(
                f"no heartbeat for {now - self._heard:.2f} s: the controller is dead, stopping"
            )

    def _report(self) -> None:
        now = int(self.get_clock().now().nanoseconds)
        self._reports.publish(message(self.get_fully_qualified_name(), now, [self._status]))

    def close(self) -> None:
        """Let go of the back-end and end."""
        self._backend.close()
        self.destroy_node()
