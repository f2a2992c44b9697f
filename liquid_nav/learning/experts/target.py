"""The expert of the task `target`."""

import math

from liquid_nav.events import CameraFrame, Event
from liquid_nav.learning.experts.avoidance import blocking, course, push
from liquid_nav.learning.experts.base import Expert, clip, heading_frame, wrap
from liquid_nav.onboard import RawCommand
from liquid_nav.rotations import yaw_of

SEARCH_YAW_RATE = 1.2
"""Yaw rate of the search, to the left, rad/s."""

CRUISE_SPEED = 2.2
"""Speed far from the target, m/s."""

MARGIN = 0.5
"""Clearance that it keeps between its hull and an obstacle, metres."""


class TargetExpert(Expert):
    """Flies to the target, around obstacles in the way.

    While the target has never been in view it searches, always to the left, instead of turning to
    where the target is.
    """

    def reset(self) -> None:
        """Forget the last flight."""
        self.seen = False

    def on_event(self, event: Event) -> None:
        """Note whether a frame shows the target."""
        if isinstance(event, CameraFrame):
            self.seen |= self.world.view(event).target_pixels > 0

    def command(self) -> RawCommand:
        """Give the command for now, see `Expert.command`."""
        if not self.seen:
            return (0.0, 0.0, 0.0, SEARCH_YAW_RATE)
        state = self.world.state
        yaw = yaw_of(state.orientation)
        dx, dy, dz = (self.world.attempt.goal - state.position).tolist()
        distance, direct = math.hypot(dx, dy), math.atan2(dy, dx)
        obstacles = blocking(self.world, MARGIN)
        # Look where the target is, but not away from where the vehicle goes.
        bearing = wrap(direct - yaw)
        drift = wrap(course(obstacles, direct, distance) - yaw)
        yaw_rate = 2.5 * (0.7 * bearing + 0.3 * drift)
        # Never fly far out of the field of view: turn first, then go.
        facing = max(0.0, math.cos(clip(1.3 * drift, math.pi / 2)))
        speed = min(self.speed * CRUISE_SPEED, 0.9 + 0.6 * max(distance - 1.0, 0.0)) * facing
        push_x, push_y = heading_frame(push(obstacles), yaw)
        vx, vy = speed * math.cos(drift) + push_x, speed * math.sin(drift) + push_y
        return self.within_limits((vx, vy, 1.2 * dz, yaw_rate))
