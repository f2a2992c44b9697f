"""What entered a controller and what it sent, in an MCAP that a process of its own writes.

Neither the work on the file nor its failures disturb the controller: the control thread appends to
a queue, a thread passes the items on to the process, and the process has a low priority.
"""

from __future__ import annotations

import importlib.util
import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import Any

from liquid_nav.command import Command
from liquid_nav.events import Event
from liquid_nav.onboard.config import PolicyCamera
from liquid_nav.recording import flight_writer
from liquid_nav.recording.settings import Reconfigured
from liquid_nav.safety.layer import SafetyConfig

Item = Event | Command | Reconfigured
"""What a recorded flight consists of."""

_CHUNK = 64
"""Items that are pickled at once; the control thread never waits for more than these."""

_PERIOD = 0.2
"""s between two looks at the queue."""

_MOST_WAITING = 20_000
"""Items that may wait for the process; a flight has some hundreds in a second."""


def missing() -> list[str]:
    """Packages that writing a file needs and that are not installed; the node flies without."""
    return [name for name in ("mcap", "rosbags") if importlib.util.find_spec(name) is None]


def file_name(node: str) -> str:
    """Name of a file that begins now, by the fully qualified name of the node and UTC."""
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
    return f"{node.strip('/').replace('/', '_')}_{stamp}.mcap"


class FlightFile:
    """One file that is being written. Nothing here raises, and only `wait` blocks.

    Args:
        path: the file; its folder is created when it does not exist.
        camera: the camera that frames come from; None for a flight without one.
        safety: settings in force at the first item.
        items: everything that goes into the file, which is then whole or not there. With None,
            items are added by `add`, and if the node dies the file holds those added until then.

    Attributes:
        path: the file.
        lost: items that were dropped because too many waited.
        done: set when the file is finished or has failed.
        fault: why there is no file, in one line; empty otherwise.

    """

    def __init__(
        self,
        path: Path,
        camera: PolicyCamera | None,
        safety: SafetyConfig,
        items: Sequence[Item] | None = None,
    ) -> None:
        self.path, self.lost, self.done, self.fault = path, 0, Flag(), ""
        self._whole, self._head = items is not None, (path, camera, safety)
        self._waiting: deque[Item] = deque(items or ())
        self._ended = Flag()
        if self._whole:
            self._ended.set()
        # A daemon: the end of the node waits as long as it chooses to, see `wait`.
        self._thread = Thread(target=self._run, daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            self._fail(error)
            self.done.set()

    def add(self, item: Item) -> None:
        """Append an item."""
        if self.done.is_set() or len(self._waiting) >= _MOST_WAITING:
            self.lost += 1
        else:
            self._waiting.append(item)

    def end(self) -> None:
        """Finish the file; nothing may be added after this."""
        self._ended.set()

    def wait(self, timeout: float) -> None:
        """Wait for the file to be finished, `timeout` s at most.

        The node calls it at its end. A process that has every item by then finishes on its own.
        """
        self.done.wait(max(timeout, 0.0))

    def _run(self) -> None:
        try:
            self._feed()
        except Exception as error:  # No failure of a file ends a flight.
            self._fail(error)
        finally:
            self.done.set()

    def _feed(self) -> None:
        with subprocess.Popen(
            [sys.executable, "-m", flight_writer.__name__, "whole" if self._whole else "part"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            # A Ctrl-C ends the node, but not the file of its last flight.
            start_new_session=True,
        ) as process:
            assert process.stdin is not None
            assert process.stderr is not None
            try:
                for part in self._parts():
                    process.stdin.write(pickle.dumps(part))
                    process.stdin.flush()
                process.stdin.close()
            except BrokenPipeError:
                pass  # The reason is what it printed, read below.
            words = process.stderr.read().decode(errors="replace").strip().splitlines()
            if process.wait() != 0:
                self._fail(words[-1] if words else f"its process ended by {process.returncode}")

    def _parts(self) -> Iterator[Any]:
        """What the process reads: the head, then items in chunks as they come, then the end."""
        yield self._head
        ended = False
        while not ended:
            # Asked first, so that everything added before the end is in the queue.
            ended = self._ended.wait(_PERIOD)
            while count := min(len(self._waiting), _CHUNK):
                yield [self._waiting.popleft() for _ in range(count)]
        yield flight_writer.END

    def _fail(self, why: object) -> None:
        self.fault = f"{self.path} was not written: {why}"
