"""The interface of tasks: the scenes that they draw, and the progress of a flight.

A `Task` is the configuration that all flights share; an `Attempt` follows one flight.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from liquid_nav.events import SECOND
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.scenes.scene import Scene

TaskType = TypeVar("TaskType", bound="Task")


class Outcome(str, Enum):
    """Outcome of a flight. A collision is a contact, which Bullet reports below 5 mm."""

    SUCCESS = "success"
    COLLISION = "collision"
    TIMEOUT = "timeout"


class Attempt(ABC):
    """The progress of one flight. The world updates it after every physics step.

    Attributes:
        progress: measure that grows towards success and may fall; its change is the reward in
            `liquid_nav_sim.gym.env`. Metres, unless the task says otherwise.
        succeeded: whether the task is done.
        goal: next point to fly to, metres, world ENU, shape (3,).
    """

    progress: float
    succeeded: bool
    goal: NDArray[np.float64]

    @abstractmethod
    def update(self, position: Sequence[float], time: float) -> None:
        """Update the progress.

        Args:
            position: centre of the vehicle, metres, world ENU, (3,).
            time: seconds since the start of the flight, later than in the previous call.
        """


@dataclass(frozen=True)
class Task(ABC):
    """The task of a flight.

    Attributes:
        name: name of the task in `liquid_nav_sim.tasks.registry.TASKS`.
        difficulty: difficulty of the scenes, from 0, easy, to 1, hard.
        time_limit: seconds after which a flight ends as a timeout.
        speed: how fast it is to be flown, as a multiple of the usual speeds. Experts fly so much
            faster, and a task may draw other scenes.

    Raises:
        SimulationError: on a field out of its range.
    """

    name: ClassVar[str]

    difficulty: float = 0.5
    time_limit: float = 20.0
    speed: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.difficulty <= 1:
            raise SimulationError(
                f"{type(self).__name__}.difficulty must be in [0, 1], got {self.difficulty!r}"
            )
        self._require_positive("time_limit")
        self._require_positive("speed")

    def at_speed(self: TaskType, speed: float) -> TaskType:
        """Return the task to be flown at a multiple of the usual speeds.

        A slower flight has more time. A faster one has no less, because a search, for example,
        takes as long as ever.

        Raises:
            SimulationError: on a speed that is not positive.
        """
        task = replace(self, speed=speed)
        return replace(task, time_limit=self.time_limit / min(speed, 1.0))

    @abstractmethod
    def sample(self, rng: np.random.Generator, appearance: str, hull: float) -> Scene:
        """Draw a scene in which the task can be done; the same stream gives the same scene.

        Args:
            rng: random stream of the scene.
            appearance: family of appearances, see `liquid_nav_sim.scenes.appearance.family_of`.
            hull: radius of the upright cylinder around the vehicle, metres.

        Raises:
            SimulationError: on an unknown family.
        """

    @abstractmethod
    def attempt(self, scene: Scene) -> Attempt:
        """Begin an attempt at the start of a scene.

        Raises:
            SimulationError: if the scene lacks what the task needs.
        """

    def judge(self, attempt: Attempt, time: int, collided: bool) -> Outcome | None:
        """Tell how a flight has ended; None while it lasts.

        Args:
            attempt: progress of the flight, updated to `time`.
            time: ns since the start of the flight.
            collided: whether the vehicle touches anything.
        """
        if collided:
            return Outcome.COLLISION
        if attempt.succeeded:
            return Outcome.SUCCESS
        return Outcome.TIMEOUT if time >= self.time_limit * SECOND else None

    def _require_positive(self, name: str) -> None:
        if not 0 < getattr(self, name) < math.inf:
            raise SimulationError(
                f"{type(self).__name__}.{name} must be positive and finite, got "
                f"{getattr(self, name)!r}"
            )


def graded(difficulty: float, easy: float, usual: float, hard: float) -> float:
    """Interpolate linearly between `easy` at difficulty 0, `usual` at 1/2 and `hard` at 1."""
    return float(np.interp(difficulty, (0.0, 0.5, 1.0), (easy, usual, hard)))
