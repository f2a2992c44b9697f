"""A lock for two threads, one of which wants it nearly all the time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class FairLock:
    """A lock that goes to whoever has waited for it, before its last owner gets it again.

    `threading.Lock` makes no such promise: a thread that releases it and takes it again at once
    nearly always gets it, and another one may wait for seconds. Here a thread that waits keeps the
    door closed behind it.
    """

    def __init__(self) -> None:
        self._door, self._room = threading.Lock(), threading.Lock()

    def acquire(self, timeout: float = -1) -> bool:
        """Take the lock; return whether that was possible within `timeout` s; -1 waits for ever."""
        if not self._door.acquire(timeout=timeout):
            return False
        try:
            return self._room.acquire(timeout=timeout)
        finally:
            self._door.release()

    def release(self) -> None:
        """Give the lock back."""
        self._room.release()

    @contextmanager
    def within(self, timeout: float) -> Iterator[bool]:
        """Hold the lock if it can be had within `timeout` s; says whether it is held."""
        held = self.acquire(timeout)
        try:
            yield held
        finally:
            if held:
                self.release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: Any) -> None:
        self.release()
