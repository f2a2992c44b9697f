"""Import of PyBullet without the line that it prints."""

import importlib
import os
from types import ModuleType


def import_pybullet() -> ModuleType:
    """Import PyBullet and drop its build date, which it writes straight to file descriptor 2."""
    stderr = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        return importlib.import_module("pybullet")
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
