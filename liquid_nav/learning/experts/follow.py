"""The expert of the task `follow`."""

import math

import numpy as np

from liquid_nav.events import SECOND
from liquid_nav.learning.experts.avoidance import Wayfinder, blocking, push
from liquid_nav.learning.experts.base import clip, facing, heading_frame, wrap
from liquid_nav.learning.experts.target import SEARCH_YAW_RATE, TargetExpert
from liquid_nav.onboard import RawCommand
from liquid_nav.rotations import yaw_of

DISTANCE = 2.5
"""Distance that it keeps from the target's centre, metres."""

MARGIN = 0.4
"""Clearance that it keeps between its hull and an obstacle, metres."""

IN_VIEW = math.radians(50)
"""Largest angle from the heading at which the target counts as in view, radians."""

MEMORY = 1.5
"""Time for which it turns to a target that has left the view, seconds."""


class FollowExpert(TargetExpert):
    """Flies to the target and moves along with it at a distance.

    It searches as `TargetExpert` does until the target has been in view. A target that has left the
    view for longer than `MEMORY` is lost: where it moved since then, no policy could know. The
    search then goes to the side on which it left.
    """

    def reset(self) -> None:
        """Forget the last flight."""
        super().reset()
        self._wayfinder = Wayfinder(self.world, MARGIN)
        self._last_in_view, self._side = 0, 1.0

    def command(self) -> RawCommand:
        """Give the command for now, see `Expert.command`."""
        world, state = self.world, self.world.state
        yaw = yaw_of(state.orientation)
        dx, dy, dz = (world.attempt.goal - state.position).tolist()
        away, direct = math.hypot(dx, dy), math.atan2(dy, dx)
        off = wrap(direct - yaw)
        if not self.seen or abs(off) < IN_VIEW:
            self._last_in_view = world.time
            self._side = math.copysign(1.0, off)
        if not self.seen:
            return (0.0, 0.0, 0.0, SEARCH_YAW_RATE)
        if world.time - self._last_in_view > MEMORY * SECOND:
            return (0.0, 0.0, 0.0, self._side * SEARCH_YAW_RATE)
        closing = clip(0.8 * (away - DISTANCE), 1.2 * self.speed)
        wanted = np.array([closing * math.cos(direct), closing * math.sin(direct), 1.2 * dz])
        if world.scene.route is not None:
            wanted += world.scene.route.velocity(world.time / SECOND)
        x, y, climb = wanted.tolist()
        way, room = self._wayfinder.course(math.atan2(y, x))
        speed = min(math.hypot(x, y), 0.5 + room) * facing(off)
        velocity = speed * np.array([math.cos(way), math.sin(way)])
        vx, vy = heading_frame(velocity + push(blocking(world, MARGIN, reach=0.0)), yaw)
        return self.within_limits((vx, vy, climb, 2.5 * off))
