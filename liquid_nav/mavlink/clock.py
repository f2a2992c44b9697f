"""The autopilot's clock, on ours.

An autopilot stamps measurements by its own clock, most often the time since it was started. Two
things tell how far that is from ours. A TIMESYNC exchange, as of NTP: our time goes out and comes
back with theirs, which was taken half way, give or take half the round trip. And every message:
it arrives after it was stamped, so that the smallest difference of the last seconds is the offset
plus the smallest latency. Exchanges are used while they are answered, arrivals otherwise.
"""

from collections import deque

from liquid_nav.values import SECOND

WINDOW = 10 * SECOND
"""ns for which an observation counts. A quartz drifts by 1 ms at most meanwhile."""

LONGEST_ROUND_TRIP = SECOND // 10
"""ns. An exchange that took longer says less than arrivals do."""

JUMP = SECOND // 4
"""ns. A difference that no latency explains: the autopilot was started again, or its clock set."""


class DeviceClock:
    """Estimates what our clock shows when the autopilot's shows something.

    Attributes:
        jumps: how often the autopilot's clock leapt, and the estimate began anew.
        round_trip: ns that the best exchange of the last seconds took; None without any.

    """

    def __init__(self) -> None:
        self.jumps = 0
        self._forget()

    def _forget(self) -> None:
        # (arrival, offset) with growing offsets: the first one is the smallest of the window.
        self._arrivals: deque[tuple[int, int]] = deque()
        # (arrival, round trip, offset).
        self._exchanges: deque[tuple[int, int, int]] = deque()
        self._newest: int | None = None
        self._offset: int | None = None

    @property
    def round_trip(self) -> int | None:
        """See the class."""
        return min((trip for _, trip, _ in self._exchanges), default=None)

    @property
    def synchronised(self) -> bool:
        """Whether exchanges are answered."""
        return bool(self._exchanges)

    def exchange(self, sent: int, theirs: int, arrival: int) -> None:
        """Take in an exchange: our time when it was sent, their answer, our time at arrival, ns."""
        trip = arrival - sent
        if not 0 <= trip <= LONGEST_ROUND_TRIP:
            return
        offset = (sent + arrival) // 2 - theirs
        self._age(arrival)
        if self._exchanges and abs(offset - self.offset(arrival)) > JUMP:
            self.jumps += 1
            self._forget()
        self._exchanges.append((arrival, trip, offset))
        self._estimate()

    def stamp(self, theirs: int, arrival: int) -> int:
        """Bring a time of the autopilot's onto our clock.

        Args:
            theirs: ns on its clock.
            arrival: when the message arrived, ns on ours.

        Returns:
            ns on our clock, at most `arrival`.

        """
        if self._leapt(theirs, arrival):
            self.jumps += 1
            self._forget()
        self._newest = theirs if self._newest is None else max(self._newest, theirs)
        offset = arrival - theirs
        while self._arrivals and self._arrivals[-1][1] >= offset:
            self._arrivals.pop()
        self._arrivals.append((arrival, offset))
        self._age(arrival)
        self._estimate()
        return min(theirs + self.offset(arrival), arrival)

    def _leapt(self, theirs: int, arrival: int) -> bool:
        """Whether a stamp cannot be of the clock as it was: far behind, or ahead of its arrival.

        A stamp that is merely old came late, and its age is real.
        """
        if self._newest is None:
            return False
        return theirs < self._newest - JUMP or theirs + self.offset(arrival) > arrival + JUMP

    def _age(self, now: int) -> None:
        for observations in (self._arrivals, self._exchanges):
            while len(observations) > 1 and now - observations[0][0] > WINDOW:
                observations.popleft()
        if self._exchanges and now - self._exchanges[-1][0] > WINDOW:
            self._exchanges.clear()

    def offset(self, now: int) -> int:
        """Our clock less the autopilot's, ns; `now` if nothing is known. From any thread."""
        return now if self._offset is None else self._offset

    def _estimate(self) -> None:
        if self._exchanges:
            self._offset = min(self._exchanges, key=lambda exchange: exchange[1])[2]
        elif self._arrivals:
            self._offset = self._arrivals[0][1]
