"""A task of one's own, climbing to a height, with its expert, classical pilot and vehicle."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from liquid_nav.evaluation.classical import Rule
from liquid_nav.learning.experts.base import Expert, clip
from liquid_nav_sim.scenes.appearance import sample_appearance
from liquid_nav_sim.scenes.scene import Scene
from liquid_nav_sim.tasks.base import Attempt, Task, graded
from liquid_nav_sim.vehicle.files import QUAD_250

HEAVY_250 = replace(QUAD_250, mass=1.1 * QUAD_250.mass)
"""The default vehicle with a tenth more mass."""


@dataclass(frozen=True)
class ClimbTask(Task):
    """Climb straight up, by 2 m at difficulty 0 and by 8 m at difficulty 1."""

    name: ClassVar[str] = "climb"

    def sample(self, rng: np.random.Generator, appearance: str, hull: float) -> Scene:
        """An empty field, and a start 1 m above it."""
        return Scene(np.array([0.0, 0.0, 1.0]), 0.0, sample_appearance(rng, appearance))

    def attempt(self, scene: Scene) -> "ClimbAttempt":
        """Begin a climb."""
        return ClimbAttempt(1.0 + graded(self.difficulty, 2.0, 4.0, 8.0))


class ClimbAttempt(Attempt):
    """Progress is the height, metres."""

    def __init__(self, height: float) -> None:
        self.goal = np.array([0.0, 0.0, height])
        self.progress, self.succeeded = 1.0, False

    def update(self, position: Sequence[float], time: float) -> None:
        """Take the height; a climb succeeds within 0.2 m of the goal."""
        self.progress = position[2]
        self.succeeded = abs(position[2] - self.goal[2]) < 0.2


class ClimbExpert(Expert):
    """Climbs, and slows down near the goal."""

    def command(self) -> tuple[float, float, float, float]:
        """Climb at up to 1.5 m/s."""
        left = self.world.attempt.goal[2] - self.world.state.position[2]
        return (0.0, 0.0, clip(float(left), 1.5), 0.0)


class ClimbRule(Rule):
    """The classical pilot: climbs blindly, as nothing in view tells it where to stop."""

    def forget(self) -> None:
        """It remembers nothing."""

    def see(self, image: NDArray[np.uint8], rays: NDArray[np.float64], elapsed: float) -> None:
        """It looks at nothing."""

    def command(self) -> tuple[float, float, float, float]:
        """Climb at 1 m/s."""
        return (0.0, 0.0, 1.0, 0.0)
