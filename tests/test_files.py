"""Files and folders appear whole, reach the disk before their name does, or leave no trace."""

import os
from pathlib import Path

import pytest

from liquid_nav import files
from liquid_nav.files import (
    replace_folder,
    restore_folder,
    staging_path,
    whole_file,
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
