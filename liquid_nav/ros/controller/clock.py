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
        self._advanced_at = time.monotonic()

    def fault(self, now: int) -> str:
        """Note that the node's clock reads `now`, ns; return what is wrong with it, or nothing.

        To be called several times in `_STANDSTILL`, for the clock may advance only in between.
        """
        steady = time.monotonic()
        behind = 0 if self._newest is None else self._newest - now
        if self._newest is None or behind < 0 or behind > CLOCK_TOLERANCE:
            self._newest, self._advanced_at = now, steady
        elif behind > _JITTER:
            return "clock: went back"
        elif steady - self._advanced_at > _STANDSTILL:
            return "clock: stands still"
        return ""
