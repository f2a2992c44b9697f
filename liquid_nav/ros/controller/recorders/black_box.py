"""The black box of the controller: it keeps the last minute, and writes it after a failsafe."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from liquid_nav.command import Command, Mode
from liquid_nav.events import CameraFrame, Event
from liquid_nav.onboard.config import PolicyCamera
from liquid_nav.recording.flight_file import FlightFile, Item, file_name
from liquid_nav.recording.settings import Reconfigured
from liquid_nav.ros.controller.diagnostics import OK, WARN, Status
from liquid_nav.safety.layer import SafetyConfig

_EVENT_BYTES, _COMMAND_BYTES = 1000, 400
"""Upper bounds of the memory that an event without its image and a command take, with their entries
in lists; a test measures it."""


@dataclass(frozen=True)
class BoxConfig:
    """Settings of a black box.

    Attributes:
        seconds: age of the oldest entry that is kept, on the steady clock.
        limit: bytes that the ring may take; the oldest entries are dropped first.
        folder: where files are written; it is made if it does not exist.
        node: fully qualified name of the node; files are named after it.
        after: s from a failsafe to its file, so that the file holds what followed.
        pause: shortest time between two files, s; a failsafe before that waits for its file.

    """

    seconds: float
    limit: int
    folder: Path
    node: str
    after: float
    pause: float

    @classmethod
    def of(cls, values: Mapping[str, Any], node: str) -> BoxConfig:
        """Settings by the parameters of a node.

        Args:
            values: every parameter by name.
            node: its fully qualified name.

        """
        return cls(
            seconds=values["black_box.seconds"],
            limit=round(values["black_box.megabytes"] * 1e6),
            folder=Path(values["black_box.folder"]).expanduser(),
            node=node,
            after=values["black_box.after"],
            pause=values["black_box.pause"],
        )


class Entry(NamedTuple):
    """An entry of the ring: when it was added, s on the steady clock, its bytes, and the item."""

    time: float
    size: int
    item: Item


class Ring:
    """The last entries, bounded in time and in memory.

    Args:
        seconds: age of the oldest entry that is kept.
        limit: bytes that all entries together may take.

    Attributes:
        size: bytes that the entries take, an upper estimate.
        safety: settings in force before the oldest entry.

    """

    def __init__(self, seconds: float, limit: int) -> None:
        self.size, self.safety = 0, SafetyConfig()
        self._seconds, self._limit = seconds, limit
        self._entries: deque[Entry] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, item: Item, now: float) -> None:
        """Append an item at `now`, s on the steady clock, and drop entries over the bounds."""
        size = _COMMAND_BYTES
        if isinstance(item, CameraFrame):
            # The image may be a view of a larger one, which would stay in memory with it.
            item = replace(item, image=item.image.copy())
            size = _EVENT_BYTES + item.image.nbytes
        elif isinstance(item, Event):
            size = _EVENT_BYTES
        self._entries.append(Entry(now, size, item))
        self.size += size
        while self._entries and (
            self.size > self._limit or now - self._entries[0].time > self._seconds
        ):
            oldest = self._entries.popleft()
            self.size -= oldest.size
            if isinstance(oldest.item, Reconfigured):
                self.safety = oldest.item.safety

    def clear(self, safety: SafetyConfig) -> None:
        """Drop all entries; `safety` is in force from now on."""
        self._entries.clear()
        self.size, self.safety = 0, safety

    def span(self, now: float) -> float:
        """Seconds from the oldest entry to `now`."""
        return now - self._entries[0].time if self._entries else 0.0

    def snapshot(self) -> list[Entry]:
        """Everything held now, oldest first."""
        return list(self._entries)


class BlackBox:
    """Keeps the last part of a flight, and writes it to a file after a failsafe or a stop.

    The control thread calls it. Nothing raises, and only `wait` blocks.

    Args:
        config: settings.
        camera: the camera that frames come from; None for a policy without one.
        logger: of the node.

    """

    def __init__(self, config: BoxConfig, camera: PolicyCamera | None, logger: Any) -> None:
        self._config, self._camera, self._logger = config, camera, logger
        self._ring = Ring(config.seconds, config.limit)
        self._mode: Mode | None = None
        self._due: float | None = None
        self._last_file = -float("inf")
        self._writing: list[FlightFile] = []
        self._files, self._last_path, self._fault = 0, "none", ""

    def start(self, safety: SafetyConfig) -> None:
        """Begin a flight with these settings, and drop what was kept of the one before."""
        self._ring.clear(safety)
        self._mode = self._due = None

    def add(self, item: Item) -> None:
        """Keep an item; if it is a command, write a file if one is due, or schedule one."""
        now, config = time.monotonic(), self._config
        self._ring.add(item, now)
        if not isinstance(item, Command):
            return
        before, self._mode = self._mode, item.mode
        # A hover or a stop at the beginning of a flight is no failsafe.
        failsafe = before is Mode.NOMINAL and item.mode is not Mode.NOMINAL
        stopped = before not in (None, Mode.STOP) and item.mode is Mode.STOP
        if self._due is None and (failsafe or stopped):
            self._due = max(now + config.after, self._last_file + config.pause)
        self._report_files()
        # One file at a time: while one is being written, the next stays due.
        if self._due is not None and now >= self._due and not self._writing:
            self._write(now)

    def end(self, command: Command) -> None:
        """Keep the last command of a flight, and write a scheduled file at once."""
        now = time.monotonic()
        self._ring.add(command, now)
        if self._due is not None:
            self._write(now)

    def wait(self, timeout: float) -> None:
        """Wait for files that are being written, `timeout` s at most."""
        deadline = time.monotonic() + timeout
        for file in self._writing:
            file.wait(deadline - time.monotonic())
        self._report_files()

    def status(self) -> Status:
        """Its status for the diagnostics."""
        self._report_files()
        values = {
            "held_s": f"{self._ring.span(time.monotonic()):.1f}",
            "held_mb": f"{self._ring.size / 1e6:.2f}",
            "files": str(self._files),
            "last_file": self._last_path,
        }
        return Status(WARN if self._fault else OK, "black_box", self._fault or "OK", values)

    def _write(self, now: float) -> None:
        self._due, self._last_file = None, now
        path = self._config.folder / file_name(self._config.node)
        items = [entry.item for entry in self._ring.snapshot()]
        self._writing.append(FlightFile(path, self._camera, self._ring.safety, items))

    def _report_files(self) -> None:
        """Report files that are finished or have failed."""
        for file in [file for file in self._writing if file.done.is_set()]:
            self._writing.remove(file)
            self._fault = file.fault
            if file.fault:
                self._logger.error(f"black box: {file.fault}")
            else:
                self._files, self._last_path = self._files + 1, str(file.path)
                self._logger.warning(f"black box: wrote {file.path}")
