"""The expert of the task `follow`."""

import math

import numpy as np

from liquid_nav.events import SECOND
from liquid_nav.learning.experts.avoidance import Wayfinder, blocking, push
from liquid_nav.learning.experts.base import clip, heading_frame, wrap
from liquid_nav.learning.experts.target import SEARCH_YAW_RATE, TargetExpert
from liquid_nav.onboard import RawCommand
from liquid_nav.rotations import yaw_of

DISTANCE = 2.5
"""What it keeps from the target's centre, metres."""

MARGIN = 0.4
"""Metres of air that the expert leaves between its hull and an obstacle."""


class FollowExpert(TargetExpert):
    """Flies to the target and keeps its distance, going along with it.

    It searches as `TargetExpert` does until the target has been in view.
    """

    def reset(self) -> None:
        """Forget the last flight."""
        super().reset()
        self._wayfinder = Wayfinder(self.world, MARGIN)

    def command(self) -> RawCommand:
        """See `Expert`."""
        if not self.seen:
            return (0.0, 0.0, 0.0, SEARCH_YAW_RATE)
        world, state = self.world, self.world.state
        yaw = yaw_of(state.orientation)
        dx, dy, dz = (world.attempt.goal - state.position).tolist()
        away, direct = math.hypot(dx, dy), math.atan2(dy, dx)
        closing = clip(0.8 * (away - DISTANCE), 1.2)
        wanted = np.array([closing * math.cos(direct), closing * math.sin(direct), 1.2 * dz])
        if world.scene.route is not None:
            wanted += world.scene.route.velocity(world.time / SECOND)
        x, y, climb = wanted.tolist()
        way, room = self._wayfinder.course(math.atan2(y, x))
        speed = min(math.hypot(x, y), 0.5 + room)
        velocity = speed * np.array([math.cos(way), math.sin(way)])
        vx, vy = heading_frame(velocity + push(blocking(world, MARGIN, reach=0.0)), yaw)
        yaw_rate = clip(2.5 * wrap(direct - yaw), 1.5)
        return (clip(vx, 2.8), clip(vy, 1.4), clip(climb, 0.8), yaw_rate)
