"""The log of failsafes: what was entered when, for what reason, and when it was left."""

from collections.abc import Callable
from dataclasses import dataclass

from liquid_nav.command import Command, Mode


@dataclass
class Failsafe:
    """A time in one failsafe.

    Attributes:
        start: ns at which it was entered.
        end: ns at which it was left, or at which the replay ended; then `open` is True.
        mode: which one.
        reason: why.

    """

    start: int
    end: int
    mode: Mode
    reason: str
    open: bool = True


class FailsafeLog:
    """Built from commands in order of time.

    Attributes:
        entries: in order, one for each mode and reason in a row.

    """

    def __init__(self) -> None:
        self.entries: list[Failsafe] = []
        self._last: Command | None = None

    def add(self, command: Command, query: Callable[[int], Command] | None = None) -> None:
        """Note a command.

        Args:
            command: the command.
            query: where no event came since the one before, gives the command at any instant
                between, so that the instant at which a failsafe began is found to the ns.

        """
        last = self._last
        if query is not None and last is not None and _state(last) != _state(command):
            low, high = last.stamp, command.stamp
            while high - low > 1:
                middle = (low + high) // 2
                asked = query(middle)
                if _state(asked) == _state(last):
                    low = middle
                else:
                    high = middle
            first = query(high)
            self._note(first)
        self._note(command)

    def _note(self, command: Command) -> None:
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
