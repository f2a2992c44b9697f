"""Stamps of a clock that is not ours, mapped onto ours by the arrivals of the messages.

The offset between the two clocks is unknown, and so is the delay of a message. The least difference
between arrival and stamp in a short window is the offset plus the shortest delay (the minimum
filter of NTP; for skew see Moon, Skelly, Towsley 1999, "Estimation and removal of clock skew from
network delay measurements"). So the newest measurement with that delay counts as new, one that
came later than that keeps its age, and a drift or a leap of the other clock is followed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any

from liquid_nav.events import SECOND, Event
from liquid_nav.messages.decode import stamp_of

WINDOW = SECOND // 4
"""ns over which the least difference is taken: long enough for the jitter of messages, and short,
because a drift of 10 % makes a measurement look older by a tenth of it. A leap of the other clock
ahead is followed at once, one back after this time, and so is a delay that lasts for longer."""


class ArrivalStamps:
    """Estimates the offset between the clock of one source and ours."""

    def __init__(self) -> None:
        # Arrival, ns, and difference, ns, that may still become the least; both grow.
        self._least: deque[tuple[int, int]] = deque()

    def offset(self, stamp: int, arrival: int) -> int:
        """Note a message, and return what to add to its stamp, ns.

        Args:
            stamp: of the message, ns on the clock of its source.
            arrival: when it came, ns on our clock.

        """
        least, difference = self._least, arrival - stamp
        if least and arrival < least[-1][0]:  # Our own clock went back.
            least.clear()
        while least and least[-1][1] >= difference:
            least.pop()
        while least and least[0][0] < arrival - WINDOW:
            least.popleft()
        least.append((arrival, difference))
        return least[0][1]


def raw_stamp(message: Any) -> int | None:
    """Stamp of a ROS message with a header or of one of PX4's, ns; None for a message without.

    Raises:
        MessageError: when the stamp is malformed.

    """
    header = getattr(message, "header", None)
    if header is not None:
        return stamp_of(header.stamp)
    for name in ("timestamp_sample", "timestamp"):
        microseconds = getattr(message, name, None)
        if microseconds is not None:
            return int(microseconds) * 1000
    return None


def shifted(event: Event, offset: int) -> Event:
    """The event with both its times later by `offset` ns."""
    return replace(event, stamp=event.stamp + offset, arrival=event.arrival + offset)
