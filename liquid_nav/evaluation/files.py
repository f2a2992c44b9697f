"""Files that appear whole under their name, or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

VIDEO, PLOT, RESULT = "flights.mp4", "flights.png", "result.json"
"""Names of the files in an output directory."""


def staging_path(path: Path) -> Path:
    """Where the file that will be `path` grows: beside it, hidden, one per process."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a path to write to; it becomes `path` on leaving, or vanishes on an exception."""
    staging = staging_path(path)
    try:
        yield staging
        staging.replace(path)
    finally:
        staging.unlink(missing_ok=True)


@contextmanager
def made_directories(*paths: Path) -> Iterator[None]:
    """Make directories, parents included, for the files of what follows.

    When what follows raises, the directories made here that are empty go again.

    Raises:
        OSError: when one cannot be made, or no file can be made in it.
    """
    made: list[Path] = []
    try:
        for path in paths:
            for missing in reversed([p for p in (path, *path.parents) if not p.exists()]):
                missing.mkdir()
                made.append(missing)
            with tempfile.TemporaryFile(dir=path):
                pass
        yield
    except BaseException:
        for directory in reversed(made):
            with suppress(OSError):
                directory.rmdir()
        raise
