"""From the vehicle's camera to the model's: geometry, sampling, and calibrations that are none."""

from array import array
from math import inf, nan, pi, sqrt
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from liquid_nav.messages.camera import CameraAdapter
from liquid_nav.messages.compressed_image import CompressedImageMessage, decode_compressed
from liquid_nav.messages.decode import MessageError
from liquid_nav.messages.plug import SensorSetup
from liquid_nav.onboard import PolicyCamera

sensor_msgs = pytest.importorskip("sensor_msgs.msg", reason="ROS 2 messages are not installed")

TARGET = PolicyCamera()
FOCAL = 32.0
CENTRE = (31.5, 23.5)

# Size, (fx, fy, cx, cy), model and D: of EuRoC's camera, a made-up wide one, and TUM-VI's.
EUROC = (
    (752, 480),
    (458.654, 457.296, 367.215, 248.375),
    "plumb_bob",
    (-0.28340811, 0.07395907, 0.00019359, 1.76187114e-05, 0.0),
)
WIDE = (
    (1280, 720),
    (560.0, 563.0, 650.2, 350.8),
    "rational_polynomial",
    (0.55, 0.12, -0.0004, 0.0003, 0.004, 0.89, 0.27, 0.021),
)
TUM_VI = (
    (512, 512),
    (190.978, 190.973, 254.932, 256.897),
    "equidistant",
    (0.0034823894, 0.0007150348, -0.0020532361, 0.00020293673),
)
CAMERAS = pytest.mark.parametrize("camera", [EUROC, WIDE, TUM_VI], ids=["euroc", "wide", "tum_vi"])


def camera_info(
    size: tuple[int, int],
    intrinsics: tuple[float, float, float, float],
    model: str = "plumb_bob",
    distortion: tuple[float, ...] = (),
) -> Any:
    fx, fy, cx, cy = intrinsics
    info = sensor_msgs.CameraInfo(width=size[0], height=size[1], distortion_model=model)
    info.k = [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0]
    info.d = list(distortion)
    return info


def ideal(width: int, height: int, fov: float = pi / 2, **fields: Any) -> Any:
    focal = width / 2 / np.tan(fov / 2)
    return camera_info((width, height), (focal, focal, (width - 1) / 2, (height - 1) / 2), **fields)


def project(rays: np.ndarray, camera: tuple[Any, ...]) -> np.ndarray:
    """Where OpenCV says that the camera sees rays (N, 2) at unit depth, pixels (N, 2)."""
    _, (fx, fy, cx, cy), model, distortion = camera
    points = np.pad(rays, ((0, 0), (0, 1)), constant_values=1.0)[:, None]
    matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    still = np.zeros((3, 1))
    function = cv2.fisheye.projectPoints if model == "equidistant" else cv2.projectPoints
    return function(points, still, still, matrix, np.array(distortion))[0].reshape(-1, 2)


def spot(size: tuple[int, int], centre: np.ndarray, radius: float) -> np.ndarray:
    x, y = np.arange(size[0]) - centre[0], np.arange(size[1])[:, None] - centre[1]
    bright = 255 * np.exp(-(x * x + y * y) / (2 * radius * radius))
    return np.repeat(np.rint(bright).astype(np.uint8)[..., None], 3, axis=2)


def centroid(image: np.ndarray) -> np.ndarray:
    weight = image[..., 0].astype(float)
    y, x = np.indices(weight.shape)
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


@CAMERAS
def test_points_land_where_the_pinhole_camera_sees_them(camera: tuple[Any, ...]) -> None:
    size = camera[0]
    adapter = CameraAdapter(TARGET, camera_info(*camera))
    rays = np.stack(np.meshgrid(np.linspace(-0.6, 0.6, 5), np.linspace(-0.4, 0.4, 5)), axis=-1)
    rays = rays.reshape(-1, 2)
    for ray, pixel in zip(rays, project(rays, camera), strict=True):
        image = adapter.adapt(spot(size, pixel, 0.6 * camera[1][0] / FOCAL))
        assert image.shape == (48, 64, 3)
        assert_allclose(centroid(image), FOCAL * ray + CENTRE, atol=0.25, err_msg=f"ray {ray}")


