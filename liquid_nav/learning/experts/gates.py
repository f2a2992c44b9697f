"""The expert of the task `gates`."""

import math

import numpy as np

from liquid_nav.learning.experts.base import Expert, clip, heading_frame, wrap
from liquid_nav.onboard import RawCommand
from liquid_nav.rotations import yaw_of
from liquid_nav_sim.tasks.gates import GatesAttempt

CRUISE_SPEED = 2.0
"""m/s along a gate's axis, where the vehicle is on it."""


class GatesExpert(Expert):
    """Closes in on the axis of the next gate and flies along it, its nose to the gate.

    The farther off the axis for its distance, the slower it nears the gate; so it never comes to
    the frame but in the middle of the opening.
    """

    def command(self) -> RawCommand:
        """See `Expert`."""
        world, state, attempt = self.world, self.world.state, self.world.attempt
        assert isinstance(attempt, GatesAttempt)
        gate = world.scene.gates[min(attempt.passed, len(world.scene.gates) - 1)]
        yaw = yaw_of(state.orientation)
        dx, dy, dz = (gate.position - state.position).tolist()
        axis = np.array([math.cos(gate.yaw), math.sin(gate.yaw)])
        left = np.array([-axis[1], axis[0]])
        ahead, aside = float(axis @ (dx, dy)), float(left @ (dx, dy))
        room = gate.width / 2 - world.vehicle.collision_radius
        astray = (abs(aside) + abs(dz)) / (room + 0.7 * max(ahead, 0.0))
        along = CRUISE_SPEED * max(1 - astray, 0.0)
        vx, vy = heading_frame(along * axis + clip(1.5 * aside, 1.2) * left, yaw)
        # At the gate itself its bearing means nothing: look through it.
        look = math.atan2(dy, dx) if ahead > 1.0 else gate.yaw
        yaw_rate = clip(2.0 * wrap(look - yaw), 1.5)
        return (clip(vx, 2.5), clip(vy, 1.4), clip(1.5 * dz, 0.8), yaw_rate)
