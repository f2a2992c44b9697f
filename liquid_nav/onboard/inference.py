"""What a policy remembers in flight, and the commands it gives, on the controller's clock."""

import math
from collections.abc import Mapping

from liquid_nav.events import SECOND, Channel, Event
from liquid_nav.onboard.policy import Policy
from liquid_nav.onboard.runtime import Memory, RawCommand
from liquid_nav.safety.freshness import FOR_EVER, Staleness

REST: RawCommand = (0.0, 0.0, 0.0, 0.0)


class Inference:
    """Runs a policy over time. Nothing here raises, whatever the policy does.

    An event lets the memory flow to the time of the event; a query reads a command at any later
    time and changes nothing. An optional channel expires when the age of its newest measurement
    exceeds `Staleness.hover`: at that instant the memory flows to it and the features of the
    channel become zeros, as if the channel had an event without a measurement. The instant follows
    from the events alone, so it is the same whether somebody asks or not.

    Args:
        policy: the policy.

    Attributes:
        memory: memory right after the last event, before anything has expired since.

    """

    memory: Memory

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        # Ages in ns beyond which optional channels expire.
        self._ages: dict[Channel, int] = {}
        self.reset()

    def reset(self) -> None:
        """Forget every measurement."""
        self.memory = self._policy.initial()
        self._time: int | None = None
        self._raw = REST
        # The newest measurement of each channel on which one stays valid for ever, such as a goal.
        self._lasting: dict[Channel, Event] = {}
        # Newest stamp of each optional channel, and when those in the latch expire, ns.
        self._stamps: dict[Channel, int] = {}
        self._expiries: dict[Channel, int] = {}
        self._next_expiry = FOR_EVER

    def configure(self, staleness: Mapping[Channel, Staleness], now: int | None = None) -> None:
        """Set the ages at which optional channels expire.

        Args:
            staleness: as in the settings of the safety layer; the policy gives the others.
            now: in flight, the time in ns from which they hold. What has expired by then stays
                expired until its next measurement.

        """
        policy = self._policy
        ages = {c: staleness.get(c) or policy.staleness[c] for c in policy.channels - policy.needed}
        self._ages = {
            channel: FOR_EVER if age is None else round(age.hover * SECOND)
            for channel, age in ages.items()
        }
        if now is not None:
            for channel, expiry in self._expiries.items():
                if expiry > now:
                    later = self._stamps[channel] + self._ages[channel] + 1
                    self._expiries[channel] = max(later, now + 1)
            self._next_expiry = min(self._expiries.values(), default=FOR_EVER)

    def on_event(self, event: Event, now: int) -> str:
        """Take in an event of a channel that the policy reads, at `now` ns.

        Returns why the policy gave no command, after which it has forgotten every measurement but
        the lasting ones; or an empty string.
        """
        policy, channel = self._policy, event.channel
        optional = channel in self._ages
        expiry = self._expiry(event) if optional else FOR_EVER
        try:
            memory, time = self._expired(now)
            elapsed = 0 if time is None else now - time
            if expiry > now:
                memory, raw = policy.on_event(memory, event, elapsed, now - event.stamp)
            else:
                memory = policy.clear(memory, channel, elapsed)
                raw = policy.query(memory, 0)
            fault = "" if all(map(math.isfinite, raw)) else "output was not finite"
        except Exception as error:  # torch may raise anything
            fault = in_words(error)
        if fault:
            memory, raw = self._fresh(now), REST
            self._expiries = {c: t for c, t in self._expiries.items() if c in self._lasting}
        elif policy.staleness[channel] is None:
            self._lasting[channel] = event
        self.memory, self._raw, self._time = memory, raw, now
        if optional and not fault:
            self._stamps[channel] = max(event.stamp, self._stamps.get(channel, event.stamp))
            self._expiries[channel] = expiry
        if optional or now >= self._next_expiry:
            self._expiries = {c: t for c, t in self._expiries.items() if t > now}
            self._next_expiry = min(self._expiries.values(), default=FOR_EVER)
        return fault

    def raw_at(self, now: int) -> RawCommand | str:
        """Return the policy's command at `now` ns, or in words why it has none."""
        if self._time is None or now <= self._time:
            return self._raw
        try:
            memory, time = self._expired(now)
            raw = self._policy.query(memory, now - (time or 0))
            return raw if all(map(math.isfinite, raw)) else "output is not finite"
        except Exception as error:  # as in `on_event`
            return in_words(error)

    def _expiry(self, event: Event) -> int:
        """When an optional channel expires if nothing comes after this event, ns."""
        channel = event.channel
        newest = max(event.stamp, self._stamps.get(channel, event.stamp))
        return newest + self._ages[channel] + 1

    def _expired(self, now: int) -> tuple[Memory, int | None]:
        """Memory after all that expired up to `now` ns, and the time of that memory."""
        memory, time = self.memory, self._time
        if now >= self._next_expiry and time is not None:
            for expiry, channel in sorted((t, c) for c, t in self._expiries.items() if t <= now):
                memory = self._policy.clear(memory, channel, max(expiry - time, 0))
                time = max(expiry, time)
        return memory, time

    def _fresh(self, now: int) -> Memory:
        """Return the initial memory, with the measurements latched that stay valid for ever."""
        memory = self._policy.initial()
        try:
            for event in self._lasting.values():
                memory, _ = self._policy.on_event(memory, event, 0, now - event.stamp)
        except Exception:  # the policy still fails: the next event will report it
            return self._policy.initial()
        return memory


def in_words(error: Exception) -> str:
    """Name an error in one line that fits into a reason."""
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]:.200}"
