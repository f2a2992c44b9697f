"""Statistics of one channel of a flight: rate, jitter, latency, gaps."""

import math
from array import array
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liquid_nav.events import SECOND, Event

GAP = 2.5
"""A silence is a gap when it is longer than this many periods of the channel."""

DROP = 1.5
"""A silence of at least this many periods is a gap if the intervals on both sides of it are not
short: one measurement is missing. Beside a stamp that is late or early, one of them is short."""

SPREAD = 6.0
"""An irregular channel has wider gaps: this many standard deviations above its period."""

MAX_GAPS = 1000
"""Most gaps that are listed of one channel, the longest ones."""

_LEAP = 3600.0
"""Seconds; a longer silence is a clock that leapt, and no measurement is missing in it."""

Seconds = NDArray[np.float64]


@dataclass(frozen=True)
class ChannelStatistics:
    """Statistics of one channel; times in seconds, NaN where there are too few events.

    Attributes:
        events: measurements handed to the controller.
        rejected: how many of these the controller rejected.
        rejections: how many of them for each reason; a reason reads as the first one did.
        late: how many of these came behind the controller's clock or behind a newer one.
        refused: how many messages became no event, by reason; a reason reads as the first one did.
        rate: events per second, from the first stamp to the last.
        interval: time between stamps while nothing is missing, see `period_of`.
        jitter: standard deviation of the intervals that are no gaps.
        latency_p50, latency_p99, latency_max: from stamp to arrival.
        equal_stamps: events with the same stamp as the one before.
        gaps: (start, length) of the silences in which measurements are missing, by the channel's
            own period; those before the first event and after the last one count too. In order of
            time, at most the `MAX_GAPS` longest; start counts from the first arrival of the flight.
        gap_count: number of all gaps.
        dropped: about how many measurements are missing in the gaps.

    """

    events: int
    rejected: int
    rejections: dict[str, int]
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
    dropped: int

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

    @property
    def dropped_share(self) -> float:
        """About which part of the measurements is missing, from 0 to 1."""
        return self.dropped / max(self.dropped + self.events, 1)


