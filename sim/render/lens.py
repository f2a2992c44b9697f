"""A lens that bends straight lines: Brown-Conrady distortion, there and back.

Brown 1966, "Decentering distortion of lenses", in the form and order of coefficients of OpenCV:
k1, k2, p1, p2, k3. Coordinates are those of the optical frame at unit distance, x right, y down.
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
"""k1, k2, p1, p2, k3."""

STRAIGHT: Distortion = (0.0, 0.0, 0.0, 0.0, 0.0)
"""No distortion."""

SAMPLES = 2
"""Samples along each side of a distorted pixel, and pixels of the ideal image along it, so that
edges are averaged and not aliased."""

WIDEST = 10.0
"""Largest tangent of the angle between a ray and the optical axis: 84 degrees."""

LARGEST_SIDE = 32_000
"""Pixels of an ideal image along a side, which `cv2.remap` counts in 16 bits."""

_NEWTON_STEPS = 20
_RADIAL_STEPS = 64
_BORDER_POINTS = 65

Label = TypeVar("Label", bound=np.generic)


def distort(rays: NDArray[np.float64], distortion: Distortion) -> NDArray[np.float64]:
    """Where a lens puts rays: from ideal to distorted coordinates, both of shape (2, N)."""
    image, _, _ = _distort(rays, distortion)
    return image


def undistort(points: NDArray[np.float64], distortion: Distortion) -> NDArray[np.float64]:
    """Which rays a lens puts there: the inverse of `distort`, by Newton's method, shape (2, N).

    Raises:
        SimulationError: where no ray goes.
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
    # `not` also catches what is not a number.
    if not missed < 1e-9:
        raise SimulationError("the lens leaves parts of the image without a ray")
    return rays


def check_lens(pinhole: Pinhole, distortion: Distortion) -> None:
    """See that a lens maps one to one from the centre out to the border of the image.

    Args:
        pinhole: the camera, were its lens ideal.
        distortion: of its lens.

    Raises:
        SimulationError: if it does not, or looks almost sideways there, or needs more pixels of an
            ideal image than OpenCV can sample.
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
        raise SimulationError("it would see rays more than 84 degrees off the optical axis")
    for share in np.linspace(0, 1, _RADIAL_STEPS):
        if not _distort(share * rays, distortion)[2].min() > 0:
            raise SimulationError("the lens folds the image: two rays would share a pixel")
    side = SAMPLES * pinhole.focal * float(np.ptp(rays, axis=1).max())
    if side > LARGEST_SIDE:
        raise SimulationError(
            f"it takes an ideal image {side:.0f} pixels wide, at most {LARGEST_SIDE} will do"
        )


def _distort(
    rays: NDArray[np.float64], distortion: Distortion
) -> tuple[NDArray[np.float64], tuple[NDArray[np.float64], ...], NDArray[np.float64]]:
    """Distorted coordinates, the Jacobian ((a, b), (b, d)), which is symmetric, its determinant."""
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
    """Some rows of an image, and the ideal pinhole image that holds all they see.

    Attributes:
        first, end: rows of the image, from `first` up to and without `end`.
        ideal: the pinhole camera to render.
        maps: where each sample of the rows lies in the ideal image, for `cv2.remap`; None where the
            ideal image is what the rows see.
        nearest: index into the flat ideal image of the pixel nearest to each of the rows' pixels,
            shape (rows, W), or None likewise.
    """

    first: int
    end: int
    ideal: Pinhole
    maps: tuple[NDArray[np.int16], NDArray[np.uint16]] | None = None
    nearest: NDArray[np.intp] | None = None

    def picture(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Rows of an ideal image of colours, shape (rows, W, C)."""
        if self.maps is None:
            return image
        fine = cv2.remap(image, *self.maps, cv2.INTER_LINEAR)
        height, width, _ = fine.shape
        size = (width // SAMPLES, height // SAMPLES)
        return np.asarray(cv2.resize(fine, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)

    def labels(self, values: NDArray[Label]) -> NDArray[Label]:
        """Rows of an ideal image of what must not be averaged, shape (rows, W)."""
        return values if self.nearest is None else values.ravel()[self.nearest]


@lru_cache(maxsize=16)
def windows(pinhole: Pinhole, distortion: Distortion, count: int) -> tuple[Window, ...]:
    """Cut an image into groups of rows of nearly equal height.

    Args:
        pinhole: the camera, were its lens ideal.
        distortion: of its lens; one that `check_lens` passes.
        count: of groups.
    """
    edges = [round(pinhole.height * group / count) for group in range(count + 1)]
    make = _straight if distortion == STRAIGHT else _bent
    return tuple(make(pinhole, distortion, first, end) for first, end in pairwise(edges))


def _straight(pinhole: Pinhole, _: Distortion, first: int, end: int) -> Window:
    return Window(first, end, pinhole.crop(0, first, pinhole.width, end - first))


def _bent(pinhole: Pinhole, distortion: Distortion, first: int, end: int) -> Window:
    def rays(samples: int) -> NDArray[np.float64]:
        u = (np.arange(pinhole.width * samples) + 0.5) / samples - 0.5
        v = first + (np.arange((end - first) * samples) + 0.5) / samples - 0.5
        pixels = np.stack(np.meshgrid(u, v)).reshape(2, -1)
        centre = np.array([[pinhole.cx], [pinhole.cy]])
        return undistort((pixels - centre) / pinhole.focal, distortion)

    fine = pinhole.focal * SAMPLES
    x, y = fine * rays(SAMPLES)
    # A pixel of margin on each side, which is what bilinear samples may touch.
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
