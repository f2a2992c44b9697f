"""Poses of a vehicle that something else flies: which can be followed, and what seems wrong."""

from __future__ import annotations

import math
from typing import NamedTuple

from liquid_nav.events import SECOND
from liquid_nav.rotations import Quaternion, Vector, rotate

_OUT_OF_ORDER = SECOND
"""ns by which a pose may be older than the one before and only be late; an older one is of a clock
that was set back."""

_LEAP = 0.5
"""Metres and rad that a correction of the estimate may move a pose at once."""

_FASTEST_TURN = 40.0
"""rad/s."""

_DEPTH = 0.5
"""Metres below the floor at which a vehicle must be in another frame."""

_WAY = 0.5
"""Metres of way that show a direction."""

_TURNED = math.radians(45)
"""Largest angle between the way and the velocity."""


class Pose(NamedTuple):
    """Pose of the vehicle in a frame with z up, such as ENU.

    Attributes:
        stamp: ns.
        position: metres.
        orientation: unit quaternion x, y, z, w, from body FLU.
        velocity: m/s, in the same frame; None if it is not known.

    """

    stamp: int
    position: Vector
    orientation: Quaternion
    velocity: Vector | None = None


class Track:
    """The poses of the vehicle, one after the other.

    Args:
        timeout: longest time between two poses, seconds.
        max_speed: speed above which the pose has leapt, m/s.

    Attributes:
        last: the last pose; None before the first.
        late: number of poses that were no newer than the one before, and were dropped.

    """

    def __init__(self, timeout: float, max_speed: float) -> None:
        self._timeout, self._max_speed = timeout, max_speed
        self.last: Pose | None = None
        self.late = 0
        self._count, self._span = 0, 0

    def add(self, pose: Pose) -> str | None:
        """Take the next pose.

        Returns:
            Why the vehicle's way to this pose is not known; empty if it is known; None if the pose
            is dropped, because it is no newer than the one before.

        """
        before = self.last
        if before is None:
            self.last = pose
            return "this is the first pose"
        elapsed = (pose.stamp - before.stamp) / SECOND
        if -_OUT_OF_ORDER <= pose.stamp - before.stamp <= 0:
            self.late += 1
            return None
        self.last = pose
        if elapsed < 0:
            return f"the clock of the poses went back by {-elapsed:.2f} s"
        if elapsed > self._timeout:
            return f"no pose for {elapsed:.2f} s"
        self._count, self._span = self._count + 1, self._span + pose.stamp - before.stamp
        way = math.dist(before.position, pose.position)
        if way > _LEAP + self._max_speed * elapsed:
            return f"the pose leapt by {way:.2f} m in {elapsed:.3f} s"
        same = abs(sum(a * b for a, b in zip(before.orientation, pose.orientation, strict=True)))
        angle = 2 * math.acos(min(same, 1.0))
        if angle > _LEAP + _FASTEST_TURN * elapsed:
            return f"the pose leapt by {math.degrees(angle):.0f} degrees in {elapsed:.3f} s"
        return ""

    def rate(self) -> float:
        """Poses a second, by their stamps, since the last call; 0 if there were none."""
        count, span = self._count, self._span
        self._count, self._span = 0, 0
        return count * SECOND / span if span else 0.0


class FrameCheck:
    """Watches for poses that seem to be in other frames than they should be.

    Args:
        floor: height of the floor, metres.

    """

    def __init__(self, floor: float) -> None:
        self._floor = floor
        self._of_pose, self._of_heading = "", ""
        self.restart()

    @property
    def complaint(self) -> str:
        """What seems wrong, and what would be right; empty if nothing does."""
        return self._of_pose or self._of_heading

    def restart(self) -> None:
        """Forget the way so far, because the next pose does not continue it."""
        self._last: Pose | None = None
        self._moved, self._flown = (0.0, 0.0), (0.0, 0.0)

    def add(self, pose: Pose) -> None:
        """Look at the next pose."""
        depth = self._floor - pose.position[2]
        self._of_pose = ""
        if depth > _DEPTH:
            self._of_pose = (
                f"the vehicle is {depth:.1f} m below the floor: is its pose in NED, with z down? "
                "Odometry and transforms must be in ENU (REP-103); is the floor (origin) right?"
            )
        elif rotate(pose.orientation, (0.0, 0.0, 1.0))[2] < -0.5:
            self._of_pose = (
                "the vehicle is upside down: is its orientation that of a body in FRD, or of a "
                "world in NED? It must be from FLU to ENU (REP-103)"
            )
        before, self._last = self._last, pose
        if before is None or pose.velocity is None:
            return
        elapsed = (pose.stamp - before.stamp) / SECOND
        (mx, my), (fx, fy), (vx, vy, _) = self._moved, self._flown, pose.velocity
        dx, dy = pose.position[0] - before.position[0], pose.position[1] - before.position[1]
        self._moved = moved = (mx + dx, my + dy)
        self._flown = flown = (fx + vx * elapsed, fy + vy * elapsed)
        if min(math.hypot(*moved), math.hypot(*flown)) > _WAY:
            self._compare()
        if max(math.hypot(*moved), math.hypot(*flown)) > 2 * _WAY:
            self._moved, self._flown = (0.0, 0.0), (0.0, 0.0)

    def _compare(self) -> None:
        """Compare the direction of the way with that of the velocities along it."""
        (mx, my), (fx, fy) = self._moved, self._flown
        self._moved, self._flown = (0.0, 0.0), (0.0, 0.0)
        turn = math.atan2(mx * fy - my * fx, mx * fx + my * fy)
        self._of_heading = ""
        if abs(turn) > _TURNED:
            side = "left" if turn > 0 else "right"
            self._of_heading = (
                f"the velocity points {math.degrees(abs(turn)):.0f} degrees to the {side} of where "
                "the position moves: is the heading that of NED (0 is north, clockwise), or the "
                "twist not in the frame of the body? Both must follow REP-103 and REP-105"
            )
