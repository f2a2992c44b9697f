"""How experts fly around obstacles, and away from those that are too close."""

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
"""Speed away from an obstacle, m/s per metre inside its keep-out zone."""

HORIZON = 6.0
"""Distance that `free_course` looks ahead at the usual speeds, metres."""

LEAD = 0.25
"""Seconds until the vehicle flies a commanded velocity."""

PLAN_PERIOD = SECOND // 25
"""Nanoseconds between two plans of a `Wayfinder`."""

SMOOTHING = 0.08
"""Time constant with which a `Wayfinder` turns to a new direction, seconds."""

_ASIDE = np.radians(np.arange(-80.0, 81.0, 5.0))
_FIRST_LEGS = np.array([0.2, 0.4, 0.6])  # of the horizon
_TURN_COST = 1.0  # metres that a turn by a radian must gain at the usual speeds


class Blocking(NamedTuple):
    """An obstacle at the height of the vehicle.

    Attributes:
        bearing: direction to its axis, world frame, radians.
        distance: horizontal distance to its axis, metres.
        keep_out: least distance that the vehicle's centre should keep from its axis, metres.
    """

    bearing: float
    distance: float
    keep_out: float


def blocking(
    world: World, margin: float, lead: float = 0.0, reach: float = math.inf
) -> list[Blocking]:
    """Find the obstacles at the height of the vehicle, nearest first.

    Args:
        world: the world that it flies in.
        margin: clearance to keep between hull and obstacle, metres.
        lead: seconds; obstacles are seen from where the vehicle will be then.
        reach: obstacles whose keep-out zone is farther away than this are left out, metres.
    """
    room = world.vehicle.collision_radius + margin
    position, _, velocity, *_ = world.kinematics
    x, y, z = (p + lead * v for p, v in zip(position, velocity, strict=True))
    found = []
    for px, py, pz, half_height, radius in outlines(world.scene):
        dx, dy = px - x, py - y
        distance, keep_out = math.hypot(dx, dy), radius + room
        if distance - keep_out <= reach and abs(pz - z) < half_height + room:
            found.append(Blocking(math.atan2(dy, dx), distance, keep_out))
    return sorted(found, key=lambda obstacle: obstacle.distance)


@lru_cache(maxsize=4)
def outlines(scene: Scene) -> tuple[tuple[float, float, float, float, float], ...]:
    """Give centre, half the height and radius of each obstacle, metres."""
    return tuple(
        (*solid.position.tolist(), solid.size[-1] / 2, solid.radius) for solid in scene.obstacles
    )


