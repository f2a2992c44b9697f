"""Orders that an autopilot answers: arm, change the mode, take off."""

from __future__ import annotations

import math
import threading
import time
from typing import Any, Protocol

from pymavlink.dialects.v20 import ardupilotmega as dialect

from liquid_nav.mavlink.autopilots import PX4
from liquid_nav.mavlink.state import AutopilotState

TRIES = 4
ANSWER_TIMEOUT = 1.0
"""Seconds that an autopilot has for each answer; an order is sent again after that."""

LONGEST_PROGRESS = 30.0
"""Seconds for which an autopilot may say that it is still at it."""

ARM = dialect.MAV_CMD_COMPONENT_ARM_DISARM
WITH_CHECKS = 0.0
"""Second parameter of `ARM`: the checks of the autopilot hold; it is never forced."""


class Messenger(Protocol):
    """What orders need of a link, see `liquid_nav.mavlink.link.Link`."""

    state: AutopilotState

    @property
    def target(self) -> tuple[int, int]:
        """System and component of the autopilot."""
        ...

    @property
    def unknown(self) -> str:
        """Why there is no autopilot."""
        ...

    def send(self, message: Any) -> bool:
        """Send a message."""
        ...


class Orders:
    """Sends orders to the autopilot of a link and waits for its answers.

    One at a time, and not from the thread of the link, which brings the answers.

    Args:
        link: to the autopilot.

    """

    def __init__(self, link: Messenger) -> None:
        self._link = link
        self._answered = threading.Condition()
        self._answers: dict[int, int] = {}
        self._arming = False  # What the last order to arm or disarm asked for.

    def answer(self, message: Any) -> None:
        """Take in a COMMAND_ACK."""
        if message.command == ARM and message.result == dialect.MAV_RESULT_ACCEPTED:
            # Heartbeats that say so are up to a second away.
            self._link.state.armed = self._arming
        with self._answered:
            self._answers[message.command] = message.result
            self._answered.notify_all()

    def send(self, order: int, *parameters: float, confirmation: int = 0) -> bool:
        """Send a COMMAND_LONG and wait for nothing; parameters that are left out are zero."""
        numbers = [*map(float, parameters), *[0.0] * (7 - len(parameters))]
        system, component = self._link.target
        return self._link.send(
            dialect.MAVLink_command_long_message(system, component, order, confirmation, *numbers)
        )

    def give(self, order: int, *parameters: float) -> str:
        """Send an order until it is answered; return why it is not carried out, empty if it is."""
        name = dialect.enums["MAV_CMD"][order].name
        with self._answered:
            self._answers.pop(order, None)
            for confirmation in range(TRIES):
                self.send(order, *parameters, confirmation=confirmation)
                result = self._wait(order)
                if result == dialect.MAV_RESULT_ACCEPTED:
                    return ""
                if result is not None:
                    word = dialect.enums["MAV_RESULT"].get(result)
                    said = word.name.removeprefix("MAV_RESULT_").lower() if word else str(result)
                    return f"the autopilot answers {said} to {name}{self._last_words()}"
        return f"the autopilot does not answer {name}"

    def _wait(self, order: int) -> int | None:
        """The answer; None if none came in time."""
        begin = time.monotonic()
        deadline = begin + ANSWER_TIMEOUT
        while (left := deadline - time.monotonic()) > 0:
            self._answered.wait(left)
            result = self._answers.pop(order, None)
            if result == dialect.MAV_RESULT_IN_PROGRESS:
                deadline = min(time.monotonic() + ANSWER_TIMEOUT, begin + LONGEST_PROGRESS)
            elif result is not None:
                return result
        return None

    def _last_words(self) -> str:
        texts = self._link.state.texts
        return f": {texts[-1]}" if texts else ""

    def arm(self) -> str:
        """Arm; the autopilot refuses when its own checks fail."""
        self._arming = True
        return self.give(ARM, 1.0, WITH_CHECKS)

    def disarm(self) -> str:
        """Disarm; the autopilot refuses in the air."""
        self._arming = False
        return self.give(ARM, 0.0, WITH_CHECKS)

    def set_mode(self, name: str) -> str:
        """Change to a mode of `Autopilot.modes`, by its name."""
        autopilot = self._link.state.autopilot
        if autopilot is None:
            return self._link.unknown
        mode, enabled = autopilot.modes[name], dialect.MAV_MODE_FLAG_CUSTOM_MODE_ENABLED
        if autopilot is PX4:
            return self.give(dialect.MAV_CMD_DO_SET_MODE, enabled, mode >> 16 & 0xFF, mode >> 24)
        return self.give(dialect.MAV_CMD_DO_SET_MODE, enabled, mode)

    def take_off(self, height: float) -> str:
        """Climb to a height in metres above the ground where the vehicle stands.

        PX4 wants the altitude above mean sea level; where it does not know that, it climbs to its
        own MIS_TAKEOFF_ALT.
        """
        state = self._link.state
        if state.autopilot is not PX4:
            return self.give(dialect.MAV_CMD_NAV_TAKEOFF, 0, 0, 0, 0, 0, 0, height)
        altitude = math.nan if state.altitude is None else state.altitude + height
        free = math.nan
        return self.give(dialect.MAV_CMD_NAV_TAKEOFF, free, 0, 0, free, free, free, altitude)
