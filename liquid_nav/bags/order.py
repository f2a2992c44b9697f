"""Sort records by log time within a bounded window."""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from liquid_nav.bags.records import LEAP, Damage, Record
from liquid_nav.events import SECOND

WINDOW = SECOND
"""Nanoseconds by which a record may be behind a record before it and still be sorted."""

WINDOW_BYTES = 3 << 20
"""Size of the records behind the oldest above which the window is as short as the order allows."""

HELD_BYTES = 256 << 20
"""Largest size of the records that are held where nothing tells how far they are out of order."""

LAST = 1 << 62
"""Nanoseconds since 1970 that no record reaches, in 2116; a broken one may say more."""

Lateness = Callable[[], int | None]
"""Gives the largest ns by which a record is behind one before it; None if that is unknown."""


def in_order(
    records: Iterable[Record],
    damage: Damage,
    window: int = WINDOW,
    lateness: Lateness = lambda: None,
) -> Iterator[Record]:
    """Sort by (log time, place in the file) within a window of `window` ns.

    A record that comes later than the window allows is dropped and counted, because records with
    later times are already out. A record whose time is more than `LEAP` away from that of the
    record before counts as broken: it is dropped and counted, unless the next record is near it,
    which means that the clock leapt. After a leap the sorting starts again, so arrivals leap as the
    clock of the recording did.

    Large images fill the memory within the window. From `WINDOW_BYTES` on, records are held for no
    longer than `lateness`. Where that is unknown, they are held up to `HELD_BYTES`.
    """
    held = _Held(damage, window, lateness)
    outlier: Record | None = None

    def drop(record: Record | None) -> None:
        if record is not None:
            damage.unreadable += 1
            damage.note(f"{record.topic.name}: its time is far from those of its neighbours")

    for record in records:
        if not 0 <= record.time < LAST:
            drop(record)
            continue
        if held.newest is not None and abs(record.time - held.newest) > LEAP:
            if outlier is None or abs(record.time - outlier.time) > LEAP:
                drop(outlier)
                outlier = record
                continue
            damage.note(f"the clock leaps by {(outlier.time - held.newest) / SECOND:.3f} s")
            yield from held.records
            held = _Held(damage, window, lateness)
            held.add(outlier)
            outlier = None
        else:
            drop(outlier)
            outlier = None
        held.add(record)
        yield from held.ready()
    drop(outlier)
    yield from held.records


class _Held:
    """Records that wait for others with earlier times, in order.

    Attributes:
        records: these records.
        newest: latest time among all records so far, ns; None before the first.

    """

    def __init__(self, damage: Damage, window: int, lateness: Lateness) -> None:
        self.records: deque[Record] = deque()
        self.newest: int | None = None
        self._damage, self._window, self._lateness = damage, window, lateness
        # Window for large records; None until it is needed.
        self._short: int | None = None
        self._released = -(2**63)
        self._size = 0

    def add(self, record: Record) -> None:
        """Put a record in its place, or drop it if later records are already out."""
        if record.time < self._released:
            self._damage.unreadable += 1
            why = f"out of order by more than {self._window / SECOND:g} s"
            if self.newest is not None and self.newest - record.time <= self._window:
                why = f"out of order, behind more than {HELD_BYTES >> 20} MiB of others,"
            self._damage.note(f"messages {why} were dropped")
            return
        # Most records are in order and belong at the end.
        if self.newest is None or record.time >= self.newest:
            self.records.append(record)
            self.newest = record.time
        else:
            self.records.insert(bisect_right(self.records, record.time, key=_time), record)
        self._size += _size(record)

    def ready(self) -> Iterator[Record]:
        """Yield the records that no other can come before any more."""
        while self.records and self._is_due(self.records[0]):
            record = self.records.popleft()
            self._released = record.time
            self._size -= _size(record)
            yield record

    def _is_due(self, oldest: Record) -> bool:
        assert self.newest is not None
        if oldest.time < self.newest - self._window:
            return True
        behind = self._size - _size(oldest)
        if behind <= WINDOW_BYTES:
            return False
        if self._short is None:
            known = self._lateness()
            self._short = self._window if known is None else min(known, self._window)
        return oldest.time < self.newest - self._short or behind > HELD_BYTES


def _time(record: Record) -> int:
    return record.time


def _size(record: Record) -> int:
    return len(record.data) if hasattr(record.data, "__len__") else 0
