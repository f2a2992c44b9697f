"""Cameras of recorded flights: calibrations that change, rectified images, bits, broken files."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from liquid_nav.bags.bag import Recording
from liquid_nav.events import SECOND, CameraFrame, Channel, Event
from liquid_nav.messages.camera import CameraAdapter, ImageOptions
from liquid_nav.messages.fields import header
from liquid_nav.onboard import Policy, PolicyCamera
from liquid_nav.recording.writer import McapWriter, message
from liquid_nav.replay.calibration import find_camera_info
from liquid_nav.replay.run import Replay, replay
from liquid_nav.replay.topics import Topics, find

SIZE = (128, 96)
START = 1000 * SECOND
PICTURE = cv2.GaussianBlur(
    np.random.default_rng(0).integers(0, 256, (*SIZE[::-1], 3), dtype=np.uint8), (0, 0), 4
)


def info(focal: float, d: Sequence[float] = (), p_focal: float = 0.0, stamp: int = START) -> Any:
    centre = (SIZE[0] - 1) / 2, (SIZE[1] - 1) / 2
    p = [p_focal, 0, centre[0], 0, 0, p_focal, centre[1], 0, 0, 0, 1, 0]
    return message(
        "sensor_msgs/msg/CameraInfo",
        header=header(stamp, "camera"),
        width=SIZE[0],
        height=SIZE[1],
        distortion_model="plumb_bob",
        d=np.array(d, np.float64),
        k=np.array([focal, 0, centre[0], 0, focal, centre[1], 0, 0, 1]),
        r=np.eye(3).ravel(),
        p=np.array(p, np.float64),
    )


def image(stamp: int, pixels: np.ndarray, encoding: str) -> Any:
    return message(
        "sensor_msgs/msg/Image",
        header=header(stamp, "camera"),
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        step=pixels[0].nbytes,
        data=np.ascontiguousarray(pixels).view(np.uint8).ravel(),
    )


def jpeg(stamp: int, data: bytes) -> Any:
    return message(
        "sensor_msgs/msg/CompressedImage",
        header=header(stamp, "camera"),
        format="jpeg",
        data=np.frombuffer(data, np.uint8),
    )


def bag(path: Path, topic: str, messages: Sequence[Callable[[int], Any] | Any]) -> Path:
    """A bag of messages 50 ms apart: infos as they are, images from their stamp."""
    with McapWriter(path) as writer:
        for number, content in enumerate(messages):
            now = START + number * SECOND // 20
            if callable(content):
                writer.write(topic, content(now), now)
            else:
                writer.write("/camera/camera_info", content, now)
    return path


def replayed(
    path: Path,
    policy: Policy,
    images: ImageOptions = ImageOptions(),  # noqa: B008
) -> tuple[Replay, list[np.ndarray]]:
    seen: list[Event] = []
    with Recording(path) as recording:
        topics = find(recording.topics, Topics(), comparing=False)
        first = find_camera_info(recording, topics)
        watch = lambda event, *_: seen.append(event)  # noqa: E731
        result = replay(recording, topics, policy, camera_info=first, images=images, watch=watch)
    return result, [event.image for event in seen if isinstance(event, CameraFrame)]


def adapted(info: Any, pixels: np.ndarray = PICTURE, rectified: bool = False) -> np.ndarray:
    return CameraAdapter(PolicyCamera(), info, rectified).adapt(pixels)


def rgb(stamp: int) -> Any:
    return image(stamp, PICTURE, "rgb8")


def test_a_changed_calibration_holds_from_where_it_was_recorded(
    flow_policy: Policy, tmp_path: Path
) -> None:
    wide, narrow = info(64.0), info(90.0, (-0.2, 0.05, 0, 0, 0))
    content = [wide, rgb, wide, rgb, narrow, rgb, info(np.nan), rgb, wide, rgb]
    result, images = replayed(bag(tmp_path / "a.mcap", "/camera/image_raw", content), flow_policy)
    expected = [wide, wide, narrow, narrow, wide]
    for got, calibration in zip(images, expected, strict=True):
        np.testing.assert_array_equal(got, adapted(calibration))
    assert result.channels[Channel.CAMERA].events == 5
    assert any("camera_info.k" in reason for reason in result.channels[Channel.CAMERA].refused)


@pytest.mark.parametrize(
    ("topic", "geometry", "rectified"),
    [
        ("/camera/image_rect", "auto", True),
        ("/camera/image_raw", "auto", False),
        ("/camera/image_rect", "raw", False),
        ("/camera/image_raw", "rectified", True),
    ],
)
def test_rectified_images_are_not_undistorted_again(
    topic: str, geometry: str, rectified: bool, flow_policy: Policy, tmp_path: Path
) -> None:
    lens = info(64.0, (-0.3, 0.1, 0, 0, 0), p_focal=50.0)
    path = bag(tmp_path / "a.mcap", topic, [lens, rgb])
    result, (seen,) = replayed(path, flow_policy, ImageOptions(geometry))
    np.testing.assert_array_equal(seen, adapted(lens, rectified=rectified))
    assert any("rectified" in note for note in result.notes) == rectified


def test_a_missing_calibration_is_noted(flow_policy: Policy, tmp_path: Path) -> None:
    path = bag(tmp_path / "a.mcap", "/camera/image_raw", [info(0.0), rgb])
    result, _ = replayed(path, flow_policy)
    assert result.covers is None
    assert any("K is zero" in note for note in result.notes)


@pytest.mark.parametrize("bits", [0, 12])
def test_deep_images_are_as_bright_as_shallow_ones(
    bits: int, flow_policy: Policy, tmp_path: Path
) -> None:
    bright = (PICTURE.astype(np.uint16) << 4) + 255
    deep = lambda stamp: image(stamp, bright, "rgb16")  # noqa: E731
    shallow = (bright >> 4).astype(np.uint8)
    path = bag(tmp_path / "a.mcap", "/camera/image_raw", [info(64.0), deep])
    result, (seen,) = replayed(path, flow_policy, ImageOptions(bits=bits))
    np.testing.assert_array_equal(seen, adapted(info(64.0), shallow))
    assert any("12 bits" in note for note in result.notes) == (bits == 0)


def test_broken_jpegs_are_counted_by_their_reason_and_nothing_else_is_printed(
    flow_policy: Policy, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    good = cv2.imencode(".jpg", PICTURE)[1].tobytes()
    cut = good[: len(good) // 2] + good[-2:]
    contents = [info(64.0), *(lambda t, d=d: jpeg(t, d) for d in (good, cut, good + b"junk", cut))]
    path = bag(tmp_path / "a.mcap", "/camera/image_raw/compressed", contents)
    result, images = replayed(path, flow_policy)
    assert len(images) == 2
    ((reason, count),) = result.channels[Channel.CAMERA].refused.items()
    assert count == 2
    assert "premature end of data segment" in reason
    assert capfd.readouterr() == ("", "")


def test_a_compressed_depth_image_is_not_taken_for_the_camera(
    flow_policy: Policy, tmp_path: Path
) -> None:
    with McapWriter(tmp_path / "a.mcap") as writer:
        writer.write("/camera/depth/image_raw/compressedDepth", jpeg(START, b""), START)
        writer.write("/camera/camera_info", info(64.0), START)
        writer.write("/camera/image_raw", rgb(START), START)
    result, images = replayed(tmp_path / "a.mcap", flow_policy)
    assert len(images) == 1
    assert result.topics.channels[Channel.CAMERA] == "/camera/image_raw"
