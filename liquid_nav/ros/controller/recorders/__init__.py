"""The recorders of the controller node: the black box and the log of whole flights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from rclpy.node import Node

from liquid_nav.command import Command
from liquid_nav.onboard.config import PolicyCamera
from liquid_nav.recording.flight_file import Item, missing
from liquid_nav.ros.controller.diagnostics import Status
from liquid_nav.ros.controller.recorders.black_box import BlackBox, BoxConfig
from liquid_nav.ros.controller.recorders.flight_log import FlightLog
from liquid_nav.safety.layer import SafetyConfig


class Recorder(Protocol):
    """Records a flight. The control thread calls it; nothing raises, and only `wait` blocks."""

    def start(self, safety: SafetyConfig) -> None:
        """Begin a flight with these settings of the safety layer."""

    def add(self, item: Item) -> None:
        """Record an event before the controller gets it, a command, or a change of settings."""

    def end(self, command: Command) -> None:
        """Record the last command of a flight."""

    def wait(self, timeout: float) -> None:
        """Wait for files that are being written, `timeout` s at most."""

    def status(self) -> Status:
        """Its status for the diagnostics."""


def make_recorders(
    node: Node, values: Mapping[str, Any], camera: PolicyCamera | None
) -> list[Recorder]:
    """Make the recorders that the parameters ask for; none, and a warning, if a package is missing.

    Args:
        node: logs, and names the files.
        values: every parameter by name.
        camera: the camera of the frames.

    """
    name, logger = node.get_fully_qualified_name(), node.get_logger()
    made: list[Recorder] = []
    if values["black_box.seconds"] > 0:
        made.append(BlackBox(BoxConfig.of(values, name), camera, logger))
    if values["flight_log"]:
        folder = Path(values["flight_log"]).expanduser()
        made.append(FlightLog(folder, name, camera, logger))
    if made and (absent := missing()):
        logger.warning(
            f"nothing is recorded: {' and '.join(absent)} not installed, see liquid_nav[replay]"
        )
        return []
    return made
