"""Turn images of the vehicle's camera into the policy's: undistort, crop and scale in one pass."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from liquid_nav.messages.decode import MessageError
from liquid_nav.messages.fields import OPTICAL, Fields, header
from liquid_nav.onboard.config import PolicyCamera

Image = NDArray[np.uint8]
Coordinates = NDArray[np.float64]
Lens = Callable[[Coordinates], Coordinates]

# Possible numbers of coefficients of each distortion model of sensor_msgs/CameraInfo.
_COEFFICIENTS = {
    "plumb_bob": (4, 5),
    "rational_polynomial": (8,),
    "equidistant": (4,),
    "fisheye": (4,),
}
_FISHEYE = ("equidistant", "fisheye")

_STILL = np.zeros((3, 1))
"""No rotation, no translation."""

NO_DISTORTION = (0.0, 0.0, 0.0, 0.0, 0.0)
"""Distortion coefficients of an ideal pinhole camera."""

_ASPECT_TOLERANCE = 0.01
_LONGEST_SIDE = 32766
"""Pixels; OpenCV's remap counts in 16 bits."""

_SPACING = 2
"""Largest distance between samples, pixels: a bilinear sample averages over about as many."""
_SAMPLES = 4
"""Largest number of samples along a side of the policy's pixel; an image is halved before more."""
_LARGEST_COEFFICIENT = 1e6


