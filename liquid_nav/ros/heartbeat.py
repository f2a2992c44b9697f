"""Heartbeats: how a controller and its supervisor tell each other that they live, and what they do.

An active controller publishes one on ``~/heartbeat`` every `PERIOD`, and a last one, which says so,
when it is deactivated. Its supervisor publishes one on the topic of `supervisor_topic`. Both are
``diagnostic_msgs/DiagnosticStatus``:

============= =======================================================================
field         content
============= =======================================================================
`level`       OK
`name`        fully qualified name of the node
`hardware_id` identity: of this one instance of the node, see `HeartbeatSender`
`message`     lifecycle state: ``active`` while the node commands the vehicle
`values`      the other attributes of `Heartbeat`; ``handover.*`` is `handover`
============= =======================================================================
"""

from __future__ import annotations

import math
import os
import socket
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from liquid_nav.command import Mode
from liquid_nav.messages.decode import MessageError
from liquid_nav.ros.backends.messages import message_class

if TYPE_CHECKING:
    from rclpy.node import Node

TYPE = "diagnostic_msgs/msg/DiagnosticStatus"

PERIOD = 0.05
"""s between two heartbeats of an active controller."""

TIMEOUT = 0.3
"""s without a heartbeat after which its sender counts as dead."""

ACTIVE, INACTIVE = "active", "inactive"

_DEPTH = 10
"""Depth of the readers' queues: with several senders a depth of 1 would lose heartbeats."""

_KEPT = 60.0
"""s that the last heartbeat of an instance is kept, at least."""

_HANDOVER = "handover."


def supervisor_topic(heartbeat: str) -> str:
    """Topic of the supervisor's heartbeat, from the topic of its controller's."""
    return f"{heartbeat}/supervisor"


@dataclass(frozen=True)
class Heartbeat:
    """One heartbeat.

    Attributes:
        node: fully qualified name of the node.
        identity: which instance of the node it is; two instances never have the same.
        state: `ACTIVE` if the node commands the vehicle; any other means that it does not.
        mode, reason: of the last command.
        since: when the node began to command, ns since 1970 on the clock of its computer.
        process: where the node runs: process id and host.
        backend: name of its back-end.
        topics: the topics that its back-end publishes on, separated by spaces.
        landing_speed: descent of a landing, m/s.
        yielded_to: of a supervisor: identity of the controller that it gave the vehicle back to.
        handover: what the next node to command the vehicle must hold, see `Backend.handover`.

    """

    node: str = ""
    identity: str = ""
    state: str = INACTIVE
    mode: Mode = Mode.HOVER
    reason: str = ""
    since: int = 0
    process: str = ""
    backend: str = ""
    topics: str = ""
    landing_speed: float = 0.0
    yielded_to: str = ""
    handover: Mapping[str, str] = field(default_factory=dict)

    @property
    def active(self) -> bool:
        """Whether the node commands the vehicle."""
        return self.state == ACTIVE

    @property
    def sender(self) -> str:
        """Who sent it, for texts."""
        return f"{self.node} (process {self.process}, identity {self.identity[:8]})"

    def precedes(self, since: int, identity: str) -> bool:
        """Whether its sender keeps the vehicle, of two active controllers of one vehicle.

        The one that began first does. Both decide by the same numbers, so that exactly one yields,
        also when the clocks of their computers differ.

        Args:
            since: when the other controller began.
            identity: of the other controller.

        """
        return (self.since, self.identity) < (since, identity)

    def message(self) -> Any:
        """Make the ``diagnostic_msgs/DiagnosticStatus``."""
        pair = message_class("diagnostic_msgs/msg/KeyValue")
        values = {
            "mode": self.mode.value,
            "reason": self.reason,
            "since": str(self.since),
            "process": self.process,
            "backend": self.backend,
            "topics": self.topics,
            "landing_speed": repr(self.landing_speed),
            "yielded_to": self.yielded_to,
            **{f"{_HANDOVER}{name}": value for name, value in self.handover.items()},
        }
        status = message_class(TYPE)(name=self.node, hardware_id=self.identity, message=self.state)
        status.values = [pair(key=key, value=value) for key, value in values.items()]
        return status

    @classmethod
    def of(cls, message: Any) -> Heartbeat:
        """Read a ``diagnostic_msgs/DiagnosticStatus``; what is missing is at its default.

        Raises:
            MessageError: on a message without an identity, or a value that cannot be read.

        """
        values = {pair.key: pair.value for pair in message.values}
        if not message.hardware_id:
            raise MessageError("a heartbeat must have an identity in hardware_id, got none")
        try:
            mode = Mode(values.get("mode", Mode.HOVER.value))
            since = int(values.get("since", 0))
            landing_speed = float(values.get("landing_speed", 0.0))
        except ValueError as error:
            raise MessageError(f"a heartbeat's values cannot be read: {error}") from error
        if not 0 <= landing_speed < math.inf:
            raise MessageError(f"landing_speed must be 0 or more, got {landing_speed}")
        texts = {
            name: values.get(name, "")
            for name in ("reason", "process", "backend", "topics", "yielded_to")
        }
        return cls(
            node=message.name,
            identity=message.hardware_id,
            state=message.message,
            mode=mode,
            since=since,
            landing_speed=landing_speed,
            handover={
                key.removeprefix(_HANDOVER): value
                for key, value in values.items()
                if key.startswith(_HANDOVER)
            },
            **texts,
        )


