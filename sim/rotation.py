"""Three-vectors and rotations in plain Python floats, several times faster than small arrays."""

from collections.abc import Sequence
from math import cos, sin

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]
Matrix = tuple[Vector, Vector, Vector]


def rotation_matrix(quaternion: Sequence[float]) -> Matrix:
    """Rows of the rotation matrix of a unit quaternion x, y, z, w."""
    x, y, z, w = quaternion
    return (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )


def rotate(matrix: Matrix, vector: Sequence[float]) -> Vector:
    """R v; if R is the attitude of a body, from the body frame to the world frame."""
    (a, b, c), (d, e, f), (g, h, i) = matrix
    x, y, z = vector
    return (a * x + b * y + c * z, d * x + e * y + f * z, g * x + h * y + i * z)


def rotate_back(matrix: Matrix, vector: Sequence[float]) -> Vector:
    """R^T v; if R is the attitude of a body, from the world frame to the body frame."""
    (a, b, c), (d, e, f), (g, h, i) = matrix
    x, y, z = vector
    return (a * x + d * y + g * z, b * x + e * y + h * z, c * x + f * y + i * z)


def cross(first: Sequence[float], second: Sequence[float]) -> Vector:
    """Cross product of two three-vectors."""
    a, b, c = first
    x, y, z = second
    return (b * z - c * y, c * x - a * z, a * y - b * x)


def rotation_of(roll: float, pitch: float, yaw: float) -> Matrix:
    """Rows of the rotation matrix Rz(yaw) Ry(pitch) Rx(roll); angles in radians."""
    a, b, c = roll / 2, pitch / 2, yaw / 2
    (sa, ca), (sb, cb), (sc, cc) = ((sin(half), cos(half)) for half in (a, b, c))
    return rotation_matrix(
        (
            sa * cb * cc - ca * sb * sc,
            ca * sb * cc + sa * cb * sc,
            ca * cb * sc - sa * sb * cc,
            ca * cb * cc + sa * sb * sc,
        )
    )
