"""Rotations as unit quaternions x, y, z, w, in plain Python floats.

A quaternion of a pose rotates vectors of the body frame FLU into the world frame ENU (REP-103).
Nothing here checks that a quaternion has norm 1: a caller at a boundary does, see
`liquid_nav.messages.transforms.rotation_of`.

The simulator's inner loop has functions of its own in ``sim/rotation.py``: mypyc compiles them into
one library with their callers, and the code on a vehicle must not depend on that library.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]

IDENTITY: Quaternion = (0.0, 0.0, 0.0, 1.0)
"""The rotation that changes nothing."""


def compose(outer: Sequence[float], inner: Sequence[float]) -> Quaternion:
    """Hamilton product of two quaternions: the rotation by `inner`, then by `outer`."""
    a, b, c, d = outer
    x, y, z, w = inner
    return (
        d * x + a * w + b * z - c * y,
        d * y - a * z + b * w + c * x,
        d * z + a * y - b * x + c * w,
        d * w - a * x - b * y - c * z,
    )


def inverse(quaternion: Sequence[float]) -> Quaternion:
    """Quaternion of the opposite rotation."""
    x, y, z, w = quaternion
    return (-x, -y, -z, w)


def rotate(quaternion: Sequence[float], vector: Sequence[float]) -> Vector:
    """Rotate a vector; the orientation of a body takes it from body to world frame."""
    x, y, z, w = quaternion
    a, b, c = vector
    p, q, r = 2 * (y * c - z * b), 2 * (z * a - x * c), 2 * (x * b - y * a)
    return (a + w * p + y * r - z * q, b + w * q + z * p - x * r, c + w * r + x * q - y * p)


def from_vector(vector: Sequence[float]) -> Quaternion:
    """Quaternion of a rotation vector: its direction is the axis, its length the angle, radians."""
    x, y, z = vector
    angle = math.sqrt(x * x + y * y + z * z)
    share = math.sin(angle / 2) / angle if angle else 0.5
    return (share * x, share * y, share * z, math.cos(angle / 2))


def to_matrix(quaternion: Sequence[float]) -> NDArray[np.float64]:
    """Rotation matrix of a quaternion, shape (3, 3)."""
    x, y, z, w = quaternion
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def from_matrix(matrix: NDArray[np.float64]) -> Quaternion:
    """Quaternion of a rotation matrix, shape (3, 3); its largest component is positive.

    Computed as an eigenvector (Bar-Itzhack 2000), which needs no case distinctions.
    """
    (a, b, c), (d, e, f), (g, h, i) = matrix.tolist()
    symmetric = np.array(
        [
            [a - e - i, b + d, c + g, h - f],
            [b + d, e - a - i, f + h, c - g],
            [c + g, f + h, i - a - e, d - b],
            [h - f, c - g, d - b, a + e + i],
        ]
    )
    x, y, z, w = np.linalg.eigh(symmetric)[1][:, -1].tolist()
    sign = math.copysign(1.0, max(x, y, z, w, key=abs))
    return (sign * x, sign * y, sign * z, sign * w)


def yaw_of(quaternion: NDArray[np.float64]) -> float:
    """Heading in radians of the body's x axis, level or not: 0 faces east, positive to the left.

    A body that points straight up or down has no heading; the result is then meaningless.
    """
    x, y, z, w = quaternion.tolist()
    return math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
