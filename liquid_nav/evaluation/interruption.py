"""Ends a long run in order when Ctrl-C comes."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def deferred_interrupt() -> Iterator[Callable[[], None]]:
    """Hold Ctrl-C back until the body asks for it, so that no file is cut in the middle.

    Off the main thread, where Python gets no Ctrl-C, there is nothing to hold back.

    Yields:
        A function that raises KeyboardInterrupt if Ctrl-C came; call it where the run can end.

    """
    requested = False

    def request(number: int, frame: FrameType | None) -> None:
        nonlocal requested
        requested = True

    def check() -> None:
        if requested:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield check
        return
    previous = signal.signal(signal.SIGINT, request)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, previous)
