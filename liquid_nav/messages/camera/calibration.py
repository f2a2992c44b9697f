"""The calibration of a camera, as ``sensor_msgs/CameraInfo`` has it, and its own form of writing.

A pixel has its centre at whole coordinates, as in OpenCV, so that an image spans [-1/2, W - 1/2].
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from liquid_nav.errors import ConfigError
from liquid_nav.messages.camera.depth import Depth
from liquid_nav.messages.camera.lens import Lens, ideal, is_named, lens_of
from liquid_nav.messages.decode import MessageError
from liquid_nav.messages.fields import OPTICAL, Fields, header
from liquid_nav.onboard.config import PolicyCamera

NO_DISTORTION = (0.0, 0.0, 0.0, 0.0, 0.0)
"""Distortion coefficients of an ideal pinhole camera."""

ASPECT_TOLERANCE = 0.01
"""Relative difference of two aspect ratios that count as equal: sides are rounded to pixels."""

_LONGEST_SIDE = 32766
"""Pixels; OpenCV's remap counts in 16 bits."""

_RECTIFIED = re.compile(r"(^|[/_])(rect|rectified|undist|undistorted)([/_]|$)")


GEOMETRIES = ("auto", "raw", "rectified")
"""What images can be taken for; ``auto`` goes by the names of their topic and frame."""


@dataclass(frozen=True)
class ImageOptions:
    """What a user can say of images that their messages do not, alike in flight and in a replay.

    Attributes:
        geometry: one of `GEOMETRIES`.
        bits: how many bits images of 16 bits use; 0 finds it, see `Depth`.

    Raises:
        ConfigError: on another geometry, or a number of bits that no sensor has.

    """

    geometry: str = "auto"
    bits: int = 0

    def __post_init__(self) -> None:
        if self.geometry not in GEOMETRIES:
            raise ConfigError(
                f"image_geometry must be one of {', '.join(GEOMETRIES)}, got {self.geometry!r}"
            )
        Depth(self.bits)

    def rectified(self, topic: str, info: Any) -> bool:
        """Whether images of a topic, with this ``CameraInfo``, are rectified already."""
        if self.geometry != "auto":
            return self.geometry == "rectified"
        frame = getattr(getattr(info, "header", None), "frame_id", "")
        return any(_RECTIFIED.search(name) for name in (topic, frame))


class View(NamedTuple):
    """How the pixels of an image see the world.

    Attributes:
        focal: focal lengths fx and fy, pixels.
        centre: principal point cx and cy, pixels.
        warning: what the image has that its ``camera_info`` does not say; empty if they agree.

    """

    focal: tuple[float, float]
    centre: tuple[float, float]
    warning: str = ""


