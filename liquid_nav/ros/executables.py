"""Entry points of the executables: a signal ends them in order, even while they still import.

A node takes seconds to import what it needs. This module imports next to nothing, so that it can
handle signals before that; `liquid_nav.ros.process` handles them once there is a node.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from itertools import pairwise

TYPE_CHECKING = False
if TYPE_CHECKING:  # So that a static checker reads them, and no process does.
    from typing import Any, NoReturn

MISCONFIGURED = 2
"""Exit status of a node that its parameters, or a missing package, keep from starting; no crash has
it."""


def controller() -> None:
    """Run `liquid_nav_node` until SIGINT or SIGTERM."""
    _run("liquid_nav_node", "controller.node", "ControllerNode")


def supervisor() -> None:
    """Run `liquid_nav_supervisor` until SIGINT or SIGTERM."""
    _run("liquid_nav_supervisor", "supervisor", "SupervisorNode")


def simulator() -> None:
    """Run `liquid_nav_sim_node` until SIGINT or SIGTERM, or until its last flight has ended."""
    _run("liquid_nav_sim_node", "simulator.node", "SimulatorNode")


def eyes() -> None:
    """Run `liquid_nav_eyes_node` until SIGINT or SIGTERM."""
    _run("liquid_nav_eyes_node", "simulator.eyes.node", "EyesNode")


def player() -> None:
    """Run `liquid_nav_player` to the end of the bag, or until SIGINT or SIGTERM."""
    _run("liquid_nav_player", "player", "PlayerNode")


def _run(name: str, module: str, node: str) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _exit)
    # The launch files start a process with these blocked, so that none comes before this.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))
    _ensure_folders(name)
    try:
        importlib.import_module("rclpy")
    except ImportError as error:
        _refuse(
            f"{name} needs ROS 2, but rclpy cannot be imported ({error}): source the setup file "
            "of a ROS 2 installation, or pip install 'liquid_nav[ros]'"
        )
    _check_arguments(name, sys.argv[1:])
    try:
        make = getattr(importlib.import_module(f"liquid_nav.ros.{module}"), node)
        run = importlib.import_module("liquid_nav.ros.process").run
    except ImportError as error:
        _refuse(f"{name} cannot start, as a package is missing or damaged: {error}")
    run(make)


def _check_arguments(name: str, arguments: list[str]) -> None:
    """Print the usage if it is asked for, and refuse arguments that ROS ignores or cannot read."""
    own = arguments[: arguments.index("--ros-args")] if "--ros-args" in arguments else arguments
    usage = f"usage: {name} [--ros-args [-p NAME:=VALUE] [-r FROM:=TO] [--params-file FILE] ...]"
    if "-h" in own or "--help" in own:
        print(f"{usage}\nIts parameters, with rclpy: ros2 param describe /{name} NAME")
        raise SystemExit(0)
    if own:
        _refuse(f"{name} takes no argument {own[0]!r} before --ros-args; {usage}")
    for option, file in pairwise(arguments):
        if option == "--params-file" and not os.path.isfile(file):
            _refuse(f"there is no parameter file {file}: --params-file needs the path of a file")


def _ensure_folders(name: str) -> None:
    """Give ROS a folder for its log, and the process a home, where the environment has none.

    A service of systemd has no HOME unless its unit says so, and a container may have one that
    cannot be written. ROS refuses to start without a folder for its log.
    """
    if not os.environ.get("HOME"):
        os.environ["HOME"] = _writable(_home()) or _temporary()
        print(f"{name}: HOME is not set, using {os.environ['HOME']}", file=sys.stderr)
    # By the rules of rcl_logging.
    home = os.environ.get("ROS_HOME") or os.path.join(os.path.expanduser("~"), ".ros")
    log = os.path.expanduser(os.environ.get("ROS_LOG_DIR") or os.path.join(home, "log"))
    if not _writable(log):
        os.environ["ROS_LOG_DIR"] = os.path.join(_temporary(), "log")
        print(
            f"{name}: the log of ROS cannot be written to {log}, using "
            f"{os.environ['ROS_LOG_DIR']}; set ROS_LOG_DIR to a folder that can be written",
            file=sys.stderr,
        )


def _home() -> str:
    """Home directory of the user by the password database; empty if the user is not in it."""
    try:
        return str(importlib.import_module("pwd").getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return ""


def _writable(folder: str) -> str:
    """The folder, made if it is not there, or an empty text if it cannot be written."""
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError:
        return ""
    return folder if os.access(folder, os.W_OK | os.X_OK) else ""


def _temporary() -> str:
    """A new folder for temporary files."""
    return str(importlib.import_module("tempfile").mkdtemp(prefix="liquid_nav_"))


def _refuse(why: str) -> NoReturn:
    print(f"error: {why}", file=sys.stderr)
    raise SystemExit(MISCONFIGURED)


def _exit(*_: Any) -> None:
    # Nothing is made yet, and an exception in the middle of an import would print a traceback.
    os._exit(0)