class CameraAdapter:
    """Turns images of a calibrated camera into those of the policy's ideal pinhole camera.

    Frames: optical, x right, y down, z forward; both cameras look along the same axis. A pixel
    has its centre at whole coordinates, as in OpenCV, so that an image spans [-1/2, W - 1/2].

    Detail too fine for the policy's camera is averaged, not aliased: the image is halved, by means
    over 2 x 2 pixels, while it is far finer, and then each of the policy's pixels is the mean of
    up to 4 x 4 bilinear samples at most two pixels apart. Halving is several times faster than
    sampling every pixel, and a JPEG that is decoded at half its size is faster still, see
    `halvings`.

    Rays outside the camera's view, or beyond the angle up to which its distortion model is one to
    one, show the nearest edge of the image, because a black border would look like an obstacle.

    Without calibration (no info, or a K of zeros, which marks an uncalibrated `CameraInfo`) the
    camera is assumed to have the policy's field of view, and images are only scaled.

    Args:
        target: the policy's camera.
        info: `sensor_msgs/CameraInfo` of the images as they come, or None. K and D are used:
            images that are already rectified need the new K and no D.

    Attributes:
        calibrated: whether `info` had a calibration.
        covers: fraction of the policy's view that the camera sees, 0 to 1; 1 if not calibrated.

    Raises:
        MessageError: when `info` is not a calibration: a size of zero, numbers out of range,
            an unknown distortion model, or a number of coefficients that it does not have.

    """

    def __init__(self, target: PolicyCamera, info: Any | None = None) -> None:
        self.target = target
        self.calibrated = info is not None and bool(np.any(info.k))
        self.covers = 1.0
        if self.calibrated:
            self._calibrate(info)

    def halvings(self, width: int, height: int) -> int:
        """Return how many times an image of this size, in pixels, is halved first.

        Raises:
            MessageError: if the size is not that of the calibration or, without a calibration, the
                aspect ratio is not that of the policy's camera.

        """
        target = self.target
        if not self.calibrated:
            if not abs(width / height / (target.width / target.height) - 1) <= _ASPECT_TOLERANCE:
                raise MessageError(
                    f"image is {width}x{height}, the model's camera {target.width}x{target.height}:"
                    " another aspect ratio; publish a camera_info with a calibration"
                )
            if width * target.height != height * target.width:
                # The image is cropped first, by whole pixels.
                return 0
            return max(math.floor(math.log2(width / target.width / _SAMPLES)), 0)
        if (width, height) != self._size:
            raise MessageError(
                f"image is {width}x{height}, its camera_info says {self._size[0]}x{self._size[1]}"
            )
        return self._halvings

    def adapt(self, image: Image, halved: int = 0) -> Image:
        """Return a copy of `image`, uint8 RGB (H, W, 3), as the policy's camera would see it.

        Args:
            image: as the camera took it, or halved.
            halved: how many times it was halved, at most `halvings`; the last row or column of an
                odd size is left out.

        Raises:
            MessageError: on an image that is not halved and whose size `halvings` refuses.

        """
        height, width, _ = image.shape
        if self.calibrated:
            if not halved:
                self.halvings(width, height)
            image = self._sample(_halved(image, self._halvings - halved))
        else:
            image = self._crop(_halved(image, 0 if halved else self.halvings(width, height)))
        size = (self.target.width, self.target.height)
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)

    def _sample(self, image: Image) -> Image:
        """Look up every sample of every pixel of the policy's camera."""
        position, fraction = self._maps
        sampled = cv2.remap(
            image, position, fraction, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(sampled, dtype=np.uint8)

    def _crop(self, image: Image) -> Image:
        """Cut both sides off, so that the aspect ratio is that of the policy's camera."""
        height, width, _ = image.shape
        aspect = self.target.width / self.target.height
        columns, rows = min(width, round(height * aspect)), min(height, round(width / aspect))
        left, top = (width - columns) // 2, (height - rows) // 2
        return image[top : top + rows, left : left + columns]

    def _calibrate(self, info: Any) -> None:
        self._size = width, height = int(info.width), int(info.height)
        if not (0 < width <= _LONGEST_SIDE and 0 < height <= _LONGEST_SIDE):
            raise MessageError(
                f"camera_info is {width}x{height}, sides must be from 1 to {_LONGEST_SIDE}"
            )
        fx, fy, cx, cy = _intrinsics(info)
        lens = _lens(info)
        target = self.target
        focal = target.width / 2 / math.tan(target.horizontal_fov / 2)
        finer = max(fx, fy) / focal / _SPACING
        # At least one pixel must be left.
        most = min(width, height).bit_length() - 1
        self._halvings = min(max(math.ceil(math.log2(finer / _SAMPLES)), 0), most)
        shrink = 2**self._halvings
        samples = min(math.ceil(finer / shrink), _SAMPLES)
        x = (np.arange(target.width * samples) + 0.5) / samples - target.width / 2
        y = (np.arange(target.height * samples) + 0.5) / samples - target.height / 2
        rays = np.stack(np.meshgrid(x / focal, y / focal))
        radius = np.hypot(rays[0], rays[1])
        limit = _one_to_one(lens, float(radius.max()))
        seen = lens(rays * (limit / np.maximum(radius, limit)))
        u, v = fx * seen[0] + cx, fy * seen[1] + cy
        inside = (abs(u - (width - 1) / 2) <= width / 2) & (abs(v - (height - 1) / 2) <= height / 2)
        self.covers = float(np.mean(inside & (radius <= limit)))
        u = ((u + 0.5) / shrink - 0.5).clip(0, width // shrink - 1)
        v = ((v + 0.5) / shrink - 0.5).clip(0, height // shrink - 1)
        self._maps = cv2.convertMaps(u.astype(np.float32), v.astype(np.float32), cv2.CV_16SC2)


def camera_matrix(camera: PolicyCamera) -> NDArray[np.float64]:
    """Return K of an ideal pinhole camera, shape (3, 3); pixel centres at whole coordinates."""
    focal = camera.width / 2 / math.tan(camera.horizontal_fov / 2)
    centre = (camera.width - 1) / 2, (camera.height - 1) / 2
    return np.array([[focal, 0.0, centre[0]], [0.0, focal, centre[1]], [0.0, 0.0, 1.0]])


def camera_info(
    stamp: int,
    size: tuple[int, int],
    matrix: NDArray[np.float64],
    distortion: Sequence[float] = NO_DISTORTION,
) -> Fields:
    """Fields of ``sensor_msgs/CameraInfo`` at `stamp` ns.

    Args:
        stamp: when the image was taken, ns.
        size: width and height, pixels.
        matrix: intrinsics K, shape (3, 3); pixel centres at whole coordinates, as in OpenCV.
        distortion: Brown-Conrady k1, k2, p1, p2, k3, as in OpenCV.

    """
    width, height = size
    return {
        "header": header(stamp, OPTICAL),
        "height": height,
        "width": width,
        "distortion_model": "plumb_bob",
        "d": np.array(distortion, np.float64),
        "k": matrix.ravel(),
        "r": np.eye(3).ravel(),
        "p": np.hstack([matrix, np.zeros((3, 1))]).ravel(),
    }


def _halved(image: Image, times: int) -> Image:
    for _ in range(times):
        rows, columns = image.shape[0] // 2, image.shape[1] // 2
        even = image[: 2 * rows, : 2 * columns]
        image = np.asarray(
            cv2.resize(even, (columns, rows), interpolation=cv2.INTER_AREA), dtype=np.uint8
        )
    return image


def _intrinsics(info: Any) -> tuple[float, float, float, float]:
    """Return fx, fy, cx, cy in pixels."""
    fx, _, cx, _, fy, cy, *_ = k = [float(value) for value in info.k]
    # A thousand times longer or shorter is beyond any lens, and keeps the arithmetic finite.
    side = max(info.width, info.height)
    if not (
        all(side / 1000 <= focal <= side * 1000 for focal in (fx, fy))
        and all(abs(centre) <= side * 1000 for centre in (cx, cy))
    ):
        raise MessageError(
            "camera_info.k must hold finite numbers with positive focal lengths of the order of "
            f"the image, got {k}"
        )
    return fx, fy, cx, cy


def _lens(info: Any) -> Lens:
    """Return the map from ideal to distorted coordinates (2, ...), both at unit focal length."""
    model, coefficients = info.distortion_model, np.array(info.d, np.float64)
    if not coefficients.size:
        return lambda rays: rays
    if model not in _COEFFICIENTS:
        raise MessageError(
            f"camera_info.distortion_model is {model[:32]!r}, known are {', '.join(_COEFFICIENTS)}"
        )
    if coefficients.size not in _COEFFICIENTS[model]:
        counts = " or ".join(map(str, _COEFFICIENTS[model]))
        raise MessageError(f"camera_info.d has {coefficients.size} numbers, {model} has {counts}")
    if not (abs(coefficients) <= _LARGEST_COEFFICIENT).all():
        raise MessageError(
            f"camera_info.d must be within +-{_LARGEST_COEFFICIENT:g}, got {coefficients.tolist()}"
        )
    project = cv2.fisheye.projectPoints if model in _FISHEYE else cv2.projectPoints

    def lens(rays: Coordinates) -> Coordinates:
        points = np.stack([*rays, np.ones_like(rays[0])], axis=-1).reshape(-1, 1, 3)
        seen, _ = project(points, _STILL, _STILL, np.eye(3), coefficients)
        return np.asarray(np.moveaxis(seen.reshape(*rays.shape[1:], 2), -1, 0), dtype=np.float64)

    return lens


def _one_to_one(lens: Lens, largest: float) -> float:
    """Return the radius, at most `largest`, up to which the lens maps one to one.

    A distortion polynomial is fitted to the lens's field of view; beyond it, it often turns back.
    """
    radius = np.linspace(0, largest, 2048)
    distorted = lens(np.stack([radius, np.zeros_like(radius)]))[0]
    with np.errstate(invalid="ignore"):
        grows = np.diff(distorted) > 0
    last = len(radius) - 1 if grows.all() else int(np.argmin(grows))
    if last == 0:
        raise MessageError(
            "camera_info has a distortion that turns the image inside out: check its coefficients"
        )
    return float(radius[last])
