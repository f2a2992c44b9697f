"""Distortion models of lenses, by the names that drivers give them.

A lens maps ideal coordinates x / z, y / z of a ray in the optical frame to distorted ones, both at
unit focal length. The formulas are those of OpenCV ("Camera Calibration and 3D Reconstruction").
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from liquid_nav.messages.decode import MessageError

Coordinates = NDArray[np.float64]
"""Coordinates x and y of any number of points, shape (2, ...)."""

Lens = Callable[[Coordinates], Coordinates]


class Model(NamedTuple):
    """A distortion model: how many coefficients it may have, and OpenCV's function for it."""

    counts: tuple[int, ...]
    project: Callable[..., Any]


POLYNOMIAL = Model((4, 5, 8, 12, 14), cv2.projectPoints)
"""k1, k2, p1, p2, k3 of Brown-Conrady, then k4, k5, k6 of the rational model, then s1 to s4 of the
thin prism, then the tilt of the sensor, radians: a shorter list has zeros for the rest."""

FISHEYE = Model((4,), cv2.fisheye.projectPoints)
"""k1 to k4 of Kannala-Brandt; without distortion the image is proportional to the angle."""

MODELS = {
    "plumb_bob": POLYNOMIAL,
    "rational_polynomial": POLYNOMIAL,
    "equidistant": FISHEYE,
    "fisheye": FISHEYE,
    # Names of drivers and of calibration tools. Current versions of librealsense apply "inverse"
    # and "modified" Brown-Conrady in the same direction as Brown-Conrady.
    "radtan": POLYNOMIAL,
    "brown_conrady": POLYNOMIAL,
    "modified_brown_conrady": POLYNOMIAL,
    "inverse_brown_conrady": POLYNOMIAL,
    "opencv": POLYNOMIAL,
    "opencv_pinhole": POLYNOMIAL,
    "equi": FISHEYE,
    "kannala_brandt": FISHEYE,
    "kannala_brandt4": FISHEYE,
    "opencv_fisheye": FISHEYE,
}
"""Models by name. Case, spaces and punctuation of a name do not matter."""

UNNAMED = ("", "pinhole", "perspective")
"""What a driver says that does not name the model; its coefficients are then those of plumb_bob."""

_STILL = np.zeros((3, 1))
"""No rotation, no translation."""

_LARGEST_COEFFICIENT = 1e6


def ideal(rays: Coordinates) -> Coordinates:
    """Return what a lens without distortion makes of `rays`: the same."""
    return rays


def lens_of(name: str, coefficients: NDArray[np.float64]) -> Lens:
    """Return the lens of a model and its coefficients.

    Without coefficients a lens has no distortion. Zeros at the end of a list that is longer than
    the model's are ignored.

    Args:
        name: ``distortion_model`` of `sensor_msgs/CameraInfo`.
        coefficients: its ``d``.

    Raises:
        MessageError: on an unknown model with distortion, a number of coefficients that the model
            does not have, or a coefficient that is not finite or above a million.

    """
    count = coefficients.size
    if not (abs(coefficients) <= _LARGEST_COEFFICIENT).all():
        raise MessageError(
            f"camera_info.d must be within +-{_LARGEST_COEFFICIENT:g}, got {coefficients.tolist()}"
        )
    model = _KNOWN.get(_plain(name))
    distorts = bool(coefficients.any())
    if count == 0 or (not distorts and model is not FISHEYE):
        return ideal
    if model is None:
        known = ", ".join(MODELS)
        raise MessageError(f"camera_info.distortion_model is {name[:32]!r}, known are {known}")
    used = int(np.flatnonzero(coefficients)[-1]) + 1 if distorts else 0
    fitting = [size for size in model.counts if used <= size and (size <= count or not used)]
    if not fitting:
        counts = " or ".join(map(str, model.counts))
        raise MessageError(f"camera_info.d has {count} numbers, {name} has {counts}")
    taken = np.zeros(fitting[0])
    taken[:used] = coefficients[:used]

    def lens(rays: Coordinates) -> Coordinates:
        points = np.stack([*rays, np.ones_like(rays[0])], axis=-1).reshape(-1, 1, 3)
        seen, _ = model.project(points, _STILL, _STILL, np.eye(3), taken)
        return np.asarray(np.moveaxis(seen.reshape(*rays.shape[1:], 2), -1, 0), dtype=np.float64)

    return lens


def is_named(name: str) -> bool:
    """Whether a driver's name for its model says which it is."""
    return _plain(name) not in UNNAMED


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


_KNOWN = {_plain(name): model for name, model in MODELS.items()} | dict.fromkeys(
    UNNAMED, POLYNOMIAL
)
