"""The controller's black box: the last minute in memory, and in a file when a failsafe is entered.

The control thread only appends to a ring and, for a file, copies its list of references. The file
is made by a process of its own, so that neither its work nor its faults are the controller's.
"""

from __future__ import annotations

import importlib.util
import io
import os
import pickle
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import Any, NamedTuple

from liquid_nav.command import Command, Mode
from liquid_nav.events import CameraFrame, Event
from liquid_nav.policy.config import PolicyCamera
from liquid_nav.ros.diagnostics import OK, WARN, Status

Item = Event | Command

_EVENT_BYTES, _COMMAND_BYTES = 1000, 400
"""What an event without its image, and a command, take in memory at most, places in lists included;
a test measures it."""

_CHUNK = 64
"""Entries that are pickled at once; the control thread waits for no more of them."""

_WRITER = (
    # All is read first: the node may end as soon as its words are in the pipe.
    "import sys; data = sys.stdin.buffer.read(); "
    "from liquid_nav.ros.black_box import write_process; sys.exit(write_process(data))"
)


@dataclass(frozen=True)
class BoxConfig:
    """Settings of a black box.

    Attributes:
        seconds: how far back it remembers, by the steady clock.
        limit: bytes that the ring may hold; the oldest entries go first.
        folder: where files go; made when it is not there.
        name: what the names of files begin with.
        after: s from what calls for a file to the file, so that what followed is in it.
        pause: s from one file to the next, at least; what calls for one before waits.

    """

    seconds: float
    limit: int
    folder: Path
    name: str
    after: float
    pause: float

    @classmethod
    def of(cls, values: Mapping[str, Any], node: str) -> BoxConfig | None:
        """Settings by the parameters of a node; None where it is switched off.

        Args:
            values: every parameter by name.
            node: its fully qualified name.

        """
        if values["black_box.seconds"] <= 0:
            return None
        return cls(
            seconds=values["black_box.seconds"],
            limit=round(values["black_box.megabytes"] * 1e6),
            folder=Path(values["black_box.folder"]).expanduser(),
            name=node.strip("/").replace("/", "_"),
            after=values["black_box.after"],
            pause=values["black_box.pause"],
        )


class Entry(NamedTuple):
    """What the ring holds: when it came, s on the steady clock, its bytes, and itself."""

    time: float
    size: int
    item: Item


class Ring:
    """The last entries, bounded in time and in memory.

    Args:
        seconds: age of the oldest one kept.
        limit: bytes that all of them may take.

    Attributes:
        size: bytes that they take, an upper estimate.

    """

    def __init__(self, seconds: float, limit: int) -> None:
        self.size = 0
        self._seconds, self._limit = seconds, limit
        self._entries: deque[Entry] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, item: Item, now: float) -> None:
        """Append an entry at `now`, s on the steady clock."""
        size = _COMMAND_BYTES
        if isinstance(item, CameraFrame):
            # The image may be a view of a larger one, which it would keep.
            item = replace(item, image=item.image.copy())
            size = _EVENT_BYTES + item.image.nbytes
        elif isinstance(item, Event):
            size = _EVENT_BYTES
        self._entries.append(Entry(now, size, item))
        self.size += size
        while self._entries and (
            self.size > self._limit or now - self._entries[0].time > self._seconds
        ):
            self.size -= self._entries.popleft().size

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()
        self.size = 0

    def span(self, now: float) -> float:
        """Seconds from the oldest entry to `now`."""
        return now - self._entries[0].time if self._entries else 0.0

    def snapshot(self) -> list[Entry]:
        """Everything held now, oldest first."""
        return list(self._entries)


