"""A stand-in for SIGKILL, at a chosen change of the file system."""

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

CHANGES = ("fsync", "mkdir", "rename", "replace", "rmdir", "symlink", "unlink")
"""Functions of `os` through which files get their names, lose them and reach the disk."""


class Killed(BaseException):
    """Stands for SIGKILL."""


@contextmanager
def killed_at(call: int) -> Iterator[None]:
    """Let the process die at a change of the file system: nothing it does later has an effect."""
    calls = itertools.count(1)

    def until_then(change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*arguments: Any, **options: Any) -> Any:
            if next(calls) >= call:
                raise Killed
            return change(*arguments, **options)

        return changed

    with pytest.MonkeyPatch.context() as patch:
        for name in CHANGES:
            patch.setattr(os, name, until_then(getattr(os, name)))
        yield
