"""Diagnostics of the nodes, published once a second as ``diagnostic_msgs``.

Only `message` needs ROS; counts and texts do not.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from liquid_nav.command import Mode
from liquid_nav.controller import ChannelHealth, Health
from liquid_nav.events import SECOND, Channel
from liquid_nav.ros.backends.messages import message_class

TOPIC = "/diagnostics"
"""One topic for all robots (REP-107): the name of a status begins with that of its node."""

OK, WARN, ERROR = 0, 1, 2
"""Levels of ``diagnostic_msgs/DiagnosticStatus``."""


class Status(NamedTuple):
    """One status of the diagnostics: its level, its name, what is wrong, and key-value pairs."""

    level: int
    name: str
    message: str
    values: Mapping[str, str]


def level_of(mode: Mode) -> int:
    """Level of a status that tells the mode of a command."""
    if mode is Mode.LAND:
        return ERROR
    return OK if mode is Mode.NOMINAL else WARN


@dataclass
class MessageCounts:
    """Messages of one channel, counted before they become events.

    Attributes:
        received: all messages.
        rejected: messages that could not be made an event, or whose event the controller rejected;
            `last_rejection` says why the last one was.
        lost: messages that the middleware reports as lost.

    """

    received: int = 0
    rejected: int = 0
    lost: int = 0
    last_rejection: str = ""
    _reported: tuple[int, int, int] = (0, 0, 0)

    def reject(self, why: str) -> None:
        """Count a message that cannot be used."""
        self.rejected += 1
        self.last_rejection = why

    def status(self, name: str, health: ChannelHealth, now: int, elapsed: float) -> Status:
        """Status of the channel.

        Args:
            name: name of the channel.
            health: the controller's counters of the channel.
            now: ns, on the controller's clock.
            elapsed: s since the last call, above 0.

        """
        totals = (self.received, self.rejected, health.late + self.lost)
        received, rejected, late = (a - b for a, b in zip(totals, self._reported, strict=True))
        self._reported = totals
        faults = []
        if rejected > 0:
            faults.append(f"{rejected} rejected: {self.last_rejection}")
        if late > 0:
            faults.append(f"{late} late or lost")
        age = "none" if health.stamp is None else f"{(now - health.stamp) / SECOND:.3f}"
        values = {
            "rate_hz": f"{received / elapsed:.1f}",
            "age_s": age,
            "accepted": str(health.accepted),
            "late": str(health.late),
            "lost": str(self.lost),
            "rejected": str(self.rejected),
            "last_rejection": self.last_rejection,
        }
        message = "; ".join(faults) or ("OK" if health.accepted else "nothing received yet")
        return Status(WARN if faults else OK, name, message, values)


@dataclass
class Monitor:
    """What is counted for the diagnostics of one flight.

    Attributes:
        counts: messages by channel.
        latencies: ns from a message to the command that followed from it, the last two thousand.
        qos_faults: by topic, the QoS policy by which a publisher or reader does not fit.

    """

    counts: defaultdict[Channel, MessageCounts] = field(
        default_factory=lambda: defaultdict(MessageCounts)
    )
    latencies: deque[int] = field(default_factory=lambda: deque(maxlen=2000))
    qos_faults: dict[str, str] = field(default_factory=dict)

    def percentile(self, q: float) -> str:
        """The `q`-th percentile of the latencies in us, as text; "none" without latencies."""
        return f"{np.percentile(self.latencies, q) / 1000:.0f}" if self.latencies else "none"

    def statuses(
        self, health: Health, now: int, elapsed: float, fault: str, node: Mapping[str, str]
    ) -> list[Status]:
        """Every status of an active controller.

        Args:
            health: health of the controller.
            now: ns, on the controller's clock.
            elapsed: s since the last call.
            fault: fault of the back-end, empty for none.
            node: values of the node: `mode` and `reason` of its command now, and others.

        """
        mode, reason = node["mode"], node["reason"]
        values = {
            **node,
            "event_to_command_p50_us": self.percentile(50),
            "event_to_command_p99_us": self.percentile(99),
            "policy_faults": str(health.policy_faults),
            "last_policy_fault": health.last_policy_fault,
            "clock_resets": str(health.clock_resets),
        }
        text = f"{mode}: {reason}" if reason else mode
        return [
            Status(level_of(Mode(mode)), "controller", text, values),
            *(
                self.counts[channel].status(channel.value, channel_health, now, elapsed)
                for channel, channel_health in health.channels.items()
                if channel != Channel.OPERATOR
            ),
            Status(WARN if fault else OK, "backend", fault or "OK", {}),
            Status(
                WARN if self.qos_faults else OK,
                "qos",
                "incompatible QoS on " + ", ".join(self.qos_faults) if self.qos_faults else "OK",
                self.qos_faults,
            ),
        ]


def message(node: str, now: int, statuses: list[Status]) -> Any:
    """Make the ``diagnostic_msgs/DiagnosticArray`` of a node's statuses; `now` in ns."""
    array = message_class("diagnostic_msgs/msg/DiagnosticArray")()
    array.header.stamp.sec, array.header.stamp.nanosec = divmod(now, SECOND)
    array.status = [status_message(node, status) for status in statuses]
    return array


def status_message(node: str, status: Status) -> Any:
    """Make the ``diagnostic_msgs/DiagnosticStatus`` of a status of a node."""
    line, pair = (
        message_class(f"diagnostic_msgs/msg/{n}") for n in ("DiagnosticStatus", "KeyValue")
    )
    return line(
        level=bytes([status.level]),
        name=f"{node}: {status.name}",
        hardware_id=node,
        message=status.message,
        values=[pair(key=key, value=value) for key, value in status.values.items()],
    )
