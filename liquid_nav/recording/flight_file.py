"""Record the events and commands of a controller to an MCAP file, written by another process.

Neither the work of writing nor its failures disturb the controller: the control thread appends to a
queue, another thread sends the items to the process, and the process has a low priority.
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
"""An item of a recorded flight."""

_CHUNK = 64
"""Number of items that are pickled at once: the control thread waits for these at most."""

_PERIOD = 0.2
"""Seconds between two checks of the queue."""

_MOST_WAITING = 20_000
"""Largest number of items in the queue; a flight adds some hundreds a second."""


def missing() -> list[str]:
    """Return the packages for writing files that are not installed; the node flies without them."""
    return [name for name in ("mcap", "rosbags") if importlib.util.find_spec(name) is None]


def file_name(node: str) -> str:
    """Return the name of a file that begins now: the node's full name, and the time in UTC."""
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
    return f"{node.strip('/').replace('/', '_')}_{stamp}.mcap"


class FlightFile:
    """A file that is being written. Nothing here raises, and only `wait` blocks.

    Args:
        path: the file; its folder is created when it does not exist.
        camera: the camera that frames come from; None for a flight without one.
        safety: settings in force at the first item.
        items: all items of the file, which then appears whole or not at all. With None, `add` adds
            items one by one, and if the node dies the file holds those added until then.

    Attributes:
        path: the file.
        lost: number of items that were dropped because too many waited.
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
        # A daemon, so that the node decides how long it waits at its end, see `wait`.
        self._thread = Thread(target=self._run, daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            self._fail(error)
            self.done.set()

    def add(self, item: Item) -> None:
        """Add an item; if too many wait, or the file is done, it is dropped and counted."""
        if self.done.is_set() or len(self._waiting) >= _MOST_WAITING:
            self.lost += 1
        else:
            self._waiting.append(item)

    def end(self) -> None:
        """Finish the file; nothing may be added after this."""
        self._ended.set()

    def wait(self, timeout: float) -> None:
        """Wait for the file to be finished, `timeout` s at most.

        The node calls this when it ends. If the process has all items by then, it finishes alone.
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
                pass  # The process printed the reason, which is read below.
            lines = process.stderr.read().decode(errors="replace").strip().splitlines()
            if process.wait() != 0:
                self._fail(lines[-1] if lines else f"its process ended with {process.returncode}")

    def _parts(self) -> Iterator[Any]:
        """Yield what the process reads: the head, then chunks of items, then the end."""
        yield self._head
        ended = False
        while not ended:
            # This comes first, so that all items added before the end are in the queue.
            ended = self._ended.wait(_PERIOD)
            while count := min(len(self._waiting), _CHUNK):
                yield [self._waiting.popleft() for _ in range(count)]
        yield flight_writer.END

    def _fail(self, why: object) -> None:
        self.fault = f"{self.path} was not written: {why}"
