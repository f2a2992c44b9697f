"""What the launch files are made of: our processes, and how they end together."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    LogInfo,
    OpaqueFunction,
    SetEnvironmentVariable,
)
from launch.events import Shutdown
from launch.logging import get_logger
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from liquid_nav.ros.process import MISCONFIGURED

PACKAGE = "liquid_nav"

_ROLES = {"liquid_nav_node": "controller", "liquid_nav_supervisor": "supervisor"}
"""Last part of the SROS2 enclave of an executable."""

_LOG_LEVELS = ("debug", "info", "warn", "error", "fatal")

_PROFILES = "FASTRTPS_DEFAULT_PROFILES_FILE"


def share(*parts: str) -> str:
    """Path of a file that the package has installed."""
    return str(Path(get_package_share_directory(PACKAGE), *parts))


def describe(arguments: Iterable[tuple[str, str, str]], setup: Callable[[Any], list[Any]]) -> Any:
    """Describe a launch file to `ros2 launch`.

    Args:
        arguments: name, default and description of each, for `--show-args`.
        setup: makes the processes, once the arguments are known.

    """
    arguments = tuple(arguments)
    names = {name for name, _, _ in arguments}

    def warn(context: Any) -> None:
        # Unknown ones may be of a launch file that includes this one, so that launch takes any.
        given = {word.partition(":=")[0] for word in context.argv if ":=" in word}
        for name in sorted(given - names):
            for near in get_close_matches(name, names, 1, 0.8):
                get_logger(PACKAGE).warning(f"{name}:= is no argument; did you mean {near}:= ?")

    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, default, text in arguments
    ]
    return LaunchDescription(
        [*declared, OpaqueFunction(function=warn), OpaqueFunction(function=setup)]
    )


def value(context: Any, name: str) -> str:
    """Value of a launch argument."""
    return str(LaunchConfiguration(name).perform(context))


def flag(context: Any, name: str) -> bool:
    """Value of a launch argument that is true or false.

    Raises:
        RuntimeError: on any other word.

    """
    word = value(context, name).lower()
    if word not in ("true", "false"):
        raise RuntimeError(f"{name} must be true or false, got {word!r}")
    return word == "true"


def number(context: Any, name: str, kind: type[float] = float) -> float:
    """Value of a launch argument that is a number, or, with `kind` int, a whole one.

    Raises:
        RuntimeError: on any other word.

    """
    word = value(context, name)
    try:
        return kind(word)
    except ValueError:
        whole = "whole " if kind is int else ""
        raise RuntimeError(f"{name} must be a {whole}number, got {word!r}") from None


def chosen(context: Any, *names: str) -> dict[str, str]:
    """Launch arguments that are not empty: the others are left to the parameter file."""
    given = {name: value(context, name) for name in names}
    return {name: word for name, word in given.items() if word}


def middleware() -> list[Any]:
    """Give Fast DDS shared memory that takes whole images, unless the user has a profile."""
    if _PROFILES in os.environ:
        return []
    return [SetEnvironmentVariable(_PROFILES, share("config", "fastdds.xml"))]


def controller(context: Any, parameters: dict[str, Any], **options: Any) -> Any:
    """`liquid_nav_node`, brought up by itself.

    When it cannot start as it was asked to, everything ends. When it dies later, the rest stays:
    the supervisor then has the command.
    """
    return _node(
        context,
        "liquid_nav_node",
        {"autostart": True, **parameters},
        on_exit=_on_exit("controller", ends_all=False),
        # One thread is the fastest for networks as small as these, and leaves the others alone.
        additional_env={"OMP_NUM_THREADS": "1"},
        **options,
    )


def supervisor(context: Any, parameters: dict[str, Any]) -> Any:
    """`liquid_nav_supervisor`; without it nothing flies, so its end is the end of everything."""
    return _node(
        context,
        "liquid_nav_supervisor",
        parameters,
        on_exit=_on_exit("supervisor"),
    )


def simulator(context: Any, parameters: dict[str, Any]) -> Any:
    """`liquid_nav_sim_node`; with it everything ends."""
    return _node(
        context,
        "liquid_nav_sim_node",
        parameters,
        params_file="sim_params_file",
        on_exit=_on_exit("simulator"),
    )


def player(context: Any, parameters: dict[str, Any]) -> Any:
    """`liquid_nav_player`; with the bag everything ends."""
    return _node(
        context,
        "liquid_nav_player",
        parameters,
        on_exit=_on_exit("player"),
    )


def _node(
    context: Any,
    executable: str,
    parameters: dict[str, Any],
    params_file: str = "params_file",
    **options: Any,
) -> Any:
    # Only `drone.launch.py` has this argument.
    vehicle = context.launch_configurations.get("enclave", "")
    file = value(context, params_file)
    # launch_ros goes on without one that is not there: with other limits than were asked for.
    if not Path(file).is_file():
        raise RuntimeError(f"{params_file} must be a file, got {file!r}")
    enclave = ["--enclave", f"{vehicle}/{_ROLES[executable]}"] if vehicle else []
    return Node(
        package=PACKAGE,
        executable=executable,
        name=executable,
        namespace=value(context, "namespace"),
        parameters=[file, parameters],
        output="screen",
        emulate_tty=True,
        ros_arguments=["--log-level", _log_level(context), *enclave],
        **options,
    )


def _on_exit(name: str, ends_all: bool = True) -> Callable[[Any, Any], list[Any]]:
    """What follows when a process ends; the launch fails, for scripts too, if it never started."""

    def follow(event: Any, context: Any) -> list[Any]:
        if event.returncode == MISCONFIGURED:
            raise RuntimeError(f"the {name} cannot start as it was asked to, see its error")
        if ends_all:
            return [EmitEvent(event=Shutdown(reason=f"the {name} has ended"))]
        return [LogInfo(msg=f"the {name} has ended with status {event.returncode}")]

    return follow


def _log_level(context: Any) -> str:
    word = value(context, "log_level")
    # Of one logger: its name, := and the level.
    if word.rpartition(":=")[2].lower() not in _LOG_LEVELS:
        raise RuntimeError(f"log_level must be one of {', '.join(_LOG_LEVELS)}, got {word!r}")
    return word
