"""The task `target`: find a red object among objects of other colours, and fly to it."""

import math
from collections.abc import Sequence
from colorsys import hsv_to_rgb
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.scenes.appearance import family_of, sample_appearance
from liquid_nav_sim.scenes.colours import Palette
from liquid_nav_sim.scenes.scene import Scene, Shape, Solid
from liquid_nav_sim.tasks.base import Attempt, Task, graded

TARGET_RANGE = ((3.0, 6.0), (5.0, 15.0), (10.0, 15.0))
"""Range of the distance from the start to the target's centre, metres, at difficulty 0, 1/2 and 1.
Farther away the smallest target covers less than a pixel of the default camera."""
TARGET_BEARING = (np.pi / 6, np.pi / 3, 2 * np.pi / 3)
"""Largest angle between the start's heading and the target, radians, at difficulty 0, 1/2, 1."""
TARGET_HEIGHT = (0.6, 2.2)
"""Height of the target's centre, metres."""
TARGET_SIZE = (0.5, 0.8)
"""Range of the diameter or the edge length of the target, metres."""
TARGET_HUE = 12.0
"""Largest distance of the target's hue from pure red, degrees."""

OBSTACLE_COUNT = ((0, 3), (4, 9), (9, 16))
"""Smallest and largest number of obstacles at difficulty 0, 1/2 and 1."""
OBSTACLE_SIZE = (0.3, 2.0)
"""Range of every dimension of an obstacle, metres."""
OBSTACLE_HUE = (60.0, 280.0)
"""Hues of coloured obstacles, yellow to purple, degrees; the others are white, grey or black."""
DISTRACTOR_SHARE = 0.35
"""Share of small objects near the target's colour, in families of appearances that have them."""
DISTRACTOR_SIZE = (0.2, 0.9)
"""Range of every dimension of such an object, metres."""

CORRIDOR_CLEARANCE = 1.0
"""Smallest horizontal gap between the line from start to target and any obstacle, metres."""
END_CLEARANCE = 1.6
"""Smallest horizontal gap from the start, and from the target's surface, to an obstacle, metres."""
OBSTACLE_GAP = 0.2
"""Smallest horizontal gap between obstacles, metres."""

_AHEAD = np.pi / 3
_FARTHEST_OBSTACLE = 18.0


@dataclass(frozen=True)
class TargetTask(Task):
    """Fly to the target.

    Attributes:
        success_radius: distance of the vehicle's centre from the target's centre that counts as
            success, metres.
    """

    name: ClassVar[str] = "target"

    success_radius: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_positive("success_radius")

    def sample(self, rng: np.random.Generator, appearance: str, hull: float) -> Scene:
        """Draw a scene by `sample_target_scene`; its clearances suffice for every vehicle."""
        return sample_target_scene(rng, appearance, self.difficulty)

    def attempt(self, scene: Scene) -> "TargetAttempt":
        """Begin an attempt to reach the scene's target."""
        if scene.target is None:
            raise SimulationError("the task needs a scene with a target, this one has none")
        return TargetAttempt(scene.target.position, self.success_radius, scene.start_position)


class TargetAttempt(Attempt):
    """Progress is the negative distance from the target's centre, metres."""

    def __init__(
        self, goal: NDArray[np.float64], success_radius: float, start: NDArray[np.float64]
    ) -> None:
        self.goal = goal
        self._place = goal.tolist()
        self._success_radius = success_radius
        self.update(start.tolist(), 0.0)

    def update(self, position: Sequence[float], time: float) -> None:
        """Measure the distance."""
        distance = math.dist(position, self._place)
        self.progress = -distance
        self.succeeded = distance <= self._success_radius


def sample_target_scene(
    rng: np.random.Generator, appearance: str = "train", difficulty: float = 0.5
) -> Scene:
    """Draw a scene; the same stream gives the same scene.

    The straight line from the start to the target is free, and the target is in full view from it:
    obstacles, taken as upright cylinders of infinite height, keep the clearances of this module.

    Args:
        rng: random stream of the scene.
        appearance: family of appearances, see `liquid_nav_sim.scenes.appearance.family_of`.
        difficulty: in [0, 1]; it sets the distance and bearing of the target and the number of
            obstacles.

    Raises:
        SimulationError: on an unknown family.
    """
    look = sample_appearance(rng, appearance)
    start = np.array([*rng.uniform(-0.5, 0.5, 2), rng.uniform(1.2, 1.8)])
    yaw = float(rng.uniform(-np.pi, np.pi))
    target = _sample_target(rng, start, yaw, difficulty)
    distractors = family_of(appearance).distractors
    obstacles: list[Solid] = []
    fewest, most = (
        round(graded(difficulty, *counts)) for counts in zip(*OBSTACLE_COUNT, strict=True)
    )
    count = rng.integers(fewest, most + 1)
    while len(obstacles) < count:
        candidate = sample_obstacle(rng, start, yaw, distractors)
        if _is_clear(candidate, start, target, obstacles):
            obstacles.append(candidate)
    return Scene(start, yaw, look, target, tuple(obstacles))


