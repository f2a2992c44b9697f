"""The log of whole flights: each flight of a controller in a file of its own."""

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
    """Writes a flight to a file, item by item.

    The control thread calls it. Nothing raises, and only `wait` blocks.

    A flight lasts from activation to deactivation, or until the clock goes back: there the
    controller starts afresh, and a recording that goes on could not be put in order.

    Args:
        folder: where files are written; it is made if it does not exist.
        node: fully qualified name of the node; files are named after it.
        camera: the camera that frames come from; None for a policy without one.
        logger: of the node.

    """

    def __init__(self, folder: Path, node: str, camera: PolicyCamera | None, logger: Any) -> None:
        self._folder, self._node = folder, node
        self._camera, self._logger = camera, logger
        self._file: FlightFile | None = None
        self._finishing: list[FlightFile] = []
        self._safety, self._stopped, self._time = SafetyConfig(), False, 0
        self._files, self._last_path, self._fault = 0, "none", ""

    def start(self, safety: SafetyConfig) -> None:
        """Begin a flight with these settings, and its file."""
        self._safety, self._stopped = safety, False
        self._begin()

    def add(self, item: Item) -> None:
        """Write an item."""
        now = _time(item)
        if now < self._time - CLOCK_TOLERANCE:
            self._finish()
            self._begin()
            # The controller keeps the stop over such a restart, too.
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
        """Write the last command of a flight, and finish its file."""
        self.add(command)
        self._finish()

    def wait(self, timeout: float) -> None:
        """Wait for files that are being finished, `timeout` s at most."""
        deadline = time.monotonic() + timeout
        for file in self._finishing:
            file.wait(deadline - time.monotonic())
        self._report_files()

    def status(self) -> Status:
        """Its status for the diagnostics."""
        self._report_files()
        lost = 0 if self._file is None else self._file.lost
        fault = (self._file and self._file.fault) or self._fault
        text = fault or (f"{lost} items lost: the disk is too slow" if lost else "OK")
        values = {
            "file": "none" if self._file is None else str(self._file.path),
            "files": str(self._files),
            "last_file": self._last_path,
            "lost": str(lost),
        }
        return Status(OK if text == "OK" else WARN, "flight_log", text, values)

    def _begin(self) -> None:
        path = self._folder / file_name(self._node)
        self._file = FlightFile(path, self._camera, self._safety)
        self._time = -(2**63)

    def _finish(self) -> None:
        if self._file is not None:
            self._file.end()
            self._finishing.append(self._file)
            self._file = None

    def _report_files(self) -> None:
        """Report files that are finished or have failed."""
        for file in [file for file in self._finishing if file.done.is_set()]:
            self._finishing.remove(file)
            self._fault = file.fault
            if file.fault:
                self._logger.error(f"flight log: {file.fault}")
            else:
                self._files, self._last_path = self._files + 1, str(file.path)
                self._logger.info(f"flight log: wrote {file.path}")


def _time(item: Item) -> int:
    """Time of an item on the controller's clock, ns."""
    return item.stamp if isinstance(item, Command) else item.arrival
