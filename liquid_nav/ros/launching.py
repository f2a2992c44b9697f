"""What the launch files are made of: our processes, and how they end together."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, EmitEvent, LogInfo, SetEnvironmentVariable
from launch.events import Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from liquid_nav.ros.process import MISCONFIGURED

PACKAGE = "liquid_nav"

_ROLES = {"liquid_nav_node": "controller", "liquid_nav_supervisor": "supervisor"}
"""Last part of the SROS2 enclave of an executable."""

_PROFILES = "FASTRTPS_DEFAULT_PROFILES_FILE"


def share(*parts: str) -> str:
    """Path of a file that the package has installed."""
    return str(Path(get_package_share_directory(PACKAGE), *parts))


def declare(arguments: Iterable[tuple[str, str, str]]) -> list[Any]:
    """Launch arguments from their names, defaults and descriptions, for `--show-args`."""
    return [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, default, text in arguments
    ]


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
        on_exit=_end_if_misconfigured,
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
        on_exit=[EmitEvent(event=Shutdown(reason="the supervisor has ended"))],
    )


def simulator(context: Any, parameters: dict[str, Any]) -> Any:
    """`liquid_nav_sim_node`; with it everything ends."""
    return _node(
        context,
        "liquid_nav_sim_node",
        parameters,
        params_file="sim_params_file",
        on_exit=[EmitEvent(event=Shutdown(reason="the simulator has ended"))],
    )


def player(context: Any, parameters: dict[str, Any]) -> Any:
    """`liquid_nav_player`; with the bag everything ends."""
    return _node(
        context,
        "liquid_nav_player",
        parameters,
        on_exit=[EmitEvent(event=Shutdown(reason="the player has ended"))],
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
        ros_arguments=["--log-level", value(context, "log_level"), *enclave],
        **options,
    )


def _end_if_misconfigured(event: Any, context: Any) -> list[Any]:
    if event.returncode == MISCONFIGURED:
        return [EmitEvent(event=Shutdown(reason="the controller cannot start"))]
    return [LogInfo(msg=f"the controller has ended with status {event.returncode}")]
