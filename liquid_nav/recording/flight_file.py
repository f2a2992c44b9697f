"""What entered a controller and what it sent, in an MCAP that a process of its own makes.

Neither the work on the file nor its faults are the controller's: the control thread appends to a
queue, a thread takes what is there to the process, and that has little claim to the processor.
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
"""What a flight is made of."""

_CHUNK = 64
"""Items that are pickled at once; the control thread waits for no more of them."""

_PERIOD = 0.2
"""s between two looks at what has come."""

_MOST_WAITING = 20_000
"""Items that may wait for the process; a flight has some hundred in a second."""


def missing() -> list[str]:
    """Packages that a file needs and that are not installed; the node flies without."""
    return [name for name in ("mcap", "rosbags") if importlib.util.find_spec(name) is None]


def file_name(node: str) -> str:
    """Name of a file that begins now, by the fully qualified name of the node and UTC."""
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
    return f"{node.strip('/').replace('/', '_')}_{stamp}.mcap"


class FlightFile:
    """One file that is being made. Nothing here raises, and only `wait` takes its time.

    Args:
        path: of the file; its folder is made when it is not there.
        camera: the camera that frames come from.
        safety: settings in force at the first item.
        items: all that goes into the file, which is whole then or not there; or None: items come
            by `add`, and when the node dies the file holds those that had come.

    Attributes:
        path: of the file.
        lost: items that were not taken, since too many waited.
        done: set when there is a file, or a fault.
        fault: why there is none, in one line.

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
        """Let the file be finished; `add` no more."""
        self._ended.set()

    def wait(self, timeout: float) -> None:
        """Wait for a file that is being finished, `timeout` s at most.

        For the end of the node. A process that has everything by then goes on alone.
        """
        self.done.wait(max(timeout, 0.0))

    def _run(self) -> None:
        try:
            self._feed()
        except Exception as error:  # Whatever it is, the flight goes on.
            self._fail(error)
        finally:
            self.done.set()

    def _feed(self) -> None:
        with subprocess.Popen(
            [sys.executable, "-m", flight_writer.__name__, "whole" if self._whole else "part"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            # A Ctrl-C that ends the node is not meant for the file of its last flight.
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
                pass  # What it says below is why.
            words = process.stderr.read().decode(errors="replace").strip().splitlines()
            if process.wait() != 0:
                self._fail(words[-1] if words else f"its process ended by {process.returncode}")

    def _parts(self) -> Iterator[Any]:
        """What the process reads: the head, items in chunks as they come, and the end."""
        yield self._head
        ended = False
        while not ended:
            # Asked first: what came before the end is in the queue then.
            ended = self._ended.wait(_PERIOD)
            while count := min(len(self._waiting), _CHUNK):
                yield [self._waiting.popleft() for _ in range(count)]
        yield flight_writer.END

    def _fail(self, why: object) -> None:
        self.fault = f"{self.path} was not written: {why}"
