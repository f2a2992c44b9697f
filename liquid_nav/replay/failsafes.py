"""The log of failsafes: when each was entered, why, and when it was left."""

from collections.abc import Callable
from dataclasses import dataclass

from liquid_nav.command import Command, Mode


@dataclass
class Failsafe:
    """A time in one failsafe.

    Attributes:
        start: ns at which it was entered.
        end: ns at which it was left, or at which the replay ended.
        mode: mode of the commands.
        reason: why it was entered.
        open: whether it lasted until the replay ended.

    """

    start: int
    end: int
    mode: Mode
    reason: str
    open: bool = True


class FailsafeLog:
    """Collects failsafes from commands in order of time.

    Attributes:
        entries: in order of time; a change of mode or reason begins a new one.

    """

    def __init__(self) -> None:
        self.entries: list[Failsafe] = []
        self._last: Command | None = None

    def add(self, command: Command, query: Callable[[int], Command] | None = None) -> None:
        """Add a command.

        Args:
            command: the command.
            query: gives the command at any instant since the last one added, where no event came
                in between; with it, the start of a failsafe is found to the ns.

        """
        last = self._last
        if query is not None and last is not None and _state(last) != _state(command):
            low, high = last.stamp, command.stamp
            while high - low > 1:
                middle = (low + high) // 2
                if _state(query(middle)) == _state(last):
                    low = middle
                else:
                    high = middle
            self._append(query(high))
        self._append(command)

    def _append(self, command: Command) -> None:
        self._last = command
        current = self.entries[-1] if self.entries and self.entries[-1].open else None
        if current is not None:
            current.end = max(current.end, command.stamp)
            if (current.mode, current.reason) == (command.mode, command.reason):
                return
            current.open = False
        if command.mode is not Mode.NOMINAL:
            self.entries.append(
                Failsafe(command.stamp, command.stamp, command.mode, command.reason)
            )


def _state(command: Command) -> tuple[Mode, str]:
    return command.mode, command.reason if command.mode is not Mode.NOMINAL else ""