@CAMERAS
def test_the_view_is_covered_as_far_as_opencv_projects_into_the_image(
    camera: tuple[Any, ...],
) -> None:
    adapter = CameraAdapter(TARGET, camera_info(*camera))
    x, y = np.meshgrid((np.arange(320) + 0.5) / 160 - 1, ((np.arange(240) + 0.5) / 120 - 1) * 0.75)
    pixels = project(np.stack([x.ravel(), y.ravel()], axis=1), camera)
    inside = ((pixels >= -0.5) & (pixels <= np.array(camera[0]) - 0.5)).all(axis=1)
    assert adapter.calibrated
    assert adapter.covers == pytest.approx(inside.mean(), abs=0.01)
    assert (adapter.covers < 0.95) == (camera is EUROC)


@pytest.mark.parametrize("block", [2, 4, 8, 16, 32])
def test_an_ideal_camera_is_averaged_over_its_pixels(block: int) -> None:
    width, height = 64 * block, 48 * block
    image = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    mean = image.reshape(48, block, 64, block, 3).mean(axis=(1, 3))
    for adapter in (CameraAdapter(TARGET, ideal(width, height)), CameraAdapter(TARGET)):
        # Every halving rounds, and so do the two steps after.
        assert_allclose(adapter.adapt(image), mean, atol=2.6)
        assert adapter.covers == 1


def test_the_model_camera_itself_is_left_as_it_is() -> None:
    image = np.random.default_rng(2).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    for adapter in (CameraAdapter(TARGET, ideal(64, 48)), CameraAdapter(TARGET)):
        adapted = adapter.adapt(image)
        assert_array_equal(adapted, image)
        assert not np.shares_memory(adapted, image)


@CAMERAS
def test_detail_too_fine_for_the_model_is_averaged(camera: tuple[Any, ...]) -> None:
    width, height = camera[0]
    adapter = CameraAdapter(TARGET, camera_info(*camera))
    noise = np.random.default_rng(3).integers(0, 2, (height, width, 1)) * 255
    image = adapter.adapt(np.repeat(noise.astype(np.uint8), 3, axis=2))
    # One sample a pixel would keep a spread of 85 or more; a mean over a few dozen pixels has 20.
    assert image[10:38, 15:49].std() < 30


def test_a_narrow_camera_covers_the_middle_and_continues_its_edge() -> None:
    image = np.full((480, 640, 3), 100, np.uint8)
    image[:, :8] = 200
    adapter = CameraAdapter(TARGET, ideal(640, 480, fov=pi / 3))
    assert adapter.covers == pytest.approx(1 / 3, abs=0.01)
    adapted = adapter.adapt(image)
    assert adapted[24].min() == 100
    assert adapted[24, 0].tolist() == [200] * 3


def test_beyond_where_its_distortion_turns_back_nothing_is_seen() -> None:
    k1 = -0.3
    fold = 1 / sqrt(-3 * k1)
    focal = 400.0
    info = camera_info((800, 800), (focal, focal, 399.5, 399.5), "plumb_bob", (k1, 0, 0, 0, 0))
    adapter = CameraAdapter(TARGET, info)
    x, y = np.meshgrid((np.arange(320) + 0.5) / 160 - 1, ((np.arange(240) + 0.5) / 120 - 1) * 0.75)
    assert adapter.covers == pytest.approx(np.mean(np.hypot(x, y) <= fold), abs=0.005)
    # White at the rim of what the lens shows: a corner past the fold would come back to the dark.
    rim = fold * (1 + k1 * fold * fold)
    corner = 1.23 * (1 + k1 * 1.23**2)
    radius = np.hypot(*(np.indices((800, 800)) - 399.5)) / focal
    assert corner < 0.97 * rim
    image = np.repeat(np.uint8(255 * (radius > 0.98 * rim))[..., None], 3, axis=2)
    assert adapter.adapt(image)[0, 0].tolist() == [255] * 3


