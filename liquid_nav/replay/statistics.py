"""Statistics of one channel of a flight: rate, jitter, latency, gaps."""

from array import array
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liquid_nav.events import SECOND, Event

GAP = 2.5
"""An interval between stamps is a gap when it is longer than this many median intervals."""

MAX_GAPS = 1000
"""Most gaps that are listed of one channel, the longest ones."""


@dataclass(frozen=True)
class ChannelStatistics:
    """Statistics of one channel; times in seconds, NaN where there are too few events.

    Attributes:
        events: measurements handed to the controller.
        rejected: how many of these the controller rejected.
        last_rejection: why it rejected the last one.
        late: how many of these came behind the controller's clock or behind a newer one.
        refused: how many messages became no event, by reason; a reason reads as the first one did.
        rate: events per second, from the first stamp to the last.
        interval: median time between stamps.
        jitter: standard deviation of the intervals that are no gaps.
        latency_p50, latency_p99, latency_max: from stamp to arrival.
        equal_stamps: events with the same stamp as the one before.
        gaps: (start, length) of the intervals longer than `GAP` medians, in order of time, at most
            the `MAX_GAPS` longest; start counts from the first arrival of the flight.
        gap_count: number of all gaps.

    """

    events: int
    rejected: int
    last_rejection: str
    late: int
    refused: dict[str, int]
    rate: float
    interval: float
    jitter: float
    latency_p50: float
    latency_p99: float
    latency_max: float
    equal_stamps: int
    gaps: list[tuple[float, float]]
    gap_count: int

    @property
    def refusals(self) -> int:
        """Number of all messages that became no event."""
        return sum(self.refused.values())

    @property
    def present(self) -> bool:
        """Whether any message of the channel came."""
        return bool(self.events or self.refused)

    @property
    def longest_gap(self) -> float:
        """Seconds; NaN where there is no gap."""
        return max((length for _, length in self.gaps), default=float("nan"))


class ChannelTimes:
    """Stamps and arrivals of one channel, 16 bytes an event."""

    def __init__(self) -> None:
        self._stamps, self._arrivals = array("q"), array("q")

    def __len__(self) -> int:
        return len(self._stamps)

    def add(self, event: Event) -> None:
        """Add an event."""
        self._stamps.append(event.stamp)
        self._arrivals.append(event.arrival)

    @property
    def stamps(self) -> NDArray[np.int64]:
        """Stamps in order of arrival, ns: a view."""
        return np.frombuffer(self._stamps, np.int64)

    @property
    def arrivals(self) -> NDArray[np.int64]:
        """Arrivals, ns: a view."""
        return np.frombuffer(self._arrivals, np.int64)

    def statistics(
        self, start: int, rejected: int, last_rejection: str, late: int, refused: dict[str, int]
    ) -> ChannelStatistics:
        """Compute the statistics.

        Args:
            start: first arrival of the flight, ns.
            rejected, last_rejection, late, refused: see `ChannelStatistics`.

        """
        p50, p99, top = self._latency()
        stamps = np.sort(self.stamps)
        intervals = np.diff(stamps) / SECOND
        moving = intervals[intervals > 0]
        # A copy of a long flight's intervals takes megabytes, so this one is sorted in place.
        median = float(np.median(moving, overwrite_input=True)) if len(moving) else float("nan")
        del moving
        is_gap = intervals > GAP * median
        where = np.flatnonzero(is_gap)
        longest = np.sort(where[np.argsort(intervals[where])[::-1][:MAX_GAPS]])
        span = (stamps[-1] - stamps[0]) / SECOND if len(stamps) else 0.0
        return ChannelStatistics(
            events=len(stamps),
            rejected=rejected,
            last_rejection=last_rejection,
            late=late,
            refused=refused,
            rate=float((len(stamps) - 1) / span) if span else float("nan"),
            interval=median,
            jitter=float(np.std(intervals[~is_gap])) if span else float("nan"),
            latency_p50=p50,
            latency_p99=p99,
            latency_max=top,
            equal_stamps=int(np.count_nonzero(intervals == 0)),
            gaps=[
                (float((stamps[i] - start) / SECOND), float(intervals[i])) for i in longest.tolist()
            ],
            gap_count=len(where),
        )

    def _latency(self) -> tuple[float, float, float]:
        """Median, 99th percentile and maximum, seconds."""
        latency = self.arrivals - self.stamps
        if not len(latency):
            return (float("nan"),) * 3
        p50, p99, top = np.percentile(latency, (50, 99, 100), overwrite_input=True) / SECOND
        return float(p50), float(p99), float(top)
