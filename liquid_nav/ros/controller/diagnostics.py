"""What the controller node says of itself once a second, as ``diagnostic_msgs``.

Counting and wording are apart from ROS; only `message` makes one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from liquid_nav.command import Mode
from liquid_nav.controller import ChannelHealth, Health
from liquid_nav.events import SECOND, TAKEN_IN, Channel
from liquid_nav.ros.backends.messages import message_class

TOPIC = "/diagnostics"
"""By convention one for all robots (REP-107): each status says in its name whose it is."""

OK, WARN, ERROR = 0, 1, 2
"""Levels of ``diagnostic_msgs/DiagnosticStatus``."""


class Status(NamedTuple):
    """One line of diagnostics: level, what of, what is wrong, and the figures."""

    level: int
    name: str
    message: str
    values: Mapping[str, str]


@dataclass
class Intake:
    """Messages of one channel, counted before they become events.

    Attributes:
        received: all that came.
        rejected: those that no event could be made of, or whose event the controller refused;
            `last_rejection` says why of the last.
        lost: those that the middleware says it lost.

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
        """Word it.

        Args:
            name: of the channel.
            health: the controller's counters of it.
            now: ns, the controller's clock.
            elapsed: s since the last time, above 0.

        """
        totals = (self.received, self.rejected, health.late + self.lost)
        news = [a - b for a, b in zip(totals, self._reported, strict=True)]
        self._reported = totals
        complaints = []
        if news[1] > 0:
            complaints.append(f"{news[1]} rejected: {self.last_rejection}")
        if news[2] > 0:
            complaints.append(f"{news[2]} late or lost")
        age = "none" if health.stamp is None else f"{(now - health.stamp) / SECOND:.3f}"
        values = {
            "rate_hz": f"{news[0] / elapsed:.1f}",
            "age_s": age,
            "accepted": str(health.accepted),
            "late": str(health.late),
            "lost": str(self.lost),
            "rejected": str(self.rejected),
            "last_rejection": self.last_rejection,
        }
        message = "; ".join(complaints) or ("OK" if health.accepted else "nothing received yet")
        return Status(WARN if complaints else OK, name, message, values)


@dataclass
class Monitor:
    """All that is counted for the diagnostics of one flight.

    Attributes:
        intakes: per channel.
        latencies: ns from a message to the command that it made, of the last two thousand.
        qos: incompatible endpoints: topic to what was refused.

    """

    intakes: dict[Channel, Intake] = field(
        default_factory=lambda: {channel: Intake() for channel in TAKEN_IN}
    )
    latencies: deque[int] = field(default_factory=lambda: deque(maxlen=2000))
    qos: dict[str, str] = field(default_factory=dict)

    def percentile(self, q: float) -> str:
        """Latency in us that `q` % are below, or "none"."""
        return f"{np.percentile(self.latencies, q) / 1000:.0f}" if self.latencies else "none"

    def statuses(
        self, health: Health, now: int, elapsed: float, fault: str, extra: Mapping[str, str]
    ) -> list[Status]:
        """Every status of an active controller.

        Args:
            health: the controller's own.
            now: ns, its clock.
            elapsed: s since the last time.
            fault: of the back-end, empty for none.
            extra: mode and reason in force now, and other figures of the node.

        """
        mode, reason = extra["mode"], extra["reason"]
        level = OK if mode == Mode.NOMINAL.value else WARN
        if mode == Mode.LAND.value:
            level = ERROR
        values = {
            **extra,
            "event_to_command_p50_us": self.percentile(50),
            "event_to_command_p99_us": self.percentile(99),
            "policy_faults": str(health.policy_faults),
            "last_policy_fault": health.last_policy_fault,
            "clock_resets": str(health.clock_resets),
        }
        words = f"{mode}: {reason}" if reason else mode
        return [
            Status(level, "controller", words, values),
            *(
                self.intakes[channel].status(channel.value, health.channels[channel], now, elapsed)
                for channel in TAKEN_IN
                if channel is not Channel.OPERATOR
            ),
            Status(WARN if fault else OK, "backend", fault or "OK", {}),
            Status(
                WARN if self.qos else OK,
                "qos",
                "incompatible QoS on " + ", ".join(self.qos) if self.qos else "OK",
                self.qos,
            ),
        ]


def message(node: str, now: int, statuses: list[Status]) -> Any:
    """``diagnostic_msgs/DiagnosticArray`` of a node's statuses; `now` in ns."""
    array = message_class("diagnostic_msgs/msg/DiagnosticArray")()
    array.header.stamp.sec, array.header.stamp.nanosec = divmod(now, SECOND)
    line, pair = (
        message_class(f"diagnostic_msgs/msg/{n}") for n in ("DiagnosticStatus", "KeyValue")
    )
    for status in statuses:
        array.status.append(
            line(
                level=bytes([status.level]),
                name=f"{node}: {status.name}",
                hardware_id=node,
                message=status.message,
                values=[pair(key=key, value=value) for key, value in status.values.items()],
            )
        )
    return array
