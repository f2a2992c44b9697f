"""Files and folders appear whole, reach the disk before their name does, or leave no trace."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from liquid_nav import files
from liquid_nav.files import (
    final_name,
    replace_folder,
    restore_folder,
    staging_path,
    whole_file,
    whole_files,
    write_whole,
)


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what is synced to disk, in order, as they are at that moment."""
    names: list[str] = []
    sync = os.fsync

    def record(descriptor: int) -> None:
        names.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    return names


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_content_is_on_disk_before_the_name_and_the_name_before_the_end(
    tmp_path: Path, synced: list[str]
) -> None:
    path = tmp_path / "result.json"
    write_whole(path, "{}")
    assert synced == [staging_path(path).name, tmp_path.name]
    assert path.read_bytes() == b"{}"
    assert names(tmp_path) == ["result.json"]


def test_an_exception_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "plot.png"
    write_whole(path, b"old")

    def write_half() -> None:
        with whole_file(path) as staging:
            staging.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["plot.png"]


def test_a_name_that_is_taken_by_a_folder_leaves_no_temporary_file(tmp_path: Path) -> None:
    (tmp_path / "result.json").mkdir()
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path / "result.json", "{}")
    assert names(tmp_path) == ["result.json"]


def test_a_file_that_was_never_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "result.json"):
        pass
    assert names(tmp_path) == []


def make_folder(path: Path, text: str) -> Path:
    (path / "weights").mkdir(parents=True)
    (path / "manifest").write_text(text)
    (path / "weights" / "first").write_text(text)
    return path


def test_a_folder_is_on_disk_before_it_replaces_the_old_one(
    tmp_path: Path, synced: list[str]
) -> None:
    path = make_folder(tmp_path / "model", "old")
    replace_folder(make_folder(tmp_path / "new", "new"), path)
    assert sorted(synced[:3]) == ["first", "manifest", "weights"]
    assert synced[3:] == ["new", tmp_path.name]
    assert (path / "weights" / "first").read_text() == "new"
    assert names(tmp_path) == ["model"]


@pytest.fixture(params=[True, False], ids=["exchange", "two renames"])
def exchanging(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the file system can exchange two names."""
    if not request.param:
        monkeypatch.setattr(files, "_exchange", lambda *_: False)
    return bool(request.param)


def test_a_folder_that_cannot_be_put_in_place_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, new = make_folder(tmp_path / "model", "old"), make_folder(tmp_path / "new", "new")
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self == new:
            raise OSError("no space")
        return rename(self, target)

    monkeypatch.setattr(files, "_exchange", lambda *_: False)
    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match="no space"):
        replace_folder(new, path)
    assert (path / "manifest").read_text() == "old"
    assert names(tmp_path) == ["model", "new"]


@pytest.mark.usefixtures("exchanging")
def test_a_folder_left_by_a_process_that_died_is_removed(tmp_path: Path) -> None:
    make_folder(tmp_path / ".model.old", "older")
    path = make_folder(tmp_path / "model", "old")
    replace_folder(make_folder(tmp_path / "new", "new"), path)
    assert (path / "manifest").read_text() == "new"
    assert names(tmp_path) == ["model"]


def test_a_folder_is_there_at_any_instant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanging: bool
) -> None:
    """Whatever step of the replacement is the last one before the process dies."""
    path = make_folder(tmp_path / "model", "old")
    steps, left = ("rename", "rmdir", "unlink", "fsync"), [True]
    for step in steps:

        def watched(*arguments: object, real: object = getattr(os, step), **options: object):
            left.append(path.is_dir())
            return real(*arguments, **options)

        monkeypatch.setattr(os, step, watched)
    replace_folder(make_folder(tmp_path / "new", "new"), path)
    assert len(left) > 5
    assert all(left) == exchanging
    assert (path / "manifest").read_text() == "new"


def test_a_folder_that_a_process_died_replacing_is_brought_back(tmp_path: Path) -> None:
    make_folder(tmp_path / ".model.old", "old")
    restore_folder(tmp_path / "model")
    assert (tmp_path / "model/manifest").read_text() == "old"
    assert names(tmp_path) == ["model"]
    restore_folder(tmp_path / "nothing")
    assert names(tmp_path) == ["model"]


def test_an_error_of_a_full_disk_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    with pytest.raises(OSError, match=r"No space .*result\.json"), whole_file(path):
        raise OSError(28, "No space left on device")


def test_several_files_appear_together_or_not_at_all(tmp_path: Path) -> None:
    one, other, unmade = (tmp_path / name for name in ("one", "other", "unmade"))
    other.write_text("old")

    def write(fault: OSError | None) -> None:
        with whole_files(one, other, unmade) as stagings:
            for staging in stagings[:2]:
                staging.write_text("new")
            if fault is not None:
                raise fault

    with pytest.raises(OSError, match="No space"):
        write(OSError(28, "No space left on device"))
    assert (names(tmp_path), other.read_text()) == (["other"], "old")
    write(None)
    assert names(tmp_path) == ["one", "other"]
    assert (one.read_text(), other.read_text()) == ("new", "new")


def test_a_temporary_file_is_told_by_the_name_that_it_would_get(tmp_path: Path) -> None:
    path = tmp_path / "replay.mcap"
    assert final_name(staging_path(staging_path(path))) == str(path)
    assert final_name(tmp_path / ".part") == str(tmp_path / ".part")


@pytest.mark.parametrize("limit", [1, 300, 20_000])
def test_a_writer_on_a_full_disk_leaves_nothing(tmp_path: Path, limit: int) -> None:
    """Each writer in a process whose files can be no longer than `limit` bytes."""
    script = """
import resource, sys
from pathlib import Path
import numpy as np
from liquid_nav.mp4 import Mp4Writer
from liquid_nav.recording.writer import McapWriter, message

limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
noise = np.random.default_rng(0)

def film():
    with Mp4Writer(Path("film.mp4"), 320, 240, 10) as writer:
        for _ in range(60):
            writer.write(noise.integers(0, 255, (240, 320, 3), dtype=np.uint8))

def log():
    with McapWriter(Path("log.mcap")) as writer:
        for k in range(60):
            text = noise.bytes(20_000).hex()
            writer.write("/text", message("std_msgs/msg/String", data=text), k)

for write, name in ((film, "film.mp4"), (log, "log.mcap")):
    try:
        write()
    except OSError as error:
        assert name in str(error.filename), error
    else:
        sys.exit(f"{name} was written")
"""
    run = subprocess.run(
        [sys.executable, "-c", script, str(limit)], cwd=tmp_path, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert names(tmp_path) == []
