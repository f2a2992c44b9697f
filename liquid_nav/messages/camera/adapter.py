"""Turn images of the vehicle's camera into the policy's: undistort, crop and scale in one pass."""

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from liquid_nav.messages.camera.calibration import (
    ASPECT_TOLERANCE,
    Calibration,
    ImageOptions,
    calibration_key,
    is_calibrated,
)
from liquid_nav.messages.camera.lens import Lens
from liquid_nav.messages.decode import MessageError
from liquid_nav.onboard.config import PolicyCamera

Image = NDArray[np.uint8]

_SPACING = 2
"""Largest distance between samples, pixels: a bilinear sample averages over about as many."""
_SAMPLES = 4
"""Largest number of samples along a side of the policy's pixel; an image is halved before more."""


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

    Without calibration (no info, or one that is marked as uncalibrated by a K of zeros) the camera
    is assumed to have the policy's field of view, and images are only scaled.

    Args:
        target: the policy's camera.
        info: `sensor_msgs/CameraInfo` of the images, or None; see `Calibration` for what is read.
        rectified: whether the images are rectified already.

    Attributes:
        calibrated: whether `info` had a calibration.
        covers: fraction of the policy's view that the camera sees, 0 to 1; 1 if not calibrated.
        rectified: as given.

    Raises:
        MessageError: when `info` is not a calibration, see `Calibration`.

    """

    def __init__(
        self, target: PolicyCamera, info: Any | None = None, rectified: bool = False
    ) -> None:
        self.target = target
        self.rectified = rectified
        self.covers = 1.0
        self._warnings: tuple[str, ...] = ()
        self._calibration: Calibration | None = None
        if info is None:
            return
        if is_calibrated(info, rectified):
            self._calibration = Calibration(info, rectified)
            self._look_through(self._calibration, *self._calibration.size)
        else:
            self._warnings = (
                "camera_info has no calibration, its K is zero: images are taken to have the field "
                "of view of the model's camera; calibrate the camera",
            )

    @property
    def calibrated(self) -> bool:
        """Whether the camera has a calibration."""
        return self._calibration is not None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What had to be assumed about the camera, in plain sentences."""
        return self._warnings

    @property
    def summary(self) -> str:
        """What the images are made of, in a few words."""
        if not self.calibrated:
            return "no calibration: images are only scaled"
        rectified = "; its images are taken as rectified: P holds, not D" if self.rectified else ""
        return f"it covers {self.covers:.0%} of the policy's view{rectified}"

    def halvings(self, width: int, height: int) -> int:
        """Return how many times an image of this size, in pixels, is halved first.

        Raises:
            MessageError: if the aspect ratio is not that of the calibration or, without a
                calibration, of the policy's camera.

        """
        if self._calibration is not None:
            if (width, height) != self._size:
                self._look_through(self._calibration, width, height)
            return self._halvings
        target = self.target
        if not abs(width / height / (target.width / target.height) - 1) <= ASPECT_TOLERANCE:
            raise MessageError(
                f"image is {width}x{height}, the model's camera {target.width}x{target.height}:"
                " another aspect ratio; publish a camera_info with a calibration"
            )
        if width * target.height != height * target.width:
            # The image is cropped first, by whole pixels.
            return 0
        return max(math.floor(math.log2(width / target.width / _SAMPLES)), 0)

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

    def _look_through(self, calibration: Calibration, width: int, height: int) -> None:
        """Work out where in images of this size the samples of the policy's camera are."""
        (fx, fy), (cx, cy), warning = calibration.view(width, height)
        self._size = width, height
        self._warnings = tuple(filter(None, (calibration.warning, warning)))
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
        limit = _one_to_one(calibration.lens, float(radius.max()))
        seen = calibration.lens(rays * (limit / np.maximum(radius, limit)))
        u, v = fx * seen[0] + cx, fy * seen[1] + cy
        inside = (abs(u - (width - 1) / 2) <= width / 2) & (abs(v - (height - 1) / 2) <= height / 2)
        self.covers = float(np.mean(inside & (radius <= limit)))
        u = ((u + 0.5) / shrink - 0.5).clip(0, width // shrink - 1)
        v = ((v + 0.5) / shrink - 0.5).clip(0, height // shrink - 1)
        self._maps = cv2.convertMaps(u.astype(np.float32), v.astype(np.float32), cv2.CV_16SC2)


class CameraSource:
    """The camera of a vehicle, whose calibration comes in messages and may change.

    Args:
        target: the policy's camera.
        topic: of the images; its name may say that they are rectified.
        options: what the user says of the images.

    Attributes:
        adapter: turns images into the policy's, by the newest calibration; None before the first.

    """

    def __init__(self, target: PolicyCamera, topic: str, options: ImageOptions) -> None:
        self.adapter: CameraAdapter | None = None
        self._target, self._topic, self._options = target, topic, options
        self._key: tuple[Any, ...] | None = None

    def calibrate(self, info: Any) -> bool:
        """Use a ``CameraInfo``; return whether it describes another camera than the one before.

        Raises:
            MessageError: when it is not a calibration, see `Calibration`; the old one stays in use.

        """
        key = calibration_key(info)
        if key == self._key:
            return False
        rectified = self._options.rectified(self._topic, info)
        self.adapter = CameraAdapter(self._target, info, rectified)
        self._key = key
        return True


def _halved(image: Image, times: int) -> Image:
    for _ in range(times):
        rows, columns = image.shape[0] // 2, image.shape[1] // 2
        even = image[: 2 * rows, : 2 * columns]
        image = np.asarray(
            cv2.resize(even, (columns, rows), interpolation=cv2.INTER_AREA), dtype=np.uint8
        )
    return image


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
