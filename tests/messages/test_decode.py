"""ROS 2 messages as events: what is taken, and that nothing else is."""

import tracemalloc
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf, nan, sqrt
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from liquid_nav.controller import Controller
from liquid_nav.errors import LiquidNavError
from liquid_nav.events import SECOND, Channel
from liquid_nav.messages.camera import CameraAdapter
from liquid_nav.messages.camera.depth import Depth
from liquid_nav.messages.compressed_image import decode_compressed
from liquid_nav.messages.decode import (
    FUTURE_TOLERANCE,
    OLDEST,
    MessageError,
    check_time,
    stamp_of,
)
from liquid_nav.messages.goal import GoalMessage
from liquid_nav.messages.image import ImageMessage, decode_image
from liquid_nav.messages.imu import ImuMessage
from liquid_nav.messages.odometry import OdometryMessage
from liquid_nav.messages.plug import SensorSetup
from liquid_nav.messages.range_finder import RangeMessage
from liquid_nav.onboard import Policy, PolicyCamera

sensor_msgs = pytest.importorskip("sensor_msgs.msg", reason="ROS 2 messages are not installed")

from builtin_interfaces.msg import Time  # noqa: E402
from geometry_msgs.msg import PoseStamped, Quaternion  # noqa: E402
from nav_msgs.msg import Odometry  # noqa: E402

NOW = 1_700_000_000 * SECOND
DEPTHS = {
    **{"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1, "mono16": 2},
    **{"bayer_rggb8": 1, "uyvy": 2, "yuyv": 2, "bayer_gbrg16": 2, "rgb16": 6, "bgra16": 8},
    **{"8UC1": 1, "8UC3": 3},
}
PICTURE = cv2.GaussianBlur(
    np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8), (0, 0), 4
)


def stamped(message: Any, stamp: int = NOW) -> Any:
    message.header.stamp = Time(sec=stamp // SECOND, nanosec=stamp % SECOND)
    return message


def image(pixels: np.ndarray, encoding: str, padding: int = 0, **fields: object) -> Any:
    """An Image of `pixels`, rows of bytes, with `padding` bytes of rubbish after each row."""
    rows = pixels.reshape(len(pixels), -1).view(np.uint8)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=99)
    message = stamped(sensor_msgs.Image(encoding=encoding))
    message.height, message.width, message.step = *pixels.shape[:2], rows.shape[1]
    message.data = array("B", rows.tobytes())
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def compressed(data: bytes) -> Any:
    return stamped(sensor_msgs.CompressedImage(format="jpeg", data=array("B", data)))


def encode(kind: str, pixels: np.ndarray = PICTURE) -> bytes:
    return cv2.imencode(kind, pixels[..., ::-1])[1].tobytes()


def imu(force=(0.1, 0.2, 9.8), rate=(0.3, 0.4, 0.5)) -> Any:
    message = stamped(sensor_msgs.Imu())
    for vector, values in ((message.linear_acceleration, force), (message.angular_velocity, rate)):
        vector.x, vector.y, vector.z = values
    return message


def odometry_of(orientation=(0.0, 0.0, 0.0, 1.0)) -> Any:
    message = stamped(Odometry())
    message.header.frame_id, message.child_frame_id = "odom", "base_link"
    pose, twist = message.pose.pose, message.twist.twist
    pose.position.x, pose.position.y, pose.position.z = 1.0, 2.0, 3.0
    pose.orientation = Quaternion(**dict(zip("xyzw", orientation, strict=True)))
    twist.linear.x, twist.linear.y, twist.linear.z = 4.0, 5.0, 6.0
    twist.angular.x, twist.angular.y, twist.angular.z = 7.0, 8.0, 9.0
    return message


def ranging(distance: float, **fields: float) -> Any:
    return stamped(sensor_msgs.Range(range=distance, **{"max_range": 10.0} | fields))


def camera_frame(message: Any, arrival: int, adapter: CameraAdapter) -> Any:
    return ImageMessage().decode(message, arrival, SensorSetup(adapter))


