"""What the decoders of images print: libjpeg and libpng report broken data on standard error only.

An image is decoded all the same, with a part missing or shifted, so these lines are the only sign
that it is broken.
"""

import ctypes
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import cv2

_UNBUFFERED = 2
_STANDARD_ERROR = 2

_OF_DECODERS = re.compile(
    "Corrupt JPEG|Premature end|libpng |Warning: unknown JFIF|Unknown Adobe"
    "|Inconsistent progression|Invalid SOS|Application transferred"
)
"""How the lines of libjpeg (``jerror.h``) and libpng start."""


class _Captured:
    """The C library's variable ``stderr``, and a file in memory that takes its place.

    Python's own ``sys.stderr`` and the output of child processes are not touched.

    Raises:
        AttributeError, OSError, ValueError: where the platform has no such variable or file.

    """

    def __init__(self) -> None:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018  In other libraries the variable is a constant.
        libc.fdopen.restype = ctypes.c_void_p
        libc.setvbuf.argtypes = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
        self._variable = ctypes.c_void_p.in_dll(libc, "stderr")
        self._descriptor = os.memfd_create("liquid-nav-stderr", os.MFD_CLOEXEC)
        self._file = libc.fdopen(self._descriptor, b"w")
        # It stays open for ever: another thread may write to it at any time.
        libc.setvbuf(self._file, None, _UNBUFFERED, 0)

    def begin(self) -> None:
        """Send what is written from now on to memory."""
        self._terminal, self._variable.value = self._variable.value, self._file

    def end(self) -> str:
        """Send it to where it went before again, and return what came."""
        self._variable.value = self._terminal
        size = os.lseek(self._descriptor, 0, os.SEEK_CUR)
        if not size:
            return ""
        text = os.pread(self._descriptor, size, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        return text.decode("ascii", "replace").strip()


_captured: _Captured | None = None
_lock = Lock()


def _forget() -> None:
    """Make a new file after a fork, since parent and child share the old one's position."""
    global _captured, _lock
    _captured, _lock = None, Lock()


os.register_at_fork(after_in_child=_forget)


@contextmanager
def library_messages() -> Iterator[list[str]]:
    """Collect what libjpeg and libpng print meanwhile, and keep OpenCV's log silent.

    Yields:
        A list that holds the lines after the block; always empty on a platform other than Linux
        with glibc, where they are printed as ever.

    """
    global _captured
    lines: list[str] = []
    with _lock:
        if _captured is None:
            try:
                _captured = _Captured()
            except (AttributeError, OSError, ValueError):
                yield lines
                return
        level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        _captured.begin()
        try:
            yield lines
        finally:
            text = _captured.end()
            cv2.utils.logging.setLogLevel(level)
            for line in text.splitlines():
                if _OF_DECODERS.match(line):
                    lines.append(line)
                else:
                    # Another thread wrote it.
                    os.write(_STANDARD_ERROR, f"{line}\n".encode())
