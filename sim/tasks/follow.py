"""The task `follow`: stay near a moving red object without touching it."""

import math
from collections.abc import Sequence
from colorsys import hsv_to_rgb
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.scenes.appearance import family_of, sample_weather
from liquid_nav_sim.scenes.scene import Route, Scene, Shape, Solid
from liquid_nav_sim.tasks.base import Attempt, Task, graded
from liquid_nav_sim.tasks.target import TARGET_HUE, TARGET_SIZE, sample_obstacle

START_RANGE = (4.0, 7.0)
"""Distance from the start to the first position of the target, metres."""
START_BEARING = math.radians(30)
"""Largest angle between the first heading and the target, radians, so that it is in view."""
SPEED = (0.3, 0.8, 1.4)
"""Mean speed of the target at difficulty 0, 1/2 and 1, m/s, times `Task.speed`; it also sways."""
SWAY = (0.2, 0.5, 0.7)
"""Largest speed of the sideways sway over the mean speed, at difficulty 0, 1/2 and 1."""
SWAY_FREQUENCY = (0.3, 0.8)
"""Range of the frequencies of the sways, sideways and in height, rad/s."""
TARGET_HEIGHT = (1.0, 2.2)
"""Height of the target's centre, metres."""
OBSTACLE_COUNT = (2, 8, 16)
"""Number of objects of other colours near its path, at difficulty 0, 1/2 and 1."""
MARGIN = 1.2
"""Gap between an obstacle and a vehicle that follows exactly in the target's path, metres."""

_TRACK_POINTS = 121  # points of the path; between two of them it bends by centimetres


@dataclass(frozen=True)
class FollowTask(Task):
    """Stay in a band of distances from the target's centre for some time without a break.

    Attributes:
        band: smallest and largest distance, metres.
        hold: time to stay in the band, seconds.

    Raises:
        SimulationError: on a field out of its range, an empty band, or a hold that is not shorter
            than the time limit.
    """

    name: ClassVar[str] = "follow"

    time_limit: float = 30.0
    band: tuple[float, float] = (1.5, 4.0)
    hold: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (len(self.band) == 2 and 0 < self.band[0] < self.band[1] < math.inf):
            raise SimulationError(
                f"FollowTask.band must be two distances, 0 < near < far m, got {self.band!r}"
            )
        if not 0 < self.hold < self.time_limit:
            raise SimulationError(
                "FollowTask.hold must be positive and shorter than the time limit of "
                f"{self.time_limit:g} s, got {self.hold!r}"
            )

    def sample(self, rng: np.random.Generator, appearance: str, hull: float) -> Scene:
        """Draw a target, its path and obstacles beside it; the same stream gives the same scene.

        The target never turns back. Its path and the straight line from the start to the target are
        free: a vehicle that follows exactly behind the target collides with nothing.
        """
        look = sample_weather(rng, appearance)
        start = np.array([*rng.uniform(-0.5, 0.5, 2), rng.uniform(1.2, 1.8)])
        yaw = float(rng.uniform(-np.pi, np.pi))
        bearing = yaw + rng.uniform(-START_BEARING, START_BEARING)
        away = rng.uniform(*START_RANGE)
        x, y, _ = (start + away * np.array([math.cos(bearing), math.sin(bearing), 0.0])).tolist()
        place = np.array([x, y, rng.uniform(*TARGET_HEIGHT)])
        route = self._route(rng, bearing, float(place[2]))
        colour = hsv_to_rgb(
            rng.uniform(-TARGET_HUE, TARGET_HUE) / 360 % 1,
            rng.uniform(0.8, 1.0),
            rng.uniform(0.65, 1.0),
        )
        target = Solid(Shape.SPHERE, place, (float(rng.uniform(*TARGET_SIZE)),), colour)
        times = np.linspace(0.0, self.time_limit, _TRACK_POINTS)
        track = np.array([start, *(place + route.offset(time) for time in times)])[:, :2]
        distractors = family_of(appearance).distractors
        obstacles: list[Solid] = []
        count = round(graded(self.difficulty, *OBSTACLE_COUNT))
        while len(obstacles) < count:
            beside = track[rng.integers(len(track))]
            candidate = sample_obstacle(rng, np.array([*beside, 0.0]), yaw, distractors)
            if _gap(track, candidate) >= hull + MARGIN:
                obstacles.append(candidate)
        return Scene(start, yaw, look, target, tuple(obstacles), route)

    def attempt(self, scene: Scene) -> "FollowAttempt":
        """Begin an attempt to follow the scene's target."""
        if scene.target is None:
            raise SimulationError("the task needs a scene with a target, this one has none")
        return FollowAttempt(scene, self.band, self.hold)

    def _route(self, rng: np.random.Generator, bearing: float, height: float) -> Route:
        """Draw a swaying path that leads away from the start, within 45 degrees."""
        speed = self.speed * graded(self.difficulty, *SPEED)
        sway = graded(self.difficulty, *SWAY) * speed * rng.uniform(0.5, 1.0)
        course = bearing + rng.uniform(-math.pi / 4, math.pi / 4)
        frequency = rng.uniform(*SWAY_FREQUENCY, 2)
        low, high = TARGET_HEIGHT
        # At most half of the room above or below: the sway starts at any phase and stays inside.
        rise = 0.5 * min(high - height, height - low) * rng.uniform()
        across = sway / frequency[0]
        return Route(
            drift=speed * np.array([math.cos(course), math.sin(course), 0.0]),
            amplitude=np.array(
                [[-across * math.sin(course), across * math.cos(course), 0.0], [0.0, 0.0, rise]]
            ),
            frequency=frequency,
            phase=rng.uniform(-math.pi, math.pi, 2),
        )


class FollowAttempt(Attempt):
    """Progress is the seconds in the band without a break, minus the distance from the band, m.

    Attributes:
        held: seconds in the band without a break.
    """

    def __init__(self, scene: Scene, band: tuple[float, float], hold: float) -> None:
        self._scene, self._band, self._hold = scene, band, hold
        self._since: float | None = None
        self.update(scene.start_position.tolist(), 0.0)

    def update(self, position: Sequence[float], time: float) -> None:
        """Measure the distance from the present position of the target."""
        goal = self._scene.target_position(time)
        assert goal is not None  # there is a target, see `FollowTask.attempt`
        self.goal = goal
        distance, (near, far) = math.dist(position, goal.tolist()), self._band
        outside = max(near - distance, distance - far, 0.0)
        if outside > 0:
            self._since = None
        elif self._since is None:
            self._since = time
        self.held = 0.0 if self._since is None else time - self._since
        self.progress = self.held - outside
        self.succeeded = self.held >= self._hold


def _gap(track: NDArray[np.float64], solid: Solid) -> float:
    """Horizontal gap between a polyline (P, 2) and a solid as an upright cylinder, metres."""
    start, way = track[:-1], np.diff(track, axis=0)
    along = np.einsum("ij,ij->i", solid.position[:2] - start, way)
    along = np.clip(along / np.maximum(np.einsum("ij,ij->i", way, way), 1e-12), 0.0, 1.0)
    nearest = start + along[:, None] * way
    return float(np.min(np.hypot(*(nearest - solid.position[:2]).T))) - solid.radius
