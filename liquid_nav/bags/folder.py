"""Which files of a folder are one recording: the parts of a rosbag2 directory or of a split bag."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from liquid_nav.errors import ReplayError
from liquid_nav.events import SECOND

METADATA = "metadata.yaml"

_OVERLAP = SECOND
"""Nanoseconds by which a part may begin before the end of the part before it."""

_GAP = 10 * SECOND
"""Nanoseconds of silence that may be between two parts of one recording."""

_LISTED = 10
"""Largest number of recordings that an error lists."""

Span = tuple[int, int] | None
"""Log times of the first and last message, ns; None without messages."""


class Folder(NamedTuple):
    """What a folder holds.

    Attributes:
        named: files that the metadata name as one recording, and that are there.
        others: all other recordings, in the order of the numbers in their names.
        declared: messages per topic by the metadata; None without metadata.
        notes: what is wrong with the metadata, in words.

    """

    named: list[Path]
    others: list[Path]
    declared: Counter[str] | None
    notes: list[str]


def read_folder(path: Path, there: Sequence[Path]) -> Folder:
    """Read the metadata of a rosbag2 directory, and compare them with the files `there`."""
    # 10 comes after 9.
    there = sorted(there, key=lambda f: [int(p) if p.isdigit() else p for p in _parts(f)])
    # `rosbag reindex` keeps the file that it mended.
    kept = [file for file in there if ".orig." in file.name]
    originals = [file for file in kept if _mended(file) in there]
    notes = [f"{file.name} is left out, {_mended(file).name} is the same" for file in originals]
    there = [file for file in there if file not in originals]
    try:
        named, declared = _metadata(path / METADATA)
    except FileNotFoundError:
        notes.append(f"{METADATA} is missing, all files found are read")
        return Folder([], there, None, notes)
    # On broken YAML the library raises errors of any type.
    except (OSError, YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        notes.append(f"{METADATA} is broken, all files found are read: {error!r:.120}")
        return Folder([], there, None, notes)
    notes += [f"{name} is missing" for name in named if path / name not in there]
    chosen = [path / name for name in dict.fromkeys(named) if path / name in there]
    return Folder(chosen, [file for file in there if file not in chosen], declared, notes)


def follows(before: Path, span: Span, after: Path, next_span: Span) -> bool:
    """Whether two files look like parts of one recording, the second right after the first."""
    pattern, next_pattern = (re.sub(r"\d+", "#", stem(file)) for file in (before, after))
    if pattern != next_pattern:
        return False
    if span is None or next_span is None:
        return True
    # A part in between may be missing.
    steps = _number(after) - _number(before)
    overlap = min(_OVERLAP, (span[1] - span[0]) // 2)
    return -overlap <= next_span[0] - span[1] <= _GAP * max(steps, 1)


def check_one(path: Path, files: Sequence[tuple[Path, Span]]) -> None:
    """Refuse a folder of several recordings, which would replay as one flight that never was.

    Args:
        path: the folder.
        files: its recordings and their spans, in the order of their names.

    Raises:
        ReplayError: unless the files follow each other as the parts of a split bag do.

    """
    if all(follows(*a, *b) for a, b in pairwise(files)):
        return
    listed = [f"{file.name} ({_length(span)})" for file, span in files[:_LISTED]]
    if len(files) > _LISTED:
        listed.append(f"{len(files) - _LISTED} more")
    raise ReplayError(
        f"{path} holds several recordings, and no {METADATA} that makes them one: "
        f"{', '.join(listed)}. Give the path of one of them"
    )


def _length(span: Span) -> str:
    return "no messages" if span is None else f"{(span[1] - span[0]) / SECOND:.1f} s"


def stem(path: Path) -> str:
    """Give the name of a recording without the endings of its format."""
    return re.sub(r"(\.(mcap|db3|bag|ulg|active|zstd|orig))+$", "", path.name, flags=re.IGNORECASE)


def _number(path: Path) -> int:
    """Give the last number in a name, which counts the parts."""
    return int((re.findall(r"\d+", stem(path)) or ["0"])[-1])


def _parts(path: Path) -> list[str]:
    return re.split(r"(\d+)", path.name)


def _mended(path: Path) -> Path:
    return path.with_name(path.name.replace(".orig.", ".", 1))


def _metadata(path: Path) -> tuple[list[str], Counter[str]]:
    """Return the names of the files, and the number of messages per topic."""
    with path.open(encoding="utf-8") as file:
        content: Any = YAML(typ="safe").load(file)["rosbag2_bagfile_information"]
    names = [Path(str(name)).name for name in content["relative_file_paths"]]
    counts = {
        str(entry["topic_metadata"]["name"]): int(entry["message_count"])
        for entry in content["topics_with_message_count"]
    }
    return names, Counter(counts)
