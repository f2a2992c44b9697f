"""Watches the node's clock, which may be simulated or set, against one that cannot stop."""

from __future__ import annotations

import time

from liquid_nav.controller import CLOCK_TOLERANCE
from liquid_nav.events import SECOND

_STANDSTILL = 0.5
"""s without progress after which the clock counts as stopped."""

_JITTER = SECOND // 20
"""ns that the clock may go back without a failsafe: NTP sets a clock in small steps."""


class ClockWatch:
    """Tells when the ages of measurements say nothing, because the node's clock is wrong.

    On a clock that stands still nothing ever becomes stale, and the controller would repeat its
    last command for ever. On one that went back everything looks too new until the clock has caught
    up; the controller itself only handles steps back by more than its `CLOCK_TOLERANCE`.
    """

    def __init__(self) -> None:
        self._newest: int | None = None
        # Of the last look and of the last progress, s on the steady clock.
        self._looked_at = self._advanced_at = time.monotonic()

    def fault(self, now: int) -> str:
        """Note that the node's clock reads `now`, ns; return what is wrong with it, or nothing.

        To be called several times in `_STANDSTILL`. After a longer pause, in which the process was
        stopped, a clock that advanced by less than the pause counts as one that stopped in it.
        """
        looked_at, self._looked_at = self._looked_at, time.monotonic()
        behind = 0 if self._newest is None else self._newest - now
        if self._newest is None or behind > CLOCK_TOLERANCE:
            self._newest, self._advanced_at = now, self._looked_at
        elif behind < 0:
            self._newest = now
            self._advanced_at = min(looked_at - behind / SECOND, self._looked_at)
        if _JITTER < behind <= CLOCK_TOLERANCE:
            return "clock: went back"
        if self._looked_at - self._advanced_at > _STANDSTILL:
            return "clock: stands still"
        return ""
