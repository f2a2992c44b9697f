"""Arrivals by the stamps of headers, also where stamps are broken or of several clocks.

Where all sensors share one clock, a message arrives at its stamp. A driver may have another clock
than the others: its stamps count from the start of the computer, or of a simulation, or are years
off. The log times then tell by how much, because all messages went through one logger.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from statistics import median_low
from typing import NamedTuple

from liquid_nav.bags.order import LAST
from liquid_nav.bags.records import LEAP, Damage, Message
from liquid_nav.errors import ReplayError
from liquid_nav.events import SECOND
from liquid_nav.messages.decode import MessageError, stamp_of

SURVEYED = 4000
"""Messages at the start of a recording from which the clocks are worked out."""

_SAME = SECOND
"""Nanoseconds by which the latencies of topics that share a clock may differ."""

_BACK = SECOND // 5
"""Nanoseconds by which a driver may send its messages out of order."""

_FEW = 10
"""Messages below which a topic does not tell whether its clock runs."""


class Stamped(NamedTuple):
    """A message at its time by stamps, and the ns by which its own stamp is behind that time."""

    message: Message
    shift: int


@dataclass
class _TopicClock:
    """The stamps of one topic so far.

    Attributes:
        shift: ns from a stamp to the time that is common to all topics.
        stamp, log: of the newest message with a good stamp, ns.
        doubtful: the same of the newest message, if its stamp was far from the one before it.

    """

    shift: int
    stamp: int
    log: int
    doubtful: tuple[int, int] | None = None


class StampClock:
    """Works out the time of each message from its stamp.

    Args:
        early: messages from the start of the recording, with log times.
        sensors: names of the topics of the channels.
        damage: notes which stamps are broken or of another clock.

    Raises:
        ReplayError: when no sensor has stamps, or when stamps of several clocks cannot be aligned
            because the log times do not advance.

    """

    def __init__(self, early: Iterable[Message], sensors: frozenset[str], damage: Damage) -> None:
        self._damage = damage
        self._clocks: dict[str, _TopicClock] = {}
        self._broken: Counter[str] = Counter()
        pairs: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        for message in early:
            stamp = _stamp(message)
            if stamp is not None:
                pairs[message.topic.name].append((message.time, stamp))
        self._standing = {topic for topic in pairs if _stands(pairs[topic])}
        for topic in self._standing:
            damage.note(f"the stamps of {topic} are all the same: log times take their place")
            del pairs[topic]
        if not sensors & pairs.keys():
            raise ReplayError(
                f"no message of {', '.join(sorted(sensors))} has a stamp of its own: "
                "replay with --clock log"
            )
        offsets = {topic: _offset(each) for topic, each in pairs.items()}
        groups = _groups(offsets)
        reference = min(groups, key=lambda group: abs(offsets[group[0]]))
        least = offsets[reference[0]]
        # Where the reference is on the logger's clock, so is the common time.
        self._base = least if abs(least) > _SAME else 0
        self._shifts: dict[int, int] = {}
        for group in groups:
            shift = 0 if group is reference else offsets[group[0]] - self._base
            self._shifts[offsets[group[0]]] = shift
            if shift:
                self._check_log([*group, *reference], pairs)
                self._note_shift(", ".join(group), shift)

    def arrivals(self, messages: Iterable[Message]) -> Iterator[Stamped]:
        """Give each message its time by stamps; those before the first stamp get that stamp."""
        early: list[Message] = []
        newest: tuple[int, int] | None = None  # Time and log time of the newest message.
        try:
            for message in messages:
                stamp = _stamp(message)
                if stamp is None or message.topic.name in self._standing:
                    if hasattr(message.content, "header"):
                        self._broken[message.topic.name] += 1
                    if newest is None:
                        early.append(message)
                        continue
                    time = _estimate(*newest, message.time)
                    shift = time - (stamp or 0)
                else:
                    time, shift = self._timed(message, stamp, newest)
                newest = time, message.time
                for each in early:
                    yield Stamped(each._replace(time=time), time - (_stamp(each) or 0))
                early.clear()
                yield Stamped(message._replace(time=time), shift)
        finally:
            for topic, count in sorted(self._broken.items()):
                self._damage.note(
                    f"{count} messages of {topic} have a broken stamp or none: "
                    "log times take its place"
                )

    def _timed(
        self, message: Message, stamp: int, newest: tuple[int, int] | None
    ) -> tuple[int, int]:
        """Return the time of a message by its stamp, and the shift of the stamp to it."""
        topic, log = message.topic.name, message.time
        clock = self._clocks.get(topic)
        if clock is None:
            clock = self._clocks[topic] = _TopicClock(self._shift(topic, log - stamp), stamp, log)
        if not _follows(clock.stamp, clock.log, stamp, log):
            leapt = clock.doubtful is not None and _follows(*clock.doubtful, stamp, log)
            clock.doubtful = stamp, log
            time = _estimate(clock.stamp + clock.shift, clock.log, log)
            if not leapt:
                self._broken[topic] += 1
                return time, time - stamp
            self._damage.note(
                f"the stamps of {topic} leap by {(stamp - clock.stamp) / SECOND:.3f} s: "
                "they are continued by the log times"
            )
            clock.shift = time - stamp
        clock.stamp, clock.log, clock.doubtful = stamp, log, None
        return stamp + clock.shift, clock.shift

    def _shift(self, topic: str, offset: int) -> int:
        """Shift of a topic whose first log time is `offset` ns after its first stamp."""
        nearest = min(self._shifts, key=lambda known: abs(known - offset))
        if abs(nearest - offset) <= LEAP:
            return self._shifts[nearest]
        shift = offset - self._base
        self._note_shift(topic, shift)
        return shift

    def _note_shift(self, topics: str, shift: int) -> None:
        way = "behind" if shift > 0 else "ahead of"
        self._damage.note(
            f"the stamps of {topics} are {abs(shift) / SECOND:.3f} s {way} the others: "
            "they are aligned by the log times"
        )

    @staticmethod
    def _check_log(topics: list[str], pairs: dict[str, list[tuple[int, int]]]) -> None:
        for topic in topics:
            by_log = by_stamp = 0
            for (log, stamp), (next_log, next_stamp) in pairwise(pairs[topic]):
                if 0 <= next_stamp - stamp <= LEAP:  # A clock may leap among them.
                    by_log += next_log - log
                    by_stamp += next_stamp - stamp
            if by_stamp > SECOND // 2 and by_log < by_stamp // 2:
                raise ReplayError(
                    f"the stamps of {', '.join(topics)} are of different clocks, and the log times "
                    f"do not advance with those of {topic}, so that they cannot be aligned: "
                    "leave one of the topics out"
                )


def _stamp(message: Message) -> int | None:
    """Stamp of a message in ns; None for a message without one."""
    header = getattr(message.content, "header", None)
    if header is not None:
        try:
            stamp = stamp_of(header.stamp)
        except MessageError:
            return None
    else:
        # PX4's, in microseconds.
        stamp = int(getattr(message.content, "timestamp", 0)) * 1000
    return stamp if 0 < stamp < LAST else None


def _stands(pairs: list[tuple[int, int]]) -> bool:
    """Whether the stamps of a topic do not advance while its log times do."""
    advanced = pairs[-1][0] - pairs[0][0] > SECOND // 2
    return advanced and len(pairs) >= _FEW and len({stamp for _, stamp in pairs}) == 1


def _offset(pairs: list[tuple[int, int]]) -> int:
    """The least time from a stamp to its log time, apart from stamps that are broken."""
    differences = [log - stamp for log, stamp in pairs]
    middle = median_low(differences)
    return min(each for each in differences if abs(each - middle) <= _SAME)


def _groups(offsets: dict[str, int]) -> list[list[str]]:
    """Topics that share a clock, each group by growing offset."""
    groups: list[list[str]] = []
    for topic in sorted(offsets, key=lambda topic: offsets[topic]):
        if groups and offsets[topic] - offsets[groups[-1][-1]] <= _SAME:
            groups[-1].append(topic)
        else:
            groups.append([topic])
    return groups


def _follows(stamp: int, log: int, next_stamp: int, next_log: int) -> bool:
    """Whether a stamp can follow another of its topic, by the log times of both."""
    by_stamp, by_log = next_stamp - stamp, next_log - log
    # Both may be of a clock that leaps. Else, a message may be late, and the logger's clock leaps.
    leap = by_log < 0 and abs(by_stamp - by_log) <= _SAME
    return leap or -_BACK <= by_stamp <= max(by_log, 0) + _SAME


def _estimate(time: int, log: int, now: int) -> int:
    """Time of a message without a stamp at log time `now`, from one before it."""
    return time + (now - log if 0 <= now - log <= LEAP else 0)