def test_zeros_for_k_are_no_calibration() -> None:
    adapter = CameraAdapter(TARGET, sensor_msgs.CameraInfo())
    assert not adapter.calibrated
    assert adapter.covers == 1
    image = np.zeros((480, 640, 3), np.uint8)
    image[:, 320:] = 255
    assert_array_equal(adapter.adapt(image)[..., 0], np.tile(np.repeat([0, 255], 32), (48, 1)))


def test_without_calibration_the_aspect_ratio_must_be_the_models() -> None:
    adapter = CameraAdapter(TARGET)
    for width, height in ((643, 480), (640, 484)):
        image = np.zeros((height, width, 3), np.uint8)
        image[:, width // 2 :] = 255
        adapted = adapter.adapt(image)
        assert adapted.shape == (48, 64, 3)
        assert_allclose(adapted[..., 0], adapted[::-1, ::-1, 0] ^ 255, atol=120)
    for width, height in ((1280, 720), (480, 640), (2**20, 1), (1, 1)):
        with pytest.raises(MessageError, match=f"{width}x{height}.*camera_info"):
            adapter.adapt(np.zeros((height, width, 3), np.uint8))


def test_an_image_of_another_size_than_its_calibration_is_scaled_and_said() -> None:
    adapter = CameraAdapter(TARGET, camera_info(*EUROC))
    image = picture(EUROC[0])
    whole = adapter.adapt(image)
    assert adapter.warnings == ()
    half = cv2.resize(image, (376, 240), interpolation=cv2.INTER_AREA)
    assert abs(adapter.adapt(half).astype(int) - whole).mean() < 1.5
    (warning,) = adapter.warnings
    assert "376x240, their camera_info says 752x480" in warning
    # The size of the calibration again: nothing of the other one stays.
    assert_array_equal(adapter.adapt(image), whole)
    assert adapter.warnings == ()


def test_an_image_of_another_aspect_ratio_than_its_calibration_is_refused() -> None:
    adapter = CameraAdapter(TARGET, camera_info(*EUROC))
    for width, height in ((480, 752), (640, 480), (1, 1), (2**20, 2**19)):
        with pytest.raises(MessageError, match=f"{width}x{height}"):
            adapter.halvings(width, height)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"width": 0}, "0x480"),
        ({"height": 40_000}, "640x40000"),
        ({"k": [nan] * 9}, r"camera_info\.k"),
        ({"k": [1e-320, 0, 3, 0, 1e-320, 2, 0, 0, 1]}, "order of"),
        ({"k": [-1.0, 0, 3, 0, 1, 2, 0, 0, 1]}, "positive focal"),
        ({"k": [1.0, 0, 3, 0, 0, 2, 0, 0, 1]}, "positive focal"),
        ({"k": [1.0, 0, inf, 0, 1, 2, 0, 0, 1]}, "finite"),
        ({"d": [0.1] * 5, "distortion_model": "omni"}, "'omni', known are plumb_bob"),
        ({"d": [0.1] * 3}, "has 3 numbers, plumb_bob has 4 or 5"),
        ({"d": [0.1] * 5, "distortion_model": "equidistant"}, "5 numbers, equidistant has 4"),
        ({"d": [nan, 0, 0, 0, 0]}, r"camera_info\.d"),
        ({"d": [0, 0, 0, -1e5, 0]}, "inside out"),
        ({"binning_x": 700}, "announces 0x480"),
        ({"d": [0.1] * 5, "distortion_model": "none"}, "'none', known are"),
        ({"d": [0.1] * 13}, "has 13 numbers"),
        ({"d": [0.1] * 15}, "has 15 numbers"),
    ],
)
def test_calibrations_that_are_none(fields: dict[str, Any], reason: str) -> None:
    info = ideal(640, 480)
    for name, value in fields.items():
        setattr(info, name, [*map(float, value)] if isinstance(value, list) else value)
    with pytest.raises(MessageError, match=reason):
        CameraAdapter(TARGET, info)


