"""What is counted for the diagnostics of one flight, and what it says of each channel."""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from liquid_nav.command import Mode
from liquid_nav.controller import ChannelHealth, Health
from liquid_nav.events import SECOND, Channel
from liquid_nav.ros.controller.diagnostics import OK, STALE, WARN, Status, level_of
from liquid_nav.ros.controller.diagnostics.expectations import Expectation
from liquid_nav.ros.controller.sensors.losses import Losses

_NUMBER = re.compile(r"\d[\d.]*")

_WINDOW = 4
"""Reports over which the rate of a channel is taken: with one a second, the last three seconds."""


@dataclass
class MessageCounts:
    """Messages of one channel, counted before they become events.

    Attributes:
        received: all messages.
        rejected: messages that could not be made an event, or whose event the controller rejected;
            `last_rejection` says why the last one was.
        dropped: messages that were dropped because the controller could not keep up.
        losses: by topic, the messages that were sent and never came.
        warnings: what is unusual about what its messages say, in plain sentences.

    """

    received: int = 0
    rejected: int = 0
    dropped: int = 0
    losses: defaultdict[str, Losses] = field(default_factory=lambda: defaultdict(Losses))
    last_rejection: str = ""
    warnings: tuple[str, ...] = ()
    _reported: tuple[int, int] = (0, 0)
    # Times on the controller's clock, ns, and messages received by then, of the last reports.
    _history: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=_WINDOW))

    @property
    def lost(self) -> int:
        """Messages that were sent and never came, on all topics of the channel."""
        return sum(losses.lost for losses in self.losses.values())

    def reject(self, why: str) -> None:
        """Count a message that cannot be used."""
        self.rejected += 1
        self.last_rejection = why

    def rate(self, now: int, started: int) -> tuple[float | None, bool]:
        """Messages per second in the last reports, and whether they came throughout.

        Args:
            now: ns, on the controller's clock; it counts as the time of a report.
            started: when the flight began, ns.

        Returns:
            Hz on the controller's clock, None if no time has passed; and whether that is the rate
            of the source: without a beginning or a pause in the time over which it is taken.

        """
        history = self._history
        if history and now < history[-1][0]:  # The clock went back.
            history.clear()
            history.append((now, self.received))
        elif not history:
            history.append((started, 0))
        history.append((now, self.received))
        begin, before = history[0]
        span = now - begin
        counts = [count for _, count in history]
        steady = len(history) == _WINDOW and before > 0 and len(set(counts)) == _WINDOW
        return (self.received - before) * SECOND / span if span > 0 else None, steady

    def status(
        self, health: ChannelHealth, expected: Expectation, rate: float | None, faults: list[str]
    ) -> Status:
        """Status of the channel, but for its silence.

        Args:
            health: the controller's counters of the channel.
            expected: what is expected of the channel.
            rate: messages per second, or None if it is not known.
            faults: what is wrong beside what is counted here.

        """
        totals = (self.rejected, health.late + self.lost + self.dropped)
        rejected, late = (a - b for a, b in zip(totals, self._reported, strict=True))
        self._reported, faults = totals, list(faults)
        if rejected > 0:
            faults.append(f"{rejected} rejected: {self.last_rejection}")
        if late > 0:
            faults.append(f"{late} late, lost or dropped")
        values = {
            "rate_hz": "none" if rate is None else f"{rate:.1f}",
            "accepted": str(health.accepted),
            "late": str(health.late),
            "lost": str(self.lost),
            "dropped": str(self.dropped),
            "rejected": str(self.rejected),
            "last_rejection": self.last_rejection,
        }
        if expected.trained_rates is not None:
            slowest, fastest = expected.trained_rates
            values["trained_rates_hz"] = f"{slowest:.1f} to {fastest:.1f}"
        values["use"] = "needed" if expected.needed else "optional" if expected.optional else "none"
        quiet = "OK" if health.accepted else "nothing received yet; it is not needed"
        return Status(
            WARN if faults else OK, expected.channel.value, "; ".join(faults) or quiet, values
        )


def _silence(
    health: ChannelHealth, received: int, now: int, started: int, expected: Expectation
) -> tuple[int, str]:
    """Level and text for the silence of a channel; an empty text if it is not silent."""
    staleness, heard = expected.staleness, health.stamp is not None
    if heard and staleness is None:
        return OK, ""
    since = started if health.stamp is None else health.stamp
    age = max(0.0, (now - since) / SECOND)
    if not heard:
        if not expected.needed:
            return OK, ""
        dead = staleness is not None and age > staleness.land
        usable = "usable " if received else ""
        return STALE if dead else WARN, f"nothing {usable}received yet, for {age:.1f} s"
    assert staleness is not None
    if age <= staleness.hover:
        return OK, ""
    text = f"nothing newer than {age:.1f} s; stale after {staleness.hover:g} s"
    return STALE if age > staleness.land else WARN, text


