"""Entry points of the executables: a signal ends them in order, even while they still import.

A node takes seconds to import what it needs. This module imports next to nothing, so that it can
handle signals before that; `liquid_nav.ros.process` handles them once there is a node.
"""

from __future__ import annotations

import importlib
import os
import signal
from typing import Any


def controller() -> None:
    """Run `liquid_nav_node` until SIGINT or SIGTERM."""
    _run("controller.node", "ControllerNode")


def supervisor() -> None:
    """Run `liquid_nav_supervisor` until SIGINT or SIGTERM."""
    _run("supervisor", "SupervisorNode")


def simulator() -> None:
    """Run `liquid_nav_sim_node` until SIGINT or SIGTERM, or until its last flight has ended."""
    _run("simulator.node", "SimulatorNode")


def player() -> None:
    """Run `liquid_nav_player` to the end of the bag, or until SIGINT or SIGTERM."""
    _run("player", "PlayerNode")


def _run(module: str, node: str) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _exit)
    make = getattr(importlib.import_module(f"liquid_nav.ros.{module}"), node)
    importlib.import_module("liquid_nav.ros.process").run(make)


def _exit(*_: Any) -> None:
    # Nothing is made yet, and an exception in the middle of an import would print a traceback.
    os._exit(0)