@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(*[st.floats() | st.floats(-1e3, 1e3)] * 4),
    st.sampled_from(["plumb_bob", "rational_polynomial", "equidistant", "?"]),
    st.lists(st.floats() | st.floats(-2, 2), max_size=9),
)
def test_any_calibration_gives_an_image_or_an_error(
    size: tuple[int, int], intrinsics: Any, model: str, distortion: list[float]
) -> None:
    info = camera_info(size, intrinsics, model, tuple(distortion))
    try:
        adapter = CameraAdapter(PolicyCamera(16, 16), info)
        assert 0 <= adapter.covers <= 1
        image = adapter.adapt(np.full((size[1], size[0], 3), 77, np.uint8))
    except MessageError:
        return
    assert_array_equal(image, np.full((16, 16, 3), 77))


def picture(size: tuple[int, int]) -> np.ndarray:
    """Grain and sharp edges in colour, uint8 RGB."""
    width, height = size
    rng = np.random.default_rng(4)
    grain = cv2.GaussianBlur(rng.normal(size=(height, width, 3)), (0, 0), 1.5)
    image = (grain / grain.std() * 40 + 128).clip(0, 255).astype(np.uint8)
    for _ in range(12):
        x, y = rng.integers(0, width), rng.integers(0, height)
        image[y : y + height // 6, x : x + width // 6] = rng.integers(0, 256, 3)
    return image


def small_frame(message: Any, adapter: CameraAdapter) -> Any:
    return CompressedImageMessage().decode(message, 0, SensorSetup(adapter))


def jpeg(image: np.ndarray) -> Any:
    data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    return sensor_msgs.CompressedImage(format="jpeg", data=array("B", data.tobytes()))


@pytest.mark.parametrize(
    ("size", "info", "halvings"),
    [
        (EUROC[0], camera_info(*EUROC), 1),
        ((640, 480), ideal(640, 480), 1),
        ((1281, 961), ideal(1281, 961), 2),
        ((2592, 1944), ideal(2592, 1944), 3),
        ((640, 480), None, 1),
        ((643, 480), None, 0),
        ((1280, 960), None, 2),
        ((320, 240), ideal(320, 240), 0),
    ],
)
def test_a_jpeg_decoded_small_is_no_worse(size: tuple[int, int], info: Any, halvings: int) -> None:
    """Nearer to the image before compression than by a full decode, whose chroma is stretched."""
    adapter = CameraAdapter(TARGET, info)
    assert adapter.halvings(*size) == halvings
    image = picture(size)
    message = jpeg(image)
    true = adapter.adapt(image).astype(float)
    whole = abs(adapter.adapt(decode_compressed(message)[0]) - true)
    small = abs(small_frame(message, adapter).image - true)
    assert small.mean() < max(1.1 * whole.mean(), 1.0)
    assert np.percentile(small, 99) <= np.percentile(whole, 99) + 1


def test_a_jpeg_of_another_size_is_not_taken_for_a_half() -> None:
    """Halves of the calibrated size are scaled like any other, with a warning."""
    image = picture((640, 480))
    adapter = CameraAdapter(TARGET, ideal(640, 480))
    expected = adapter.adapt(image).astype(int)
    small = cv2.resize(image, (320, 240), interpolation=cv2.INTER_AREA)
    frame = small_frame(jpeg(small), adapter)
    assert abs(frame.image - expected).mean() < 4
    assert "320x240" in adapter.warnings[0]
    with pytest.raises(MessageError, match="320x200, its camera_info says 640x480"):
        small_frame(jpeg(picture((320, 200))), adapter)
