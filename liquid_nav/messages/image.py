"""The channel `camera` as ``sensor_msgs/Image``."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from liquid_nav.events import CameraFrame, Channel
from liquid_nav.messages.decode import MessageError, stamp_at
from liquid_nav.messages.fields import OPTICAL, Fields, header
from liquid_nav.messages.plug import ImageAdapter, SensorSetup, WritableMessage

MAX_PIXELS = 4096 * 4096
"""Number of pixels of the largest image that is decoded."""

# For each encoding of sensor_msgs/image_encodings: bytes per pixel, and OpenCV's code to get RGB.
_ENCODINGS: dict[str, tuple[int, int | None]] = {
    "rgb8": (3, None),
    "bgr8": (3, cv2.COLOR_BGR2RGB),
    "rgba8": (4, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, cv2.COLOR_BGRA2RGB),
    "mono8": (1, cv2.COLOR_GRAY2RGB),
    "mono16": (2, cv2.COLOR_GRAY2RGB),
    "bayer_rggb8": (1, cv2.COLOR_BayerRGGB2RGB),
    "bayer_bggr8": (1, cv2.COLOR_BayerBGGR2RGB),
    "bayer_gbrg8": (1, cv2.COLOR_BayerGBRG2RGB),
    "bayer_grbg8": (1, cv2.COLOR_BayerGRBG2RGB),
    "uyvy": (2, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422": (2, cv2.COLOR_YUV2RGB_UYVY),
    "yuyv": (2, cv2.COLOR_YUV2RGB_YUY2),
    "yuv422_yuy2": (2, cv2.COLOR_YUV2RGB_YUY2),
}
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
        return CameraFrame(stamp, arrival, camera.adapt(decode_image(message)))

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


def decode_image(message: Any, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Decode the pixels of a ``sensor_msgs/Image``.

    16-bit grey is scaled from the full range: 65535 is white.

    Returns:
        uint8 RGB, shape (H, W, 3); of an rgb8 image a view of the message's memory.

    Raises:
        MessageError: on an unknown encoding, a size of zero or above `max_pixels`, or a step or a
            length of data that does not fit the size.

    """
    width, height, step = message.width, message.height, message.step
    check_size(width, height, max_pixels)
    if message.encoding not in _ENCODINGS:
        raise MessageError(
            f"image encoding is {message.encoding[:32]!r}, known are {', '.join(_ENCODINGS)}"
        )
    depth, conversion = _ENCODINGS[message.encoding]
    if step < width * depth:
        raise MessageError(
            f"image step is {step}, {width} pixels of {message.encoding} need {width * depth}"
        )
    if len(message.data) != step * height:
        raise MessageError(
            f"image has {len(message.data)} bytes, {height} rows of {step} are {step * height}"
        )
    if conversion in _IN_PAIRS and width % 2:
        raise MessageError(f"image of {message.encoding} is {width} wide, it must be even")
    data = np.frombuffer(message.data, np.uint8)
    pixels = np.lib.stride_tricks.as_strided(
        data, (height, width, depth), (step, depth, 1), writeable=False
    )
    if conversion is None:
        return pixels
    if message.encoding == "mono16":
        # The high byte is the value scaled to 8 bits.
        pixels = np.ascontiguousarray(pixels[..., 0 if message.is_bigendian else 1])
    return np.asarray(cv2.cvtColor(pixels, conversion), dtype=np.uint8)


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Raise `MessageError` on an image without pixels, or with more than `max_pixels`."""
    if not 0 < width * height <= max_pixels:
        raise MessageError(
            f"image is {width}x{height}, it must have 1 to {max_pixels} pixels in all"
        )
