"""Packages whose modules are imported when something of them is asked for."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def attributes(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Give a package its ``__getattr__`` (PEP 562).

    What flies is to load without torch, which takes seconds and 200 MB, although it lies in one
    package with what needs it.

    Args:
        package: name of the package.
        homes: module of the package, by the names that it is to show of it.

    """

    def get(name: str) -> Any:
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{home}"), name)

    return get