def imu_sample(message: Any, arrival: int, rotation: np.ndarray) -> Any:
    return ImuMessage().decode(message, arrival, SensorSetup(imu_rotation=lambda frame: rotation))


def odometry(message: Any, arrival: int) -> Any:
    return OdometryMessage().decode(message, arrival, SensorSetup())


def goal(message: Any, arrival: int, frame: str = "") -> Any:
    return GoalMessage().decode(message, arrival, SensorSetup(goal_frame=frame))


def range_sample(message: Any, arrival: int) -> Any:
    return RangeMessage().decode(message, arrival, SensorSetup())


def unpacked(message: Any, **options: int) -> np.ndarray:
    return decode_compressed(message, **options)[0]


@contextmanager
def little_memory() -> Iterator[None]:
    """Fails when the block takes more than a megabyte at any moment."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_message_error_is_one_of_ours() -> None:
    assert issubclass(MessageError, LiquidNavError)


def test_stamp_in_nanoseconds() -> None:
    assert stamp_of(Time(sec=3, nanosec=7)) == 3 * SECOND + 7
    with pytest.raises(MessageError, match="nanosec"):
        stamp_of(Time(sec=3, nanosec=SECOND))


def test_time_is_kept_or_taken_as_the_arrival_or_refused() -> None:
    assert check_time(NOW - OLDEST, NOW) == NOW - OLDEST
    assert check_time(NOW + FUTURE_TOLERANCE, NOW) == NOW
    with pytest.raises(MessageError, match=r"0\.010 s in the future"):
        check_time(NOW + FUTURE_TOLERANCE + 1, NOW)
    with pytest.raises(MessageError, match=r"10\.000 s old"):
        check_time(NOW - OLDEST - 1, NOW)
    assert check_time(0, 5, future_tolerance=0, oldest=5) == 0
    with pytest.raises(MessageError, match="old"):
        check_time(0, 5, oldest=4)
    with pytest.raises(MessageError, match="future"):
        check_time(6, 5, future_tolerance=0)


@pytest.mark.parametrize("stamp", [0, NOW + SECOND])
def test_every_message_has_its_time_checked(stamp: int) -> None:
    adapter = CameraAdapter(PolicyCamera())
    with pytest.raises(MessageError, match="stamp"):
        camera_frame(stamped(image(PICTURE, "rgb8"), stamp), NOW, adapter)
    with pytest.raises(MessageError, match="stamp"):
        imu_sample(stamped(imu(), stamp), NOW, np.eye(3))
    with pytest.raises(MessageError, match="stamp"):
        odometry(stamped(odometry_of(), stamp), NOW)
    with pytest.raises(MessageError, match="stamp"):
        goal(stamped(PoseStamped(), stamp), NOW)
    with pytest.raises(MessageError, match="stamp"):
        range_sample(stamped(ranging(1.0), stamp), NOW)


@pytest.mark.parametrize("padding", [0, 5])
def test_colour_encodings(padding: int) -> None:
    alpha = np.full((*PICTURE.shape[:2], 1), 17, np.uint8)
    for encoding, pixels in {
        "rgb8": PICTURE,
        "bgr8": PICTURE[..., ::-1],
        "rgba8": np.concatenate([PICTURE, alpha], axis=2),
        "bgra8": np.concatenate([PICTURE[..., ::-1], alpha], axis=2),
        "8UC3": PICTURE[..., ::-1],
    }.items():
        decoded = decode_image(image(np.ascontiguousarray(pixels), encoding, padding))
        assert_array_equal(decoded, PICTURE, encoding)


@pytest.mark.parametrize("padding", [0, 6])
def test_grey_encodings(padding: int) -> None:
    grey = PICTURE[..., 0].copy()
    expected = np.repeat(grey[..., None], 3, axis=2)
    assert_array_equal(decode_image(image(grey, "mono8", padding)), expected)
    deep = grey.astype(np.uint16) * 257
    for order, flag in (("<u2", 0), (">u2", 1)):
        # The low byte must not show.
        message = image((deep & 0xFF00 | 0x5A).astype(order), "mono16", padding, is_bigendian=flag)
        assert_array_equal(decode_image(message), expected)


RAMP = np.linspace(0, 1, 240).reshape(8, 30)
"""Grey from black to white."""

GREY = np.repeat((RAMP * 255).astype(np.uint8)[..., None], 3, axis=2)


def deep(bits: int, scale: float = 1.0) -> np.ndarray:
    return (RAMP * scale * (2**bits - 1)).astype(np.uint16)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_deep_grey_is_scaled_by_its_brightest_pixel(bits: int) -> None:
    depth = Depth()
    assert_allclose(decode_image(image(deep(bits), "mono16"), depth).astype(int), GREY, atol=1)
    assert (depth.warning == "") == (bits == 16)
    assert bits == 16 or f"hold {bits} bits" in depth.warning
    # A darker image does not change the scale, a brighter one does.
    dark = decode_image(image(deep(bits, 0.1), "mono16"), depth)
    assert_allclose(dark.astype(int), GREY // 10, atol=1)
    decode_image(image(deep(16), "mono16"), depth)
    assert depth.warning == ""
    assert decode_image(image(deep(bits), "mono16"), depth).max() == (2**bits - 1) >> 8


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_bits_that_a_driver_shifts_to_the_top_are_the_whole_range(bits: int) -> None:
    shifted = deep(bits, 0.2) << (16 - bits)
    depth = Depth()
    decoded = decode_image(image(shifted, "mono16"), depth)
    assert_allclose(decoded.astype(int), GREY // 5, atol=1)
    assert depth.warning == ""


def test_bits_that_are_given_hold() -> None:
    decoded = decode_image(image(deep(10), "mono16"), Depth(12))
    assert_allclose(decoded.astype(int), GREY // 4, atol=1)
    # Brighter than the bits allow is white, and wraps into nothing else.
    assert decode_image(image(deep(16), "mono16"), Depth(10))[RAMP > 0.1].min() == 255
    assert Depth(12).warning == ""


def test_a_black_image_says_nothing_about_its_bits() -> None:
    depth = Depth()
    assert not decode_image(image(np.zeros((4, 6), np.uint16), "mono16"), depth).any()
    assert depth.warning == ""


@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_deep_colours(order: str, padding: int) -> None:
    picture = PICTURE.astype(np.uint16) << 4 | PICTURE >> 4
    alpha = np.full((*PICTURE.shape[:2], 1), 65535, np.uint16)
    for encoding, pixels in {
        "rgb16": picture,
        "bgr16": picture[..., ::-1],
        "rgba16": np.concatenate([picture, alpha], axis=2),
        "bgra16": np.concatenate([picture[..., ::-1], alpha], axis=2),
    }.items():
        pixels = np.ascontiguousarray(pixels).astype(order)
        message = image(pixels, encoding, padding, is_bigendian=int(order == ">u2"))
        assert_array_equal(decode_image(message, Depth(12)), PICTURE, encoding)
        found = Depth()
        decode_image(message, found)
        assert f"hold {int(picture.max()).bit_length()} bits" in found.warning


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize("bits", [10, 12, 16])
def test_deep_bayer_mosaics_of_one_colour(pattern: str, bits: int) -> None:
    colour = (255, 20, 90)
    mosaic = np.empty((8, 10), np.uint16)
    for index, letter in enumerate(pattern):
        value = colour["rgb".index(letter)] << (bits - 8)
        mosaic[index // 2 :: 2, index % 2 :: 2] = value | 1
    decoded = decode_image(image(mosaic, f"bayer_{pattern}16"))
    assert_array_equal(decoded, np.broadcast_to(np.uint8(colour), (8, 10, 3)))


def test_the_setup_says_what_it_assumes_about_the_images() -> None:
    setup = SensorSetup()
    assert setup.camera_warnings == ()
    setup.camera = CameraAdapter(PolicyCamera(), sensor_msgs.CameraInfo())
    ImageMessage().decode(image(deep(12)[:6, ::4].copy(), "mono16"), NOW, setup)
    uncalibrated, shallow = setup.camera_warnings
    assert "K is zero" in uncalibrated
    assert "12 bits" in shallow


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize("colour", [(200, 20, 60), (10, 220, 90), (30, 70, 250)])
def test_bayer_mosaics_of_one_colour(pattern: str, colour: tuple[int, int, int]) -> None:
    mosaic = np.empty((8, 10), np.uint8)
    for index, letter in enumerate(pattern):
        mosaic[index // 2 :: 2, index % 2 :: 2] = colour["rgb".index(letter)]
    decoded = decode_image(image(mosaic, f"bayer_{pattern}8", padding=3))
    assert_array_equal(decoded, np.broadcast_to(np.uint8(colour), (8, 10, 3)))


@pytest.mark.parametrize(
    ("encoding", "order"),
    [("uyvy", "uyvy"), ("yuv422", "uyvy"), ("yuyv", "yuyv"), ("yuv422_yuy2", "yuyv")],
)
def test_yuv_of_one_colour(encoding: str, order: str) -> None:
    # Video range (BT.601): full red is Y 81, U 90, V 240.
    pair = [{"y": 81, "u": 90, "v": 240}[letter] for letter in order]
    pixels = np.tile(np.array(pair, np.uint8).reshape(1, 2, 2), (4, 3, 1))
    assert_allclose(decode_image(image(pixels, encoding)), [[[255, 0, 0]] * 6] * 4, atol=2)
    with pytest.raises(MessageError, match="even"):
        decode_image(image(pixels[:, :5].copy(), encoding))


@pytest.mark.parametrize(("kind", "error"), [(".png", 0), (".jpg", 12)])
def test_compressed_images(kind: str, error: int) -> None:
    decoded = unpacked(compressed(encode(kind)))
    assert_allclose(decoded.astype(int), PICTURE.astype(int), atol=error)


def test_an_orientation_tag_does_not_turn_the_image() -> None:
    tag = bytes.fromhex("457869660000 4d4d002a00000008 0001 0112000300000001 00060000 00000000")
    data = encode(".jpg")
    turned = data[:2] + b"\xff\xe1" + (len(tag) + 2).to_bytes(2, "big") + tag + data[2:]
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR).shape == (60, 40, 3)
    assert_array_equal(unpacked(compressed(turned)), unpacked(compressed(data)))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"width": 0}, "0x40"),
        ({"height": 0}, "60x0"),
        ({"width": 2**32 - 1, "height": 2**32 - 1}, "pixels in all"),
        ({"step": 179}, "step is 179, 60 pixels of rgb8 need 180"),
        ({"step": 2**32 - 1}, "7200 bytes"),
        ({"height": 41}, "7200 bytes, 41 rows of 180 are 7380"),
        ({"data": array("B")}, "0 bytes"),
        ({"data": array("B", bytes(7199))}, "7199 bytes"),
        ({"data": array("B", bytes(7200 + 4097))}, "11297 bytes"),
    ],
)
def test_broken_images(fields: dict[str, object], reason: str) -> None:
    with pytest.raises(MessageError, match=reason):
        decode_image(image(PICTURE, "rgb8", **fields))


@pytest.mark.parametrize("surplus", [1, 992, 4096])
def test_what_a_buffer_holds_after_an_image_is_ignored(surplus: int) -> None:
    message = image(PICTURE, "rgb8")
    message.data += array("B", b"\x63" * surplus)
    assert_array_equal(decode_image(message), PICTURE)


@pytest.mark.parametrize("encoding", ["32FC1", "", "rgb8" * 1000])
def test_unknown_encodings(encoding: str) -> None:
    with pytest.raises(MessageError, match=r"encoding is '.{0,32}', known are rgb8, "):
        decode_image(image(PICTURE, encoding))


@pytest.fixture
def silent(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Fails when something is printed, also by libraries in C."""
    yield
    assert capfd.readouterr() == ("", "")


