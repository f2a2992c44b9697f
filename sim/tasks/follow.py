"""The task `follow`: keep close to a red object that moves, and do not touch it."""

import math
from collections.abc import Sequence
from colorsys import hsv_to_rgb
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.scenes.appearance import sample_weather
from liquid_nav_sim.scenes.scene import Route, Scene, Shape, Solid
from liquid_nav_sim.tasks.base import Attempt, Task, graded
from liquid_nav_sim.tasks.target import TARGET_HUE, TARGET_SIZE, sample_obstacle

START_RANGE = (4.0, 7.0)
"""Distance from the start to the target at first, metres."""
START_BEARING = math.radians(30)
"""Largest angle between the start's heading and the target at first, radians: it is in view."""
SPEED = (0.3, 0.8, 1.4)
"""Steady speed of the target at difficulty 0, 1/2 and 1, m/s; it sways about that."""
SWAY = (0.2, 0.5, 0.7)
"""Largest speed across its way over the steady speed."""
SWAY_FREQUENCY = (0.3, 0.8)
"""rad/s; the sway across, and that in height."""
TARGET_HEIGHT = (1.0, 2.2)
"""Height of the target's centre, metres."""
OBSTACLE_COUNT = (2, 8, 16)
"""Objects of other colours beside its way, at difficulty 0, 1/2 and 1."""
MARGIN = 1.2
"""Air between an obstacle and a vehicle that follows right in the target's track, metres."""

_TRACK_POINTS = 121  # to keep obstacles off the way; between two it bends by centimetres


@dataclass(frozen=True)
class FollowTask(Task):
    """Stay in a band of distances from the target's centre for a while, without a break.

    Attributes:
        band: nearest and farthest, metres.
        hold: for how long, seconds.

    Raises:
        SimulationError: on a field out of its range, a band that is none, or a hold longer than the
            time limit.
    """

    name: ClassVar[str] = "follow"

    time_limit: float = 30.0
    band: tuple[float, float] = (1.5, 4.0)
    hold: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (len(self.band) == 2 and 0 < self.band[0] < self.band[1] < math.inf):
            raise SimulationError(
                f"FollowTask.band must be two rising positive metres, got {self.band!r}"
            )
        if not 0 < self.hold < self.time_limit:
            raise SimulationError(
                "FollowTask.hold must be positive and shorter than the time limit of "
                f"{self.time_limit:g} s, got {self.hold!r}"
            )

    def sample(self, rng: np.random.Generator, appearance: str, hull: float) -> Scene:
        """Draw a target, its way and what stands beside it; same stream, same bytes.

        The target never turns back, and its way, like the straight line to it from the start, is
        free for the vehicle: whoever follows in its track meets nothing.
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
        obstacles: list[Solid] = []
        count = round(graded(self.difficulty, *OBSTACLE_COUNT))
        while len(obstacles) < count:
            beside = track[rng.integers(len(track))]
            candidate = sample_obstacle(rng, np.array([*beside, 0.0]), yaw)
            if _gap(track, candidate) >= hull + MARGIN:
                obstacles.append(candidate)
        return Scene(start, yaw, look, target, tuple(obstacles), route)

    def attempt(self, scene: Scene) -> "FollowAttempt":
        """Begin a flight after the scene's target."""
        if scene.target is None:
            raise SimulationError("the task needs a scene with a target, this one has none")
        return FollowAttempt(scene, self.band, self.hold)

    def _route(self, rng: np.random.Generator, bearing: float, height: float) -> Route:
        """Draw a way that leads away from the start, within 45 degrees, and sways."""
        speed = graded(self.difficulty, *SPEED)
        sway = graded(self.difficulty, *SWAY) * speed * rng.uniform(0.5, 1.0)
        course = bearing + rng.uniform(-math.pi / 4, math.pi / 4)
        frequency = rng.uniform(*SWAY_FREQUENCY, 2)
        low, high = TARGET_HEIGHT
        # Half of the room above or below, so that the sway about any phase stays within it.
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
    """Progress is seconds held in the band without a break, less metres from the band.

    Attributes:
        held: seconds.
    """

    def __init__(self, scene: Scene, band: tuple[float, float], hold: float) -> None:
        self._scene, self._band, self._hold = scene, band, hold
        self._since: float | None = None
        self.update(scene.start_position.tolist(), 0.0)

    def update(self, position: Sequence[float], time: float) -> None:
        """Measure the distance from where the target is now."""
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
    """Metres on the level from a polyline (P, 2) to a solid taken as an upright cylinder."""
    start, way = track[:-1], np.diff(track, axis=0)
    along = np.einsum("ij,ij->i", solid.position[:2] - start, way)
    along = np.clip(along / np.maximum(np.einsum("ij,ij->i", way, way), 1e-12), 0.0, 1.0)
    nearest = start + along[:, None] * way
    return float(np.min(np.hypot(*(nearest - solid.position[:2]).T))) - solid.radius
