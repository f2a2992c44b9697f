"""Read SQLite files of rosbag2 in the order in which they were written, past broken pages."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

from liquid_nav.bags.records import Damage, Record, Topic
from liquid_nav.errors import ReplayError

_BATCH = 256
"""Largest number of rows that one query returns."""

_LAST_ROW = 2**62


class Db3File:
    """One SQLite file of rosbag2.

    Attributes:
        topics: topics of its messages.
        span: log times of the first and last message, ns; None if there are none.

    Raises:
        ReplayError: when its table of topics cannot be read, because its content is unknown then.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with closing(self._connect()) as connection:
                rows = connection.execute(
                    "SELECT id, name, type, serialization_format FROM topics"
                ).fetchall()
                definitions = _definitions(connection)
        except sqlite3.Error as error:
            raise ReplayError(f"{path} is not a readable rosbag2 database: {error}") from error
        self._topics: dict[int, Topic] = {}
        for number, name, kind, encoding in rows:
            if isinstance(name, str) and isinstance(kind, str):
                text, is_idl = definitions.get(kind, ("", False))
                self._topics[number] = Topic(name, kind, str(encoding), text, is_idl)
        self.topics = list(self._topics.values())
        self.span = self._find_span()

    def records(self, damage: Damage) -> Iterator[Record]:
        """Yield all messages in file order; records that cannot be read are counted in `damage`."""
        read: Counter[str] = Counter()
        with closing(self._connect()) as connection:
            last = -1
            while True:
                try:
                    rows = _rows(connection, last, _BATCH)
                except sqlite3.Error as error:
                    damage.note(f"{self._path.name}: {error} after row {last}")
                    rows = self._next_row(connection, last)
                    if not rows:
                        damage.note(f"{self._path.name} cannot be read beyond row {last}")
                        break
                    damage.unreadable += rows[0][0] - max(last, 0) - 1
                if not rows:
                    break
                for _, topic_id, time, data in rows:
                    topic = self._topics.get(topic_id)
                    if topic is None or not (isinstance(time, int) and isinstance(data, bytes)):
                        damage.unreadable += 1
                        damage.note(f"{self._path.name}: rows that are not messages")
                        continue
                    read[topic.name] += 1
                    yield Record(topic, time, data)
                last = rows[-1][0]
        damage.declared.update(read)

    def _find_span(self) -> tuple[int, int] | None:
        try:
            with closing(self._connect()) as connection:
                row = connection.execute("SELECT min(timestamp), max(timestamp) FROM messages")
                first, last = row.fetchone()
        except sqlite3.Error:
            return None
        return (first, last) if isinstance(first, int) and isinstance(last, int) else None

    def _next_row(
        self, connection: sqlite3.Connection, last: int
    ) -> list[tuple[int, int, int, bytes]]:
        """Return the first readable row after `last` in a list, which is empty if there is none."""
        step, bad, good = 1, last, None
        while good is None:
            if last + step > _LAST_ROW:
                return []
            try:
                rows = _rows(connection, last + step, 1)
                if not rows:
                    return []
                good = last + step
            except sqlite3.Error:
                bad = last + step
                step *= 2
        while good - bad > 1:
            middle = (bad + good) // 2
            try:
                rows = _rows(connection, middle, 1)
                good = middle
            except sqlite3.Error:
                bad = middle
        return _rows(connection, good, 1)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(f"{self._path.resolve().as_uri()}?mode=ro", uri=True)
        # Without this, SQLite refuses a file that is shorter than its header says.
        connection.execute("PRAGMA writable_schema = ON")
        return connection


def _rows(
    connection: sqlite3.Connection, after: int, count: int
) -> list[tuple[int, int, int, bytes]]:
    """Return `count` rows at most, in the order of their ids, from the first id above `after`."""
    rows = connection.execute(
        "SELECT id, topic_id, timestamp, data FROM messages WHERE id > ? ORDER BY id LIMIT ?",
        (after, count),
    ).fetchall()
    # A broken page can return ids out of order, and the same rows would be read for ever.
    if any(b <= a for a, b in pairwise((after, *(row[0] for row in rows)))):
        raise sqlite3.DatabaseError("rows out of order")
    return rows


def _definitions(connection: sqlite3.Connection) -> dict[str, tuple[str, bool]]:
    """Return message definitions by type; bags from before ROS 2 Iron have none."""
    try:
        rows = connection.execute(
            "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions"
        ).fetchall()
    except sqlite3.Error:
        return {}
    return {kind: (text, encoding == "ros2idl") for kind, encoding, text in rows if text}
