"""Records by log time, as far as a bounded window can put them into that order."""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator

from liquid_nav.bags.records import Damage, Record
from liquid_nav.events import SECOND

WINDOW = SECOND
"""Nanoseconds by which a record may come after one with a later time and still be put before it."""

WINDOW_BYTES = 3 << 20
"""Bytes of records held back beside the oldest; where more would be, the window is shorter."""

LEAP = 60 * SECOND
"""Nanoseconds between neighbours in the file above which one record alone is not believed."""


def in_order(records: Iterable[Record], damage: Damage, window: int = WINDOW) -> Iterator[Record]:
    """Sort by (log time, place in the file) within a window of `window` ns.

    A record that comes later than the window allows is dropped and counted: no order in which
    the controller could take it is the one in which it came. A record whose time is more than
    `LEAP` from that of the one before is taken for broken, dropped and counted, unless the next
    record is near it: then the clock did leap. After a leap back order starts afresh, so that
    arrivals go back as the recording's clock did.
    """
    held: deque[Record] = deque()
    newest: int | None = None
    released = -(2**63)
    size = 0
    doubted: Record | None = None

    def refuse(why: str) -> None:
        damage.unreadable += 1
        damage.note(why)

    def disbelieve(record: Record | None) -> None:
        if record is not None:
            refuse(f"{record.topic.name}: a time that no neighbour shares")

    for record in records:
        if newest is not None and abs(record.time - newest) > LEAP:
            if doubted is None or abs(record.time - doubted.time) > LEAP:
                disbelieve(doubted)
                doubted = record
                continue
            damage.note(f"the clock leaps by {(doubted.time - newest) / SECOND:.3f} s")
            yield from held
            held.clear()
            size, newest, released = 0, None, -(2**63)
            batch, doubted = [doubted, record], None
        else:
            disbelieve(doubted)
            batch, doubted = [record], None
        for entry in batch:
            if entry.time < released:
                refuse(f"messages out of order by more than {window / SECOND:g} s were dropped")
                continue
            # Most come in order, and are last of all.
            if newest is None or entry.time >= newest:
                held.append(entry)
                newest = entry.time
            else:
                held.insert(bisect_right(held, entry.time, key=_time), entry)
            size += _size(entry)
        while (
            held
            and newest is not None
            and (held[0].time < newest - window or size - _size(held[0]) > WINDOW_BYTES)
        ):
            ready = held.popleft()
            released = ready.time
            size -= _size(ready)
            yield ready
    disbelieve(doubted)
    yield from held


def _time(record: Record) -> int:
    return record.time


def _size(record: Record) -> int:
    return len(record.data) if hasattr(record.data, "__len__") else 0
