"""Files that appear whole under their name, or not at all."""

import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from liquid_nav.errors import ConfigError

VIDEO, PLOT, RESULT = "flights.mp4", "flights.png", "result.json"
"""Names of the files in an output directory."""

_Growing = TypeVar("_Growing", bound="WholeFile")


def staging_path(path: Path) -> Path:
    """Where the file that will be `path` grows: beside it, hidden, one per process."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


class WholeFile(ABC):
    """A file that grows piece by piece, and appears whole on `close`, or not at all.

    A context manager: closes on leaving, and discards when an exception leaves.
    """

    @abstractmethod
    def close(self) -> None:
        """Finish the file and give it its name."""

    @abstractmethod
    def discard(self) -> None:
        """Leave no file, unless it was closed."""

    def __enter__(self: _Growing) -> _Growing:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()


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


def check_destinations(out: Path | None, json: Path | None) -> None:
    """Refuse an output directory and a JSON file that cannot both be there.

    Raises:
        ConfigError: naming the option, `--out` or `--json`.
    """
    if out is not None:
        if out.exists() and not out.is_dir():
            raise ConfigError(f"--out {out} exists and is not a directory")
        for name in (VIDEO, PLOT, RESULT):
            if (out / name).is_dir():
                raise ConfigError(f"--out {out}: {name} in it is a directory")
    if json is None:
        return
    if json.is_dir() or not json.name:
        raise ConfigError(f"--json {json} is a directory, give a file")
    # Files appear by renaming: a device or a pipe would be replaced, not written to.
    if json.exists() and not json.is_file():
        raise ConfigError(f"--json {json} exists and is not a regular file")
    if out is not None:
        target, folder = json.resolve(), out.resolve()
        if target == folder or target in folder.parents:
            raise ConfigError(f"--json {json} must be a file, but --out {out} needs a directory")
        if target in (folder / VIDEO, folder / PLOT):
            raise ConfigError(f"--json {json} is where --out {out} puts another file")