@dataclass
class Monitor:
    """What is counted for the diagnostics of one flight.

    Attributes:
        counts: messages by channel.
        latencies: ns from a message to the command that followed from it, the last two thousand.
        qos_faults: by topic, the QoS policy by which a publisher or reader does not fit.
        news: warnings about measurements that this flight has not had before, for the log.

    """

    counts: defaultdict[Channel, MessageCounts] = field(
        default_factory=lambda: defaultdict(MessageCounts)
    )
    latencies: deque[int] = field(default_factory=lambda: deque(maxlen=2000))
    qos_faults: dict[str, str] = field(default_factory=dict)
    news: list[str] = field(default_factory=list)
    _told: set[str] = field(default_factory=set)  # Without their numbers, which change.
    _started: int = 0

    def start(self, now: int) -> None:
        """Forget everything but the faults of QoS: a flight begins at `now` ns."""
        for kept in (self.counts, self.latencies, self.news, self._told):
            kept.clear()
        self._started = now

    def add_news(self, text: str) -> None:
        """Add a warning to the news, if this flight has not had it before with other numbers."""
        words = _NUMBER.sub("#", text)
        if words not in self._told:
            self._told.add(words)
            self.news.append(text)

    def percentile(self, q: float) -> str:
        """The `q`-th percentile of the latencies in us, as text; "none" without latencies."""
        return f"{np.percentile(list(self.latencies), q) / 1000:.0f}" if self.latencies else "none"

    def statuses(
        self,
        health: Health,
        now: int,
        fault: str,
        node: Mapping[str, str],
        expected: Mapping[Channel, Expectation],
    ) -> list[Status]:
        """Every status of an active controller.

        Args:
            health: health of the controller.
            now: ns, on the controller's clock.
            fault: fault of the back-end, empty for none.
            node: values of the node: `mode` and `reason` of its command now, and others.
            expected: what is expected of each channel.

        """
        self._started = min(self._started, now)  # The clock may go back.
        channels = [
            self._channel(health.channels[channel], now, expectation)
            for channel, expectation in expected.items()
        ]
        return [
            self._controller(health, node),
            *channels,
            Status(WARN if fault else OK, "backend", fault or "OK", {}),
            Status(
                WARN if self.qos_faults else OK,
                "qos",
                "incompatible QoS on " + ", ".join(self.qos_faults) if self.qos_faults else "OK",
                self.qos_faults,
            ),
        ]

    def _controller(self, health: Health, node: Mapping[str, str]) -> Status:
        mode, reason, limited = node["mode"], node["reason"], health.limited
        level, text = level_of(Mode(mode)), f"{mode}: {reason}" if reason else mode
        values = {
            **node,
            "event_to_command_p50_us": self.percentile(50),
            "event_to_command_p99_us": self.percentile(99),
            "slew_limited_last_second": f"{limited.recent_slew:.0%}",
            "slew_limited": f"{limited.slew} of {limited.commands}",
            "magnitude_limited_last_second": f"{limited.recent_magnitude:.0%}",
            "magnitude_limited": f"{limited.magnitude} of {limited.commands}",
            "policy_faults": str(health.policy_faults),
            "last_policy_fault": health.last_policy_fault,
            "clock_resets": str(health.clock_resets),
            "unfit": health.unfit,
        }
        return Status(level, "controller", text, values)

    def _channel(self, health: ChannelHealth, now: int, expected: Expectation) -> Status:
        channel = expected.channel
        counts = self.counts[channel]
        rate, steady = counts.rate(now, self._started)
        warnings = [*health.warnings, *counts.warnings]
        if steady and rate and (fault := expected.rate_fault(rate)):
            warnings.append(fault)
        for text in warnings:
            self.add_news(f"{channel.value}: {text}")
        level, silence = _silence(health, counts.received, now, self._started, expected)
        faults = [silence, *warnings] if silence else warnings
        status = counts.status(health, expected, rate, faults)
        age = "none" if health.stamp is None else f"{(now - health.stamp) / SECOND:.3f}"
        return status._replace(
            level=max(level, status.level), values={**status.values, "age_s": age}
        )
