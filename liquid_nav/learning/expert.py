"""The privileged expert of the task `target`: it knows the scene, and asks what a pilot could do.

It does not use what no policy could know: while the target has never been in view it searches,
always to the left, instead of turning to where the target is.
"""

import math

import numpy as np

from liquid_nav.events import CameraFrame, Event, yaw_of
from liquid_nav.policy import RawCommand
from liquid_nav_sim.scene import Shape, Solid
from liquid_nav_sim.world import World

SEARCH_YAW_RATE = 1.2
"""rad/s, to the left."""

CRUISE_SPEED = 2.2
"""m/s, far from the target."""

MARGIN = 0.5
"""Metres of air that the expert leaves between its hull and an obstacle."""


class TargetExpert:
    """Flies to the target, around what stands in the way.

    Args:
        world: the world it may look into.

    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.reset()

    def reset(self) -> None:
        """Forget the last flight."""
        self.seen = False

    def on_event(self, event: Event) -> None:
        """Learn from a frame whether the target has come into view."""
        if isinstance(event, CameraFrame):
            self.seen |= self._world.view(event).target_pixels > 0

    def command(self) -> RawCommand:
        """What to do now: (vx, vy, vz, yaw_rate), m/s and rad/s, heading frame."""
        if not self.seen:
            return (0.0, 0.0, 0.0, SEARCH_YAW_RATE)
        state, scene = self._world.state, self._world.scene
        assert scene.target is not None
        yaw = yaw_of(state.orientation)
        dx, dy, dz = (scene.target.position - state.position).tolist()
        distance = math.hypot(dx, dy)
        course = self._course(state.position, math.atan2(dy, dx), distance)
        # Look where the target is, but not away from where the vehicle goes.
        bearing = wrap(math.atan2(dy, dx) - yaw)
        drift = wrap(course - yaw)
        yaw_rate = _clip(2.5 * (0.7 * bearing + 0.3 * drift), 1.5)
        # Never fly far out of the field of view: turn first, then go.
        facing = max(0.0, math.cos(_clip(1.3 * drift, math.pi / 2)))
        speed = min(CRUISE_SPEED, 0.9 + 0.6 * max(distance - 1.0, 0.0)) * facing
        push_x, push_y = self._push(state.position)
        vx = speed * math.cos(drift) + math.cos(yaw) * push_x + math.sin(yaw) * push_y
        vy = speed * math.sin(drift) - math.sin(yaw) * push_x + math.cos(yaw) * push_y
        return (_clip(vx, 2.5), _clip(vy, 1.4), _clip(1.2 * dz, 0.8), yaw_rate)

    def _blocking(self, position: np.ndarray) -> list[tuple[Solid, float, float, float]]:
        """Obstacles at the vehicle's height: (solid, bearing, distance, keep-out radius)."""
        hull = self._world.config.vehicle.collision_radius
        found = []
        for solid in self._world.scene.obstacles:
            height = solid.size[0] if solid.shape is Shape.SPHERE else solid.size[-1]
            dx, dy, dz = (solid.position - position).tolist()
            if abs(dz) < height / 2 + hull + MARGIN:
                keep_out = solid.radius + hull + MARGIN
                found.append((solid, math.atan2(dy, dx), math.hypot(dx, dy), keep_out))
        return sorted(found, key=lambda item: item[2])

    def _course(self, position: np.ndarray, direct: float, distance: float) -> float:
        """Direction to fly in, world frame: straight, or along the tangent of what blocks it."""
        course = direct
        for _, bearing, away, keep_out in self._blocking(position):
            if away - keep_out > distance or away <= keep_out:
                continue
            half_width = math.asin(keep_out / away)
            if abs(wrap(course - bearing)) < half_width:
                left, right = bearing + half_width, bearing - half_width
                course = min(left, right, key=lambda side: abs(wrap(side - direct)))
        return course

    def _push(self, position: np.ndarray) -> tuple[float, float]:
        """Velocity away from obstacles whose keep-out zone the vehicle is in, world frame, m/s."""
        push_x = push_y = 0.0
        for _, bearing, away, keep_out in self._blocking(position):
            depth = keep_out - away
            if depth > 0:
                push_x -= 2.0 * depth * math.cos(bearing)
                push_y -= 2.0 * depth * math.sin(bearing)
        return push_x, push_y


def wrap(angle: float) -> float:
    """Bring an angle into [-pi, pi)."""
    return (angle + math.pi) % (2 * math.pi) - math.pi


def _clip(value: float, magnitude: float) -> float:
    return min(max(value, -magnitude), magnitude)
