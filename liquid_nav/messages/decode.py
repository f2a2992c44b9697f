"""ROS 2 messages as events.

Messages are read by attribute, so the same functions serve live ones and those of a recorded bag,
and no ROS installation is needed to import this. A message comes from outside: whatever cannot
become an event is a `MessageError`, raised before memory is spent on it. Numbers that are not
finite are let through as everywhere, since the controller rejects and counts them.
"""

import math
import re
from collections.abc import Callable
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from liquid_nav.errors import LiquidNavError
from liquid_nav.events import SECOND, CameraFrame, Goal, ImuSample, Odometry

FUTURE_TOLERANCE = SECOND // 100
"""Nanoseconds by which the clock of a driver may run ahead of ours."""

OLDEST = 10 * SECOND
"""Nanoseconds after which a message is not worth having."""

MAX_PIXELS = 4096 * 4096
"""Pixels of the largest image that is decoded."""

_UNIT_TOLERANCE = 1e-2
_ROUNDING = 1e-15

# Per encoding of sensor_msgs/image_encodings: bytes per pixel, and how OpenCV makes it RGB.
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

_JPEG, _PNG = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
_ENDS = (b"\xff\xd9", b"IEND\xaeB`\x82")
# Marker, length, and in a frame header precision, height and width.
_JPEG_SEGMENT = re.compile(rb"\xff+([^\xff])(..).(..)(..)", re.DOTALL)
# Start of frame, without the three markers of that range that mean something else.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# By how often the image is to be halved: a JPEG's blocks are decoded at that scale.
_REDUCED = (
    cv2.IMREAD_COLOR,
    cv2.IMREAD_REDUCED_COLOR_2,
    cv2.IMREAD_REDUCED_COLOR_4,
    cv2.IMREAD_REDUCED_COLOR_8,
)
_HEADER = 1 << 17
"""Bytes in which a JPEG must say its size; thumbnails and colour profiles may come before."""


class MessageError(LiquidNavError, ValueError):
    """A message that cannot become an event."""


class ImageAdapter(Protocol):
    """Turns a camera's image into the model's: `liquid_nav.messages.camera.CameraAdapter`."""

    def halvings(self, width: int, height: int) -> int:
        """How many times an image of this size, in pixels, is halved before all else."""

    def adapt(self, image: NDArray[np.uint8], halved: int = 0) -> NDArray[np.uint8]:
        """From uint8 RGB (H, W, 3) of the camera, `halved` so many times, to that of the model."""


def stamp_of(header_stamp: Any) -> int:
    """Nanoseconds of a `builtin_interfaces/Time`.

    Raises:
        MessageError: on a fraction of a second or more in `nanosec`.

    """
    if not 0 <= header_stamp.nanosec < SECOND:
        raise MessageError(f"stamp has nanosec {header_stamp.nanosec}, it must be below {SECOND}")
    return int(header_stamp.sec) * SECOND + int(header_stamp.nanosec)


def check_time(
    stamp: int, arrival: int, future_tolerance: int = FUTURE_TOLERANCE, oldest: int = OLDEST
) -> int:
    """Find the stamp to take: its own, or the arrival if it is ahead of it by no more than drift.

    Args:
        stamp: when the message says it was measured, ns.
        arrival: when it came, ns, same clock.
        future_tolerance: ns by which the stamp may be ahead.
        oldest: ns by which it may be behind.

    Raises:
        MessageError: on a stamp further ahead or behind.

    """
    if stamp - arrival > future_tolerance:
        raise MessageError(
            f"stamp is {(stamp - arrival) / SECOND:.3f} s in the future, at most "
            f"{future_tolerance / SECOND:g} s is taken; are the clocks one?"
        )
    if arrival - stamp > oldest:
        raise MessageError(
            f"stamp is {(arrival - stamp) / SECOND:.3f} s old, at most {oldest / SECOND:g} s is "
            "taken; does the driver stamp its messages by the same clock?"
        )
    return min(stamp, arrival)