class HeartbeatSender:
    """Publishes the heartbeats of one node.

    A node that was silent for longer than `TIMEOUT` while it was active, because it hung, counts as
    having begun anew: another one may have taken the vehicle.

    Args:
        node: publishes them.
        topic: where.

    Attributes:
        identity: a random text, of this instance alone.
        publisher: of the heartbeats.
        topic: fully qualified name of their topic.

    """

    def __init__(self, node: Node, topic: str) -> None:
        self.identity = uuid.uuid4().hex
        self._name = node.get_fully_qualified_name()
        self._process = f"{os.getpid()} on {socket.gethostname()}"
        self.publisher: Any = node.create_publisher(message_class(TYPE), topic, 1)
        self.topic: str = self.publisher.topic_name
        self._since = 0
        self._sent_at: float | None = None  # Steady clock, s; None while not active.

    def since(self) -> int:
        """When the node began to command, ns since 1970: now, if it does not or was silent."""
        if self._sent_at is None or time.monotonic() - self._sent_at > TIMEOUT:
            return time.time_ns()
        return self._since

    def send(self, active: bool, **values: Any) -> Heartbeat:
        """Publish a heartbeat and return it; `values` are attributes of `Heartbeat`."""
        self._since = self.since()
        self._sent_at = time.monotonic() if active else None
        state = ACTIVE if active else INACTIVE
        values = dict[str, Any](since=self._since, process=self._process) | values
        heartbeat = Heartbeat(self._name, self.identity, state, **values)
        self.publisher.publish(heartbeat.message())
        return heartbeat


class HeartbeatReader:
    """Keeps the newest heartbeat of each instance on a topic.

    A message that is no heartbeat is logged and otherwise ignored.

    Args:
        node: subscribes.
        topic: where.
        ignored: identity whose heartbeats are ignored: the own one on a shared topic.
        on_heartbeat: called with each heartbeat after it was kept.

    Attributes:
        newest: newest heartbeat by identity, and when it came, s on the steady clock.

    """

    def __init__(
        self,
        node: Node,
        topic: str,
        ignored: str = "",
        on_heartbeat: Callable[[Heartbeat], None] | None = None,
    ) -> None:
        self.newest: dict[str, tuple[Heartbeat, float]] = {}
        self._logger = node.get_logger()
        self._ignored, self._on_heartbeat = ignored, on_heartbeat
        self._subscription: Any = node.create_subscription(
            message_class(TYPE), topic, self._on_message, _DEPTH
        )

    def alive(self, timeout: float = TIMEOUT) -> list[Heartbeat]:
        """Newest heartbeats that are not older than `timeout` s, those that came last first."""
        now = time.monotonic()
        kept = sorted(self.newest.values(), key=lambda entry: -entry[1])
        return [heartbeat for heartbeat, arrival in kept if now - arrival <= timeout]

    def age(self) -> float:
        """Seconds since the last heartbeat; infinite if there was none."""
        return time.monotonic() - max((at for _, at in self.newest.values()), default=-math.inf)

    def _on_message(self, message: Any) -> None:
        if message.hardware_id == self._ignored:
            return
        try:
            heartbeat = Heartbeat.of(message)
        except MessageError as error:
            self._logger.warning(f"heartbeat ignored: {error}", throttle_duration_sec=5.0)
            return
        now = time.monotonic()
        if heartbeat.identity not in self.newest:  # Instances come and go.
            self.newest = {i: kept for i, kept in self.newest.items() if now - kept[1] < _KEPT}
        self.newest[heartbeat.identity] = (heartbeat, now)
        if self._on_heartbeat is not None:
            self._on_heartbeat(heartbeat)
