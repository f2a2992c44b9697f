"""The controller's heartbeat, and what it hears of others that command its vehicle.

These are its supervisor, and another controller of the same name, which is one too many.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from rclpy.wait_for_message import wait_for_message

from liquid_nav.command import Command
from liquid_nav.ros.backends import Backend
from liquid_nav.ros.backends.messages import message_class
from liquid_nav.ros.controller.diagnostics import OK, WARN, Status
from liquid_nav.ros.heartbeat import (
    TYPE,
    Heartbeat,
    HeartbeatReader,
    HeartbeatSender,
    supervisor_topic,
)

if TYPE_CHECKING:
    from rclpy.node import Node

_SILENCE = 1.0
"""s without a heartbeat of the supervisor after which it is reported missing: ten heartbeats."""


class Supervision:
    """Sends the heartbeats of a controller node, and reads those of its supervisor and rivals.

    Args:
        node: publishes on ``~/heartbeat``.
        on_rival: called when another controller of this name is active that keeps the vehicle.
        on_takeover: called with a heartbeat of the supervisor, when that commands the vehicle or
            has just given it back to this controller.

    """

    def __init__(
        self,
        node: Node,
        on_rival: Callable[[Heartbeat], None],
        on_takeover: Callable[[Heartbeat], None],
    ) -> None:
        self._node, self._yield, self._take_back = node, on_rival, on_takeover
        self._sender = HeartbeatSender(node, "~/heartbeat")
        topic = self._sender.topic
        self._rivals = HeartbeatReader(node, topic, self._sender.identity, self._on_rival)
        self._supervisors = HeartbeatReader(
            node, supervisor_topic(topic), on_heartbeat=self._on_supervisor
        )
        # Supervisor and beginning of the last takeover that has ended.
        self._ended: tuple[str, int] | None = None

    def send(self, backend: Backend, command: Command, landing_speed: float) -> None:
        """Publish the heartbeat of a controller that commands the vehicle.

        Args:
            backend: its back-end; before that is active nothing is commanded, and nothing sent.
            command: the last command.
            landing_speed: m/s.

        """
        if backend.active:
            self._sender.send(
                True,
                mode=command.mode,
                reason=command.reason,
                backend=backend.name,
                topics=" ".join(backend.topics),
                landing_speed=landing_speed,
                handover=backend.handover(),
            )

    def end(self) -> None:
        """Publish the last heartbeat of a controller that is deactivated."""
        self._sender.send(False)

    def rival(self) -> str:
        """Name of another controller of this node's name that is active, or an empty text."""
        return next((other.sender for other in self._rivals.alive() if other.active), "")

    def await_rival(self, timeout: float) -> str:
        """As `rival`, of a node that is not spun yet; waits `timeout` s at most.

        Raises:
            MessageError: on a heartbeat that cannot be read.

        """
        found, message = wait_for_message(
            message_class(TYPE), self._node, self._sender.topic, time_to_wait=timeout
        )
        other = Heartbeat.of(message) if found else None
        return other.sender if other is not None and other.active else ""

    def _on_rival(self, rival: Heartbeat) -> None:
        if rival.active and rival.precedes(self._sender.since(), self._sender.identity):
            self._yield(rival)

    def _on_supervisor(self, supervisor: Heartbeat) -> None:
        takeover = (supervisor.identity, supervisor.since)
        given_back = supervisor.yielded_to == self._sender.identity and takeover != self._ended
        if given_back:
            self._ended = takeover
        if given_back or supervisor.active:
            self._take_back(supervisor)

    def status(self, backend: Backend) -> Status:
        """Status `supervisor`: whether one is alive, and sends to the topics of `backend`."""
        alive = self._supervisors.alive(_SILENCE)
        if not alive:
            age = self._supervisors.age()
            known = (
                "none was heard yet" if age == math.inf else f"the last was heard {age:.1f} s ago"
            )
            return Status(WARN, "supervisor", f"no supervisor is alive: {known}", {})
        newest, ours = alive[0], " ".join(backend.topics)
        values = {"node": newest.node, "process": newest.process, "state": newest.state}
        level, text = OK, "OK"
        if (newest.backend, newest.topics) != (backend.name, ours):
            level = WARN
            text = (
                f"the supervisor cannot take over: it sends to {newest.topics} by back-end "
                f"{newest.backend}, this controller to {ours} by {backend.name}"
            )
        elif newest.active:
            level, text = WARN, "the supervisor commands the vehicle"
        elif len(alive) > 1:
            names = " and ".join(supervisor.sender for supervisor in alive)
            level, text = WARN, f"{len(alive)} supervisors would take over at once: {names}"
        return Status(level, "supervisor", text, values)
