"""Packages of users for tests: those under ``examples/``, installed without pip."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

EXAMPLES = Path(__file__).parents[1] / "examples"


def install(example: str, folder: Path) -> None:
    """Put the modules and the entry points of an example into a folder, as pip would.

    A process that has the folder in its `PYTHONPATH` finds the example as an installed package.
    """
    source = EXAMPLES / example
    project = tomllib.loads((source / "pyproject.toml").read_text("utf-8"))["project"]
    for module in source.glob("*.py"):
        if not module.name.startswith("test_"):
            shutil.copy(module, folder)
    about = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    (about / "entry_points.txt").write_text(
        "\n".join(
            f"[{group}]\n" + "\n".join(f"{name} = {value}" for name, value in points.items())
            for group, points in project["entry-points"].items()
        )
    )


@contextmanager
def plugged(example: str, folder: Path) -> Iterator[None]:
    """Have an example installed in this process, and in processes started from it."""
    install(example, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setenv("PYTHONPATH", str(folder), prepend=":")
        yield
