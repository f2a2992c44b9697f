"""Shows a running replay in the Rerun viewer, or writes a file that it opens (https://rerun.io)."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rerun as rr
import rerun.blueprint as rrb

from liquid_nav.command import Command, Mode
from liquid_nav.controller import Controller
from liquid_nav.events import CameraFrame, Event, ImuSample, Odometry
from liquid_nav.files import WholeFile, put_in_place, staging_path
from liquid_nav.onboard import Policy
from liquid_nav.replay.compare import AXES
from liquid_nav.replay.run import Replay

ARRIVAL, STAMP = "arrival", "stamp"
"""Timelines: when the controller learned of something, and when it was measured."""

CAMERA = "camera"
GYRO, ACCELEROMETER = "imu/angular_velocity", "imu/specific_force"
POSITION = "odometry/position"
STATE, TIME_CONSTANTS = "liquid/state", "liquid/time_constants"
FAILSAFE = "failsafe"

_LEVELS = {Mode.NOMINAL: "INFO", Mode.HOVER: "WARN", Mode.LAND: "ERROR", Mode.STOP: "WARN"}


def command_entity(axis: str, which: str) -> str:
    """Name the entity of a command; `which` is ``replayed`` or ``recorded``."""
    return f"command/{axis}/{which}"


class ReplayView(WholeFile):
    """Shows a replay; give `watch` to `liquid_nav.replay.run.replay`, and `finish` its result.

    It shows the images and measurements that the model got, the state and, if the cell has them,
    the time constants in seconds of every neuron, the commands, and a log of the failsafes, each at
    the arrival and at the stamp of its event.

    Args:
        policy: the policy that is replayed.
        file: the file to write, or None to open the viewer.

    Raises:
        OSError: when the file cannot be written.

    """

    def __init__(self, policy: Policy, file: Path | None = None) -> None:
        self._policy, self._file = policy, file
        self._out = rr.RecordingStream("liquid_nav_replay")
        self._logged = ""
        if file is None:
            self._out.spawn(default_blueprint=_blueprint())
        else:
            # Rerun reports a file that it cannot create only in its own log; this raises.
            staging_path(file).touch()
            try:
                with _written(file):
                    self._out.save(str(staging_path(file)), default_blueprint=_blueprint())
            except OSError:
                self.discard()
                raise

    def close(self) -> None:
        """Finish the file and put it in place; a viewer stays open."""
        if self._file is None:
            self._out.flush()
            self._out.disconnect()
            return
        try:
            with _written(self._file):
                self._out.flush()
            self._out.disconnect()
            put_in_place(staging_path(self._file), self._file)
        finally:
            staging_path(self._file).unlink(missing_ok=True)

    def discard(self) -> None:
        """Delete the unfinished file; a viewer stays open."""
        # Without a flush, which fails on a full disk.
        self._out.disconnect()
        if self._file is not None:
            staging_path(self._file).unlink(missing_ok=True)

    def watch(self, event: Event, command: Command, controller: Controller) -> None:
        """Show an event and what the controller made of it."""
        out = self._out
        out.set_time(ARRIVAL, timestamp=np.datetime64(event.arrival, "ns"))
        out.set_time(STAMP, timestamp=np.datetime64(event.stamp, "ns"))
        if isinstance(event, CameraFrame):
            out.log(CAMERA, rr.Image(event.image))
        elif isinstance(event, ImuSample):
            out.log(GYRO, rr.Scalars(event.angular_velocity))
            out.log(ACCELEROMETER, rr.Scalars(event.specific_force))
        elif isinstance(event, Odometry):
            out.log(POSITION, rr.Points3D([event.position]))
        for axis, value in zip(AXES, command.vector, strict=True):
            out.log(command_entity(axis, "replayed"), rr.Scalars(value))
        state, time_constants = self._policy.core_state(controller.memory)
        out.log(STATE, rr.Scalars(state))
        if time_constants:
            out.log(TIME_CONSTANTS, rr.Scalars(time_constants))
        words = command.mode.value
        # A nominal command has a reason where a limit or the geofence changed it: no failsafe.
        if command.mode is not Mode.NOMINAL and command.reason:
            words = f"{words}: {command.reason}"
        if words != self._logged:
            self._logged = words
            out.log(FAILSAFE, rr.TextLog(words, level=_LEVELS[command.mode]))

    def finish(self, result: Replay) -> None:
        """Add the recorded commands, where they were compared."""
        comparison = result.comparison
        if comparison is None or not len(comparison.times):
            return
        times = comparison.times.astype("datetime64[ns]")
        indexes = [rr.TimeColumn(name, timestamp=times) for name in (ARRIVAL, STAMP)]
        for axis, values in zip(AXES, comparison.reference.T, strict=True):
            entity = command_entity(axis, "recorded")
            self._out.send_columns(entity, indexes, rr.Scalars.columns(scalars=values))


@contextmanager
def _written(file: Path) -> Iterator[None]:
    """Make an OSError of what Rerun raises when it cannot write a file."""
    try:
        yield
    except RuntimeError as error:
        raise OSError(errno.EIO, f"it cannot be written: {error}", str(file)) from error


def _blueprint() -> Any:
    plots = [rrb.TimeSeriesView(origin=f"command/{axis}", name=axis) for axis in AXES]
    measured = [rrb.TimeSeriesView(origin=name) for name in (GYRO, ACCELEROMETER)]
    neurons = [rrb.TimeSeriesView(origin=name) for name in (STATE, TIME_CONSTANTS)]
    return rrb.Blueprint(
        rrb.Horizontal(
            rrb.Vertical(
                rrb.Spatial2DView(origin=CAMERA, name="what the model saw"),
                rrb.TextLogView(origin=FAILSAFE, name="failsafes"),
            ),
            rrb.Vertical(*plots),
            rrb.Vertical(*measured, *neurons),
        ),
        rrb.TimePanel(timeline=ARRIVAL),
        collapse_panels=True,
    )