def course(obstacles: Sequence[Blocking], direct: float, distance: float) -> float:
    """Choose the direction to fly in, world frame: straight, or along a tangent of an obstacle.

    Args:
        obstacles: nearest first.
        direct: direction to the goal, world frame, radians.
        distance: metres to the goal; obstacles behind it do not matter.
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
    obstacles: Sequence[Blocking],
    direct: float,
    velocity: NDArray[np.float64],
    horizon: float = HORIZON,
) -> tuple[float, float]:
    """Choose the direction to fly in among many obstacles.

    Of all paths of two straight legs it takes the one that leads farthest towards the goal; turns
    cost.

    Args:
        obstacles: those within `horizon`.
        direct: direction to the goal, world frame, radians.
        velocity: of the vehicle, m/s, world ENU, shape (3,).
        horizon: distance to look ahead, metres.

    Returns:
        The direction of the first leg, world frame, radians, and the free distance along it, at
        most `horizon` metres.
    """
    bearing, distance, keep_out = np.array(obstacles, dtype=np.float64).reshape(-1, 3).T
    # From here on in a frame with x towards the goal.
    bearing = bearing - direct
    places = distance * np.stack((np.cos(bearing), np.sin(bearing)))
    x, y, _ = velocity.tolist()
    moving = math.atan2(y, x) - direct if math.hypot(x, y) > 0.3 else 0.0
    ways = np.stack((np.cos(_ASIDE), np.sin(_ASIDE)))
    first = free_distance(np.zeros((2, 1)), ways, places, keep_out, horizon)
    legs = horizon * _FIRST_LEGS
    joints = (ways[:, :, None] * legs).reshape(2, -1)
    # Half of the directions are enough for the second leg.
    joints, second_ways = joints[:, :, None], ways[:, None, ::2]
    second = free_distance(joints, second_ways, places, keep_out, horizon)
    gained = (joints[0] + second * second_ways[0]).max(axis=1).reshape(len(_ASIDE), -1)
    gained = np.where(first[:, None] >= legs, gained, -horizon).max(axis=1)
    # Where no path leads on, the leg that is free for longest.
    gained = np.maximum(gained, first * ways[0] - horizon)
    turn = np.abs((_ASIDE - moving + math.pi) % (2 * math.pi) - math.pi)
    cost = _TURN_COST * (horizon / HORIZON) ** 2 * (turn + 0.5 * np.abs(_ASIDE))
    best = int(np.argmax(gained - cost))
    return direct + float(_ASIDE[best]), float(first[best])


class Wayfinder:
    """Turns smoothly to the direction of a `free_course`, which it finds every `PLAN_PERIOD`.

    Args:
        world: the world that the vehicle flies in.
        margin: clearance to keep between hull and obstacle, metres.
        horizon: distance to look ahead, metres.
    """

    def __init__(self, world: World, margin: float, horizon: float = HORIZON) -> None:
        self._world, self._margin, self._horizon = world, margin, horizon
        self._planned, self._time = -PLAN_PERIOD, 0
        self._course: tuple[float, float] | None = None

    def course(self, direct: float) -> tuple[float, float]:
        """Give the direction to fly in and the free distance along it, see `free_course`."""
        world, horizon = self._world, self._horizon
        if world.time >= self._planned + PLAN_PERIOD:
            obstacles = blocking(world, self._margin, LEAD + SMOOTHING, horizon)
            heading = world.state.linear_velocity
            if self._course is not None:
                # What it has begun counts as much as how the vehicle, which lags behind, moves, and
                # more at speed: otherwise it may waver between two sides of a trunk until it meets
                # it.
                way, pace = self._course[0], max(math.hypot(*heading[:2].tolist()), 1.0)
                pace *= (horizon / HORIZON) ** 2
                heading = heading + pace * np.array([math.cos(way), math.sin(way), 0.0])
            self._plan = free_course(obstacles, direct, heading, horizon)
            self._planned = world.time
        way, room = self._course or self._plan
        share = 1 - math.exp((self._time - world.time) / SECOND / SMOOTHING)
        self._time = world.time
        way += share * wrap(self._plan[0] - way)
        self._course = way, room + share * (self._plan[1] - room)
        return self._course


def free_distance(
    starts: NDArray[np.float64],
    ways: NDArray[np.float64],
    places: NDArray[np.float64],
    keep_out: NDArray[np.float64],
    horizon: float,
) -> NDArray[np.float64]:
    """Give the free distance from starts (2, ...) along directions (2, ...), at most `horizon`, m.

    Starts and directions are broadcast. Obstacles are discs of radius `keep_out` (N,) around
    `places` (2, N).
    """
    x, y = (place - start[..., None] for place, start in zip(places, starts, strict=True))
    c, s = ways[..., None]
    along, across = x * c + y * s, y * c - x * s
    inside = keep_out**2 - across**2
    entry = along - np.sqrt(np.maximum(inside, 0.0))
    reach = np.where((inside > 0) & (along > 0), entry, horizon)
    free: NDArray[np.float64] = reach.min(axis=-1, initial=horizon).clip(0.0, horizon)
    return free


def push(obstacles: Sequence[Blocking]) -> NDArray[np.float64]:
    """Give the velocity out of all keep-out zones around the vehicle, world, m/s, shape (2,)."""
    velocity = np.zeros(2)
    for bearing, away, keep_out in obstacles:
        if keep_out > away:
            outwards = np.array([math.cos(bearing), math.sin(bearing)])
            velocity -= PUSH * (keep_out - away) * outwards
    return velocity
