"""Any message of a known type becomes an event or one typed error, whatever its fields hold."""

import tracemalloc
from contextlib import suppress
from functools import cache
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rosbags.interfaces import Nodetype

from liquid_nav.bags.deserializing import STORE
from liquid_nav.events import SECOND
from liquid_nav.messages.camera import CameraAdapter, CameraSource, ImageOptions
from liquid_nav.messages.compressed_image import decode_compressed
from liquid_nav.messages.decode import MessageError
from liquid_nav.messages.image import ENCODINGS
from liquid_nav.messages.plug import EventMessage, SensorSetup, all_messages
from liquid_nav.messages.transforms import ImuMounting
from liquid_nav.onboard import PolicyCamera
from ros.backend_support import typestore

NOW = 1_700_000_000 * SECOND
QUICK = settings(deadline=2000, suppress_health_check=[HealthCheck.too_slow])
WIDTHS = {"int8": 8, "int16": 16, "int32": 32, "int64": 64}
NAMES = st.sampled_from([*ENCODINGS, "plumb_bob", "equidistant", "base_link", "/imu", "jpeg", ""])
MESSAGES = [m for m in all_messages() if m.type in STORE.fielddefs or m.type.startswith("px4_")]


def numbers(kind: str) -> st.SearchStrategy[Any]:
    if kind.startswith("float"):
        width = int(kind.removeprefix("float"))
        return (
            st.floats(width=width)
            | st.sampled_from([0.0, 1.0, -1.0])
            | st.floats(-1, 1, width=width)
        )
    if kind == "bool":
        return st.booleans()
    if kind == "string":
        return NAMES | st.text(max_size=20)
    signed = not kind.startswith("u")
    bits = WIDTHS.get(kind.removeprefix("u"), 8)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return st.integers(low, high) | st.integers(max(low, -3), min(high, 100))


def field(store: Any, node: Any) -> st.SearchStrategy[Any]:
    kind, details = node
    if kind == Nodetype.BASE:
        return numbers(details[0])
    if kind == Nodetype.NAME:
        return filled(store, details)
    inner, length = details
    size = {"min_size": length, "max_size": length} if kind == Nodetype.ARRAY else {"max_size": 64}
    items = st.lists(field(store, inner), **size)
    if inner[0] == Nodetype.BASE and inner[1][0] != "string":
        dtype = np.dtype("u1" if inner[1][0] in ("byte", "octet", "char") else inner[1][0])
        return items.map(lambda values: np.array(values).astype(dtype))
    return items


@cache
def filled(store: Any, name: str) -> st.SearchStrategy[SimpleNamespace]:
    """Messages of a type, whose fields hold anything that the type allows."""
    if name == "builtin_interfaces/msg/Time":
        near = st.integers(-2 * SECOND, SECOND // 200).map(lambda d: divmod(NOW + d, SECOND))
        any_ = st.tuples(numbers("int32"), numbers("uint32"))
        return (near | any_).map(lambda t: SimpleNamespace(sec=t[0], nanosec=t[1]))
    fields = store.fielddefs[name][1]
    parts = {key: field(store, node) for key, node in fields}
    return st.fixed_dictionaries(parts).map(lambda values: SimpleNamespace(**values))


def store_of(message: EventMessage) -> Any:
    return typestore() if message.type.startswith("px4_") else STORE


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.type)
@QUICK
@given(draw=st.data())
def test_a_message_of_any_content(message: EventMessage, draw: st.DataObject) -> None:
    content = draw.draw(filled(store_of(message), message.type))
    if hasattr(content, "timestamp") and draw.draw(st.booleans()):
        content.timestamp = content.timestamp_sample = NOW // 1000
    setup = SensorSetup(CameraAdapter(PolicyCamera()))
    try:
        event = message.decode(content, NOW, setup)
    except MessageError:
        return
    assert event.channel == message.channel
    assert event.arrival == NOW
    assert event.stamp <= NOW
    assert len(setup.camera_warnings) <= 2


