"""The channel `camera` as ``sensor_msgs/CompressedImage``: JPEG or PNG."""

import re
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from liquid_nav.events import CameraFrame, Channel
from liquid_nav.messages.decode import MessageError, stamp_at
from liquid_nav.messages.image import MAX_PIXELS, adapter_of, check_size
from liquid_nav.messages.plug import EventMessage, SensorSetup

_JPEG, _PNG = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
_ENDS = (b"\xff\xd9", b"IEND\xaeB`\x82")
# Marker and length; in a frame header, precision, height and width follow.
_JPEG_SEGMENT = re.compile(rb"\xff+([^\xff])(..).(..)(..)", re.DOTALL)
# Markers that start a frame: the range without three that mean something else.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# By the number of halvings: OpenCV decodes the blocks of a JPEG at that scale.
_REDUCED = (
    cv2.IMREAD_COLOR,
    cv2.IMREAD_REDUCED_COLOR_2,
    cv2.IMREAD_REDUCED_COLOR_4,
    cv2.IMREAD_REDUCED_COLOR_8,
)
_HEADER = 1 << 17
"""First bytes of a JPEG that must hold its size; thumbnails and profiles may come before it."""


class CompressedImageMessage(EventMessage):
    """A JPEG or PNG, turned into the image of the policy's camera."""

    channel = Channel.CAMERA
    type = "sensor_msgs/msg/CompressedImage"

    def decode(self, message: Any, arrival: int, setup: SensorSetup) -> CameraFrame:
        """Make an event of a message; a JPEG is decoded no larger than the policy needs.

        Raises:
            MessageError: on a time out of range, no calibration yet, an image that cannot be
                decoded, see `decode_compressed`, or one of another size than its calibration.

        """
        stamp, camera = stamp_at(message, arrival), adapter_of(setup)
        image, halved = decode_compressed(message, camera.halvings)
        return CameraFrame(stamp, arrival, camera.adapt(image, halved))


def decode_compressed(
    message: Any,
    halvings: Callable[[int, int], int] = lambda width, height: 0,
    max_pixels: int = MAX_PIXELS,
) -> tuple[NDArray[np.uint8], int]:
    """Decode the pixels of a ``sensor_msgs/CompressedImage``, JPEG or PNG.

    Args:
        message: the message.
        halvings: returns, for a width and height, how many times the caller would halve the image.
            A JPEG is decoded at that scale as far as the format allows, which is faster.
        max_pixels: number of pixels of the largest image that is decoded.

    Returns:
        uint8 RGB, shape (H, W, 3), and how many times it was halved.

    Raises:
        MessageError: on another format, a size of zero or above `max_pixels`, or data that is cut
            or broken.

    """
    data = memoryview(message.data).cast("B")
    # The size is read from the header first: a small file may unpack to gigabytes.
    width, height = _declared_size(data)
    check_size(width, height, max_pixels)
    is_jpeg = data[: len(_JPEG)] == _JPEG
    halved = min(halvings(width, height), len(_REDUCED) - 1) if is_jpeg else 0
    # An EXIF tag would rotate the image, and the calibration would no longer fit.
    flags = _REDUCED[halved] | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise MessageError(f"compressed image cannot be decoded: {error.err}") from error
    # OpenCV rounds odd sides up; the last pixel, partly beyond the image, is cut off below.
    if image is None or image.shape != (-(-height >> halved), -(-width >> halved), 3):
        raise MessageError(f"compressed image of {width}x{height} cannot be decoded: it is broken")
    image = image[: height >> halved, : width >> halved]
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8), halved


def _declared_size(data: memoryview) -> tuple[int, int]:
    """Return width and height from the header of a complete JPEG or PNG file."""
    head, tail = bytes(data[:_HEADER]), bytes(data[-_HEADER:]).rstrip(b"\0")
    if head.startswith(_PNG) and head[12:16] == b"IHDR":
        width, height = (int.from_bytes(head[at : at + 4], "big") for at in (16, 20))
    elif head.startswith(_JPEG):
        width, height = _jpeg_size(head)
    else:
        raise MessageError(f"compressed image starts with {head[:8]!r}, it must be JPEG or PNG")
    # OpenCV 4 fills the missing part of a cut file with grey and reports no error.
    if not tail.endswith(_ENDS):
        raise MessageError(f"compressed image of {len(data)} bytes is cut short: it has no end")
    return width, height


def _jpeg_size(head: bytes) -> tuple[int, int]:
    """Return width and height from the first frame header (ITU T.81, B.2.2)."""
    at = len(_JPEG)
    while segment := _JPEG_SEGMENT.match(head, at):
        marker, length, height, width = (int.from_bytes(part, "big") for part in segment.groups())
        if marker in _JPEG_FRAMES:
            return width, height
        at = segment.start(2) + max(length, 2)
    raise MessageError("compressed image is a JPEG without a frame header: it is broken")
