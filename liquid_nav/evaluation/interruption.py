"""Ends a long run in order when Ctrl-C comes."""

import signal
import threading
from types import FrameType, TracebackType


class Interruption:
    """Notes Ctrl-C instead of raising at once, so that no file is cut in the middle.

    A context manager. Off the main thread, where Python gets no Ctrl-C, it does nothing.

    Attributes:
        requested: whether Ctrl-C came.

    """

    def __init__(self) -> None:
        self.requested = False

    def __enter__(self) -> "Interruption":
        self._installed = threading.current_thread() is threading.main_thread()
        if self._installed:
            self._previous = signal.signal(signal.SIGINT, self._request)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, self._previous)

    def check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C came; call it where the run can be ended."""
        if self.requested:
            raise KeyboardInterrupt

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
