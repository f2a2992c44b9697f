"""Events, commands and settings of a recorded flight, in the order of their arrival."""

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from liquid_nav.bags.bag import Recording
from liquid_nav.bags.order import WINDOW
from liquid_nav.bags.records import LEAP, Damage, Message
from liquid_nav.errors import ConfigError
from liquid_nav.events import SECOND, Channel, Event, Odometry
from liquid_nav.recording.settings import Reconfigured, decode
from liquid_nav.replay.commands import RecordedCommands
from liquid_nav.replay.decoder import EventDecoder
from liquid_nav.replay.stamps import SURVEYED, StampClock, Stamped
from liquid_nav.replay.topics import Topics

CLOCKS = ("log", "stamp")

LONGEST = 1e9
"""Seconds; no start, duration or delay may be longer."""


@dataclass(frozen=True)
class Cut:
    """Part of a recording that is replayed, and what is changed in it.

    Attributes:
        start: seconds after the first message at which the replay begins.
        duration: seconds to replay, or None for the rest of the recording.
        drop: channels that are left out.
        delay: nanoseconds by which the measurements of a channel arrive later than they did.
        clock: ``log``: arrivals are log times; ``stamp``: they are the stamps of the headers, for
            recordings whose logger had another clock than the sensors, see `StampClock`.
        window: ns by which records may be out of order, see `in_order`.

    Raises:
        ConfigError: on a value out of its range.

    """

    start: float = 0.0
    duration: float | None = None
    drop: frozenset[Channel] = frozenset()
    delay: Mapping[Channel, int] = field(default_factory=dict)
    clock: str = "log"
    window: int = WINDOW

    def __post_init__(self) -> None:
        if not 0 <= self.start <= LONGEST:
            raise ConfigError(f"start must be from 0 to {LONGEST:g} s, got {self.start}")
        if self.duration is not None and not 0 < self.duration <= LONGEST:
            raise ConfigError(f"duration must be in (0, {LONGEST:g}] s, got {self.duration}")
        if self.clock not in CLOCKS:
            raise ConfigError(f"clock must be {' or '.join(CLOCKS)}, got {self.clock!r}")
        if not 0 <= self.window <= LEAP:
            raise ConfigError(f"the reorder window must be from 0 to {LEAP // SECOND} s")
        for channel, delay in self.delay.items():
            if not 0 <= delay <= LONGEST * SECOND:
                raise ConfigError(f"delay of {channel.value} must be from 0 to {LONGEST:g} s")


class Recorded(NamedTuple):
    """A recorded command: its arrival, ns, and (vx, vy, vz, yaw_rate), m/s and rad/s.

    What it does not command, or what cannot be turned to the heading frame, is NaN.
    """

    arrival: int
    vector: tuple[float, float, float, float]


Item = Event | Recorded | Reconfigured


def timeline(
    recording: Recording,
    topics: Topics,
    decoder: EventDecoder,
    cut: Cut,
    damage: Damage,
    commands: RecordedCommands | None = None,
) -> Iterator[Item]:
    """Give events, recorded commands and settings by (arrival, place in the recording).

    Settings recorded before the start of the cut are given too, because they are in force after it.
    `damage` is complete, counts included, only when the recording was read to its end. `commands`
    reads the recorded commands, and then knows which frame they are in.
    """
    commands = commands or RecordedCommands()
    waiting: list[tuple[int, int, Item]] = []
    slack = cut.window if cut.clock == "stamp" else 0
    first = progress = None
    for place, (message, shift) in enumerate(_timed(recording, topics, cut, damage)):
        now = message.time
        if first is None:
            first = progress = now
        assert progress is not None
        elapsed = now - first
        if cut.duration is not None and elapsed >= (cut.start + cut.duration) * SECOND:
            # Counts of the whole recording do not hold for a part of it.
            damage.declared.clear()
            break
        if progress - now > LEAP:
            while waiting:
                yield heapq.heappop(waiting)[2]
            progress = now
        progress = max(progress, now)
        item: Item | None = None
        if message.topic.name == topics.settings:
            item = _settings(message, damage)
        elif message.topic.name == topics.camera_info:
            decoder.calibrate(message.content)
        # By stamps the first message need not be the earliest.
        elif not cut.start or elapsed >= cut.start * SECOND:
            if message.topic.name == topics.command:
                item = _recorded(message, commands, damage)
            else:
                item = _event(message, shift, decoder, cut)
                if isinstance(item, Odometry):
                    commands.see(item)
        if item is not None:
            heapq.heappush(waiting, (item.arrival, place, item))
        while waiting and waiting[0][0] <= progress - slack:
            yield heapq.heappop(waiting)[2]
    while waiting:
        yield heapq.heappop(waiting)[2]


def _timed(recording: Recording, topics: Topics, cut: Cut, damage: Damage) -> Iterator[Stamped]:
    """Messages by the clock of the cut, and the shifts of their stamps to that clock."""
    names = topics.names
    if cut.clock == "log":
        for message in recording.messages(names, damage, cut.window):
            yield Stamped(message, 0)
        return
    early = recording.messages(names, window=cut.window, limit=SURVEYED)
    sensors = frozenset(name for name in topics.channels.values() if name)
    clock = StampClock(early, sensors, damage)
    yield from clock.arrivals(recording.messages(names, damage, cut.window))


def _recorded(message: Message, commands: RecordedCommands, damage: Damage) -> Recorded | None:
    try:
        return Recorded(message.time, commands.vector(message.topic.type, message.content))
    except Exception as error:  # A recording may define a type otherwise than it is.
        damage.undecodable[message.topic.name] += 1
        damage.note(f"{message.topic.name}: not a command: {error!r:.120}")
        return None


def _event(message: Message, shift: int, decoder: EventDecoder, cut: Cut) -> Event | None:
    channel = decoder.channel(message)
    if channel in cut.drop:
        return None
    # The decoder compares stamp and arrival, which must be of one clock.
    event = decoder.event(message._replace(time=message.time - shift) if shift else message)
    if event is None:
        return None
    delay = cut.delay.get(event.channel, 0)
    if shift or delay:
        arrival = event.arrival + shift + delay
        event = replace(event, stamp=event.stamp + shift, arrival=arrival)
    return event


def _settings(message: Message, damage: Damage) -> Reconfigured | None:
    try:
        return Reconfigured(message.time, decode(message.content.data))
    except ConfigError as error:
        damage.undecodable[message.topic.name] += 1
        damage.note(f"{message.topic.name}: {error}")
        return None