def _sample_target(
    rng: np.random.Generator, start: NDArray[np.float64], yaw: float, difficulty: float
) -> Solid:
    near, far = (graded(difficulty, *ranges) for ranges in zip(*TARGET_RANGE, strict=True))
    sideways = graded(difficulty, *TARGET_BEARING)
    height = float(rng.uniform(*TARGET_HEIGHT))
    rise = height - float(start[2])
    level = float(np.sqrt(rng.uniform(near, far) ** 2 - rise**2))
    hue = rng.uniform(-TARGET_HUE, TARGET_HUE) / 360 % 1
    kind = tuple(Shape)[rng.integers(len(Shape))]
    side, length = rng.uniform(*TARGET_SIZE, 2).tolist()
    return Solid(
        shape=kind,
        position=np.array(
            [
                *_offset(start, level, yaw + rng.uniform(-sideways, sideways)),
                height,
            ]
        ),
        size={
            Shape.SPHERE: (side,),
            Shape.BOX: (side,) * 3,
            Shape.CYLINDER: (side, length),
        }[kind],
        colour=hsv_to_rgb(hue, rng.uniform(0.8, 1.0), rng.uniform(0.65, 1.0)),
        yaw=float(rng.uniform(-np.pi, np.pi)),
    )


def sample_obstacle(
    rng: np.random.Generator,
    start: NDArray[np.float64],
    yaw: float,
    distractors: tuple[Palette, ...] = (),
) -> Solid:
    """Draw an object of another colour, 2 to 18 m from `start`, more often towards `yaw`.

    Args:
        rng: random stream of the scene.
        start: metres, world ENU, shape (3,).
        yaw: radians.
        distractors: colours near the target's; if there are any, `DISTRACTOR_SHARE` of the objects
            are small and of such a colour.
    """
    kind = tuple(Shape)[rng.integers(len(Shape))]
    dimensions = {Shape.SPHERE: 1, Shape.BOX: 3, Shape.CYLINDER: 2}[kind]
    distracting = bool(distractors) and rng.random() < DISTRACTOR_SHARE
    sizes = DISTRACTOR_SIZE if distracting else OBSTACLE_SIZE
    size = tuple(rng.uniform(*sizes, dimensions).tolist())
    standing, ahead, coloured = rng.random(3) < (0.6, 0.6, 0.7)
    spread = _AHEAD if ahead else np.pi
    place = _offset(start, rng.uniform(2.0, _FARTHEST_OBSTACLE), yaw + rng.uniform(-spread, spread))
    height = size[-1] / 2 + (0.0 if standing else rng.uniform(0.2, 2.5))
    if distracting:
        colour = distractors[rng.integers(len(distractors))].sample(rng)
    elif coloured:
        hue = rng.uniform(*OBSTACLE_HUE) / 360
        colour = hsv_to_rgb(hue, rng.uniform(0.4, 1.0), rng.uniform(0.3, 1.0))
    else:
        colour = (float(rng.uniform(0.03, 0.97)),) * 3
    return Solid(
        kind,
        np.array([*place, height]),
        size,
        colour,
        float(rng.uniform(-np.pi, np.pi)),
    )


def _offset(start: NDArray[np.float64], distance: float, angle: float) -> NDArray[np.float64]:
    return start[:2] + distance * np.array([np.cos(angle), np.sin(angle)])


def _is_clear(
    candidate: Solid, start: NDArray[np.float64], target: Solid, obstacles: list[Solid]
) -> bool:
    def gap(point: NDArray[np.float64]) -> float:
        return float(np.linalg.norm(candidate.position[:2] - point[:2])) - candidate.radius

    way = (target.position - start)[:2]
    along = float((candidate.position - start)[:2] @ way / (way @ way))
    nearest = start[:2] + np.clip(along, 0, 1) * way
    return (
        gap(nearest) >= CORRIDOR_CLEARANCE
        and gap(start) >= END_CLEARANCE
        and gap(target.position) - target.radius >= END_CLEARANCE
        and all(gap(o.position) - o.radius >= OBSTACLE_GAP for o in obstacles)
    )
