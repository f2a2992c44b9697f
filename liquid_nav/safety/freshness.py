"""Freshness of a channel: when its silence starts a failsafe, and when the failsafe ends."""

from dataclasses import dataclass

from liquid_nav.command import Mode
from liquid_nav.errors import ConfigError
from liquid_nav.events import SECOND, Channel
from liquid_nav.values import check_number

NEVER = -(2**63)
"""A time before all others, ns: clocks may start below zero."""

LONGEST = 1e9
"""Largest time in the settings, s; every time up to it can be rounded to whole nanoseconds."""

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
        for name, age in vars(self).items():
            check_number(f"staleness {name}", age, ConfigError)
        if not 0 < self.hover <= self.land <= LONGEST:
            raise ConfigError(f"staleness needs 0 < hover <= land <= {LONGEST:g} s, got {self}")


@dataclass
class Freshness:
    """Freshness of one needed channel; times in ns.

    Attributes:
        channel: the channel.
        hover, land: ages beyond which it is stale; `FOR_EVER` if it never is.
        newest: newest stamp received, or None.
        recovered: time from which it counts as fresh again after it was stale.
        relapsed: whether it became stale again before it had recovered.

    """

    channel: Channel
    hover: int
    land: int
    newest: int | None = None
    recovered: int = NEVER
    relapsed: bool = False

    def receive(self, stamp: int, now: int, recovery: int) -> None:
        """Note a measurement taken at `stamp` that enters at `now`; it may start a recovery."""
        if self.newest is not None:
            stale_from = self.newest + self.hover
            if now > stale_from:
                self.relapsed = stale_from < self.recovered
                self.recovered = now + recovery
            stamp = max(stamp, self.newest)
        self.newest = stamp

    def state(self, now: int) -> tuple[Mode, str]:
        """Return the failsafe that this channel demands at `now`, and why; or `FRESH`."""
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
        if self.relapsed:  # A channel that comes too slowly would otherwise recover for ever.
            return Mode.HOVER, f"{name}: recovering, again stale after {self.hover / SECOND:g} s"
        return Mode.HOVER, f"{name}: recovering"

    def changes(self, start: int, end: int) -> list[int]:
        """Return the times between `start` and `end` when `state` may change without an event."""
        # Staleness begins after `hover`; most callers ask about a shorter time.
        if self.newest is None or (self.recovered <= start and end <= self.newest + self.hover):
            return []
        instants = (self.newest + self.hover + 1, self.newest + self.land + 1, self.recovered)
        return [instant for instant in instants if start < instant < end]
