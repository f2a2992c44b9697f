"""Rotations of sensors on the vehicle, from static transforms (REP-105)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from liquid_nav.messages.decode import MessageError
from liquid_nav.messages.fields import BODY, plain_frame
from liquid_nav.messages.plug import Rotation
from liquid_nav.rotations import to_matrix

_MOST_FRAMES = 64
"""Frames of an IMU that are remembered: a driver may name another one in every message."""

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
    """The tree of static transforms, filled from ``tf2_msgs/TFMessage`` on ``/tf_static``.

    A frame is found by its name, with or without a leading slash. Where a vehicle's frames have a
    prefix that one side leaves out, ``drone1/base_link`` is also found as ``base_link``.
    """

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
            q, child = transform.transform.rotation, plain_frame(transform.child_frame_id)
            try:
                rotation = rotation_of((q.x, q.y, q.z, q.w))
            except MessageError as error:
                refused = f"transform to {child[:64]!r}: {error}"
                continue
            self._parents[child] = (plain_frame(transform.header.frame_id), rotation)
        self._found.clear()
        if refused:
            raise MessageError(refused)

    def rotation(self, frame: str, body: str) -> Rotation:
        """Return the rotation that takes vectors from `frame` to `body`.

        Raises:
            MessageError: while no chain of static transforms joins the two, or when names without
                a prefix could mean several vehicles that differ.

        """
        known = self._found.get((frame, body))
        if known is None:
            known = self._found[(frame, body)] = self._find(plain_frame(frame), plain_frame(body))
        return known

    def _find(self, frame: str, body: str) -> Rotation:
        if _same(frame, body):
            return np.eye(3)
        best = 3
        found: list[Rotation] = []
        for one in self._named(frame):
            for other in self._named(body):
                # Names as given go before names of the same vehicle, and those before any others.
                doubt = 0 if (one, other) == (frame, body) else 1 + (_prefix(one) != _prefix(other))
                rotation = self._between(one, other) if doubt <= best else None
                if rotation is not None:
                    found = [*found, rotation] if doubt == best else [rotation]
                    best = doubt
        if not found:
            raise MessageError(
                f"no static transform joins frame {frame[:64]!r} to {body[:64]!r}: publish one on "
                "/tf_static, or set imu_rotation, or body_frame where the body has another name"
            )
        if any(not np.array_equal(rotation, found[0]) for rotation in found):
            raise MessageError(
                f"static transforms join several frames {frame[:64]!r} to {body[:64]!r}: name the "
                "vehicle's own by body_frame"
            )
        return found[0]

    def _named(self, name: str) -> list[str]:
        """Frames of the tree that a name can mean, and the name itself."""
        parents = (parent for parent, _ in self._parents.values())
        frames = dict.fromkeys([name, *self._parents, *parents])
        return [frame for frame in frames if _same(frame, name)]

    def _between(self, frame: str, body: str) -> Rotation | None:
        (root, upwards), (other, downwards) = self._to_root(frame), self._to_root(body)
        return np.asarray(downwards.T @ upwards) if root == other else None

    def _to_root(self, frame: str) -> tuple[str, Rotation]:
        rotation = np.eye(3)
        for _ in range(_DEEPEST):
            if frame not in self._parents:
                return frame, rotation
            frame, link = self._parents[frame]
            rotation = link @ rotation
        raise MessageError(f"static transforms form a ring at frame {frame[:64]!r}")


class ImuMounting:
    """How the IMU is turned on the vehicle: as its user says, or by static transforms.

    The rotation that a user gives wins. Otherwise the transforms are followed from the frame that
    the IMU's messages name. Where they do not lead to the body, the IMU is taken to be aligned.

    Args:
        given: the rotation from the IMU's frame to body FLU, shape (3, 3), if the user gives it.
        from_transforms: whether static transforms are followed.
        body: the frame of the body in them.

    Attributes:
        words: where the newest rotation came from.
        warnings: why the IMU had to be taken as aligned with the body; empty if it had not.

    """

    def __init__(
        self, given: Rotation | None = None, from_transforms: bool = True, body: str = BODY
    ) -> None:
        self._given, self._from_transforms, self._body = given, from_transforms, body
        self._transforms = StaticTransforms()
        self._rotations: dict[str, Rotation | None] = {}
        self.warnings: tuple[str, ...] = ()
        self.words = "the IMU is turned as was given"
        if given is None:
            self.words = "the IMU is taken to be aligned with the body"

    def add(self, message: Any) -> None:
        """Add static transforms, see `StaticTransforms.add`."""
        self._rotations.clear()
        self._transforms.add(message)

    def rotation(self, frame: str | None) -> Rotation | None:
        """Return the rotation to body FLU for a frame; None if there is nothing to rotate.

        Args:
            frame: ``frame_id`` of the IMU's message; None if its type has none.

        """
        if self._given is not None or not frame or not self._from_transforms:
            return self._given
        if frame not in self._rotations:
            if len(self._rotations) >= _MOST_FRAMES:
                self._rotations.clear()
            self._rotations[frame] = self._follow(frame)
        return self._rotations[frame]

    def _follow(self, frame: str) -> Rotation | None:
        self.warnings = ()
        try:
            rotation = self._transforms.rotation(frame, self._body)
        except MessageError as error:
            self.words = f"the IMU is taken to be aligned with {self._body}: {error}"
            self.warnings = (self.words,)
            return None
        if np.array_equal(rotation, np.eye(3)):
            self.words = f"the IMU in frame {frame!r} is aligned with {self._body}"
            return None
        self.words = f"the IMU is turned from {frame!r} to {self._body} by /tf_static"
        return rotation


def _same(a: str, b: str) -> bool:
    """Whether two names can be of one frame, one of them without the vehicle's prefix."""
    return a == b or a.endswith(f"/{b}") or b.endswith(f"/{a}")


def _prefix(frame: str) -> str:
    return frame.rpartition("/")[0]