class BlackBox:
    """Remembers events and commands, and writes them when a failsafe or a stop calls for it.

    All of it is called by the control thread, none of it raises, and only `wait` takes its time.

    Args:
        config: settings; None for a box that does nothing.
        camera: the camera that frames come from.
        logger: of the node.

    """

    def __init__(self, config: BoxConfig | None, camera: PolicyCamera, logger: Any) -> None:
        missing = [name for name in ("mcap", "rosbags") if importlib.util.find_spec(name) is None]
        if config is not None and missing:
            logger.warning(
                f"no black box: {', '.join(missing)} not installed (pip install liquid_nav[replay])"
            )
            config = None
        self._config, self._camera, self._logger = config, camera, logger
        self._ring = Ring(config.seconds, config.limit) if config else Ring(0.0, 0)
        self._mode: Mode | None = None
        self._due: float | None = None
        self._last_file = -float("inf")
        self._jobs: list[_Job] = []
        self._files, self._newest, self._fault = 0, "none", ""

    def start(self) -> None:
        """Forget what was: a flight begins."""
        self._ring.clear()
        self._mode = self._due = None

    def event(self, event: Event) -> None:
        """Remember an event, before the controller gets it."""
        if self._config is not None:
            self._ring.add(event, time.monotonic())

    def command(self, command: Command) -> None:
        """Remember a command that is sent, and see whether it calls for a file, or one is due."""
        config = self._config
        if config is None:
            return
        now = time.monotonic()
        self._ring.add(command, now)
        before, self._mode = self._mode, command.mode
        # The hover and the stop that a flight begins with are no failures of it.
        failsafe = before is Mode.NOMINAL and command.mode is not Mode.NOMINAL
        stopped = before not in (None, Mode.STOP) and command.mode is Mode.STOP
        if self._due is None and (failsafe or stopped):
            self._due = max(now + config.after, self._last_file + config.pause)
        self._settle()
        # One file at a time: while one is being made, the next stays due.
        if self._due is not None and now >= self._due and not self._jobs:
            self._write(config, now)

    def end(self, command: Command) -> None:
        """Remember the last command of a flight, and write at once what is called for."""
        if self._config is None:
            return
        now = time.monotonic()
        self._ring.add(command, now)
        if self._due is not None:
            self._write(self._config, now)

    def wait(self, timeout: float) -> None:
        """Let files that are being made be finished, for `timeout` s at most.

        For the end of the node. A file's process that has everything by then goes on alone.
        """
        deadline = time.monotonic() + timeout
        for job in self._jobs:
            job.done.wait(max(deadline - time.monotonic(), 0.0))
        self._settle()

    def status(self) -> Status | None:
        """What diagnostics say of it; None where it is switched off."""
        if self._config is None:
            return None
        self._settle()
        values = {
            "held_s": f"{self._ring.span(time.monotonic()):.1f}",
            "held_mb": f"{self._ring.size / 1e6:.2f}",
            "files": str(self._files),
            "last_file": self._newest,
        }
        return Status(WARN if self._fault else OK, "black_box", self._fault or "OK", values)

    def _write(self, config: BoxConfig, now: float) -> None:
        self._due, self._last_file = None, now
        stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
        path = config.folder / f"{config.name}_{stamp}.mcap"
        self._jobs.append(_Job(path, self._camera, self._ring.snapshot()))

    def _settle(self) -> None:
        """Report files that are finished, or could not be made."""
        for job in [job for job in self._jobs if job.done.is_set()]:
            self._jobs.remove(job)
            self._fault = job.fault
            if job.fault:
                self._logger.error(job.fault)
            else:
                self._files, self._newest = self._files + 1, str(job.path)
                self._logger.warning(f"black box: wrote {job.path}")


class _Job:
    """One file that is being made: a thread hands entries to a process.

    Attributes:
        path: of the file.
        done: set when there is a file, or a fault.
        fault: why there is none, in one line.

    """

    def __init__(self, path: Path, camera: PolicyCamera, entries: list[Entry]) -> None:
        self.path, self.done, self.fault = path, Flag(), ""
        # A daemon: the end of the node waits as long as it chooses to, see `BlackBox.wait`.
        self._thread = Thread(target=self._run, args=(camera, entries), daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            self._fail(error)
            self.done.set()

    def _run(self, camera: PolicyCamera, entries: list[Entry]) -> None:
        try:
            self._feed(camera, [entry.item for entry in entries])
        except Exception as error:  # Whatever it is, the flight goes on.
            self._fail(error)
        finally:
            self.done.set()

    def _feed(self, camera: PolicyCamera, items: list[Item]) -> None:
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            # A Ctrl-C that ends the node is not meant for the file of its last flight.
            start_new_session=True,
        ) as process:
            assert process.stdin is not None
            assert process.stderr is not None
            try:
                for chunk in _pickled(self.path, camera, items):
                    process.stdin.write(chunk)
                process.stdin.close()
            except BrokenPipeError:
                pass  # What it says below is why.
            words = process.stderr.read().decode(errors="replace").strip().splitlines()
            if process.wait() != 0:
                self._fail(words[-1] if words else f"its process ended by {process.returncode}")

    def _fail(self, why: object) -> None:
        self.fault = f"black box: {self.path} was not written: {why}"


def _pickled(path: Path, camera: PolicyCamera, items: Sequence[Item]) -> Iterator[bytes]:
    """What `write_process` reads: path, camera and count, then the entries in chunks."""
    yield pickle.dumps((path, camera, len(items)))
    for begin in range(0, len(items), _CHUNK):
        yield pickle.dumps(items[begin : begin + _CHUNK])


def write_process(data: bytes) -> int:
    """Write the file that `data` describes, with little claim to the processor.

    Returns:
        Exit status: 0, or 1 with the reason as the last line on standard error.

    """
    try:
        os.nice(10)
        _write(io.BytesIO(data))
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def _write(stream: io.BytesIO) -> None:
    # The extra `replay`, which the node flies without.
    from liquid_nav.replay.recorder import FlightRecorder

    path, camera, count = pickle.load(stream)
    items: list[Item] = []
    while len(items) < count:  # Raises where the node died in the midst of it.
        items += pickle.load(stream)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FlightRecorder(path, camera) as recorder:
        for item in items:
            if isinstance(item, Command):
                recorder.command(item)
            else:
                recorder.event(item)
