"""Autopilots by name.

Importing this needs no ROS. Making a back-end needs its message package.
"""

from __future__ import annotations

import importlib.util
import inspect
import re
from typing import TYPE_CHECKING, Any

from liquid_nav.errors import ConfigError
from liquid_nav.ros.backends.ardupilot import ArdupilotBackend
from liquid_nav.ros.backends.base import Backend
from liquid_nav.ros.backends.crazyswarm2 import Crazyswarm2Backend
from liquid_nav.ros.backends.mavros import MavrosBackend
from liquid_nav.ros.backends.px4 import Px4Backend
from liquid_nav.ros.backends.twist import TwistBackend

if TYPE_CHECKING:
    from rclpy.node import Node

__all__ = ["BACKENDS", "Backend", "backend_options", "make_backend", "option_description"]

BACKENDS: dict[str, type[Backend]] = {
    backend.name: backend
    for backend in (
        TwistBackend,
        MavrosBackend,
        ArdupilotBackend,
        Px4Backend,
        Crazyswarm2Backend,
    )
}


def backend_options(name: str) -> dict[str, bool | float | str]:
    """Options of a back-end and their defaults, for a node to declare as parameters.

    Raises:
        ConfigError: on a name that is not in `BACKENDS`.

    """
    return {
        parameter.name: parameter.default
        for parameter in inspect.signature(_find(name)).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


def option_description(name: str, option: str) -> str:
    """What the documentation of a back-end's class says of one of its options, in one line."""
    text = inspect.getdoc(_find(name)) or ""
    found = re.search(rf"^    (?:\w+, )*{option}\b[\w, ]*: (.*(?:\n {{8}}.*)*)", text, re.MULTILINE)
    words = " ".join(found[1].replace("``", "").split()) if found else ""
    return f"Back-end {name}: {words}"


def make_backend(name: str, node: Node, **options: Any) -> Backend:
    """Make the back-end of that name.

    Args:
        name: one of `BACKENDS`.
        node: what it publishes with.
        options: as its class documents them; `backend_options` lists them.

    Raises:
        ConfigError: on an unknown name or option, an option out of its range, or when the message
            package is not installed.

    """
    backend = _find(name)
    known = backend_options(name)
    unknown = options.keys() - known.keys()
    if unknown:
        raise ConfigError(
            f"back-end {name} has no option {', '.join(sorted(unknown))}; it has {', '.join(known)}"
        )
    if importlib.util.find_spec(backend.messages) is None:
        raise ConfigError(
            f"back-end {name} needs the ROS package {backend.messages}, which is not installed: "
            f"{backend.how_to_get}"
        )
    return backend(node, **options)


def _find(name: str) -> type[Backend]:
    try:
        return BACKENDS[name]
    except KeyError:
        known = ", ".join(BACKENDS)
        raise ConfigError(f"no back-end is called {name!r}; there are {known}") from None
