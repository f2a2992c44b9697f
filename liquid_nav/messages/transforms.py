"""Rotations of sensors on the vehicle, from static transforms (REP-105)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from liquid_nav.messages.decode import MessageError
from liquid_nav.messages.plug import Rotation
from liquid_nav.rotations import to_matrix

_DEEPEST = 64
"""Largest number of links from a frame to its root; a longer chain must be a ring."""


def rotation_of(quaternion: Sequence[float]) -> Rotation:
    """Return the rotation matrix, shape (3, 3), of a unit quaternion x, y, z, w.

    Raises:
        MessageError: if its norm differs from 1 by more than 0.001.

    """
    norm = math.hypot(*quaternion)
    # Written so that a norm that is not a number is refused too.
    if not abs(norm - 1) <= 1e-3:
        raise MessageError(f"a rotation must be a unit quaternion, its norm is {norm:g}")
    return to_matrix([value / norm for value in quaternion])


class StaticTransforms:
    """The tree of static transforms, filled from ``tf2_msgs/TFMessage`` on ``/tf_static``."""

    def __init__(self) -> None:
        self._parents: dict[str, tuple[str, Rotation]] = {}
        self._found: dict[tuple[str, str], Rotation] = {}

    def add(self, message: Any) -> None:
        """Add the transforms of a message; the newest one of each frame is used.

        Raises:
            MessageError: on a rotation that is not a unit quaternion; the others are added.

        """
        refused = ""
        for transform in message.transforms:
            q = transform.transform.rotation
            try:
                rotation = rotation_of((q.x, q.y, q.z, q.w))
            except MessageError as error:
                refused = f"transform to {transform.child_frame_id[:64]!r}: {error}"
                continue
            self._parents[transform.child_frame_id] = (transform.header.frame_id, rotation)
        self._found.clear()
        if refused:
            raise MessageError(refused)

    def rotation(self, frame: str, body: str) -> Rotation:
        """Return the rotation that takes vectors from `frame` to `body`.

        Raises:
            MessageError: while no chain of static transforms joins the two.

        """
        known = self._found.get((frame, body))
        if known is not None:
            return known
        (root, upwards), (other, downwards) = self._to_root(frame), self._to_root(body)
        if root != other:
            raise MessageError(
                f"no static transform joins frame {frame[:64]!r} to {body[:64]!r}: publish one on "
                "/tf_static, or set imu_rotation and imu_from_tf: false"
            )
        rotation = np.asarray(downwards.T @ upwards)
        self._found[(frame, body)] = rotation
        return rotation

    def _to_root(self, frame: str) -> tuple[str, Rotation]:
        rotation = np.eye(3)
        for _ in range(_DEEPEST):
            if frame not in self._parents:
                return frame, rotation
            frame, link = self._parents[frame]
            rotation = link @ rotation
        raise MessageError(f"static transforms form a ring at frame {frame[:64]!r}")