class ChannelTimes:
    """Stamps and arrivals of one channel, 17 bytes an event."""

    def __init__(self) -> None:
        self._stamps, self._arrivals, self._accepted = array("q"), array("q"), array("B")

    def __len__(self) -> int:
        return len(self._stamps)

    def add(self, event: Event, accepted: bool = True) -> None:
        """Add an event, which the controller accepted or rejected."""
        self._stamps.append(event.stamp)
        self._arrivals.append(event.arrival)
        self._accepted.append(accepted)

    @property
    def stamps(self) -> NDArray[np.int64]:
        """Stamps in order of arrival, ns: a view."""
        return np.frombuffer(self._stamps, np.int64)

    @property
    def arrivals(self) -> NDArray[np.int64]:
        """Arrivals, ns: a view."""
        return np.frombuffer(self._arrivals, np.int64)

    @property
    def accepted(self) -> NDArray[np.bool_]:
        """Whether the controller accepted each: a view."""
        return np.frombuffer(self._accepted, np.bool_)

    def statistics(
        self,
        start: int,
        span: tuple[int, int],
        patience: float,
        rejections: dict[str, int],
        late: int,
        refused: dict[str, int],
    ) -> ChannelStatistics:
        """Compute the statistics.

        Args:
            start: first arrival of the flight, ns.
            span: arrivals, ns, from which and until which the channel should have sent.
            patience: longest silence, s, at an end of the span that is no gap where the channel has
                too few events to show its own period; infinity for a channel that may be silent.
            rejections, late, refused: see `ChannelStatistics`.

        """
        p50, p99, top = self._latency()
        stamps = np.sort(self.stamps)
        intervals = np.diff(stamps) / SECOND
        period = period_of(intervals)
        is_gap = _are_gaps(intervals, period)
        inside, ends = intervals[is_gap], self._silent_ends(span, patience, period, p50)
        outside = np.array([length for _, length in ends], np.float64)
        missing = np.concatenate((np.round(inside / period) - 1, outside // period))
        lengths = np.concatenate((inside, outside))
        starts = np.concatenate((stamps[:-1][is_gap], np.array([at for at, _ in ends], np.int64)))
        longest = np.argsort(lengths)[::-1][:MAX_GAPS]
        flown = (stamps[-1] - stamps[0]) / SECOND if len(stamps) else 0.0
        return ChannelStatistics(
            events=len(stamps),
            rejected=sum(rejections.values()),
            rejections=rejections,
            late=late,
            refused=refused,
            rate=float((len(stamps) - 1) / flown) if flown else float("nan"),
            interval=period,
            jitter=float(np.std(intervals[~is_gap])) if flown else float("nan"),
            latency_p50=p50,
            latency_p99=p99,
            latency_max=top,
            equal_stamps=int(np.count_nonzero(intervals == 0)),
            gaps=sorted(
                (float((starts[i] - start) / SECOND), float(lengths[i])) for i in longest.tolist()
            ),
            gap_count=len(lengths),
            dropped=int(np.nansum(missing[lengths <= _LEAP])),
        )

    def _silent_ends(
        self, span: tuple[int, int], patience: float, period: float, latency: float
    ) -> list[tuple[int, float]]:
        """Find the gaps before the first event and after the last one: start, ns, and length, s."""
        first, last = span
        longest = patience if math.isnan(period) or math.isinf(patience) else GAP * period
        if not len(self):
            ends = [(first, (last - first) / SECOND)]
        else:
            earliest, newest = int(self.arrivals.min()), int(self.arrivals.max())
            # The first measurement is older than its arrival, so its latency is no silence.
            opening = (earliest - first) / SECOND - latency
            ends = [(first, opening), (newest, (last - newest) / SECOND)]
        return [(at, length) for at, length in ends if length > longest]

    def _latency(self) -> tuple[float, float, float]:
        """Median, 99th percentile and maximum, seconds."""
        latency = self.arrivals - self.stamps
        if not len(latency):
            return (float("nan"),) * 3
        p50, p99, top = np.percentile(latency, (50, 99, 100), overwrite_input=True) / SECOND
        return float(p50), float(p99), float(top)


def period_of(intervals: Seconds) -> float:
    """Estimate the time between two stamps of a channel while nothing is missing, in seconds.

    It is the median, unless so much is missing that the median spans several periods: then shorter
    intervals are not rare, and almost all intervals are whole multiples of them.

    Args:
        intervals: between stamps in order, s, shape (N,); zeros say nothing.

    Returns:
        The period; NaN without an interval above zero.

    """
    moving = np.sort(intervals[intervals > 0])
    if not len(moving):
        return float("nan")
    # The lower median is an interval that there is, and no mean of one period and two.
    period = float(moving[(len(moving) - 1) // 2])
    short = moving[: int(np.searchsorted(moving, DROP * moving[len(moving) // 10], side="right"))]
    shortest = float(short[(len(short) - 1) // 2])
    if shortest < period / DROP:
        multiples = moving / shortest
        if np.mean(np.abs(multiples - np.round(multiples)) < 0.2) > 0.9:
            period = shortest
    # Intervals in which something is missing must not draw the median.
    low, high = np.searchsorted(moving, (period / 2, DROP * period), side="right")
    return float(np.median(moving[low:high]))


def _are_gaps(intervals: Seconds, period: float) -> NDArray[np.bool_]:
    """Tell which intervals are gaps, see `GAP`, `DROP` and `SPREAD`; none without a period."""
    gaps = np.zeros(len(intervals), np.bool_)
    if math.isnan(period):
        return gaps
    long = np.flatnonzero(intervals > _threshold(intervals, period))
    # Equal stamps are no neighbours: what counts is the next interval that is not zero.
    moving = np.flatnonzero(intervals > 0)
    place = np.searchsorted(moving, long)
    before = np.where(place > 0, intervals[moving[place - 1]], period)
    after = np.where(
        place + 1 < len(moving), intervals[moving[np.minimum(place + 1, len(moving) - 1)]], period
    )
    missing = intervals[long] + np.minimum(before, after) > GAP * period
    gaps[long] = missing | (intervals[long] > GAP * period)
    return gaps


def _threshold(intervals: Seconds, period: float) -> float:
    """Return the length above which an interval may be a gap, from how much the others vary.

    The arrays are changed in place, because those of a long flight take megabytes.
    """
    whole = intervals[(intervals > 0) & (intervals < DROP * period)]
    whole -= period
    np.abs(whole, out=whole)
    # By the median, which the few intervals that are far off do not move.
    spread = 1.4826 * float(np.median(whole, overwrite_input=True)) if len(whole) else 0.0
    return max(DROP * period, period + SPREAD * spread)
