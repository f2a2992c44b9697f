"""Commands, liquid state and diagnostics of a replay as an MCAP file."""

from pathlib import Path
from typing import Any

import numpy as np

from liquid_nav.command import Command, Mode
from liquid_nav.controller import Controller
from liquid_nav.events import SECOND, Event
from liquid_nav.files import WholeFile
from liquid_nav.messages.fields import HEADING, header, twist_stamped
from liquid_nav.onboard import Policy
from liquid_nav.recording.recorder import COMMAND
from liquid_nav.recording.writer import McapWriter, message

STATE = "/liquid_nav/state"
TIME_CONSTANTS = "/liquid_nav/time_constants"
MODE = "/liquid_nav/mode"
DIAGNOSTICS = "/diagnostics"

_PERIOD = SECOND
"""Time between diagnostics, ns; a change of mode is reported at once."""

_LEVELS = {Mode.NOMINAL: 0, Mode.HOVER: 1, Mode.LAND: 2, Mode.STOP: 1}


class ReplayOutput(WholeFile):
    """Writes the file; give `watch` to `liquid_nav.replay.run.replay`.

    For every event it holds a command (``geometry_msgs/TwistStamped``), the liquid state and, if
    the cell has them, its time constants in seconds (``std_msgs/Float32MultiArray``, see
    `Policy.core_state`), and the mode in words. Log times
    are the arrivals of the recording and publish times the stamps of its messages, so that any
    viewer shows both files on one time axis.

    Args:
        path: the file.
        policy: the policy that is replayed.

    Raises:
        OSError: when the file cannot be written.

    """

    def __init__(self, path: Path, policy: Policy) -> None:
        self._writer, self._policy = McapWriter(path), policy
        self._writer.announce(COMMAND, "geometry_msgs/msg/TwistStamped")
        self._reported_at, self._reported = 0, (Mode.NOMINAL, "nothing reported yet")

    def close(self) -> None:
        """Finish the file and put it in place."""
        self._writer.close()

    def discard(self) -> None:
        """Delete the unfinished file; does nothing after `close`."""
        self._writer.discard()

    def watch(self, event: Event, command: Command, controller: Controller) -> None:
        """Write what the controller made of an event."""
        write, log, stamp = self._writer.write, event.arrival, event.stamp
        fields = twist_stamped(command.stamp, HEADING, command.vector[:3], command.yaw_rate)
        write(COMMAND, message("geometry_msgs/msg/TwistStamped", **fields), log, stamp)
        state, constants = self._policy.core_state(controller.memory)
        write(STATE, _array("state", state), log, stamp)
        if constants:
            write(TIME_CONSTANTS, _array("time_constant", constants), log, stamp)
        write(MODE, message("std_msgs/msg/String", data=_words(command)), log, stamp)
        failsafe = (command.mode, command.reason)
        if log - self._reported_at >= _PERIOD or failsafe != self._reported:
            self._reported_at, self._reported = log, failsafe
            write(DIAGNOSTICS, _diagnostics(command, controller, log), log, stamp)


def _array(label: str, values: list[float]) -> Any:
    dimension = message(
        "std_msgs/msg/MultiArrayDimension", label=label, size=len(values), stride=len(values)
    )
    layout = message("std_msgs/msg/MultiArrayLayout", dim=[dimension], data_offset=0)
    return message(
        "std_msgs/msg/Float32MultiArray", layout=layout, data=np.asarray(values, np.float32)
    )


def _words(command: Command) -> str:
    mode = command.mode.value
    return f"{mode}: {command.reason}" if command.reason else mode


def _diagnostics(command: Command, controller: Controller, now: int) -> Any:
    statuses = [_status("controller", _LEVELS[command.mode], _words(command), {})]
    for channel, health in controller.health.channels.items():
        if health.accepted or health.rejected:
            values = {
                "accepted": health.accepted,
                "rejected": health.rejected,
                "late": health.late,
                "latency_s": health.latency / SECOND,
                "last_rejection": health.last_rejection,
            }
            words = "; ".join(filter(None, (*health.warnings, health.last_rejection))) or "OK"
            statuses.append(_status(channel.value, int(words != "OK"), words, values))
    kind = "diagnostic_msgs/msg/DiagnosticArray"
    return message(kind, header=header(now, ""), status=statuses)


def _status(name: str, level: int, words: str, values: dict[str, object]) -> Any:
    pairs = [
        message("diagnostic_msgs/msg/KeyValue", key=key, value=str(value))
        for key, value in values.items()
    ]
    return message(
        "diagnostic_msgs/msg/DiagnosticStatus",
        level=level,
        name=f"liquid_nav: {name}",
        message=words,
        hardware_id="liquid_nav",
        values=pairs,
    )
