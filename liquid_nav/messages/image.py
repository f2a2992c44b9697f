"""The channel `camera` as ``sensor_msgs/Image``."""

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from liquid_nav.events import CameraFrame, Channel
from liquid_nav.messages.camera.depth import Depth
from liquid_nav.messages.decode import MessageError, stamp_at
from liquid_nav.messages.fields import OPTICAL, Fields, header
from liquid_nav.messages.plug import ImageAdapter, SensorSetup, WritableMessage

MAX_PIXELS = 4096 * 4096
"""Number of pixels of the largest image that is decoded."""

_PAGE = 4096
"""Bytes; drivers round their buffers up to whole pages and send all of them."""


class Encoding(NamedTuple):
    """Layout of the pixels of an encoding of sensor_msgs/image_encodings.

    Attributes:
        channels: numbers per pixel.
        conversion: OpenCV's code to get RGB; None if they are RGB.
        number: type of the numbers.

    """

    channels: int
    conversion: int | None
    number: type[np.uint8] | type[np.uint16] = np.uint8

    @property
    def size(self) -> int:
        """Bytes per pixel."""
        return self.channels * np.dtype(self.number).itemsize


_COLOUR = {
    "rgb": (3, None),
    "bgr": (3, cv2.COLOR_BGR2RGB),
    "rgba": (4, cv2.COLOR_RGBA2RGB),
    "bgra": (4, cv2.COLOR_BGRA2RGB),
    "mono": (1, cv2.COLOR_GRAY2RGB),
    "bayer_rggb": (1, cv2.COLOR_BayerRGGB2RGB),
    "bayer_bggr": (1, cv2.COLOR_BayerBGGR2RGB),
    "bayer_gbrg": (1, cv2.COLOR_BayerGBRG2RGB),
    "bayer_grbg": (1, cv2.COLOR_BayerGRBG2RGB),
}
"""Encodings that come with 8 and with 16 bits."""

ENCODINGS = {
    **{f"{name}8": Encoding(*layout) for name, layout in _COLOUR.items()},
    **{f"{name}16": Encoding(*layout, np.uint16) for name, layout in _COLOUR.items()},
    # What OpenCV's own names mean by OpenCV's order of colours.
    "8UC1": Encoding(1, cv2.COLOR_GRAY2RGB),
    "8UC3": Encoding(3, cv2.COLOR_BGR2RGB),
    "8UC4": Encoding(4, cv2.COLOR_BGRA2RGB),
    "uyvy": Encoding(2, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422": Encoding(2, cv2.COLOR_YUV2RGB_UYVY),
    "yuyv": Encoding(2, cv2.COLOR_YUV2RGB_YUY2),
    "yuv422_yuy2": Encoding(2, cv2.COLOR_YUV2RGB_YUY2),
}
"""Encodings that can be decoded, by name."""

_IN_PAIRS = (cv2.COLOR_YUV2RGB_UYVY, cv2.COLOR_YUV2RGB_YUY2)


class ImageMessage(WritableMessage):
    """An image without compression, turned into that of the policy's camera."""

    channel = Channel.CAMERA
    type = "sensor_msgs/msg/Image"
    topic = "/camera/image_raw"

    def decode(self, message: Any, arrival: int, setup: SensorSetup) -> CameraFrame:
        """Make an event of a message.

        Raises:
            MessageError: on a time out of range, no calibration yet, an image that cannot be
                decoded, see `decode_image`, or one of another size than its calibration.

        """
        stamp, camera = stamp_at(message, arrival), adapter_of(setup)
        return CameraFrame(stamp, arrival, camera.adapt(decode_image(message, setup.depth)))

    def encode(self, event: CameraFrame) -> Fields:
        """Give the fields: rgb8."""
        height, width, _ = event.image.shape
        return {
            "header": header(event.stamp, OPTICAL),
            "height": height,
            "width": width,
            "encoding": "rgb8",
            "step": 3 * width,
            "data": np.ascontiguousarray(event.image).ravel(),
        }


def adapter_of(setup: SensorSetup) -> ImageAdapter:
    """Return the adapter of images.

    Raises:
        MessageError: while there is none, because no calibration has come yet.

    """
    if setup.camera is None:
        raise MessageError(
            "no camera_info has come yet: publish one, or set use_camera_info: false"
        )
    return setup.camera


def decode_image(
    message: Any, depth: Depth | None = None, max_pixels: int = MAX_PIXELS
) -> NDArray[np.uint8]:
    """Decode the pixels of a ``sensor_msgs/Image``.

    Args:
        message: the message.
        depth: how many bits images of 16 bits use; it is found from this image alone if left out.
        max_pixels: number of pixels of the largest image that is decoded.

    Returns:
        uint8 RGB, shape (H, W, 3); of an rgb8 image a view of the message's memory.

    Raises:
        MessageError: on an unknown encoding, a size of zero or above `max_pixels`, or a step or a
            length of data that does not fit the size; up to a page or a row may follow the image.

    """
    width, height, step = message.width, message.height, message.step
    check_size(width, height, max_pixels)
    encoding = ENCODINGS.get(message.encoding)
    if encoding is None:
        raise MessageError(
            f"image encoding is {message.encoding[:32]!r}, known are {', '.join(ENCODINGS)}"
        )
    if step < width * encoding.size:
        raise MessageError(
            f"image step is {step}, {width} pixels of {message.encoding} need "
            f"{width * encoding.size}"
        )
    surplus = len(message.data) - step * height
    if not 0 <= surplus <= max(step, _PAGE):
        raise MessageError(
            f"image has {len(message.data)} bytes, {height} rows of {step} are {step * height}"
        )
    if encoding.conversion in _IN_PAIRS and width % 2:
        raise MessageError(f"image of {message.encoding} is {width} wide, it must be even")
    number = np.dtype(encoding.number).newbyteorder(">" if message.is_bigendian else "<")
    data = np.frombuffer(message.data, np.uint8)
    rows = np.lib.stride_tricks.as_strided(
        data, (height, width * encoding.size), (step, 1), writeable=False
    )
    shape = height, width, encoding.channels
    if encoding.number is np.uint16:
        deep = np.ascontiguousarray(rows).view(number).astype(np.uint16)
        rows = (depth or Depth()).reduce(deep.reshape(shape))
    return to_rgb(rows.reshape(shape), encoding)


def to_rgb(pixels: NDArray[np.uint8], encoding: Encoding) -> NDArray[np.uint8]:
    """Convert pixels of an encoding, uint8 (H, W, channels), to RGB."""
    if encoding.conversion is None:
        return pixels
    return np.asarray(cv2.cvtColor(pixels, encoding.conversion), dtype=np.uint8)


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Raise `MessageError` on an image without pixels, or with more than `max_pixels`."""
    if not 0 < width * height <= max_pixels:
        raise MessageError(
            f"image is {width}x{height}, it must have 1 to {max_pixels} pixels in all"
        )
