"""Read SQLite files of rosbag2 in the order in which they were written, past broken pages.

A healthy file is read by SQL. From the first irregularity on, the rest is read page by page.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median_low

from liquid_nav.bags.records import LEAP, Damage, Record, Topic, type_name
from liquid_nav.bags.sqlite_pages import Cell, Pages, is_blob, is_integer, is_text
from liquid_nav.errors import ReplayError

_FIRST = 1
"""Number of the first row that SQLite gives; each further row has the next number."""

_ROWS = "SELECT id, topic_id, timestamp, data FROM messages ORDER BY id"

_LATENESS = """
    SELECT max(newest - timestamp)
    FROM (SELECT timestamp, max(timestamp) OVER (ORDER BY id) AS newest FROM messages)
"""

_Row = tuple[int, int, int, bytes]
"""Number of the row, number of its topic, log time in ns, and data."""

_Definitions = dict[str, tuple[str, bool]]
"""Text of the definition of each type, and whether it is OMG IDL."""


class Db3File:
    """One SQLite file of rosbag2.

    Args:
        path: the file.

    Attributes:
        topics: topics of its messages.
        span: log times of the first and last message, ns; None if there are none.

    Raises:
        ReplayError: when its table of topics cannot be read, because its content is unknown then.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._notes: list[str] = []
        try:
            with closing(self._connect()) as connection:
                rows, definitions = _topics(connection), _definitions(connection)
                self.span = _span(connection)
        except sqlite3.Error as error:
            with Pages(path) as pages:
                rows, definitions = _topics_in_pages(pages)
                self.span = _span_in_pages(pages)
            if not rows:
                raise ReplayError(f"{path} is not a readable rosbag2 database: {error}") from error
            self._notes.append(f"{path.name}: {error}: its topics are read from its pages")
        self._topics: dict[int, Topic] = {}
        for number, name, kind, encoding in rows:
            if isinstance(name, str) and isinstance(kind, str):
                text, is_idl = definitions.get(kind, ("", False))
                self._topics[number] = Topic(name, type_name(kind), str(encoding), text, is_idl)
        self.topics = list(self._topics.values())

    def lateness(self) -> int | None:
        """Largest time in ns by which a message is behind one written before it; None if unknown.

        After a clock has leapt it is unknown.
        """
        try:
            with closing(self._connect()) as connection:
                (late,) = connection.execute(_LATENESS).fetchone()
        except sqlite3.Error:
            return None
        return late if isinstance(late, int) and late <= LEAP else None

    def records(self, damage: Damage) -> Iterator[Record]:
        """Yield all messages in file order; records that cannot be read are counted in `damage`."""
        read: Counter[str] = Counter()
        for note in self._notes:
            damage.note(note)
        for _, topic_id, time, data in self._rows(damage):
            topic = self._topics.get(topic_id)
            if topic is None or not (isinstance(time, int) and isinstance(data, bytes)):
                damage.unattributed += 1
                damage.note(f"{self._path.name}: rows that are not messages")
                continue
            read[topic.name] += 1
            yield Record(topic, time, data)
        damage.declared.update(read)

    def _rows(self, damage: Damage) -> Iterator[_Row]:
        """Yield all rows in the order of their numbers."""
        last, count, intact = _FIRST - 1, 0, None
        try:
            with closing(self._connect()) as connection:
                for row in connection.execute(_ROWS):
                    if row[0] > last + 1 and intact is None:
                        # A recorder numbers the rows one by one, but a user may delete some.
                        intact = _is_intact(connection)
                    if row[0] <= last or (row[0] > last + 1 and not intact):
                        raise sqlite3.DatabaseError("rows are missing")
                    yield row
                    last, count = row[0], count + 1
                if _count_by_index(connection) > count and not _is_intact(connection):
                    raise sqlite3.DatabaseError("rows are missing")
        except sqlite3.Error as error:
            damage.note(f"{self._path.name}: {error} after row {last}: the rest is read by pages")
            with Pages(self._path) as pages:
                yield from self._salvage(pages, last, damage)

    def _salvage(self, pages: Pages, last: int, damage: Damage) -> Iterator[_Row]:
        """Yield the rows after `last` that are in a readable page, and count the others."""
        # In a broken page a number can be wrong, but hardly that in the middle.
        ordered = sorted(
            (median_low([cell.number for cell in cells]), page)
            for page, cells in _message_pages(pages)
        )
        middles = [last, *(middle for middle, _ in ordered), 2**63]
        found: set[int] = set()
        for place, (_, page) in enumerate(ordered):
            low, high = middles[place], middles[place + 2]
            for cell in sorted(_messages(pages.rows(page)), key=lambda cell: cell.number):
                number = cell.number
                if not max(low, last) < number < high or number in found:
                    continue
                values = pages.values(cell)
                if values is not None:
                    found.add(number)
                    _, topic_id, time, data = values
                    yield number, topic_id, time, data  # type: ignore[misc]
        newest = max(found, default=last)
        lost = newest - last - len(found) + sum(row > newest for row in _indexed_rows(pages))
        if pages.cut:
            damage.note(f"{self._path.name} is cut short: its last {pages.cut} pages are missing")
        if lost:
            damage.unattributed += lost
            damage.note(f"{self._path.name}: {lost} messages are in pages that cannot be read")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(f"{self._path.resolve().as_uri()}?mode=ro", uri=True)
        # Without this, SQLite refuses a file that is shorter than its header says.
        connection.execute("PRAGMA writable_schema = ON")
        return connection


