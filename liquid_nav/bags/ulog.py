"""Read PX4's own logs (.ulg) as if PX4's topics had been recorded in ROS 2.

The IMU is `sensor_combined`, odometry is `vehicle_odometry`, commands are `trajectory_setpoint`.
A log has one time per message, so a message arrives at its stamp. pyulog keeps the messages it
reads in memory: about 70 bytes a sample.
"""

from collections.abc import Iterator
from contextlib import redirect_stdout
from heapq import merge
from io import BufferedReader, FileIO, StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from liquid_nav.bags.records import Damage, Record, Topic
from liquid_nav.errors import ReplayError

MAGIC = b"ULog\x01\x12\x35"
_HEADER = 3
"""Bytes of the header of a message."""

_DEFINITIONS, _DATA = b"BFIMPQALC", b"AIMPQRDLCSO"
"""Kinds of messages in the two sections of a log (docs.px4.io, ULog file format)."""

TYPES = {
    "sensor_combined": "px4_msgs/msg/SensorCombined",
    "vehicle_odometry": "px4_msgs/msg/VehicleOdometry",
    "trajectory_setpoint": "px4_msgs/msg/TrajectorySetpoint",
}
"""Logged messages that are read, and the ROS 2 types that have the same fields."""


class UlogFile:
    """One PX4 log.

    Attributes:
        topics: topics of the messages in `TYPES`, named ``/fmu/`` and PX4's own name, with the
            number of the instance from the second one on.
        span: start and end of the log, ns.

    Raises:
        ReplayError: when it cannot be read.

    """

    def __init__(self, path: Path) -> None:
        from pyulog import ULog

        self._path = path
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise ReplayError(f"{path} does not start like a PX4 log")
        size = path.stat().st_size
        with _LogFile(path) as file:
            try:
                # pyulog prints what it finds broken.
                with redirect_stdout(StringIO()):
                    log = ULog(file, list(TYPES))
            # On broken bytes pyulog raises errors of any type.
            except Exception as error:
                raise ReplayError(f"{path} is not a readable PX4 log: {error!r:.200}") from error
        self._notes: list[str] = []
        if log.file_corruption:
            self._notes.append(f"{path.name} is broken in places, which were skipped")
        if file.end < size:
            self._notes.append(f"{path.name} cannot be read beyond byte {file.end} of {size}")
        elif file.cut:
            self._notes.append(f"{path.name} ends within a message: it is cut short, or broken")
        if file.strange:
            self._notes.append(
                f"{path.name}: {file.strange} messages are of unknown kinds: new, or broken"
            )
        if log.dropouts:
            silence = sum(dropout.duration for dropout in log.dropouts) / 1000
            self._notes.append(
                f"the logger dropped messages {len(log.dropouts)} times, {silence:.3f} s"
            )
        self._data: list[tuple[Topic, dict[str, Any]]] = []
        for data in log.data_list:
            number = f"/{data.multi_id}" if data.multi_id else ""
            name = f"/fmu/{data.name}{number}"
            self._data.append((Topic(name, TYPES[data.name], "object"), data.data))
        self.topics = [topic for topic, _ in self._data]
        self.span: tuple[int, int] | None = (log.start_timestamp * 1000, log.last_timestamp * 1000)

    def lateness(self) -> int:
        """Return 0, because messages are given in order of time."""
        return 0

    def records(self, damage: Damage) -> Iterator[Record]:
        """Yield all messages in order of time; damage to the file is noted in `damage`."""
        for note in self._notes:
            damage.note(note)
        for topic, columns in self._data:
            damage.declared[topic.name] += len(columns["timestamp"])
        yield from merge(*(_rows(*data) for data in self._data), key=lambda record: record.time)


class _LogFile(BufferedReader):
    """A file that remembers how far it was read, after pyulog has closed it.

    Attributes:
        end: where reading ended.
        cut: whether fewer bytes were there than asked for, apart from a header at the very end.
        strange: number of messages of kinds that the format does not have.

    """

    end, cut, strange = 0, False, 0

    def __init__(self, path: Path) -> None:
        super().__init__(FileIO(path))
        self._kinds = _DEFINITIONS

    def read(self, size: int | None = -1, /) -> bytes:
        """As the base class."""
        data = super().read(size)
        asked = size or 0
        if asked == _HEADER == len(data):
            self.strange += data[2] not in self._kinds
            # The first of these ends the definitions.
            if data[2] in b"ALC":
                self._kinds = _DATA
        self.cut |= len(data) < asked and not (asked == _HEADER and not data)
        return data

    def close(self) -> None:
        """As the base class."""
        if not self.closed:
            self.end = self.tell()
        super().close()


def _rows(topic: Topic, columns: dict[str, Any]) -> Iterator[Record]:
    """Records of one topic; ``field[0]``, ``field[1]`` of the log become one array."""
    scalars, arrays = {}, {}
    for name in columns:
        base = name.partition("[")[0]
        if base == name:
            scalars[name] = columns[name]
        elif base not in arrays:
            count = sum(other.startswith(f"{base}[") for other in columns)
            arrays[base] = np.stack([columns[f"{base}[{i}]"] for i in range(count)], axis=1)
    for row, time in enumerate(columns["timestamp"].tolist()):
        content = SimpleNamespace(
            **{name: column[row].item() for name, column in scalars.items()},
            **{name: array[row] for name, array in arrays.items()},
        )
        yield Record(topic, time * 1000, content)
