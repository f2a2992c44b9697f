"""Freshness of a channel: when its silence becomes a failsafe, and when that ends."""

from dataclasses import dataclass

from liquid_nav.command import Mode
from liquid_nav.errors import ConfigError
from liquid_nav.events import SECOND, Channel

NEVER = -(2**63)
"""An instant before all others, ns: clocks may start below zero."""

LONGEST = 1e9
"""Seconds; the largest setting of a time, so that all of them are whole numbers of ns."""

FOR_EVER = 2**64
"""An age that no measurement reaches, ns."""

FRESH = (Mode.NOMINAL, "")
"""State of a channel that demands no failsafe."""


@dataclass(frozen=True)
class Staleness:
    """When silence on a channel becomes a failsafe.

    Attributes:
        hover: age of the newest measurement, in seconds, at which the vehicle hovers.
        land: age at which it lands.

    Raises:
        ConfigError: unless 0 < hover <= land <= `LONGEST`.

    """

    hover: float
    land: float

    def __post_init__(self) -> None:
        if not 0 < self.hover <= self.land <= LONGEST:
            raise ConfigError(f"staleness needs 0 < hover <= land <= {LONGEST:g} s, got {self}")


@dataclass
class Watch:
    """Freshness of one needed channel; times in ns.

    Attributes:
        channel: the channel.
        hover, land: ages beyond which it is stale; `FOR_EVER` for one that never is.
        newest: newest stamp received, or None.
        recovered: instant from which it counts as fresh again after it was stale.

    """

    channel: Channel
    hover: int
    land: int
    newest: int | None = None
    recovered: int = NEVER

    def receive(self, stamp: int, now: int, recovery: int) -> None:
        """Note a measurement of `stamp` that enters at `now`; after staleness `recovery` begins."""
        if self.newest is not None:
            if now - self.newest > self.hover:
                self.recovered = now + recovery
            stamp = max(stamp, self.newest)
        self.newest = stamp

    def state(self, now: int) -> tuple[Mode, str]:
        """Failsafe that this channel demands at `now`, and why; `Mode.NOMINAL` for none."""
        newest = self.newest
        if newest is not None and now - newest <= self.hover and now >= self.recovered:
            return FRESH
        name = self.channel.value
        if newest is None:
            return Mode.HOVER, f"{name}: nothing received yet"
        if now - newest > self.land:
            return Mode.LAND, f"{name}: stale for more than {self.land / SECOND:g} s"
        if now - newest > self.hover:
            return Mode.HOVER, f"{name}: stale for more than {self.hover / SECOND:g} s"
        return Mode.HOVER, f"{name}: recovering"

    def changes(self, start: int, end: int) -> list[int]:
        """Instants after `start` and before `end` at which `state` may change with no event."""
        # Staleness begins after `hover`; most callers ask about a shorter time.
        if self.newest is None or (self.recovered <= start and end <= self.newest + self.hover):
            return []
        instants = (self.newest + self.hover + 1, self.newest + self.land + 1, self.recovered)
        return [instant for instant in instants if start < instant < end]
