"""Autopilot back-ends by name: those that come with the package, and those of users' packages.

A user's package adds one by an entry point, see ``examples/backend_stick``::

    [project.entry-points."liquid_nav.backends"]
    stick = "stick_backend:StickBackend"

Importing this needs no ROS. Making a back-end needs its message package.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from liquid_nav.errors import ConfigError
from liquid_nav.registry import Registry
from liquid_nav.ros.backends.base import Backend
from liquid_nav.ros.parameters import Spec

__all__ = ["BACKENDS", "Backend", "Spec", "backend_specs", "make_backend", "selected_backend"]

BACKENDS: Registry[type[Backend]] = Registry(
    "liquid_nav.backends",
    "back-end",
    {
        "twist": "liquid_nav.ros.backends.twist:TwistBackend",
        "mavros": "liquid_nav.ros.backends.mavros:MavrosBackend",
        "ardupilot": "liquid_nav.ros.backends.ardupilot:ArdupilotBackend",
        "mavlink": "liquid_nav.ros.backends.mavlink:MavlinkBackend",
        "px4": "liquid_nav.ros.backends.px4:Px4Backend",
        "crazyswarm2": "liquid_nav.ros.backends.crazyswarm2:Crazyswarm2Backend",
    },
)

logger = logging.getLogger(__name__)


def find_backend(name: str) -> type[Backend]:
    """Class of the back-end of a name.

    Raises:
        ConfigError: on an unknown name (the error lists the known ones), or an entry point that
            cannot be imported or gives no back-end of that name.

    """
    backend = BACKENDS.get(name)
    if not (isinstance(backend, type) and issubclass(backend, Backend)):
        raise ConfigError(f"back-end {name!r} must be a subclass of Backend, got {backend!r}")
    if backend.name != name:
        raise ConfigError(
            f"the entry point of back-end {name!r} gives one named {backend.name!r}; "
            "both names must be equal"
        )
    return backend


def make_backend(name: str, **options: Any) -> Backend:
    """Make the back-end of a name, not connected to anything yet.

    Args:
        name: a name in `BACKENDS`.
        options: values by name, see the `options` of its class; the others are at their defaults.

    Raises:
        ConfigError: on an unknown name or option, a value out of range, options that do not fit
            together, or when the message package is not installed.

    """
    backend = find_backend(name)(**options)
    if importlib.util.find_spec(backend.message_package) is None:
        raise ConfigError(
            f"back-end {name} needs the ROS package {backend.message_package}, which is not "
            f"installed: {backend.install_hint}"
        )
    return backend


def backend_specs() -> tuple[Spec, ...]:
    """Parameters that say where commands go: the back-end, and the options of each there is.

    The options of back-end ``px4`` are named ``px4.namespace`` and so on. A user's back-end that
    cannot be imported is left out, with a warning: it must not keep another one from flying.
    """
    specs = [
        Spec("backend", "twist", "Autopilot interface that commands go to.", choices=(*BACKENDS,))
    ]
    for name in BACKENDS:
        try:
            options = find_backend(name).options
        except ConfigError as error:
            logger.warning("%s", error)
            continue
        specs += [
            replace(
                spec, name=f"{name}.{spec.name}", description=f"Back-end {name}: {spec.description}"
            )
            for spec in options
        ]
    return tuple(specs)


def selected_backend(values: Mapping[str, Any]) -> Backend:
    """Make the back-end that the parameters of `backend_specs` name, with its options.

    Raises:
        ConfigError: as `make_backend`.

    """
    name, options = values["backend"], {}
    try:
        backend = find_backend(name)
    except ConfigError as error:
        raise ConfigError(f"backend: {error}") from error
    for spec in backend.options:
        parameter = f"{name}.{spec.name}"
        # Checked here too, because here an error can name the parameter.
        options[spec.name] = spec.check(values[parameter], parameter)
    return make_backend(name, **options)
