"""A process of its own that brings the vehicle to rest when the controller's dies.

The controller publishes a heartbeat while it is active, and a last one that says so when it leaves
in order. Silence in between is a death, or a hang, which is as bad: the supervisor publishes zero
commands, by the same kind of back-end, until a heartbeat is heard again.

A back-end with a proof of life of its own (PX4) is given none: the autopilot's own failsafe shall
follow when its companion is dead.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from liquid_nav.command import Command, Mode
from liquid_nav.errors import LiquidNavError
from liquid_nav.ros.backends import make_backend
from liquid_nav.ros.backends.messages import message_class
from liquid_nav.ros.parameters import BACKEND_SPECS, Spec, backend_of, declare, read

HEARTBEAT_TYPE = "lifecycle_msgs/msg/State"
HEARTBEAT_PERIOD = 0.05
"""s between two heartbeats of an active controller."""

_ACTIVE, _INACTIVE = 3, 2
"""PRIMARY_STATE_ACTIVE and PRIMARY_STATE_INACTIVE of the heartbeat's type."""

_CHECK_PERIOD = 0.02

_SPECS = (
    *BACKEND_SPECS,
    Spec("heartbeat", "liquid_nav_node/heartbeat", "Topic of the controller's heartbeat."),
    Spec("timeout", 0.25, "s of silence after which the controller is dead.", (0.1, 0.45)),
    Spec("rate", 20.0, "Hz of the zero commands.", (2.0, 50.0)),
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
        self.create_subscription(
            message_class(HEARTBEAT_TYPE), values["heartbeat"], self._on_heartbeat, 1
        )
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(_CHECK_PERIOD, self._check, clock=steady)

    def _on_heartbeat(self, state: Any) -> None:
        if self._sent is not None:
            self.get_logger().warning("the controller is back: it has the command")
        self._heard = time.monotonic() if state.id == _ACTIVE else None
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
        if self._sent is None:
            self.get_logger().error(
                f"no heartbeat for {now - self._heard:.2f} s: the controller is dead, stopping"
            )
        elif now - self._sent < self._period:
            return
        self._sent = now
        stamp = int(self.get_clock().now().nanoseconds)
        reason = "supervisor: the controller is dead"
        self._backend.send(Command(stamp, mode=Mode.HOVER, reason=reason), None, fresh=False)

    def close(self) -> None:
        """Let go of the back-end and end."""
        self._backend.close()
        self.destroy_node()


def run(make: Callable[[], Any]) -> None:
    """Run a node with a `close` on one thread until SIGINT or SIGTERM, and end it in order.

    An exception in a callback is logged, and the node goes on: a controller that leaves because
    somebody asked it for a transition that is none leaves a vehicle alone.
    """
    ended: list[int] = []
    # rclpy's own handlers end the context at once, and with it the last command.
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: ended.append(received))
    try:
        node = make()
    except (LiquidNavError, rclpy.exceptions.ParameterException) as error:
        rclpy.try_shutdown()
        raise SystemExit(f"error: {error}") from None
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    while not ended and rclpy.ok():
        _spin_once(executor, node)
    if rclpy.ok():
        node.close()
    executor.shutdown(timeout_sec=1.0)
    rclpy.try_shutdown()


def _spin_once(executor: Any, node: Any) -> None:
    try:
        # The timeout bounds how long a signal waits for a node that has nothing to do.
        executor.spin_once(timeout_sec=0.1)
    except ExternalShutdownException:
        pass  # The loop of the caller sees it.
    except Exception as error:
        node.get_logger().error(f"{type(error).__name__}: {error}")


def main() -> None:
    """Run `liquid_nav_supervisor` until SIGINT or SIGTERM."""
    run(SupervisorNode)


if __name__ == "__main__":
    main()