PROGRESSIVE = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
RESTARTS = [cv2.IMWRITE_JPEG_RST_INTERVAL, 2]
THUMBNAIL = encode(".jpg", PICTURE[:8, :8])
KINDS = pytest.mark.parametrize(
    ("kind", "options"), [(".jpg", []), (".jpg", PROGRESSIVE), (".jpg", RESTARTS), (".png", [])]
)


def encode_by(kind: str, options: list[int], pixels: np.ndarray = PICTURE) -> bytes:
    return cv2.imencode(kind, pixels[..., ::-1], options)[1].tobytes()


@KINDS
@pytest.mark.parametrize(
    "tail",
    [
        bytes(10),
        b"\n",
        b"\xff" * 16,
        np.random.default_rng(0).bytes(513),
        b"\x3f\x9a\x11" * 60 + b"\xff\xd9",
        THUMBNAIL,
        encode(".png")[:100],
    ],
    ids=["zeros", "newline", "ones", "noise", "old image", "second image", "png"],
)
@pytest.mark.usefixtures("silent")
def test_what_follows_the_end_of_a_file_is_ignored(
    kind: str, options: list[int], tail: bytes
) -> None:
    data = encode_by(kind, options)
    assert_array_equal(unpacked(compressed(data + tail)), unpacked(compressed(data)))


