"""Where the executables begin: a signal ends them in order, even while they still import.

A node takes seconds to import what it flies with. This module imports next to nothing, and so
comes before all of that; `liquid_nav.ros.process` takes the signals over when there is a node.
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
    """Run `liquid_nav_sim_node` until SIGINT or SIGTERM, or until its last flight is flown."""
    _run("simulator.node", "SimulatorNode")


def player() -> None:
    """Run `liquid_nav_player` to the end of the bag, or until SIGINT or SIGTERM."""
    _run("player", "PlayerNode")


def _run(module: str, node: str) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    make = getattr(importlib.import_module(f"liquid_nav.ros.{module}"), node)
    importlib.import_module("liquid_nav.ros.process").run(make)


def _leave(*_: Any) -> None:
    # Nothing is made yet, and an exception in the midst of an import would end in a traceback.
    os._exit(0)