@QUICK
@given(st.data())
def test_a_calibration_of_any_content(draw: st.DataObject) -> None:
    info = draw.draw(filled(STORE, "sensor_msgs/msg/CameraInfo"))
    if draw.draw(st.booleans()):
        # Near enough to a calibration to come past the first checks.
        info.width, info.height = draw.draw(st.sampled_from([(64, 48), (641, 481), (1, 1)]))
        info.k = np.array([50.0, 0, 32, 0, 50, 24, 0, 0, 1])
        info.d = info.d[: draw.draw(st.sampled_from([0, 4, 5, 8, 12, 14]))]
    size = draw.draw(st.tuples(st.integers(1, 99), st.integers(1, 99)) | st.just((64, 48)))
    source = CameraSource(PolicyCamera(16, 16), "/image", ImageOptions())
    try:
        assert source.calibrate(info)
        image = source.adapter.adapt(np.full((size[1], size[0], 3), 77, np.uint8))
    except MessageError:
        return
    np.testing.assert_array_equal(image, np.full((16, 16, 3), 77))
    assert 0 <= source.adapter.covers <= 1


@QUICK
@given(st.lists(filled(STORE, "tf2_msgs/msg/TFMessage"), max_size=3), NAMES)
def test_static_transforms_of_any_content(messages: list[Any], frame: str) -> None:
    mounting = ImuMounting()
    for message in messages:
        with suppress(MessageError):
            mounting.add(message)
    rotation = mounting.rotation(frame)
    if rotation is not None:
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)


NOISE = np.random.default_rng(3).integers(0, 256, (24, 40, 3), dtype=np.uint8)
FILES = [
    cv2.imencode(kind, pixels, options)[1].tobytes()
    for pixels in (NOISE, NOISE[..., 0], cv2.GaussianBlur(NOISE, (0, 0), 3))
    for kind, options in (
        (".jpg", []),
        (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
        (".jpg", [cv2.IMWRITE_JPEG_RST_INTERVAL, 2]),
        (".png", []),
        (".png", [cv2.IMWRITE_PNG_COMPRESSION, 0]),
    )
] + [cv2.imencode(".png", NOISE.astype(np.uint16) << 4)[1].tobytes()]
MARKERS = st.sampled_from(
    [b"\xff\xd8", b"\xff\xd9", b"\xff\xda", b"\xff\xc0", b"\xff\xc4", b"IEND"]
)


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """Good files with bytes changed, put in, cut out, and files put one after the other."""
    data = draw(st.sampled_from(FILES))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        change = draw(st.binary(max_size=6) | MARKERS | st.sampled_from(FILES))
        data = data[:at] + change + data[at + draw(st.sampled_from([0, 1, len(change), 500])) :]
    return data


def decoded(data: bytes, format_: str = "jpeg") -> np.ndarray | None:
    """The pixels, or None where the file is refused, in little memory either way."""
    message = SimpleNamespace(format=format_, data=np.frombuffer(data, np.uint8))
    tracemalloc.start()
    try:
        return decode_compressed(message, max_pixels=100_000)[0]
    except MessageError:
        return None
    finally:
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
        tracemalloc.stop()


@settings(QUICK, max_examples=300)
@given(files() | st.binary(max_size=200), NAMES)
def test_a_file_of_any_content(data: bytes, format_: str) -> None:
    image = decoded(data, format_)
    if image is not None:
        assert image.ndim == 3
        assert image.shape[2] == 3
        assert image.shape[0] * image.shape[1] <= 100_000


def claiming(data: bytes, side: int) -> bytes:
    """The file with a header that says it is a square of so many pixels a side."""
    if data.startswith(b"\xff\xd8"):
        at = next(data.index(mark) + 5 for mark in (b"\xff\xc0", b"\xff\xc2") if mark in data)
        return data[:at] + side.to_bytes(2, "big") * 2 + data[at + 4 :]
    return data[:16] + side.to_bytes(4, "big") * 2 + data[24:]


@pytest.mark.parametrize("data", FILES)
@pytest.mark.parametrize("side", [0, 317, 60_000])
def test_a_header_that_claims_another_size(data: bytes, side: int) -> None:
    assert decoded(claiming(data, side)) is None