@pytest.mark.usefixtures("silent")
def test_a_thumbnail_in_the_header_is_not_the_image() -> None:
    data = encode(".jpg")
    application = THUMBNAIL + bytes(40_000)
    segment = b"\xff\xe1" + (len(application) + 2).to_bytes(2, "big") + application
    message = compressed(data[:2] + 5 * segment + data[2:])
    assert_array_equal(unpacked(message), unpacked(compressed(data)))


@pytest.mark.parametrize("options", [[], RESTARTS])
@pytest.mark.usefixtures("silent")
def test_a_jpeg_whose_data_are_complete_needs_no_end(options: list[int]) -> None:
    data = encode_by(".jpg", options)
    whole = unpacked(compressed(data))
    for tail in (b"", b"\xff", bytes(7), THUMBNAIL):
        assert_array_equal(unpacked(compressed(data[:-2] + tail)), whole)
    # Some encoders fill the coded data before the end.
    for filling in (bytes(3), bytes(100), b"\xff" * 9):
        assert_array_equal(unpacked(compressed(data[:-2] + filling + data[-2:])), whole)


@pytest.mark.usefixtures("silent")
def test_stray_bytes_before_a_restart_are_no_fault() -> None:
    data = encode_by(".jpg", RESTARTS)
    at = data.index(b"\xff\xd1")
    message = compressed(data[:at] + b"\x12\x34" + data[at:])
    assert_array_equal(unpacked(message), unpacked(compressed(data)))


