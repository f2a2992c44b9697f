"""Every flight of a controller, whole, in a file of its own while it lasts."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from liquid_nav.command import Command
from liquid_nav.controller import CLOCK_TOLERANCE
from liquid_nav.events import OperatorStop
from liquid_nav.onboard.config import PolicyCamera
from liquid_nav.recording.flight_file import FlightFile, Item, file_name
from liquid_nav.recording.settings import Reconfigured
from liquid_nav.ros.controller.diagnostics import OK, WARN, Status
from liquid_nav.safety.layer import SafetyConfig


class FlightLog:
    """Hands a flight to a file, item by item, by the rules of `black_box.BlackBox`.

    A flight lasts from activation to deactivation, or until the clock goes back, which is where
    the controller starts afresh and no reader of recordings could put in order what follows.

    Args:
        folder: where files go; made when it is not there.
        node: fully qualified name of the node, which files are named by.
        camera: the camera that frames come from.
        logger: of the node.

    """

    def __init__(self, folder: Path, node: str, camera: PolicyCamera, logger: Any) -> None:
        self._folder, self._node = folder, node
        self._camera, self._logger = camera, logger
        self._file: FlightFile | None = None
        self._finishing: list[FlightFile] = []
        self._safety, self._stopped, self._time = SafetyConfig(), False, 0
        self._files, self._newest, self._fault = 0, "none", ""

    def start(self, safety: SafetyConfig) -> None:
        """Begin a file: a flight begins, with these settings."""
        self._safety, self._stopped = safety, False
        self._begin()

    def add(self, item: Item) -> None:
        """Write an item."""
        now = _time(item)
        if now < self._time - CLOCK_TOLERANCE:
            self._finish()
            self._begin()
            # As the controller keeps it.
            if self._stopped and self._file is not None:
                self._file.add(OperatorStop(now, now, True))
        self._time = max(now, self._time)
        if isinstance(item, OperatorStop):
            self._stopped = item.engaged
        elif isinstance(item, Reconfigured):
            self._safety = item.safety
        if self._file is not None:
            self._file.add(item)

    def end(self, command: Command) -> None:
        """Write the last command of a flight, and let its file be finished."""
        self.add(command)
        self._finish()

    def wait(self, timeout: float) -> None:
        """Let files be finished, for `timeout` s at most."""
        deadline = time.monotonic() + timeout
        for file in self._finishing:
            file.wait(deadline - time.monotonic())
        self._settle()

    def status(self) -> Status:
        """What diagnostics say of it."""
        self._settle()
        lost = 0 if self._file is None else self._file.lost
        fault = (self._file and self._file.fault) or self._fault
        words = fault or (f"{lost} items lost: the disk is too slow" if lost else "OK")
        values = {
            "file": "none" if self._file is None else str(self._file.path),
            "files": str(self._files),
            "last_file": self._newest,
            "lost": str(lost),
        }
        return Status(OK if words == "OK" else WARN, "flight_log", words, values)

    def _begin(self) -> None:
        path = self._folder / file_name(self._node)
        self._file = FlightFile(path, self._camera, self._safety)
        self._time = -(2**63)

    def _finish(self) -> None:
        if self._file is not None:
            self._file.end()
            self._finishing.append(self._file)
            self._file = None

    def _settle(self) -> None:
        """Report files that are finished, or could not be made."""
        for file in [file for file in self._finishing if file.done.is_set()]:
            self._finishing.remove(file)
            self._fault = file.fault
            if file.fault:
                self._logger.error(f"flight log: {file.fault}")
            else:
                self._files, self._newest = self._files + 1, str(file.path)
                self._logger.info(f"flight log: wrote {file.path}")


def _time(item: Item) -> int:
    """When an item was, ns, by the controller's clock."""
    return item.stamp if isinstance(item, Command) else item.arrival
