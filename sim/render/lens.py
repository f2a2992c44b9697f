"""Brown-Conrady lens distortion and its inverse.

Brown 1966, "Decentering distortion of lenses", in the form and order of coefficients of OpenCV:
k1, k2, p1, p2, k3. Coordinates are those of the optical frame at unit depth, x right, y down.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import ceil
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.render.pinhole import Pinhole

Distortion = tuple[float, float, float, float, float]
"""The coefficients k1, k2, p1, p2, k3."""

STRAIGHT: Distortion = (0.0, 0.0, 0.0, 0.0, 0.0)
"""No distortion."""

SAMPLES = 2
"""Samples along each side of a pixel of the distorted image, to average edges instead of aliasing.

The ideal image has this many times the resolution.
"""

WIDEST = 10.0
"""Largest tangent of the angle between a ray and the optical axis; it is that of 84 degrees."""

LARGEST_SIDE = 32_000
"""Most pixels along a side of an ideal image; `cv2.remap` has 16-bit coordinates."""

_NEWTON_STEPS = 20
_RADIAL_STEPS = 64
_BORDER_POINTS = 65

Label = TypeVar("Label", bound=np.generic)


def distort(rays: NDArray[np.float64], distortion: Distortion) -> NDArray[np.float64]:
    """Map ideal to distorted image coordinates, both of shape (2, N)."""
    image, _, _ = _distort(rays, distortion)
    return image


def undistort(points: NDArray[np.float64], distortion: Distortion) -> NDArray[np.float64]:
    """Map distorted to ideal image coordinates, both of shape (2, N), by Newton's method.

    Raises:
        SimulationError: if some point is not the image of any ray.
    """
    rays: NDArray[np.float64] = points.copy()
    with np.errstate(all="ignore"):
        for _ in range(_NEWTON_STEPS):
            image, (a, b, d), determinant = _distort(rays, distortion)
            x, y = points - image
            rays += np.stack([d * x - b * y, a * y - b * x]) / determinant
            if max(abs(x).max(), abs(y).max()) < 1e-12:
                break
        missed = float(abs(points - distort(rays, distortion)).max())
    # `not ... <` is also true for NaN.
    if not missed < 1e-9:
        raise SimulationError("no ray reaches some points of the image through this lens")
    return rays


def check_lens(pinhole: Pinhole, distortion: Distortion) -> None:
    """Check that a lens maps rays to pixels one to one from the centre to the border of the image.

    Args:
        pinhole: the camera without its distortion.
        distortion: distortion of the lens.

    Raises:
        SimulationError: if the lens does not, if the image would hold rays more than 84 degrees off
            the optical axis, or if the ideal image would be too large for OpenCV to sample.
    """
    u, v = np.meshgrid(
        np.linspace(-0.5, pinhole.width - 0.5, _BORDER_POINTS),
        np.linspace(-0.5, pinhole.height - 0.5, _BORDER_POINTS),
    )
    edge = np.ones_like(u, dtype=bool)
    edge[1:-1, 1:-1] = False
    border = np.stack([u[edge] - pinhole.cx, v[edge] - pinhole.cy]) / pinhole.focal
    rays = undistort(border, distortion)
    if np.hypot(*rays).max() > WIDEST:
        raise SimulationError("the camera would see rays more than 84 degrees off the optical axis")
    for share in np.linspace(0, 1, _RADIAL_STEPS):
        if not _distort(share * rays, distortion)[2].min() > 0:
            raise SimulationError("the lens folds the image: two rays would meet in one pixel")
    side = SAMPLES * pinhole.focal * float(np.ptp(rays, axis=1).max())
    if side > LARGEST_SIDE:
        raise SimulationError(
            f"the ideal image would be {side:.0f} pixels wide; the limit is {LARGEST_SIDE}"
        )


def _distort(
    rays: NDArray[np.float64], distortion: Distortion
) -> tuple[NDArray[np.float64], tuple[NDArray[np.float64], ...], NDArray[np.float64]]:
    """Distorted coordinates, their Jacobian ((a, b), (b, d)) as a, b, d, and its determinant."""
    k1, k2, p1, p2, k3 = distortion
    x, y = rays
    xx, xy, yy = x * x, x * y, y * y
    rr = xx + yy
    radial = 1 + rr * (k1 + rr * (k2 + rr * k3))
    slope = 2 * (k1 + rr * (2 * k2 + rr * 3 * k3))
    image = np.stack(
        [
            x * radial + 2 * p1 * xy + p2 * (rr + 2 * xx),
            y * radial + p1 * (rr + 2 * yy) + 2 * p2 * xy,
        ]
    )
    a = radial + xx * slope + 2 * p1 * y + 6 * p2 * x
    b = xy * slope + 2 * p1 * x + 2 * p2 * y
    d = radial + yy * slope + 6 * p1 * y + 2 * p2 * x
    return image, (a, b, d), a * d - b * b


@dataclass(frozen=True, eq=False)
class Window:
    """Some rows of an image and the ideal pinhole image from which they are sampled.

    Attributes:
        first, end: the rows `first` to `end - 1` of the image.
        ideal: the pinhole camera that renders the ideal image.
        maps: position of each sample of the rows in the ideal image, for `cv2.remap`; None for a
            lens without distortion, whose rows are the ideal image.
        nearest: for each pixel of the rows, the index of the nearest pixel in the flattened ideal
            image, shape (rows, W); None for a lens without distortion.
    """

    first: int
    end: int
    ideal: Pinhole
    maps: tuple[NDArray[np.int16], NDArray[np.uint16]] | None = None
    nearest: NDArray[np.intp] | None = None

    def picture(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The rows of an ideal colour image, shape (rows, W, C), averaged over each pixel."""
        if self.maps is None:
            return image
        fine = cv2.remap(image, *self.maps, cv2.INTER_LINEAR)
        height, width, _ = fine.shape
        size = (width // SAMPLES, height // SAMPLES)
        return np.asarray(cv2.resize(fine, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)

    def labels(self, values: NDArray[Label]) -> NDArray[Label]:
        """The rows of an ideal image of labels or depth, shape (rows, W), without averaging."""
        return values if self.nearest is None else values.ravel()[self.nearest]


@lru_cache(maxsize=16)
def windows(pinhole: Pinhole, distortion: Distortion, count: int) -> tuple[Window, ...]:
    """Cut an image into groups of rows of nearly equal height.

    Args:
        pinhole: the camera without its distortion.
        distortion: distortion of the lens, which `check_lens` accepts.
        count: number of groups.
    """
    edges = [round(pinhole.height * group / count) for group in range(count + 1)]
    make = _undistorted_window if distortion == STRAIGHT else _distorted_window
    return tuple(make(pinhole, distortion, first, end) for first, end in pairwise(edges))


def _undistorted_window(pinhole: Pinhole, _: Distortion, first: int, end: int) -> Window:
    return Window(first, end, pinhole.crop(0, first, pinhole.width, end - first))


def _distorted_window(pinhole: Pinhole, distortion: Distortion, first: int, end: int) -> Window:
    def rays(samples: int) -> NDArray[np.float64]:
        u = (np.arange(pinhole.width * samples) + 0.5) / samples - 0.5
        v = first + (np.arange((end - first) * samples) + 0.5) / samples - 0.5
        pixels = np.stack(np.meshgrid(u, v)).reshape(2, -1)
        centre = np.array([[pinhole.cx], [pinhole.cy]])
        return undistort((pixels - centre) / pinhole.focal, distortion)

    fine = pinhole.focal * SAMPLES
    x, y = fine * rays(SAMPLES)
    # Bilinear samples reach up to one pixel beyond the outermost points.
    left, top = 1 - x.min(), 1 - y.min()
    ideal = Pinhole(
        ceil(x.max() + left) + 2, ceil(y.max() + top) + 2, fine, float(left), float(top)
    )
    shape = ((end - first) * SAMPLES, pinhole.width * SAMPLES)
    maps = cv2.convertMaps(
        (x + left).reshape(shape).astype(np.float32),
        (y + top).reshape(shape).astype(np.float32),
        cv2.CV_16SC2,
    )
    column, row = np.rint(fine * rays(1) + [[left], [top]]).astype(np.intp)
    nearest = (row * ideal.width + column).reshape(end - first, pinhole.width)
    return Window(first, end, ideal, maps, nearest)
