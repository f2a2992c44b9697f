"""The log of warnings about sensors: what may be wrong with one, since when, and until when."""

from collections.abc import Mapping
from dataclasses import dataclass

from liquid_nav.controller import ChannelHealth
from liquid_nav.events import Channel
from liquid_nav.replay.decoder import kind_of


@dataclass
class SensorWarning:
    """A warning about one sensor, see `liquid_nav.controller.ChannelHealth`.

    Attributes:
        channel: of the sensor.
        text: what may be wrong, with the likely cause and what mends it, as it read first.
        start: ns at which it came first.
        end: ns at which it was last in force.
        open: whether it was in force when the replay ended.

    """

    channel: Channel
    text: str
    start: int
    end: int
    open: bool = True


class WarningLog:
    """Collects the warnings of a controller; one that comes and goes is one entry."""

    def __init__(self) -> None:
        self._entries: dict[tuple[Channel, str], SensorWarning] = {}
        self._seen: dict[Channel, tuple[str, ...]] = {}

    @property
    def entries(self) -> list[SensorWarning]:
        """The warnings, in the order in which they came."""
        return list(self._entries.values())

    def add(self, now: int, channels: Mapping[Channel, ChannelHealth]) -> None:
        """Take in the warnings in force at `now`, ns."""
        for channel, health in channels.items():
            if health.warnings == self._seen.get(channel, ()):
                continue
            self._seen[channel] = health.warnings
            self._update(now, channel, {kind_of(text): text for text in health.warnings})

    def _update(self, now: int, channel: Channel, texts: Mapping[str, str]) -> None:
        for (of, kind), entry in self._entries.items():
            if of == channel and entry.open and kind not in texts:
                entry.end, entry.open = now, False
        for kind, text in texts.items():
            first = SensorWarning(channel, text, now, now)
            self._entries.setdefault((channel, kind), first).open = True

    def close(self, now: int) -> None:
        """End the warnings that are in force at the end of the replay, ns."""
        for entry in self._entries.values():
            if entry.open:
                entry.end = now
