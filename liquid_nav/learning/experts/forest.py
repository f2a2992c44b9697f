"""The expert of the task `forest`."""

import math

from liquid_nav.learning.experts.avoidance import Wayfinder, blocking, push
from liquid_nav.learning.experts.base import Expert, clip, heading_frame, wrap
from liquid_nav.onboard import RawCommand
from liquid_nav.rotations import yaw_of

CRUISE_SPEED = 2.2
"""m/s, where nothing is ahead."""

MARGIN = 0.3
"""Metres of air that the expert leaves between its hull and a trunk."""

RETURN = 15.0
"""Metres over which it would come back to the line along its first heading."""


class ForestExpert(Expert):
    """Flies along the first heading, around the trunks.

    It looks no farther than `avoidance.HORIZON`, and not behind itself.
    """

    def reset(self) -> None:
        """Forget the last flight."""
        super().reset()
        self._wayfinder = Wayfinder(self.world, MARGIN)

    def command(self) -> RawCommand:
        """See `Expert`."""
        world, state = self.world, self.world.state
        yaw, first = yaw_of(state.orientation), world.scene.start_yaw
        x, y, z = (world.attempt.goal - state.position).tolist()
        aside = math.cos(first) * y - math.sin(first) * x
        ahead = first + math.atan2(aside, RETURN)
        way, room = self._wayfinder.course(ahead)
        drift = wrap(way - yaw)
        speed = min(0.4 + 0.5 * room, CRUISE_SPEED) * max(0.2, math.cos(drift))
        push_x, push_y = heading_frame(push(blocking(world, MARGIN, reach=0.0)), yaw)
        vx, vy = speed * math.cos(drift) + push_x, speed * math.sin(drift) + push_y
        yaw_rate = clip(2.0 * wrap(0.6 * drift + 0.4 * wrap(ahead - yaw)), 1.5)
        return (clip(vx, 2.5), clip(vy, 1.4), clip(1.2 * z, 0.8), yaw_rate)
