"""The channel `camera` as ``sensor_msgs/CompressedImage``: JPEG or PNG."""

import re
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from liquid_nav.events import CameraFrame, Channel
from liquid_nav.messages.camera.depth import Depth
from liquid_nav.messages.camera.image_file import ImageFile, image_file
from liquid_nav.messages.camera.library_messages import library_messages
from liquid_nav.messages.decode import MessageError, stamp_at
from liquid_nav.messages.image import ENCODINGS, MAX_PIXELS, adapter_of, check_size, to_rgb
from liquid_nav.messages.plug import EventMessage, SensorSetup

# By the number of halvings: OpenCV decodes the blocks of a JPEG at that scale.
_REDUCED = (
    cv2.IMREAD_COLOR,
    cv2.IMREAD_REDUCED_COLOR_2,
    cv2.IMREAD_REDUCED_COLOR_4,
    cv2.IMREAD_REDUCED_COLOR_8,
)

_DISTANCES = ("16UC1", "32FC1")
"""Encodings of depth images (REP-118)."""

_BROKEN = re.compile("Corrupt JPEG data|Premature end|libpng error")
_EXTRANEOUS = re.compile(r"Corrupt JPEG data: (\d+) extraneous bytes before marker 0x(d\d)")
_STRAY = 4
"""Bytes that the firmware of webcams leaves between coded data of a JPEG and the next marker."""


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
        image, halved = decode_compressed(message, camera.halvings, setup.depth)
        return CameraFrame(stamp, arrival, camera.adapt(image, halved))


def decode_compressed(
    message: Any,
    halvings: Callable[[int, int], int] = lambda width, height: 0,
    depth: Depth | None = None,
    max_pixels: int = MAX_PIXELS,
) -> tuple[NDArray[np.uint8], int]:
    """Decode the pixels of a ``sensor_msgs/CompressedImage``, JPEG or PNG.

    What follows the end of the file is ignored. ``format`` is read as image_transport writes it,
    ``ENCODING; jpeg compressed ORDER``: for a mosaic that was compressed as it came, and for
    colours that were written in the order of RGB.

    Args:
        message: the message.
        halvings: returns, for a width and height, how many times the caller would halve the image.
            A JPEG is decoded at that scale as far as the format allows, which is faster.
        depth: how many bits images of 16 bits use; it is found from this image alone if left out.
        max_pixels: number of pixels of the largest image that is decoded.

    Returns:
        uint8 RGB, shape (H, W, 3), and how many times it was halved.

    Raises:
        MessageError: on another format, a size of zero or above `max_pixels`, or data that is cut
            or broken.

    """
    name, _, compression = message.format.partition(";")
    if "compressedDepth" in compression or name.strip() in _DISTANCES:
        raise MessageError(
            f"compressed image is in the format {message.format[:64]!r}: distances, not a picture"
        )
    file = image_file(memoryview(message.data).cast("B"))
    # The size is read from the header first: a small file may unpack to gigabytes.
    check_size(file.width, file.height, max_pixels)
    encoding = ENCODINGS.get(name.strip())
    mosaic = file.channels == 1 and name.startswith("bayer_") and encoding is not None
    halved = 0
    if file.is_jpeg and not mosaic:
        halved = min(halvings(file.width, file.height), len(_REDUCED) - 1)
    pixels = _decoded(file, halved)
    if pixels.dtype == np.uint16:
        pixels = (depth or Depth()).reduce(pixels)
    if mosaic and encoding is not None:
        return to_rgb(np.ascontiguousarray(pixels[..., :1]), encoding), 0
    if file.channels > 1 and "compressed rgb" in compression:
        return pixels, halved
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), dtype=np.uint8), halved


def _decoded(file: ImageFile, halved: int) -> NDArray[Any]:
    """Return the pixels as BGR, uint8 or uint16, shape (H, W, 3), halved so many times."""
    # An EXIF tag would rotate the image, and the calibration would no longer fit.
    flags = _REDUCED[halved] | cv2.IMREAD_IGNORE_ORIENTATION
    if file.bits == 16:
        flags |= cv2.IMREAD_ANYDEPTH
    width, height = file.width, file.height
    with library_messages() as complaints:
        try:
            image = cv2.imdecode(np.frombuffer(file.data, np.uint8), flags)
        except cv2.error as error:
            raise MessageError(f"compressed image cannot be decoded: {error.err}") from error
    complaint = next(filter(_BROKEN.match, complaints), "")
    if "premature end" in complaint.lower():
        raise MessageError(f"compressed image of {width}x{height} is cut short: {complaint}")
    if complaint and not _is_padding(file.data, complaint):
        raise MessageError(f"compressed image of {width}x{height} is broken: {complaint}")
    # OpenCV rounds odd sides up; the last pixel, partly beyond the image, is cut off below.
    if image is None or image.shape != (-(-height >> halved), -(-width >> halved), 3):
        raise MessageError(f"compressed image of {width}x{height} cannot be decoded: it is broken")
    return image[: height >> halved, : width >> halved]


def _is_padding(data: memoryview, complaint: str) -> bool:
    """Whether libjpeg only complains about bytes that fill the file before a marker."""
    found = _EXTRANEOUS.match(complaint)
    if found is None:
        return False
    count = int(found[1])
    at_end = found[2] == "d9"
    return count <= _STRAY or (at_end and not bytes(data[-2 - count : -2]).strip(b"\0\xff"))
