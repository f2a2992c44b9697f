"""Diagnostics of the nodes, published once a second as ``diagnostic_msgs``.

Only `message` and `status_message` need ROS; counts and texts do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from liquid_nav.command import Mode
from liquid_nav.events import SECOND
from liquid_nav.ros.backends.messages import message_class

TOPIC = "/diagnostics"
"""One topic for all robots (REP-107): the name of a status begins with that of its node."""

OK, WARN, ERROR, STALE = 0, 1, 2, 3
"""Levels of ``diagnostic_msgs/DiagnosticStatus``."""


class Status(NamedTuple):
    """One status of the diagnostics: its level, its name, what is wrong, and key-value pairs."""

    level: int
    name: str
    message: str
    values: Mapping[str, str]


def level_of(mode: Mode) -> int:
    """Level of a status that tells the mode of a command."""
    if mode is Mode.LAND:
        return ERROR
    return OK if mode is Mode.NOMINAL else WARN


def message(node: str, now: int, statuses: list[Status]) -> Any:
    """Make the ``diagnostic_msgs/DiagnosticArray`` of a node's statuses; `now` in ns."""
    array = message_class("diagnostic_msgs/msg/DiagnosticArray")()
    array.header.stamp.sec, array.header.stamp.nanosec = divmod(now, SECOND)
    array.status = [status_message(node, status) for status in statuses]
    return array


def status_message(node: str, status: Status) -> Any:
    """Make the ``diagnostic_msgs/DiagnosticStatus`` of a status of a node."""
    line, pair = (
        message_class(f"diagnostic_msgs/msg/{n}") for n in ("DiagnosticStatus", "KeyValue")
    )
    return line(
        level=bytes([status.level]),
        name=f"{node}: {status.name}",
        hardware_id=node,
        message=status.message,
        values=[pair(key=key, value=value) for key, value in status.values.items()],
    )
