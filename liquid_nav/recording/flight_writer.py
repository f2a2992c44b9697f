"""The process that writes the file of a flight, see `liquid_nav.recording.flight_file`.

It reads its input immediately, even while it still imports modules, so a node that ends waits until
its items are read, but not until the file is written.
"""

from __future__ import annotations

import io
import os
import pickle
import sys
from collections.abc import Iterator
from queue import SimpleQueue
from threading import Thread
from typing import Any, BinaryIO

END = None
"""The last item; if it is missing, the node died before the end of the flight."""

_BLOCK = 1 << 16


class Drain(io.RawIOBase):
    """Reads a pipe to its end in a thread, however slowly `readinto` is called."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._blocks: SimpleQueue[bytes] = SimpleQueue()
        self._rest = memoryview(b"")
        self._over = False
        Thread(target=self._read_all, args=(pipe,), daemon=True).start()

    def _read_all(self, pipe: BinaryIO) -> None:
        while block := os.read(pipe.fileno(), _BLOCK):
            self._blocks.put(block)
        self._blocks.put(b"")

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read some bytes, as soon as there are any; 0 at the end."""
        if not self._rest and not self._over:
            self._rest = memoryview(self._blocks.get())
            self._over = not self._rest
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def write(stream: BinaryIO, whole: bool) -> None:
    """Write the file that a stream describes.

    Args:
        stream: pickles: path, camera and settings, then lists of items, then `END`.
        whole: True to fail on a stream that is cut; otherwise the file holds what was sent.

    Raises:
        Exception: any error of opening, unpickling or writing; there is no file then.

    """
    # These need the extra `replay`, without which the node can fly.
    from liquid_nav.command import Command
    from liquid_nav.recording.recorder import FlightRecorder
    from liquid_nav.recording.settings import Reconfigured

    path, camera, safety = pickle.load(stream)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FlightRecorder(path, camera, safety=safety) as recorder:
        for item in _items(stream, whole):
            if isinstance(item, Command):
                recorder.command(item)
            elif isinstance(item, Reconfigured):
                recorder.reconfigured(item)
            else:
                recorder.event(item)


def _items(stream: BinaryIO, whole: bool) -> Iterator[Any]:
    while True:
        try:
            chunk = pickle.load(stream)
        except (EOFError, pickle.UnpicklingError):
            if whole:
                raise
            return
        if chunk is END:
            return
        yield from chunk


def main() -> int:
    """Write a file from standard input; after a failure the last line printed is the reason."""
    stream = io.BufferedReader(Drain(sys.stdin.buffer))
    try:
        # The controller has priority.
        os.nice(10)
        write(stream, whole=sys.argv[1] == "whole")
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
