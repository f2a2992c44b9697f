"""What keeps a flight: the black box, the log of whole flights, or neither."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from rclpy.node import Node

from liquid_nav.command import Command
from liquid_nav.onboard.config import PolicyCamera
from liquid_nav.recording.flight_file import Item, missing
from liquid_nav.ros.controller.black_box import BlackBox, BoxConfig
from liquid_nav.ros.controller.diagnostics import Status
from liquid_nav.ros.controller.flight_log import FlightLog
from liquid_nav.safety.layer import SafetyConfig


class Recorder(Protocol):
    """Called by the control thread; nothing raises, and only `wait` takes its time."""

    def start(self, safety: SafetyConfig) -> None:
        """Begin a flight, with these settings."""

    def add(self, item: Item) -> None:
        """Take an event before the controller gets it, a command, or a change of settings."""

    def end(self, command: Command) -> None:
        """Take the last command of a flight."""

    def wait(self, timeout: float) -> None:
        """Wait for files that are being made, `timeout` s at most."""

    def status(self) -> Status:
        """What diagnostics say of it."""


def make_recorders(node: Node, values: Mapping[str, Any], camera: PolicyCamera) -> list[Recorder]:
    """Recorders that the parameters of the node ask for; none where a package is missing.

    Args:
        node: logs, and names the files.
        values: every parameter by name.
        camera: the camera that frames come from.

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