def decode_image(message: Any, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Pixels of a `sensor_msgs/Image` or a `sensor_msgs/CompressedImage` (JPEG or PNG).

    16-bit grey is scaled from the full range: 65535 is white.

    Returns:
        uint8 RGB, shape (H, W, 3); of an rgb8 image a view of the message's memory.

    Raises:
        MessageError: on an unknown encoding, a size of zero or above `max_pixels`, a step or a
            length of data that does not fit the size, or a compressed image that is broken.

    """
    if not hasattr(message, "encoding"):
        return _decompress(message.data, max_pixels)[0]
    width, height, step = message.width, message.height, message.step
    _check_size(width, height, max_pixels)
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
        # The high byte, wherever it is, is the value scaled to 8 bits.
        pixels = np.ascontiguousarray(pixels[..., 0 if message.is_bigendian else 1])
    return np.asarray(cv2.cvtColor(pixels, conversion), dtype=np.uint8)


def camera_frame(message: Any, arrival: int, adapter: ImageAdapter) -> CameraFrame:
    """Event of a `sensor_msgs/Image` or `sensor_msgs/CompressedImage`, as the model sees it.

    A JPEG is decoded at the scale to which the adapter would halve it, which takes less than half
    of the time.

    Raises:
        MessageError: see `check_time`, `decode_image` and the adapter.

    """
    stamp = check_time(stamp_of(message.header.stamp), arrival)
    if hasattr(message, "encoding"):
        return CameraFrame(stamp, arrival, adapter.adapt(decode_image(message)))
    image, halved = _decompress(message.data, MAX_PIXELS, adapter.halvings)
    return CameraFrame(stamp, arrival, adapter.adapt(image, halved))


def imu_sample(message: Any, arrival: int, rotation: NDArray[np.float64] | None) -> ImuSample:
    """Event of a `sensor_msgs/Imu` (REP-145: specific force, +g on the up axis at rest).

    Args:
        message: rad/s and m/s^2 in the frame of the sensor.
        arrival: ns.
        rotation: from the frame of the sensor to body FLU, shape (3, 3), or None: they are one,
            and every bit stays as it is.

    Raises:
        MessageError: on a time out of range, a quantity that its covariance declares not
            measured, or a specific force of exactly zero, which only a dead sensor gives.

    """
    stamp = check_time(stamp_of(message.header.stamp), arrival)
    for name in ("angular_velocity", "linear_acceleration"):
        if getattr(message, f"{name}_covariance")[0] == -1:
            raise MessageError(f"imu says by its covariance that it does not measure {name}")
    acceleration = message.linear_acceleration
    if not (acceleration.x or acceleration.y or acceleration.z):
        raise MessageError("imu has a linear_acceleration of zero; at rest it would show gravity")
    rates, force = _vector(message.angular_velocity), _vector(acceleration)
    if rotation is None:
        return ImuSample(stamp, arrival, rates, force)
    # Readings that overflow become non-finite here, which is the controller's to reject.
    with np.errstate(over="ignore", invalid="ignore"):
        return ImuSample(stamp, arrival, rotation @ rates, rotation @ force)


def odometry(message: Any, arrival: int) -> Odometry:
    """Event of a `nav_msgs/Odometry`: pose in world ENU, twist in body FLU (REP-103, REP-105).

    Raises:
        MessageError: on a time out of range, an orientation that is not a unit quaternion, or
            a frame that by its name (REP-103) is not ENU or FLU.

    """
    stamp = check_time(stamp_of(message.header.stamp), arrival)
    for frame in (message.header.frame_id, message.child_frame_id):
        if frame.endswith(("_ned", "_frd")):
            raise MessageError(f"odometry is in {frame[:64]!r}, it must be in ENU and FLU frames")
    pose, twist = message.pose.pose, message.twist.twist
    return Odometry(
        stamp,
        arrival,
        _vector(pose.position),
        _unit_quaternion(pose.orientation),
        _vector(twist.linear),
        _vector(twist.angular),
    )


def goal(message: Any, arrival: int, frame: str | None = None) -> Goal:
    """Event of a `geometry_msgs/PoseStamped`, of which the position is the goal.

    Args:
        message: metres, in the world frame of the odometry.
        arrival: ns.
        frame: name of that world frame, or None to take any.

    Raises:
        MessageError: on a time out of range or a goal in another frame.

    """
    stamp = check_time(stamp_of(message.header.stamp), arrival)
    if frame is not None and message.header.frame_id != frame:
        raise MessageError(
            f"goal is in frame {message.header.frame_id[:64]!r}, the odometry is in {frame!r}"
        )
    return Goal(stamp, arrival, _vector(message.pose.position))


def _vector(message: Any) -> NDArray[np.float64]:
    return np.array((message.x, message.y, message.z), dtype=np.float64)


def _unit_quaternion(message: Any) -> NDArray[np.float64]:
    quaternion = (message.x, message.y, message.z, message.w)
    norm = math.hypot(*quaternion)
    # Written so that a norm that is not a number is refused too.
    if not abs(norm - 1) <= _UNIT_TOLERANCE:
        raise MessageError(f"orientation has norm {norm:g}, it must be a unit quaternion")
    # What was made a unit quaternion once stays as it is, so that a recording replays bit for bit.
    if abs(norm - 1) <= _ROUNDING:
        norm = 1.0
    return np.array(quaternion, dtype=np.float64) / norm


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if not 0 < width * height <= max_pixels:
        raise MessageError(
            f"image is {width}x{height}, it must have 1 to {max_pixels} pixels in all"
        )


def _decompress(
    message_data: Any, max_pixels: int, halvings: Callable[[int, int], int] | None = None
) -> tuple[NDArray[np.uint8], int]:
    """Decode a JPEG or PNG and tell how many times it was halved, of those wished for its size."""
    data = memoryview(message_data).cast("B")
    # The size is read off the header: a small file may unpack to gigabytes.
    width, height = _declared_size(data)
    _check_size(width, height, max_pixels)
    halved = 0
    if halvings is not None and data[: len(_JPEG)] == _JPEG:
        halved = min(halvings(width, height), len(_REDUCED) - 1)
    # An EXIF tag would turn the image against its calibration.
    flags = _REDUCED[halved] | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise MessageError(f"compressed image cannot be decoded: {error.err}") from error
    # Sides are rounded up: where one is odd, a half or less of the last pixel is beyond the image.
    if image is None or image.shape != (-(-height >> halved), -(-width >> halved), 3):
        raise MessageError(f"compressed image of {width}x{height} cannot be decoded: it is broken")
    image = image[: height >> halved, : width >> halved]
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8), halved


def _declared_size(data: memoryview) -> tuple[int, int]:
    """Width and height that a whole JPEG or PNG file says it has."""
    head, tail = bytes(data[:_HEADER]), bytes(data[-_HEADER:]).rstrip(b"\0")
    if head.startswith(_PNG) and head[12:16] == b"IHDR":
        width, height = (int.from_bytes(head[at : at + 4], "big") for at in (16, 20))
    elif head.startswith(_JPEG):
        width, height = _jpeg_size(head)
    else:
        raise MessageError(f"compressed image starts with {head[:8]!r}, it must be JPEG or PNG")
    # OpenCV 4 fills what is missing of a cut file with grey and says nothing.
    if not tail.endswith(_ENDS):
        raise MessageError(f"compressed image of {len(data)} bytes is cut short: it has no end")
    return width, height


def _jpeg_size(head: bytes) -> tuple[int, int]:
    """Width and height in the first frame header (ITU T.81, B.2.2)."""
    at = len(_JPEG)
    while segment := _JPEG_SEGMENT.match(head, at):
        marker, length, height, width = (int.from_bytes(part, "big") for part in segment.groups())
        if marker in _JPEG_FRAMES:
            return width, height
        at = segment.start(2) + max(length, 2)
    raise MessageError("compressed image is a JPEG without a frame header: it is broken")
