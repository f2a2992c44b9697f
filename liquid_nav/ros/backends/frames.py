"""Frames of autopilots, as mathematics: heading frame, world ENU, world NED.

ENU is x east, y north, z up (REP-103); NED is x north, y east, z down. The heading is the yaw of
the vehicle in ENU: 0 faces east, positive to the left.
"""

import math

from liquid_nav.events import Odometry
from liquid_nav.rotations import rotate

Vector3 = tuple[float, float, float]

_STEEPEST = math.cos(math.radians(80))
"""Cosine of the pitch from which on the heading is not defined well enough to be used."""


def heading_of(pose: Odometry) -> float | None:
    """Heading in radians; None if the quaternion is no rotation or the nose points up or down."""
    quaternion = pose.orientation.tolist()
    norm = math.hypot(*quaternion)
    if not 0.9 < norm < 1.1:  # False for NaN too.
        return None
    east, north, _ = rotate([value / norm for value in quaternion], (1.0, 0.0, 0.0))
    if math.hypot(east, north) < _STEEPEST:
        return None
    return math.atan2(north, east)


def heading_frame_to_enu(velocity: Vector3, heading: float) -> Vector3:
    """Turn (forward, left, up) by the heading into (east, north, up)."""
    forward, left, up = velocity
    c, s = math.cos(heading), math.sin(heading)
    return (c * forward - s * left, s * forward + c * left, up)


def in_heading_frame(velocity: Vector3, heading: float) -> Vector3:
    """Turn (east, north, up) by the heading into (forward, left, up)."""
    return heading_frame_to_enu(velocity, -heading)


def enu_to_ned(vector: Vector3) -> Vector3:
    """(east, north, up) as (north, east, down). Its own inverse."""
    east, north, up = vector
    return (north, east, -up)
