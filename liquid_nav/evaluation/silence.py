"""Imports a library without what it prints."""

import importlib
import os
from types import ModuleType


def import_pybullet() -> ModuleType:
    """Import PyBullet without the line that it writes to file descriptor 2, past `sys.stderr`."""
    stderr = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        return importlib.import_module("pybullet")
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
