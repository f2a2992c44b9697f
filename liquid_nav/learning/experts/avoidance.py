"""How an expert goes round what stands in its way, and is pushed away where it is too close."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from liquid_nav.events import SECOND
from liquid_nav.learning.experts.base import wrap
from liquid_nav_sim.scenes.scene import Scene
from liquid_nav_sim.world import World

PUSH = 2.0
"""m/s away from an obstacle, per metre within its keep-out zone."""

HORIZON = 6.0
"""How far ahead `free_course` looks, metres."""

LEAD = 0.25
"""Seconds until a velocity that is asked for is flown."""

PLAN_PERIOD = SECOND // 25
"""Nanoseconds for which a `Wayfinder` keeps to a direction."""

_ASIDE = np.radians(np.arange(-80.0, 81.0, 5.0))
_FIRST_LEGS = np.array([1.2, 2.4, 3.6])
_TURN_COST = 1.0  # metres that a turn by a radian must bring


class Blocking(NamedTuple):
    """An obstacle at the vehicle's height.

    Attributes:
        bearing: direction to its axis, world frame, radians.
        distance: metres to its axis, on the level.
        keep_out: metres from its axis that the vehicle's centre should not come within.
    """

    bearing: float
    distance: float
    keep_out: float


def blocking(
    world: World, margin: float, lead: float = 0.0, reach: float = math.inf
) -> list[Blocking]:
    """Obstacles at the vehicle's height, nearest first.

    Args:
        world: where it flies.
        margin: metres of air to leave between hull and obstacle.
        lead: seconds; as seen from where the vehicle will be then.
        reach: metres from the vehicle to the keep-out zone beyond which nothing matters.
    """
    room = world.vehicle.collision_radius + margin
    position, _, velocity, *_ = world.kinematics
    x, y, z = (p + lead * v for p, v in zip(position, velocity, strict=True))
    found = []
    for px, py, pz, half_height, radius in _outlines(world.scene):
        dx, dy = px - x, py - y
        distance, keep_out = math.hypot(dx, dy), radius + room
        if distance - keep_out <= reach and abs(pz - z) < half_height + room:
            found.append(Blocking(math.atan2(dy, dx), distance, keep_out))
    return sorted(found, key=lambda obstacle: obstacle.distance)


@lru_cache(maxsize=4)
def _outlines(scene: Scene) -> tuple[tuple[float, float, float, float, float], ...]:
    """Centre, half the height and radius of each obstacle, metres."""
    return tuple(
        (*solid.position.tolist(), solid.size[-1] / 2, solid.radius) for solid in scene.obstacles
    )


def course(obstacles: Sequence[Blocking], direct: float, distance: float) -> float:
    """Direction to fly in, world frame: straight, or along the tangent of what blocks it.

    Args:
        obstacles: nearest first.
        direct: direction to the goal, world frame, radians.
        distance: metres to the goal; what is behind it does not matter.
    """
    chosen = direct
    for bearing, away, keep_out in obstacles:
        if away - keep_out > distance or away <= keep_out:
            continue
        half_width = math.asin(keep_out / away)
        if abs(wrap(chosen - bearing)) < half_width:
            left, right = bearing + half_width, bearing - half_width
            chosen = min(left, right, key=lambda side: abs(wrap(side - direct)))
    return chosen


def free_course(
    obstacles: Sequence[Blocking], direct: float, velocity: NDArray[np.float64]
) -> tuple[float, float]:
    """Direction to fly in among many obstacles.

    Of all ways of two straight legs it takes the one that leads farthest towards the goal, and
    rather one that needs no turn.

    Args:
        obstacles: what stands within `HORIZON`.
        direct: direction to the goal, world frame, radians.
        velocity: of the vehicle, m/s, world ENU, shape (3,).

    Returns:
        The direction of the first leg, world frame, radians, and the metres that are free along it,
        at most `HORIZON`.
    """
    bearing, distance, keep_out = np.array(obstacles, dtype=np.float64).reshape(-1, 3).T
    # From here on in a frame with x towards the goal.
    bearing = bearing - direct
    places = distance * np.stack((np.cos(bearing), np.sin(bearing)))
    x, y, _ = velocity.tolist()
    moving = math.atan2(y, x) - direct if math.hypot(x, y) > 0.3 else 0.0
    ways = np.stack((np.cos(_ASIDE), np.sin(_ASIDE)))
    first = _free(np.zeros((2, 1)), ways, places, keep_out)[0]
    joints = (ways[:, :, None] * _FIRST_LEGS).reshape(2, -1)
    # Half of the directions do for the second leg.
    second = _free(joints, ways[:, ::2], places, keep_out)
    gained = joints[0][:, None] + second * ways[0, ::2]
    gained = gained.max(axis=1).reshape(len(_ASIDE), -1)
    gained = np.where(first[:, None] >= _FIRST_LEGS, gained, -HORIZON).max(axis=1)
    # Where nothing leads on, what is free for longest.
    gained = np.maximum(gained, first * ways[0] - HORIZON)
    turn = np.abs((_ASIDE - moving + math.pi) % (2 * math.pi) - math.pi)
    best = int(np.argmax(gained - _TURN_COST * (turn + 0.5 * np.abs(_ASIDE))))
    return direct + float(_ASIDE[best]), float(first[best])


class Wayfinder:
    """Keeps to a `free_course` for a little while, and finds another from where it will be then.

    Args:
        world: where it flies.
        margin: metres of air to leave between hull and obstacle.
    """

    def __init__(self, world: World, margin: float) -> None:
        self._world, self._margin = world, margin
        self._until = 0

    def course(self, direct: float) -> tuple[float, float]:
        """Direction to fly in and the metres that are free along it, see `free_course`."""
        world = self._world
        if world.time >= self._until:
            obstacles = blocking(world, self._margin, LEAD, HORIZON)
            self._course = free_course(obstacles, direct, world.state.linear_velocity)
            self._until = world.time + PLAN_PERIOD
        return self._course


def _free(
    starts: NDArray[np.float64],
    ways: NDArray[np.float64],
    places: NDArray[np.float64],
    keep_out: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Metres that are free from starts (2, S) along ways (2, C), at most `HORIZON`, (S, C).

    The obstacles are discs of radius `keep_out` (N,) about `places` (2, N).
    """
    x, y = places[:, None, :] - starts[:, :, None]
    along = x[:, None] * ways[0][:, None] + y[:, None] * ways[1][:, None]
    across = y[:, None] * ways[0][:, None] - x[:, None] * ways[1][:, None]
    inside = keep_out**2 - across**2
    entry = along - np.sqrt(np.maximum(inside, 0.0))
    reach = np.where((inside > 0) & (along > 0), entry, HORIZON)
    free: NDArray[np.float64] = reach.min(axis=2, initial=HORIZON).clip(0.0, HORIZON)
    return free


def push(obstacles: Sequence[Blocking]) -> NDArray[np.float64]:
    """Velocity out of the keep-out zones that the vehicle is in, world frame, m/s, shape (2,)."""
    velocity = np.zeros(2)
    for bearing, away, keep_out in obstacles:
        if keep_out > away:
            outwards = np.array([math.cos(bearing), math.sin(bearing)])
            velocity -= PUSH * (keep_out - away) * outwards
    return velocity
