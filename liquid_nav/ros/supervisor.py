"""The supervisor: a process of its own that brings the vehicle to rest when the controller dies.

The controller publishes a heartbeat while it is active, and a last one, which says so, when it is
deactivated. Silence without that last one means that the controller is dead, or hangs, which is as
bad: the supervisor then commands the vehicle, by a back-end of its own, until the next heartbeat.
It sends zero commands; a landing that the controller had begun goes on, and an operator's stop
stays one. What it must hold beyond that, such as a height, comes with the heartbeats.

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
from liquid_nav.ros.backends.loss import SILENCE
from liquid_nav.ros.backends.messages import message_class
from liquid_nav.ros.controller.diagnostics import ERROR, OK, TOPIC, WARN, Status, message
from liquid_nav.ros.heartbeat import (
    TIMEOUT,
    Heartbeat,
    HeartbeatReader,
    HeartbeatSender,
    supervisor_topic,
)
from liquid_nav.ros.parameters import (
    EXECUTOR,
    PRIORITY,
    Spec,
    check_topics,
    declare,
    name_fault,
    read,
    read_checked,
    refuse_changes,
)

_CHECK_PERIOD = 0.02
"""s between two checks of the heartbeat."""

_STALL, _LONGEST_STALL = 0.2, 1.0
"""s between two checks from which on this process stood still, and s at most by which that puts off
what it does about a silent controller."""

_HEARTBEAT_PERIOD = 0.1
"""s between two heartbeats of the supervisor itself."""

_ANSWERS = {
    Mode.NOMINAL: "zero commands are sent",
    Mode.HOVER: "zero commands are sent",
    Mode.LAND: "its landing goes on",
    Mode.STOP: "the operator's stop stays",
}
"""What the supervisor sends in place of a dead controller, by the mode of its last command."""

_SPECS = (
    Spec(
        "heartbeat",
        "liquid_nav_node/heartbeat",
        "Topic of the controller's heartbeat.",
        fault=name_fault,
    ),
    Spec(
        "timeout", TIMEOUT, "s without a heartbeat after which the controller is dead.", (0.1, 0.45)
    ),
    Spec("rate", 20.0, "Hz of the zero commands; a back-end may need more.", (2.0, 50.0)),
    EXECUTOR,
    PRIORITY,
)


class SupervisorNode(Node):  # type: ignore[misc, unused-ignore]
    """`liquid_nav_supervisor`.

    It sends nothing before the first heartbeat, and nothing after the last one of a controller that
    was deactivated. It measures time on a steady clock, so that neither simulated time nor a clock
    that is set can delay it.

    Controllers are told apart by the identity in their heartbeats: it takes over when the last one
    that was active is dead, whatever another one said before.

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
        heartbeat = values["heartbeat"]
        topics = {"heartbeat": heartbeat, "its own heartbeat": supervisor_topic(heartbeat)}
        check_topics(
            self, {"the diagnostics": TOPIC, **topics, **self._backend.topics_by_parameter}
        )
        self._timeout: float = values["timeout"]
        self._period = 1 / values["rate"]
        # On the steady clock, s.
        self._last_command, self._checked_at = 0.0, time.monotonic()
        self._resumed_at = 0.0  # When this process itself last went on after a stall.
        self._overdue = False
        # Last heartbeat of the controller that died, while this node commands the vehicle.
        self._dead: Heartbeat | None = None
        # Of its last takeover, for its own heartbeats: since when, and how it ended.
        self._takeover: dict[str, Any] = {}
        self._supervised: set[str] = set()  # Identities of all controllers that were active.
        self._controllers = HeartbeatReader(
            self, values["heartbeat"], on_heartbeat=self._on_heartbeat
        )
        self._heartbeat = HeartbeatSender(self, supervisor_topic(values["heartbeat"]))
        self._diagnostics_publisher = self.create_publisher(
            message_class("diagnostic_msgs/msg/DiagnosticArray"), TOPIC, 10
        )
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        refuse_changes(self, (*backends, *_SPECS))
        self.create_timer(_CHECK_PERIOD, self._check, clock=steady)
        self.create_timer(_HEARTBEAT_PERIOD, self._send_heartbeat, clock=steady)
        self.create_timer(1.0, self._report, clock=steady)

    def _on_heartbeat(self, controller: Heartbeat) -> None:
        if not controller.active:
            del self._controllers.newest[controller.identity]
        elif controller.identity not in self._supervised:
            self._supervised.add(controller.identity)
            self.get_logger().info(f"supervised: {controller.sender}")
        dead = self._dead
        if dead is not None and (controller.active or controller.identity == dead.identity):
            self._give_back(controller)

    def _status(self) -> Status:
        """Status of the controllers for the diagnostics."""
        name, dead = "controller", self._dead
        if dead is not None:
            return Status(ERROR, name, f"dead: {_ANSWERS[dead.mode]}", {"mode": dead.mode.value})
        if not self._supervised:
            return Status(WARN, name, "no heartbeat yet: no controller is supervised", {})
        active = [heartbeat for heartbeat, _ in self._controllers.newest.values()]
        if not active:
            return Status(OK, name, "deactivated", {})
        first = active[0]
        values = {
            "identity": first.identity,
            "process": first.process,
            "mode": first.mode.value,
        }
        if len(active) > 1:
            names = " and ".join(other.sender for other in active)
            text = f"{len(active)} controllers command one vehicle: {names}"
            return Status(ERROR, name, text, values)
        if (first.backend, first.topics) != (self._backend.name, self._topics):
            text = (
                f"cannot take over: the controller sends to {first.topics} by back-end "
                f"{first.backend}, this supervisor to {self._topics} by {self._backend.name}"
            )
            return Status(ERROR, name, text, values)
        return Status(OK, name, "alive", values)

    @property
    def _topics(self) -> str:
        return " ".join(self._backend.topics)

    def _check(self) -> None:
        """Send a command in place of the controller, if no controller is alive."""
        now = time.monotonic()
        if now - self._checked_at > _STALL:
            self._resumed_at = now
        self._checked_at = now
        if self._dead is None:
            self._watch(now)
        elif now - self._last_command >= self._period:
            self._command(self._dead)

    def _watch(self, now: float) -> None:
        """Take the vehicle over from the last controller that was active, if it is dead."""
        known = self._controllers.newest
        late = [identity for identity, (_, at) in known.items() if self._is_late(now, at)]
        if not late:
            self._overdue = False
            return
        if not self._overdue:
            # If this process was delayed itself, a heartbeat may be waiting: it is read first.
            self._overdue = True
            return
        dead, last = max((known.pop(identity) for identity in late), key=lambda entry: entry[1])
        if known:
            others = " and ".join(other.sender for other, _ in known.values())
            self.get_logger().error(f"{dead.sender} is dead; {others} commands the vehicle")
            return
        self._dead, self._takeover = dead, {"since": time.time_ns()}
        held = dead.handover if dead.backend == self._backend.name else {}
        self._backend.take_over({**held, SILENCE: repr(now - last)})
        self._command(dead)
        # Reported only after the command was sent.
        self._send_heartbeat()
        self.get_logger().error(
            f"no heartbeat of {dead.sender} for {now - last:.2f} s: it is dead, "
            f"{_ANSWERS[dead.mode]}"
        )

    def _is_late(self, now: float, arrival: float) -> bool:
        """Whether the next heartbeat after one that arrived at `arrival` s is overdue.

        What makes this process stand still, such as a busy machine, does so to the controller: it
        then has the timeout once more, from when this process goes on.
        """
        resumed = min(self._resumed_at, arrival + _LONGEST_STALL)
        return now - max(arrival, resumed) > self._timeout

    def _command(self, dead: Heartbeat) -> None:
        """Do what the dead controller did: stop, go on landing, or else hover."""
        self._last_command = time.monotonic()
        mode = dead.mode if dead.mode in (Mode.LAND, Mode.STOP) else Mode.HOVER
        command = Command(
            int(self.get_clock().now().nanoseconds),
            vz=-dead.landing_speed if mode is Mode.LAND else 0.0,
            mode=mode,
            reason="; ".join(filter(None, ("supervisor: the controller is dead", dead.reason))),
        )
        self._backend.command(command, None, fresh=False)

    def _give_back(self, controller: Heartbeat) -> None:
        """Leave the vehicle to a controller that is alive, or was deactivated."""
        assert self._dead is not None
        self._takeover |= {
            "mode": self._dead.mode,
            "yielded_to": controller.identity,
            "handover": self._backend.handover(),
        }
        self._backend.deactivate()
        self._dead = None
        self._send_heartbeat()
        self.get_logger().warning(f"given back: {controller.sender} is {controller.state}")

    def _send_heartbeat(self) -> None:
        """Publish the own heartbeat, by which a controller takes the vehicle over."""
        dead, values = self._dead, dict(self._takeover)
        if dead is not None:
            values |= {"mode": dead.mode, "handover": self._backend.handover()}
        self._heartbeat.send(
            dead is not None, backend=self._backend.name, topics=self._topics, **values
        )

    def _report(self) -> None:
        """Publish the diagnostics."""
        now = int(self.get_clock().now().nanoseconds)
        self._diagnostics_publisher.publish(
            message(self.get_fully_qualified_name(), now, [self._status()])
        )

    def close(self) -> None:
        """Close the back-end and destroy the node."""
        self._backend.close()
        self.destroy_node()