def _is_intact(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))


def _count_by_index(connection: sqlite3.Connection) -> int:
    """Return the number of rows by the index of times, which leads to them on another way."""
    try:
        return int(connection.execute("SELECT count(timestamp) FROM messages").fetchone()[0])
    except sqlite3.Error:  # A broken index takes no message away.
        return 0


def _span(connection: sqlite3.Connection) -> tuple[int, int] | None:
    try:
        row = connection.execute("SELECT min(timestamp), max(timestamp) FROM messages").fetchone()
    except sqlite3.Error:
        return None
    first, last = row
    return (first, last) if isinstance(first, int) and isinstance(last, int) else None


def _topics(connection: sqlite3.Connection) -> list[tuple[int, str, str, str]]:
    return connection.execute("SELECT id, name, type, serialization_format FROM topics").fetchall()


def _definitions(connection: sqlite3.Connection) -> _Definitions:
    """Return message definitions by type; bags from before ROS 2 Iron have none."""
    try:
        rows = connection.execute(
            "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions"
        ).fetchall()
    except sqlite3.Error:
        return {}
    return {kind: (text, encoding == "ros2idl") for kind, encoding, text in rows if text}


def _topics_in_pages(pages: Pages) -> tuple[list[tuple[int, str, str, str]], _Definitions]:
    """Return topics and definitions; the rows of both tables begin with texts and differ there."""
    topics, definitions = [], {}
    for _, cells in pages.leaves():
        for cell in cells:
            if len(cell.types) < 4 or not all(map(is_text, cell.types[1:4])):
                continue
            _, *texts = pages.values(cell) or (None,)
            match texts:
                case [str(name), str(kind), str(encoding), *_] if name.startswith("/"):
                    topics.append((cell.number, name, kind, encoding))
                case [str(kind), str(encoding), str(text), *_] if "/" in kind and text:
                    definitions[kind] = (text, encoding == "ros2idl")
    return topics, definitions


def _messages(cells: list[Cell]) -> list[Cell]:
    """Return the rows of the table of messages."""
    return [
        cell
        for cell in cells
        if cell.number >= _FIRST
        and len(cell.types) == 4
        and cell.types[0] == 0
        and is_integer(cell.types[1])
        and is_integer(cell.types[2])
        and is_blob(cell.types[3])
    ]


def _message_pages(pages: Pages) -> Iterator[tuple[int, list[Cell]]]:
    for page, cells in pages.leaves():
        if messages := _messages(cells):
            yield page, messages


def _span_in_pages(pages: Pages) -> tuple[int, int] | None:
    times = [
        values[2]
        for _, cells in _message_pages(pages)
        for cell in cells
        if (values := pages.values(cell)) is not None and isinstance(values[2], int)
    ]
    return (min(times), max(times)) if times else None


def _indexed_rows(pages: Pages) -> set[int]:
    """Return the numbers of rows that the index of times names: of readable ones, and others."""
    numbers = set()
    for cell in pages.index_entries():
        if len(cell.types) == 2 and all(map(is_integer, cell.types)):
            values = pages.values(cell)
            if values is not None and isinstance(values[1], int):
                numbers.add(values[1])
    return numbers
