"""The expert of the task `forest`."""

import math

from liquid_nav.learning.experts.avoidance import HORIZON, Wayfinder, blocking, push
from liquid_nav.learning.experts.base import Expert, heading_frame, wrap
from liquid_nav.onboard import RawCommand
from liquid_nav.rotations import yaw_of

CRUISE_SPEED = 2.2
"""Speed where nothing is ahead, m/s."""

MARGIN = 0.3
"""Clearance that it keeps between its hull and a trunk, metres."""

FARTHEST = 14.0
"""Farthest that it looks ahead on a fast flight, metres.

In 64 pixels of 90 degrees a trunk there is a pixel wide.
"""

RETURN = 15.0
"""Distance over which it returns to the line along its first heading, metres."""


class ForestExpert(Expert):
    """Flies along the first heading, around the trunks.

    It looks no farther than `avoidance.HORIZON`, in proportion farther on a fast flight, and not
    behind itself.
    """

    def reset(self) -> None:
        """Forget the last flight."""
        super().reset()
        horizon = min(max(self.speed, 1.0) * HORIZON, FARTHEST)
        self._wayfinder = Wayfinder(self.world, MARGIN, horizon)

    def command(self) -> RawCommand:
        """Give the command for now, see `Expert.command`."""
        world, state = self.world, self.world.state
        yaw, first = yaw_of(state.orientation), world.scene.start_yaw
        x, y, z = (world.attempt.goal - state.position).tolist()
        aside = math.cos(first) * y - math.sin(first) * x
        ahead = first + math.atan2(aside, RETURN)
        way, room = self._wayfinder.course(ahead)
        drift = wrap(way - yaw)
        speed = min(0.4 * self.speed + 0.5 * room, self.speed * CRUISE_SPEED)
        speed *= max(0.2, math.cos(drift))
        push_x, push_y = heading_frame(push(blocking(world, MARGIN, reach=0.0)), yaw)
        vx, vy = speed * math.cos(drift) + push_x, speed * math.sin(drift) + push_y
        yaw_rate = 2.0 * wrap(0.6 * drift + 0.4 * wrap(ahead - yaw))
        return self.within_limits((vx, vy, 1.2 * z, yaw_rate))
