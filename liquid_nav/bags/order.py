"""Sort records by log time within a bounded window."""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator

from liquid_nav.bags.records import LEAP, Damage, Record
from liquid_nav.events import SECOND

WINDOW = SECOND
"""Nanoseconds by which a record may be behind a record before it and still be sorted."""

WINDOW_BYTES = 3 << 20
"""Largest size of the records that wait behind the oldest, bytes; more shorten the window."""


def in_order(records: Iterable[Record], damage: Damage, window: int = WINDOW) -> Iterator[Record]:
    """Sort by (log time, place in the file) within a window of `window` ns.

    A record that comes later than the window allows is dropped and counted, because records with
    later times are already out. A record whose time is more than `LEAP` away from that of the
    record before counts as broken: it is dropped and counted, unless the next record is near it,
    which means that the clock leapt. After a leap the sorting starts again, so arrivals leap as the
    clock of the recording did.
    """
    held: deque[Record] = deque()
    newest: int | None = None
    released = -(2**63)
    size = 0
    outlier: Record | None = None

    def count(why: str) -> None:
        damage.unreadable += 1
        damage.note(why)

    def drop(record: Record | None) -> None:
        if record is not None:
            count(f"{record.topic.name}: its time is far from those of its neighbours")

    for record in records:
        if newest is not None and abs(record.time - newest) > LEAP:
            if outlier is None or abs(record.time - outlier.time) > LEAP:
                drop(outlier)
                outlier = record
                continue
            damage.note(f"the clock leaps by {(outlier.time - newest) / SECOND:.3f} s")
            yield from held
            held.clear()
            size, newest, released = 0, None, -(2**63)
            batch, outlier = [outlier, record], None
        else:
            drop(outlier)
            batch, outlier = [record], None
        for entry in batch:
            if entry.time < released:
                count(f"messages out of order by more than {window / SECOND:g} s were dropped")
                continue
            # Most records are in order and belong at the end.
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
    drop(outlier)
    yield from held


def _time(record: Record) -> int:
    return record.time


def _size(record: Record) -> int:
    return len(record.data) if hasattr(record.data, "__len__") else 0
