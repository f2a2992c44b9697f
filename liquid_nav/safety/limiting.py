"""How often commands are limited, which shows a policy that asks for more than a vehicle can do."""

from dataclasses import dataclass, field

from liquid_nav.command import Command, Mode
from liquid_nav.events import SECOND

SLEW = "limits: slew"
"""Reason of a command that has not yet reached what was asked for, by the limits of its change."""

MAGNITUDE = "limits: magnitude"
"""Reason of a command that is smaller than what was asked for."""


@dataclass
class LimitedCommands:
    """Counts of the commands right after events, of those in nominal mode.

    A policy that is often at its slew limits gives commands that jump, or flies under limits too
    tight for it.

    Attributes:
        commands: how many there were.
        slew: how many were limited in their change, see `CommandLimits.slew`.
        magnitude: how many were limited in magnitude; these do not count as `slew` too.
        recent_slew, recent_magnitude: shares, from 0 to 1, of the commands in the last whole
            second; a second begins with the first command after the one before has ended.

    """

    commands: int = 0
    slew: int = 0
    magnitude: int = 0
    recent_slew: float = 0.0
    recent_magnitude: float = 0.0
    _begin: int | None = field(default=None, repr=False)
    _before: tuple[int, int, int] = field(default=(0, 0, 0), repr=False)

    def count(self, command: Command) -> None:
        """Count the command right after an event."""
        if command.mode is not Mode.NOMINAL:
            return
        if self._begin is None or not 0 <= command.stamp - self._begin < SECOND:
            self._begin_second(command.stamp)
        self.commands += 1
        if command.reason == SLEW:
            self.slew += 1
        elif command.reason == MAGNITUDE:
            self.magnitude += 1

    @property
    def slew_share(self) -> float:
        """Share of all commands that were limited in their change."""
        return self.slew / max(1, self.commands)

    def _begin_second(self, now: int) -> None:
        commands, slew, magnitude = self._before
        counted = max(1, self.commands - commands)
        self.recent_slew = (self.slew - slew) / counted
        self.recent_magnitude = (self.magnitude - magnitude) / counted
        self._begin, self._before = now, (self.commands, self.slew, self.magnitude)
