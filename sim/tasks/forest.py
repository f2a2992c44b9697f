"""The task `forest`: fly straight ahead through a forest to its other side."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from liquid_nav_sim.scenes.appearance import family_of, sample_weather
from liquid_nav_sim.scenes.scene import Scene, Shape, Solid
from liquid_nav_sim.tasks.base import Attempt, Task, graded

FINISH = 27.0
"""Distance ahead of the start at which a flight of the usual speed succeeds, metres."""
FOREST = (3.0, 25.0)
"""Nearest and farthest trunks, metres ahead of the start, where `FINISH` is the end."""
HALF_WIDTH = 8.0
"""Half the width of the forest and of its exit, metres."""
DENSITY = (0.03, 0.10, 0.20)
"""Largest number of trunks per square metre at difficulty 0, 1/2 and 1."""
TRUNK_DIAMETER = (0.2, 0.6)
TRUNK_HEIGHT = 6.0
"""Metres; a flight above the trunks does not succeed."""
MARGIN = 0.35
"""Gap on either side of the vehicle between the two closest trunks, metres."""

_TRIES = 40  # for each trunk; a forest for a wide vehicle may be full before


@dataclass(frozen=True)
class ForestTask(Task):
    """Leave the forest on its far side, along the first heading.

    For fast flights the forest is longer: a vehicle needs some metres to reach its speed.
    """

    name: ClassVar[str] = "forest"

    time_limit: float = 30.0

    @property
    def finish(self) -> float:
        """Distance ahead of the start at which a flight succeeds, metres."""
        return FINISH * max(self.speed, 1.0)

    def sample(self, rng: np.random.Generator, appearance: str, hull: float) -> Scene:
        """Draw a forest as a Poisson-disc sample by dart throwing.

        The same stream gives the same scene. No two trunks grown by hull and `MARGIN` touch, so the
        free space is connected and there is a way through. (Cook 1986, "Stochastic sampling in
        computer graphics"; Bridson 2007.)
        """
        look = sample_weather(rng, appearance)
        bark = family_of(appearance).trunks(rng, look)
        start = np.array([*rng.uniform(-0.5, 0.5, 2), rng.uniform(1.2, 1.8)])
        yaw = float(rng.uniform(-np.pi, np.pi))
        nearest, farthest = FOREST[0], FOREST[1] + self.finish - FINISH
        count = round(graded(self.difficulty, *DENSITY) * (farthest - nearest) * 2 * HALF_WIDTH)
        ahead = np.array([np.cos(yaw), np.sin(yaw)])
        left = np.array([-np.sin(yaw), np.cos(yaw)])
        places: NDArray[np.float64] = np.empty((0, 2))
        radii: NDArray[np.float64] = np.empty(0)
        gap = 2 * (hull + MARGIN)
        for _ in range(_TRIES * count):
            place = np.array([rng.uniform(nearest, farthest), rng.uniform(-HALF_WIDTH, HALF_WIDTH)])
            radius = rng.uniform(*TRUNK_DIAMETER) / 2
            if np.all(np.hypot(*(places - place).T) - radii - radius >= gap):
                places, radii = np.vstack((places, place)), np.append(radii, radius)
            if len(radii) == count:
                break
        trunks = tuple(
            Solid(
                Shape.CYLINDER,
                np.array([*(start[:2] + x * ahead + y * left), TRUNK_HEIGHT / 2]),
                (2 * float(radius), TRUNK_HEIGHT),
                bark.sample(rng),
            )
            for (x, y), radius in zip(places, radii, strict=True)
        )
        return Scene(start, yaw, look, obstacles=trunks)

    def attempt(self, scene: Scene) -> "ForestAttempt":
        """Begin an attempt along the scene's first heading."""
        return ForestAttempt(scene, self.finish)


class ForestAttempt(Attempt):
    """Progress is the distance ahead of the start minus that beside the forest, metres."""

    def __init__(self, scene: Scene, finish: float) -> None:
        self._finish = finish
        start, yaw = scene.start_position, scene.start_yaw
        self._x, self._y, _ = start.tolist()
        self._c, self._s = math.cos(yaw), math.sin(yaw)
        self.goal = start + finish * np.array([self._c, self._s, 0.0])
        self.update(start.tolist(), 0.0)

    def update(self, position: Sequence[float], time: float) -> None:
        """Measure the distances ahead of the start and beside the forest."""
        (x, y, z), c, s = position, self._c, self._s
        x, y = x - self._x, y - self._y
        ahead, outside = c * x + s * y, max(abs(c * y - s * x) - HALF_WIDTH, 0.0)
        self.progress = min(ahead, self._finish) - outside
        self.succeeded = ahead >= self._finish and outside == 0 and z < TRUNK_HEIGHT