class Window(NamedTuple):
    """The part of the calibrated image that messages carry, in pixels of that image.

    Attributes:
        x, y: its first column and row.
        width, height: its size.
        binning_x, binning_y: how many columns and rows make one of the message.

    """

    x: int
    y: int
    width: int
    height: int
    binning_x: int = 1
    binning_y: int = 1

    def is_of_size(self, width: int, height: int) -> bool:
        """Whether an image of this size can be this part; drivers round an odd size both ways."""
        return _fits(self.width, self.binning_x, width) and _fits(
            self.height, self.binning_y, height
        )

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of an image of this part, pixels."""
        return self.width // self.binning_x, self.height // self.binning_y


class Calibration:
    """A camera's lens and intrinsics, and the part of its image that messages carry.

    As ``CameraInfo`` defines it, ``width``, ``height``, K and P belong to the full image, of which
    a region of interest is cut out, which is then binned. Many drivers give the size of the cut
    image instead: a region that reaches beyond ``width`` and ``height`` therefore belongs to a
    larger image, whose size is not known.

    Args:
        info: `sensor_msgs/CameraInfo` of ROS 1 or ROS 2, read by attribute. Its region, binning, P
            and header may be missing.
        rectified: whether the images are rectified already. Then P holds for them, or K if there
            is no P, and they have no distortion.

    Attributes:
        size: width and height of the images that it announces, pixels.
        lens: from rays to distorted coordinates, both at unit focal length.
        warning: what had to be assumed; empty if nothing.

    Raises:
        MessageError: when `info` is not a calibration: a size of zero, numbers out of range, an
            unknown distortion model, or a number of coefficients that it does not have.

    """

    def __init__(self, info: Any, rectified: bool = False) -> None:
        self._whole = Window(0, 0, int(info.width), int(info.height))
        self._window = _window_of(info, self._whole)
        self.size = self._window.size
        self.warning = ""
        sides = (*self._whole[2:4], *self._window[2:4])
        if not (min(*sides, *self.size) > 0 and max(sides) <= _LONGEST_SIDE):
            part = "{}x{}".format(*self.size)
            raise MessageError(
                f"camera_info is {info.width}x{info.height} and announces {part}, sides must be "
                f"from 1 to {_LONGEST_SIDE}"
            )
        matrix = _numbers(info, "k")
        projection = _numbers(info, "p")
        if rectified and projection.size == 12 and projection[0]:
            matrix = projection.reshape(3, 4)[:, :3].ravel()
        self._focal, self._centre = _intrinsics(matrix, max(sides))
        self.lens: Lens = ideal
        if not rectified:
            distortion = _numbers(info, "d")
            self.lens = lens_of(info.distortion_model, distortion)
            if self.lens is not ideal and not is_named(info.distortion_model):
                self.warning = (
                    f"camera_info has {distortion.size} distortion coefficients and no "
                    "distortion_model: they are taken to be those of plumb_bob"
                )

    def view(self, width: int, height: int) -> View:
        """Return how an image of this size sees the world.

        Raises:
            MessageError: when it has another aspect ratio than the calibration.

        """
        whole, window = self._whole, self._window
        if window.is_of_size(width, height):
            return self._view(window, window.binning_x, window.binning_y)
        if max(width, height) > _LONGEST_SIDE:
            raise MessageError(
                f"image is {width}x{height}, at most {_LONGEST_SIDE} a side are read"
            )
        says = "{}x{}".format(*self.size)
        if whole.is_of_size(width, height):
            warning = f"camera_info announces a part of {says}, images are whole: they are used so"
            return self._view(whole, 1, 1, warning)
        if not abs(width / height / (window.width / window.height) - 1) <= ASPECT_TOLERANCE:
            raise MessageError(
                f"image is {width}x{height}, its camera_info says {says}, which is another aspect "
                "ratio: publish the camera_info of these images"
            )
        return self._view(
            window,
            window.width / width,
            window.height / height,
            f"images are {width}x{height}, their camera_info says {says}: they are taken to be "
            "scaled; if they are cropped, publish the camera_info of these images",
        )

    def _view(self, part: Window, columns: float, rows: float, warning: str = "") -> View:
        """See the world through a part of the calibrated image, of which so many make one pixel."""
        (fx, fy), (cx, cy) = self._focal, self._centre
        return View(
            (fx / columns, fy / rows),
            ((cx - part.x + 0.5) / columns - 0.5, (cy - part.y + 0.5) / rows - 0.5),
            warning,
        )


def is_calibrated(info: Any, rectified: bool = False) -> bool:
    """Whether a ``CameraInfo`` holds a calibration.

    By its definition, zero as the first number of K marks an uncalibrated camera. Rectified images
    need P alone.
    """
    matrix, projection = _numbers(info, "k"), _numbers(info, "p")
    return bool(matrix[:1].any() or (rectified and projection[:1].any()))


def calibration_key(info: Any) -> tuple[Any, ...]:
    """Return what of a ``CameraInfo`` describes the camera, to compare; its stamp does not."""
    binning = getattr(info, "binning_x", 1), getattr(info, "binning_y", 1)
    numbers = tuple(_numbers(info, name).tobytes() for name in "kdp")
    return info.width, info.height, info.distortion_model, *binning, _region(info), *numbers


def camera_matrix(camera: PolicyCamera) -> NDArray[np.float64]:
    """Return K of an ideal pinhole camera, shape (3, 3)."""
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
        matrix: intrinsics K, shape (3, 3).
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


def _numbers(info: Any, name: str) -> NDArray[np.float64]:
    """Return K, D or P, flat; empty if there is none. ROS 1 wrote them in capitals."""
    values = getattr(info, name, None)
    if values is None:
        values = getattr(info, name.upper(), ())
    return np.array(values, np.float64)


def _region(info: Any) -> tuple[int, int, int, int]:
    """Return x, y, width and height of the region of interest."""
    roi = getattr(info, "roi", None)
    if roi is None:
        return 0, 0, 0, 0
    return int(roi.x_offset), int(roi.y_offset), int(roi.width), int(roi.height)


def _window_of(info: Any, whole: Window) -> Window:
    """Return the part that a ``CameraInfo`` announces; a region without size is the whole image."""
    binning = (max(int(getattr(info, f"binning_{axis}", 1)), 1) for axis in "xy")
    x, y, width, height = _region(info)
    if not (width and height):
        x, y, width, height = whole[:4]
    return Window(x, y, width, height, *binning)


def _fits(side: int, binning: int, pixels: int) -> bool:
    return pixels in (side // binning, -(-side // binning))


def _intrinsics(
    matrix: NDArray[np.float64], side: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return (fx, fy) and (cx, cy) in pixels, for an image whose longest side is `side`."""
    values = matrix.tolist()
    if len(values) == 9:
        fx, _, cx, _, fy, cy, *_ = values
        # A thousand times longer or shorter is beyond any lens, and keeps the arithmetic finite.
        if all(side / 1000 <= focal <= side * 1000 for focal in (fx, fy)) and all(
            abs(centre) <= side * 1000 for centre in (cx, cy)
        ):
            return (fx, fy), (cx, cy)
    raise MessageError(
        "camera_info.k must hold finite numbers with positive focal lengths of the order of "
        f"the image, got {values}"
    )
