"""Messages that were sent and never became an event: those lost, and those dropped on purpose."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from liquid_nav.events import SECOND

_LARGEST_REPORT = 1_000_000
"""Losses that the middleware can report at once. After images of 100 MB its counter has read
18446744071562067974, a negative number in a type without a sign."""

_CAUGHT_UP = 0.005
"""s. A message that waited less than this finds a controller that keeps up."""

_LONGEST_WAIT = 0.02
"""s that a message waits, at most, while the controller does not keep up."""

_BURST = 0.5
"""s for which a controller may lag without dropping anything: a burst of samples ends by then."""


class Losses:
    """Counts the messages of one topic that were sent and never came.

    The middleware says too little: it reports messages that were lost on their way, but not those
    that a newer one pushed out of the queue. It also numbers the messages of each publisher,
    and a gap in these numbers counts both. Of several publishers on one topic it does not say whose
    message came; then only its reports count.
    """

    def __init__(self) -> None:
        self._skipped = self._reported = 0
        self.start()

    @property
    def lost(self) -> int:
        """Messages lost. What is reported is also a gap once the next message has come."""
        return max(self._skipped, self._reported)

    def start(self) -> None:
        """Begin with a new subscription; what was lost before stays counted."""
        self._number: int | None = None
        self._total, self._alone = 0, True

    def receive(self, number: int | None, publishers: Callable[[], int]) -> None:
        """Note a message.

        Args:
            number: how many messages its publisher had sent by then, itself included; None if the
                middleware does not say.
            publishers: returns how many publishers the topic has.

        """
        last, self._number = self._number, number
        if number is None or last is None or number == last + 1:
            return
        was_alone, self._alone = self._alone, publishers() <= 1
        # Numbers that go back are those of a publisher that started again.
        if number > last and was_alone and self._alone:
            self._skipped += number - last - 1

    def report(self, total: int) -> None:
        """Note what the middleware says that it lost, since the subscription was made.

        A number that cannot be right counts as one message.
        """
        change, self._total = total - self._total, total
        self._reported += change if 0 <= change <= _LARGEST_REPORT else 1


class Backlog:
    """Decides which messages a controller drops that cannot keep up with them.

    A burst is taken in whole. If the controller lags for longer than `_BURST`, messages that have
    waited for more than `_LONGEST_WAIT` are dropped, the oldest first, until it has caught up: what
    is left is spread evenly, and is no older than that.

    Before that, a message is dropped whose channel would become stale if the controller went on
    with all of them in turn: newer messages of the channel are waiting, and act in its place.
    """

    def __init__(self) -> None:
        self._lags_since: float | None = None

    def drops(self, received: int, newest: bool, limit: float = math.inf) -> bool:
        """Whether a message should be dropped instead of taken in now.

        Args:
            received: when it reached this process, ns on the system's clock; 0 if unknown.
            newest: whether it is the newest of its topic, which is never dropped.
            limit: s that it may wait, whether the controller has lagged for long or not.

        """
        waited = (time.time_ns() - received) / SECOND if received else 0.0
        if waited < _CAUGHT_UP:
            self._lags_since = None
            return False
        now = time.monotonic()
        if self._lags_since is None:
            self._lags_since = now
        if now - self._lags_since > _BURST:
            limit = min(limit, _LONGEST_WAIT)
        return not newest and waited > limit
