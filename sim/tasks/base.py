"""A task: the scenes it draws, and how a flight in one of them goes.

`Task` is the configuration, shared by all flights; `Attempt` is one flight's way through it.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.scenes.scene import Scene


class Attempt(ABC):
    """How far one flight has come. The world tells it after every physics step; it tells nobody.

    Attributes:
        progress: grows as the flight gets on, and falls when it loses what it had; its change is
            what `liquid_nav_sim.gym.env` pays. Metres, unless the task says otherwise.
        succeeded: whether the task is done.
        goal: where to go next, metres, world ENU, shape (3,).
    """

    progress: float
    succeeded: bool
    goal: NDArray[np.float64]

    @abstractmethod
    def update(self, position: Sequence[float], time: float) -> None:
        """Take note of where the vehicle is.

        Args:
            position: of its centre, metres, world ENU, (3,).
            time: seconds since the start of the flight, growing from call to call.
        """


@dataclass(frozen=True)
class Task(ABC):
    """What is asked of a flight.

    Attributes:
        name: how the task is called, a key of `liquid_nav_sim.tasks.registry.TASKS`.
        difficulty: from 0, easy, to 1; scenes are drawn accordingly.
        time_limit: seconds after which a flight has taken too long.

    Raises:
        SimulationError: on a field out of its range.
    """

    name: ClassVar[str]

    difficulty: float = 0.5
    time_limit: float = 20.0

    def __post_init__(self) -> None:
        if not 0 <= self.difficulty <= 1:
            raise SimulationError(
                f"{type(self).__name__}.difficulty must be in [0, 1], got {self.difficulty!r}"
            )
        self._require_positive("time_limit")

    @abstractmethod
    def sample(self, rng: np.random.Generator, appearance: str, hull: float) -> Scene:
        """Draw a scene that the task can be done in; same stream, same bytes.

        Args:
            rng: where the randomness comes from.
            appearance: name of the family of looks, "train" or "held-out".
            hull: radius of the upright cylinder about the vehicle, metres.

        Raises:
            SimulationError: if the family does not exist.
        """

    @abstractmethod
    def attempt(self, scene: Scene) -> Attempt:
        """Begin a flight in a scene, at its start.

        Raises:
            SimulationError: if the scene lacks what the task needs.
        """

    def _require_positive(self, name: str) -> None:
        if not getattr(self, name) > 0:
            raise SimulationError(
                f"{type(self).__name__}.{name} must be positive, got {getattr(self, name)!r}"
            )


def graded(difficulty: float, easy: float, usual: float, hard: float) -> float:
    """A value that is `easy` at difficulty 0, `usual` at 1/2, `hard` at 1, and linear between."""
    return float(np.interp(difficulty, (0.0, 0.5, 1.0), (easy, usual, hard)))
