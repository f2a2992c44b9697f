"""Building blocks of the launch files: the processes, and what follows when one of them ends."""

from __future__ import annotations

import os
import subprocess
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

from liquid_nav.errors import LiquidNavError
from liquid_nav.ros.clock import CLOCK
from liquid_nav.ros.executables import MISCONFIGURED

PACKAGE = "liquid_nav"

_ROLES = {"liquid_nav_node": "controller", "liquid_nav_supervisor": "supervisor"}
"""Last part of the SROS2 enclave, by executable."""

_LOG_LEVELS = ("debug", "info", "warn", "error", "fatal")

_DEATH = "liquid_nav_death"
"""Name in the context of the launch of the process that died first, in words."""

_PROFILES = "FASTRTPS_DEFAULT_PROFILES_FILE"


def share(*parts: str) -> str:
    """Path of a file in the share directory of the package."""
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
        # launch accepts any argument, since it may belong to a launch file that includes this one.
        given = {word.partition(":=")[0] for word in context.argv if ":=" in word}
        for name in sorted(given - names):
            for near in get_close_matches(name, names, 1, 0.8):
                get_logger(PACKAGE).warning(
                    f"there is no argument {name}:=; did you mean {near}:=?"
                )

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
        RuntimeError: on any other value.

    """
    text = value(context, name).lower()
    if text not in ("true", "false"):
        raise RuntimeError(f"{name} must be true or false, got {text!r}")
    return text == "true"


def number(context: Any, name: str, kind: type[float] = float) -> float:
    """Value of a launch argument that is a number, or, with `kind` int, a whole one.

    Raises:
        RuntimeError: on any other value.

    """
    text = value(context, name)
    try:
        return kind(text)
    except ValueError:
        whole = "whole " if kind is int else ""
        raise RuntimeError(f"{name} must be a {whole}number, got {text!r}") from None


def chosen(context: Any, *names: str) -> dict[str, str]:
    """Launch arguments that are not empty; the others are left to the parameter file."""
    given = {name: value(context, name) for name in names}
    return {name: text for name, text in given.items() if text}


def recorded(bag: str) -> dict[str, Any]:
    """Parameters by which the controller listens to the topics of a recording.

    Raises:
        RuntimeError: if the recording cannot be read.

    """
    try:
        from liquid_nav.bags.bag import Recording
        from liquid_nav.recording.topics import controller_parameters
    except ImportError:
        return {}  # The player says which extra of the package is missing.
    if not bag:
        return {}  # It says that it needs one, too.
    try:
        with Recording(Path(bag).expanduser()) as recording:
            return controller_parameters(recording.topics)
    except (LiquidNavError, OSError) as error:
        raise RuntimeError(str(error)) from None


def middleware() -> list[Any]:
    """Give Fast DDS enough shared memory for whole images, unless the user has a profile."""
    if _PROFILES in os.environ:
        return []
    return [SetEnvironmentVariable(_PROFILES, share("config", "fastdds.xml"))]


def own_clock(context: Any) -> list[tuple[str, str]]:
    """Remappings of simulated time to the namespace of the vehicle, if there is one.

    Several vehicles in one domain then have a clock each. rclpy subscribes to ``/clock``.
    """
    namespace = value(context, "namespace").strip("/")
    return [(CLOCK, f"/{namespace}{CLOCK}")] if namespace else []


def controller(
    context: Any, parameters: dict[str, Any], ends_all: bool = False, **options: Any
) -> Any:
    """`liquid_nav_node`, which configures and activates itself.

    When its parameters keep it from starting, the launch ends. When it dies later, the other
    processes stay, for the supervisor then commands the vehicle, unless there is no vehicle
    (`ends_all`).
    """
    return _node(
        context,
        "liquid_nav_node",
        {"autostart": True, **parameters},
        on_exit=_on_exit("controller", ends_all),
        # One thread is the fastest for networks as small as these, and leaves cores to the others.
        additional_env={"OMP_NUM_THREADS": "1"},
        **options,
    )


def supervisor(context: Any, parameters: dict[str, Any], **options: Any) -> Any:
    """`liquid_nav_supervisor`; no vehicle flies without it, so that the launch ends with it."""
    return _node(
        context,
        "liquid_nav_supervisor",
        parameters,
        on_exit=_on_exit("supervisor"),
        **options,
    )


def simulator(context: Any, parameters: dict[str, Any]) -> Any:
    """`liquid_nav_sim_node`; the launch ends with it."""
    return _node(
        context,
        "liquid_nav_sim_node",
        parameters,
        params_file="sim_params_file",
        remappings=own_clock(context),
        on_exit=_on_exit("simulator"),
    )


def eyes(context: Any, parameters: dict[str, Any]) -> Any:
    """`liquid_nav_eyes_node`; the launch ends with it."""
    return _node(
        context,
        "liquid_nav_eyes_node",
        parameters,
        params_file="eyes_params_file",
        remappings=own_clock(context) if parameters["use_sim_time"] else [],
        on_exit=_on_exit("eyes"),
    )


def player(context: Any, parameters: dict[str, Any]) -> Any:
    """`liquid_nav_player`; the launch ends with the bag."""
    return _node(
        context,
        "liquid_nav_player",
        parameters,
        remappings=own_clock(context),
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
    enclave = context.launch_configurations.get("enclave", "")
    file = value(context, params_file)
    # launch_ros would go on without a file that is missing, and fly with other limits.
    if not Path(file).is_file():
        raise RuntimeError(f"{params_file} must be a file, got {file!r}")
    security = ["--enclave", f"{enclave}/{_ROLES[executable]}"] if enclave else []
    return Node(
        package=PACKAGE,
        executable=executable,
        name=executable,
        namespace=value(context, "namespace"),
        parameters=[file, parameters],
        output="screen",
        emulate_tty=True,
        ros_arguments=["--log-level", _log_level(context), *security],
        prefix=_prefix(context),
        exec_name=executable,  # In the log, where it would be the name of the prefix.
        **options,
    )


def _on_exit(name: str, ends_all: bool = True) -> Callable[[Any, Any], list[Any]]:
    """Handler of the end of a process; the launch fails if the process could not start, or died.

    With `ends_all` the launch ends with the process, and then also fails if another one had died.
    """

    def handle(event: Any, context: Any) -> list[Any]:
        if context.is_shutdown:
            return []
        if event.returncode == MISCONFIGURED:
            raise RuntimeError(f"the {name} cannot start with these parameters, see its error")
        death = context.get_locals_as_dict().get(_DEATH)
        if event.returncode != 0 and death is None:
            death = f"the {name} has died with status {event.returncode}"
            context.extend_globals({_DEATH: death})
        if not ends_all:
            return [LogInfo(msg=f"the {name} has ended with status {event.returncode}")]
        if death is not None:
            raise RuntimeError(death)
        return [EmitEvent(event=Shutdown(reason=f"the {name} has ended"))]

    return handle


def _prefix(context: Any) -> str | None:
    """Command that starts a process with signals blocked until the process can handle them.

    Without it Ctrl-C in the first tenths of a second is a traceback of Python, which starts. None
    where the user has a ``--launch-prefix`` or where `env` is not that of GNU.
    """
    words = ["env", "--block-signal=INT", "--block-signal=TERM"]
    if "launch-prefix" in context.launch_configurations:
        return None
    try:
        known = subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return None
    return " ".join(words) if known else None


def _log_level(context: Any) -> str:
    text = value(context, "log_level")
    # The level of a single logger is given as its name, := and the level.
    if text.rpartition(":=")[2].lower() not in _LOG_LEVELS:
        raise RuntimeError(f"log_level must be one of {', '.join(_LOG_LEVELS)}, got {text!r}")
    return text
