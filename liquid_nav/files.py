"""Write files and folders that appear complete or not at all, even after a power cut."""

import ctypes
import errno
import os
import re
import shutil
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

_STAGED = re.compile(r"\.(.+)\.\d+\.part")

_Self = TypeVar("_Self", bound="WholeFile")


def staging_path(path: Path) -> Path:
    """Name the temporary file that will become `path`: in the same folder, hidden, per process."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def final_name(path: str | Path) -> str:
    """Return the name of the file that a temporary one would have become, for texts."""
    name = Path(path)
    while match := _STAGED.fullmatch(name.name):
        name = name.with_name(match[1])
    return str(name)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give an OSError that names no file, as that of a full disk, the name of `path`."""
    try:
        yield
    except OSError as error:
        # Without a number it would no longer say what went wrong.
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def put_in_place(staging: Path, path: Path) -> None:
    """Rename a finished file to `path`, replacing a file that is there.

    The file's content reaches the disk before its new name does, and the name before this returns:
    after a power cut, `path` is the old file or the new one, whole.

    Raises:
        OSError: when the file cannot be written to disk or renamed; it is deleted then.

    """
    try:
        _sync(staging)
        staging.replace(path)
    except BaseException:
        staging.unlink(missing_ok=True)
        raise
    _sync(path.parent)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to, and put that file in place as `path` at the end.

    When the body raises, the temporary file is deleted and `path` stays as it was. An OSError names
    `path`, see `naming`.
    """
    staging = staging_path(path)
    try:
        with naming(path):
            yield staging
            put_in_place(staging, path)
    finally:
        staging.unlink(missing_ok=True)


@contextmanager
def whole_files(*paths: Path) -> Iterator[list[Path]]:
    """Give a temporary path for each of several files, and put all in place at the end, or none.

    A file that the body did not make is left out. When the body raises, or a file cannot be written
    to disk, all temporary files are deleted, and all of `paths` stay as they were.
    """
    stagings = [staging_path(path) for path in paths]
    try:
        yield stagings
        made = [
            (staging, path)
            for staging, path in zip(stagings, paths, strict=True)
            if staging.exists()
        ]
        for staging, path in made:
            with naming(path):
                _sync(staging)
        for staging, path in made:
            staging.replace(path)
        for folder in {path.parent for path in paths}:
            _sync(folder)
    finally:
        for staging in stagings:
            staging.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write `content` to `path` in one go, text as UTF-8; see `whole_file`."""
    with whole_file(path) as staging:
        staging.write_bytes(content.encode() if isinstance(content, str) else content)


def replace_folder(staging: Path, path: Path) -> None:
    """Rename a finished folder to `path`, replacing a folder that is there.

    All files in it reach the disk first. Where two names can be exchanged in one step (Linux, on
    most file systems), `path` is the old folder or the new one at any instant. Elsewhere the old
    folder is moved to ``.<name>.old`` first; if the process dies before the new one is in place,
    `restore_folder` brings it back.

    Args:
        staging: the new folder, on the same file system as `path`.
        path: where it goes.

    Raises:
        OSError: when something cannot be written to disk or renamed; `path` then is as it was.

    """
    for file in staging.rglob("*"):
        _sync(file)
    _sync(staging)
    retired = _retired(path)
    restore_folder(path)
    # Left by a process that died before it could delete it.
    shutil.rmtree(retired, ignore_errors=True)
    if not path.exists():
        staging.rename(path)
    elif _exchange(staging, path):
        retired = staging
    else:
        path.rename(retired)
        try:
            staging.rename(path)
        except OSError:
            restore_folder(path)
            raise
    _sync(path.parent)
    shutil.rmtree(retired, ignore_errors=True)


def restore_folder(path: Path) -> None:
    """Bring back the folder `path` that a process died replacing, see `replace_folder`.

    It does nothing where there is a folder, or none to bring back.
    """
    if not path.exists():
        with suppress(OSError):
            _retired(path).rename(path)


def _retired(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


def _exchange(one: Path, other: Path) -> bool:
    """Exchange the names of two folders in one step, if the system and the file system can."""
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None)
    if renameat2 is None:
        return False
    here, exchange = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of linux/fs.h
    names = os.fsencode(one), os.fsencode(other)
    return bool(renameat2(here, names[0], here, names[1], exchange) == 0)


class WholeFile(ABC):
    """A file that is written piece by piece and appears whole on `close`, or not at all.

    As a context manager it closes at the end, or discards the file when the body raises.
    """

    @abstractmethod
    def close(self) -> None:
        """Finish the file and put it in place."""

    @abstractmethod
    def discard(self) -> None:
        """Delete the unfinished file; does nothing after `close`."""

    def __enter__(self: _Self) -> _Self:
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
def made_directories(*paths: Path) -> Iterator[None]:
    """Create directories with their parents, and check that files can be created in them.

    When the body raises, the directories that were created here and are empty are removed.

    Raises:
        OSError: when a directory cannot be created or written to.

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


def check_folder(option: str, path: Path | None, *made: Path | None) -> None:
    """Check that the folder of a file is there, or is one that the command makes for other files.

    Raises:
        ConfigError: when it is not; it names the option.

    """
    if path is None or path.parent.exists():
        return
    folder = path.parent.resolve()
    if not any(each is not None and folder in _with_parents(each) for each in made):
        raise ConfigError(f"{option} {path}: the folder {path.parent} is not there, make it first")


def _with_parents(path: Path) -> tuple[Path, ...]:
    return (path.resolve(), *path.resolve().parents)


def check_destinations(out: Path | None, json: Path | None) -> None:
    """Check that the output directory and the JSON file can both be written.

    Raises:
        ConfigError: when one cannot; it names the option, `--out` or `--json`.

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


def _sync(path: Path) -> None:
    """Wait until a file, or the list of names in a folder, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot do this for folders.
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)
