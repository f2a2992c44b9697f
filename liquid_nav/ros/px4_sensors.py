"""PX4's own odometry as an event: what tells the back-end its heading, with nothing between."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from liquid_nav.events import Odometry

NED = 1
"""POSE_FRAME_NED and VELOCITY_FRAME_NED of ``px4_msgs/VehicleOdometry``."""

BODY_FRD = 3
"""VELOCITY_FRAME_BODY_FRD."""

ENU_FROM_NED = np.array([0.0, 1.0, 1.0, 0.0]) / np.sqrt(2)
FRD_FROM_FLU = np.array([0.0, 1.0, 0.0, 0.0])
"""Half turns, as w, x, y, z: about north-east, and about forward."""


def odometry_event(message: Any, arrival: int) -> Odometry | None:
    """Turn ``px4_msgs/VehicleOdometry`` (NED, FRD) into an event (ENU, FLU).

    Args:
        message: as it came. Its time is the companion's as long as UXRCE_DDS_SYNCT is on.
        arrival: when it came, ns; a sample from later than that is taken as just taken.

    Returns:
        The event, or None for a pose or a velocity in a frame that says nothing of north.

    """
    if message.pose_frame != NED or message.velocity_frame not in (NED, BODY_FRD):
        return None
    attitude = np.asarray(message.q, dtype=np.float64)
    velocity = np.asarray(message.velocity, dtype=np.float64)
    if message.velocity_frame == NED:
        velocity = _rotate(attitude * (1, -1, -1, -1), velocity)
    orientation = _times(_times(ENU_FROM_NED, attitude), FRD_FROM_FLU)
    return Odometry(
        stamp=min(int(message.timestamp_sample) * 1000, arrival),
        arrival=arrival,
        position=_rotate(ENU_FROM_NED, message.position),
        orientation=np.roll(orientation, -1),  # To x, y, z, w.
        linear_velocity=_rotate(FRD_FROM_FLU, velocity),
        angular_velocity=_rotate(FRD_FROM_FLU, message.angular_velocity),
    )


def _times(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Multiply quaternions w, x, y, z."""
    w = a[0] * b[0] - a[1:] @ b[1:]
    return np.append(w, a[0] * b[1:] + b[0] * a[1:] + np.cross(a[1:], b[1:]))


def _rotate(q: NDArray[np.float64], vector: ArrayLike) -> NDArray[np.float64]:
    return _times(_times(q, np.append(0.0, vector)), q * (1, -1, -1, -1))[1:]