@KINDS
@pytest.mark.usefixtures("silent")
def test_a_cut_file_is_refused(kind: str, options: list[int]) -> None:
    data = encode_by(kind, options)
    for cut in (40, len(data) // 2, len(data) - 20):
        with pytest.raises(MessageError, match="cut short"):
            unpacked(compressed(data[:-cut]))
    # The end of a file is no proof that its middle is there.
    with pytest.raises(MessageError, match=r"cut short|broken"):
        unpacked(compressed(data[: len(data) // 2] + data[-12:]))


@pytest.mark.parametrize(("kind", "options"), [(".jpg", []), (".jpg", RESTARTS), (".png", [])])
@pytest.mark.usefixtures("silent")
def test_a_file_with_broken_data_is_refused_and_the_reason_says_so(
    kind: str, options: list[int]
) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    data = bytearray(encode_by(kind, options, noise))
    middle = len(data) // 2
    data[middle : middle + 40] = bytes(40)
    with pytest.raises(MessageError, match=r"120.*(Corrupt JPEG data|libpng error|broken)"):
        unpacked(compressed(bytes(data)))


@pytest.mark.usefixtures("silent")
def test_what_is_no_image() -> None:
    for kind in (".jpg", ".png"):
        data = encode(kind)
        for odd in (b"GIF89a" + data, b"", b"\xff", b"\0" + data):
            with pytest.raises(MessageError, match="must be JPEG or PNG"):
                unpacked(compressed(odd))
        with pytest.raises(MessageError, match="broken"):
            unpacked(compressed(data[:40] + bytes(len(data) - 80) + data[-40:]))
    # The standard lets a marker be preceded by any number of these.
    filled = encode(".jpg")
    filled = filled[:2] + b"\xff" * 9 + filled[2:]
    assert unpacked(compressed(filled)).shape == PICTURE.shape


@pytest.mark.usefixtures("silent")
def test_a_chunk_longer_than_its_file_takes_no_memory() -> None:
    data = bytearray(encode(".png"))
    data[8] = 0x21  # The header's length becomes half a gigabyte.
    with little_memory(), pytest.raises(MessageError, match="cut short"):
        unpacked(compressed(bytes(data)))


@pytest.mark.usefixtures("silent")
def test_a_jpeg_of_endless_scans_is_refused() -> None:
    data = encode_by(".jpg", PROGRESSIVE)
    scan = data[data.rindex(b"\xff\xda") : -2]
    with pytest.raises(MessageError, match="broken"):
        unpacked(compressed(data[:-2] + 1000 * scan + data[-2:]))


def test_a_deep_png() -> None:
    for pixels in (deep(12), np.repeat(deep(12)[..., None], 3, axis=2)):
        depth = Depth()
        message = compressed(cv2.imencode(".png", pixels)[1].tobytes())
        message.format = "mono16; png compressed "
        assert_allclose(decode_compressed(message, depth=depth)[0].astype(int), GREY, atol=1)
        assert "12 bits" in depth.warning


def test_the_format_says_how_colours_were_compressed() -> None:
    """By compressed_image_transport, which calls the order in the file what it is not."""
    message = compressed(encode(".png"))
    for format_, flipped in {
        "rgb8; png compressed bgr8": False,
        "bgr8; png compressed bgr8": False,
        "png": False,
        "": False,
        "rgb8; png compressed rgb8": True,
    }.items():
        message.format = format_
        expected = PICTURE[..., ::-1] if flipped else PICTURE
        assert_array_equal(unpacked(message), expected, format_)


@pytest.mark.parametrize(("kind", "error"), [("png", 0), ("jpg", 30)])
def test_a_mosaic_that_was_compressed_as_it_came(kind: str, error: int) -> None:
    colour = (200, 120, 60)
    mosaic = np.empty((48, 64), np.uint8)
    for index, letter in enumerate("gbrg"):
        mosaic[index // 2 :: 2, index % 2 :: 2] = colour["rgb".index(letter)]
    message = compressed(cv2.imencode(f".{kind}", mosaic)[1].tobytes())
    message.format = f"bayer_gbrg8; {kind} compressed "
    decoded, halved = decode_compressed(message, halvings=lambda width, height: 2)
    assert halved == 0
    assert_allclose(decoded[8:-8, 8:-8].astype(int) - colour, 0, atol=error)


def test_distances_are_no_picture() -> None:
    message = compressed(bytes(12) + encode(".png"))
    for format_ in ("16UC1; compressedDepth png", "16UC1; png compressed "):
        message.format = format_
        with pytest.raises(MessageError, match="distances, not a picture"):
            unpacked(message)


@pytest.mark.parametrize("kind", [".png", ".jpg"])
def test_what_unpacks_too_large_is_not_unpacked(kind: str) -> None:
    data = compressed(encode(kind, np.zeros((1000, 1000, 3), np.uint8)))
    with little_memory(), pytest.raises(MessageError, match="1000x1000"):
        unpacked(data, max_pixels=999_999)
    assert unpacked(data, max_pixels=1_000_000).shape == (1000, 1000, 3)


@pytest.mark.parametrize(
    "build",
    [
        lambda: image(np.zeros((10_000, 10_000), np.uint8), "mono8"),
        lambda: image(np.zeros((10_000, 10_000), np.uint8), "mono8", width=64, height=48),
        lambda: compressed(b"\xff\xd8" + b"\xff" * 100_000_000),
        lambda: compressed(bytes(100_000_000)),
    ],
    ids=["image", "mismatch", "jpeg", "rubbish"],
)
def test_a_hundred_megabytes_are_refused_without_a_copy(build: Callable[[], Any]) -> None:
    message = build()
    decode = decode_image if hasattr(message, "encoding") else unpacked
    with little_memory(), pytest.raises(MessageError):
        decode(message)


@given(
    st.sampled_from([*DEPTHS, "32FC1"]),
    *[st.integers(0, 2**32 - 1) | st.integers(0, 8)] * 3,
    st.binary(max_size=64),
)
def test_an_image_header_is_believed_or_refused(
    encoding: str, width: int, height: int, step: int, data: bytes
) -> None:
    message = sensor_msgs.Image(encoding=encoding, width=width, height=height, step=step)
    message.data = array("B", data)
    try:
        decoded = decode_image(message)
    except MessageError:
        return
    assert decoded.shape == (height, width, 3)
    assert width <= step
    assert step * height <= len(data)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 5), st.sampled_from([*DEPTHS]))
def test_small_images_of_any_shape(width: int, height: int, padding: int, encoding: str) -> None:
    if encoding in ("uyvy", "yuyv"):
        width *= 2
    pixels = np.zeros((height, width, DEPTHS[encoding]), np.uint8)
    assert decode_image(image(pixels, encoding, padding)).shape == (height, width, 3)


@settings(deadline=1000)
@given(st.sampled_from([".png", ".jpg"]), st.data())
def test_a_spoilt_file_is_decoded_or_refused(kind: str, draw: st.DataObject) -> None:
    data = bytearray(encode(kind, PICTURE[:8, :8]))
    for _ in range(draw.draw(st.integers(1, 4))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    try:
        decoded = unpacked(compressed(bytes(data)), max_pixels=1000)
    except MessageError:
        return
    assert decoded.shape[0] * decoded.shape[1] <= 1000


def test_a_frame_is_the_adapted_image_and_a_copy() -> None:
    pixels = np.full((96, 128, 3), (10, 120, 230), np.uint8)
    message = image(pixels, "rgb8")
    frame = camera_frame(message, NOW + 5, CameraAdapter(PolicyCamera()))
    message.data[:] = array("B", bytes(pixels.size))
    assert (frame.stamp, frame.arrival) == (NOW, NOW + 5)
    assert_array_equal(frame.image, np.broadcast_to(pixels[0, 0], (48, 64, 3)))


def test_imu_is_rotated_to_the_body() -> None:
    # The sensor's x points to the left of the vehicle, its y backwards.
    rotation = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    event = imu_sample(imu((1.0, 2.0, 9.0), (0.1, 0.2, 0.3)), NOW, rotation)
    assert_array_equal(event.specific_force, (-2.0, 1.0, 9.0))
    assert_array_equal(event.angular_velocity, (-0.2, 0.1, 0.3))
    assert (event.stamp, event.arrival) == (NOW, NOW)


@pytest.mark.parametrize("name", ["angular_velocity", "linear_acceleration"])
def test_what_the_imu_says_it_does_not_measure(name: str) -> None:
    message = imu()
    getattr(message, f"{name}_covariance")[0] = -1.0
    with pytest.raises(MessageError, match=f"not measure {name}"):
        imu_sample(message, NOW, np.eye(3))


def test_a_dead_imu() -> None:
    with pytest.raises(MessageError, match="zero"):
        imu_sample(imu(force=(0.0, -0.0, 0.0)), NOW, np.eye(3))
    assert (
        imu_sample(imu(rate=(0.0, 0.0, 0.0)), NOW, np.eye(3)).angular_velocity.tolist() == [0] * 3
    )


@pytest.mark.parametrize("bad", [nan, inf, 1.7e308])
def test_imu_that_is_not_finite_is_for_the_controller(bad: float, flow_policy: Policy) -> None:
    controller = Controller(flow_policy)
    rotation = np.array([[0.6, 0.8, 0.0], [-0.8, 0.6, 0.0], [0.0, 0.0, 1.0]])
    controller.on_event(imu_sample(imu(rate=(bad, bad, 0.0)), NOW, rotation))
    assert controller.health.channels[Channel.IMU].rejected == 1


def test_odometry() -> None:
    event = odometry(odometry_of((0.0, 0.0, 0.603, 0.797)), NOW + 1)
    assert (event.stamp, event.arrival) == (NOW, NOW + 1)
    assert_array_equal(event.position, (1, 2, 3))
    assert_array_equal(event.linear_velocity, (4, 5, 6))
    assert_array_equal(event.angular_velocity, (7, 8, 9))
    assert_allclose(event.orientation, (0, 0, 0.603, 0.797), atol=1e-3)
    assert np.linalg.norm(event.orientation) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    "orientation",
    [(0.0,) * 4, (0.0, 0.0, 0.0, 1.02), (nan, 0.0, 0.0, 1.0), (1e200, 0.0, 0.0, 1e200)],
)
def test_orientation_must_be_a_unit_quaternion(orientation: tuple[float, ...]) -> None:
    with pytest.raises(MessageError, match="unit quaternion"):
        odometry(odometry_of(orientation), NOW)


@given(st.tuples(*[st.floats(width=64)] * 4))
def test_every_orientation_that_is_taken_is_a_rotation(orientation: tuple[float, ...]) -> None:
    norm = sqrt(sum(min(abs(value), 1e9) ** 2 for value in orientation))
    try:
        event = odometry(odometry_of(orientation), NOW)
    except MessageError:
        assert not abs(norm - 1) <= 0.0099
    else:
        assert np.linalg.norm(event.orientation) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("field", ["header", "child"])
@pytest.mark.parametrize("frame", ["odom_ned", "base_link_frd"])
def test_odometry_in_frames_of_aircraft(field: str, frame: str) -> None:
    message = odometry_of()
    if field == "header":
        message.header.frame_id = frame
    else:
        message.child_frame_id = frame
    with pytest.raises(MessageError, match=f"{frame}.*ENU and FLU"):
        odometry(message, NOW)


def test_goal() -> None:
    message = stamped(PoseStamped())
    message.header.frame_id = "odom"
    position = message.pose.position
    position.x, position.y, position.z = 1.0, -2.0, 3.0
    event = goal(message, NOW + 2, "odom")
    assert (event.stamp, event.arrival, event.position.tolist()) == (NOW, NOW + 2, [1, -2, 3])
    assert goal(message, NOW).position.tolist() == [1, -2, 3]
    with pytest.raises(MessageError, match="'odom', the odometry is in 'map'"):
        goal(message, NOW, "map")
    message.header.frame_id = "/odom"
    assert goal(message, NOW + 2, "odom").position.tolist() == [1, -2, 3]


def test_range() -> None:
    event = range_sample(ranging(2.5), NOW + 3)
    assert (event.stamp, event.arrival, event.distance) == (NOW, NOW + 3, 2.5)


@pytest.mark.parametrize(
    ("distance", "meaning"), [(inf, inf), (-inf, -inf), (10.5, inf), (0.1, -inf), (10.0, 10.0)]
)
def test_a_range_out_of_its_limits_says_on_which_side(distance: float, meaning: float) -> None:
    assert range_sample(ranging(distance, min_range=0.25), NOW).distance == meaning


def test_limits_of_a_range_that_were_never_filled_in_say_nothing() -> None:
    assert range_sample(ranging(2.5, min_range=0.0, max_range=0.0), NOW).distance == 2.5


def test_a_range_that_is_not_a_number_is_for_the_controller() -> None:
    assert np.isnan(range_sample(ranging(nan), NOW).distance)
