"""What is measured in a flight beside its outcome."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from liquid_nav.command import Command
from liquid_nav.events import SECOND


@dataclass
class CommandChange:
    """Adds up how much a command changes; `note` takes one command after the other.

    Attributes:
        total: sum of the absolute changes of vx, vy, vz, m/s, and of the yaw rate, rad/s.
        velocity: sum of the lengths of the changes of (vx, vy, vz), m/s.
        seconds: time from the first command to the last.

    """

    total: list[float] = field(default_factory=lambda: [0.0] * 4)
    velocity: float = 0.0
    _first: int | None = None
    _last: Command | None = None

    def note(self, command: Command) -> None:
        """Take in the next command."""
        last = self._last
        if last is None:
            self._first = command.stamp
        elif last.vector != command.vector:
            change = [now - then for now, then in zip(command.vector, last.vector, strict=True)]
            self.total = [sum_ + abs(c) for sum_, c in zip(self.total, change, strict=True)]
            self.velocity += math.hypot(*change[:3])
        self._last = command

    @property
    def seconds(self) -> float:
        """Time from the first command to the last, seconds."""
        if self._first is None or self._last is None:
            return 0.0
        return (self._last.stamp - self._first) / SECOND

    @property
    def smoothness(self) -> float:
        """Mean size of the velocity command's rate of change, m/s^2; smaller is smoother."""
        return self.velocity / self.seconds if self.seconds > 0 else 0.0

    @property
    def per_second(self) -> list[float]:
        """Total variation of each axis per second: m/s^2 three times, then rad/s^2."""
        return [total / self.seconds if self.seconds > 0 else 0.0 for total in self.total]


def path_efficiency(
    start: NDArray[np.float64], reached: Sequence[NDArray[np.float64]], track: NDArray[np.float64]
) -> float:
    """Length of the straight lines from aim to aim, over the length that was flown.

    Args:
        start: where the flight began, metres, shape (3,).
        reached: the aims that were reached, in this order, but for the last one, each (3,).
        track: positions along the flight, shape (P, 3).

    """
    places = np.array([start, *reached, track[-1]])
    shortest, flown = (
        float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum()) for line in (places, track)
    )
    return min(shortest / flown, 1.0) if flown > 0 else 1.0
