"""The expert of the task `gates`."""

import math

import numpy as np
from numpy.typing import NDArray

from liquid_nav.learning.experts.base import (
    Expert,
    clip,
    facing,
    heading_frame,
    response_time,
    wrap,
)
from liquid_nav.onboard import RawCommand
from liquid_nav.rotations import yaw_of
from liquid_nav_sim.scenes.scene import Gate
from liquid_nav_sim.tasks.gates import GatesAttempt

CRUISE_SPEED = 2.0
"""Speed along the axis of a gate when the vehicle is on the axis, m/s."""

RETREAT_SPEED = 1.0
"""Largest speed away from a gate that the vehicle would miss or has missed, m/s."""

LOOK_ON = (2.0, 0.5)
"""Distances before a gate between which the view turns from it to the next gate, metres.

The frame leaves a field of view of 90 degrees at about 1 m.
"""

TRANSIT = 1.0
"""Distance behind a gate over which the course turns from its axis to the next gate, metres."""

TUNNEL = 0.5
"""Distance before a gate from which on the vehicle must be in the middle of the opening, metres."""

MIDDLE = 0.6
"""Share of the air beside the hull in a gate within which the vehicle is in the middle."""

FUNNEL = 0.7
"""Metres by which it may be farther off the axis for each metre before the tunnel."""


class GatesExpert(Expert):
    """Approaches the axis of the next gate and flies along it, with its nose to the gate.

    The farther off the axis for its distance, the slower it nears the gate, and it backs away where
    it would meet the frame; so it comes to the gate in the middle of the opening only. Where wind
    pushes it off the axis, it asks for more than the velocity that it wants. It looks at the gate
    after that before the nearer one leaves the view, and waits for a gate that lies outside the
    view.
    """

    def command(self) -> RawCommand:
        """Give the command for now, see `Expert.command`."""
        scene, state, attempt = self.world.scene, self.world.state, self.world.attempt
        assert isinstance(attempt, GatesAttempt)
        yaw, last = yaw_of(state.orientation), len(scene.gates) - 1
        present = min(attempt.passed, last)
        look = self._bearing(scene.gates[present])
        velocity = self._approach(scene.gates[present], wrap(look - yaw))
        if present > 0:
            behind = -self._along_and_aside(scene.gates[present - 1])[0]
            share = min(max(behind / TRANSIT, 0.0), 1.0)
            velocity = share * velocity + (1 - share) * self._leave(scene.gates[present - 1])
        velocity = self._against_drift(velocity, scene.gates[present].yaw)
        if present < last:
            ahead = self._along_and_aside(scene.gates[present])[0]
            far, near = LOOK_ON
            share = min(max((far - ahead) / (far - near), 0.0), 1.0) if ahead > 0 else 0.0
            look += share * wrap(self._bearing(scene.gates[present + 1]) - look)
        vx, vy = heading_frame(velocity[:2], yaw)
        yaw_rate = 2.0 * wrap(look - yaw)
        return self.within_limits((vx, vy, float(velocity[2]), yaw_rate))

    def _along_and_aside(self, gate: Gate) -> tuple[float, float]:
        """Give the way to a gate's centre along its axis and to the left of that, metres."""
        dx, dy, _ = (gate.position - self.world.state.position).tolist()
        return heading_frame(np.array([dx, dy]), gate.yaw)

    def _bearing(self, gate: Gate) -> float:
        """Give the direction to look in, world frame, radians: to the gate, or, at it, through."""
        ahead, aside = self._along_and_aside(gate)
        return gate.yaw + math.atan2(aside, max(ahead, 1.0))

    def _approach(self, gate: Gate, off: float) -> NDArray[np.float64]:
        """Give the velocity towards a gate that lies `off` radians from the heading, world, m/s."""
        ahead = self._along_and_aside(gate)[0]
        near, aside, rise = self._offset(gate)
        hull = self.world.vehicle.collision_radius
        room = MIDDLE * (gate.width / 2 - hull) + FUNNEL * max(near - TUNNEL, 0.0)
        astray = (abs(aside) + abs(rise)) / room
        along = self.speed * CRUISE_SPEED * max(1 - astray**1.5, 0.0) * facing(off)
        along -= RETREAT_SPEED * (1.0 if ahead < 0 else min(max(astray - 1, 0.0), 1.0))
        sideways = clip(1.5 * aside, 1.2 * self.speed)
        upwards = clip(1.5 * rise, 0.8 * self.speed)
        if abs(aside) > gate.width / 2 or abs(rise) > gate.height / 2:
            # Beside the frame: no closer to it before the vehicle is in front of it.
            clear = min(max((ahead - hull) / 0.2, 0.0), 1.0)
            sideways, upwards = clear * sideways, clear * upwards
        return _turned(along, sideways, upwards, gate.yaw)

    def _offset(self, gate: Gate) -> tuple[float, float, float]:
        """Give the way to a gate from where the vehicle will be once it can react.

        Along the gate's axis, to the left of it and up, metres.
        """
        lead = response_time(self.world)
        dx, dy, dz = (
            gate.position - self.world.state.position - lead * self.world.state.linear_velocity
        ).tolist()
        return (*heading_frame(np.array([dx, dy]), gate.yaw), dz)

    def _against_drift(self, velocity: NDArray[np.float64], yaw: float) -> NDArray[np.float64]:
        """Add to a velocity what the vehicle lacks of it across a gate's axis, world, m/s.

        An autopilot takes seconds to learn a wind; one with slow motors takes longest, so that more
        is added.
        """
        lacking = velocity - self.world.state.linear_velocity
        _, aside = heading_frame(lacking[:2], yaw)
        share = response_time(self.world)
        return velocity + share * _turned(0.0, aside, float(lacking[2]), yaw)

    def _leave(self, gate: Gate) -> NDArray[np.float64]:
        """Give the velocity out of a gate that has just been passed, world, m/s, shape (3,)."""
        _, aside, rise = self._offset(gate)
        along = self.speed * CRUISE_SPEED
        return _turned(along, clip(1.5 * aside, 1.2), clip(1.5 * rise, 0.8), gate.yaw)


def _turned(along: float, aside: float, up: float, yaw: float) -> NDArray[np.float64]:
    """Rotate a velocity from the frame of a heading into the world, shape (3,)."""
    c, s = math.cos(yaw), math.sin(yaw)
    return np.array([c * along - s * aside, s * along + c * aside, up])
