"""Calibrations as drivers write them: distortion models, regions, binning, rectified images."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from liquid_nav.errors import ConfigError
from liquid_nav.messages.camera import CameraAdapter, CameraSource, ImageOptions
from liquid_nav.messages.camera.calibration import Calibration
from liquid_nav.messages.camera.lens import MODELS, lens_of
from liquid_nav.messages.decode import MessageError
from liquid_nav.onboard import PolicyCamera

TARGET = PolicyCamera()
RAYS = np.stack(np.meshgrid(np.linspace(-1, 1, 21), np.linspace(-0.75, 0.75, 15)))
BROWN = (-0.28, 0.09, 4e-4, -3e-4, -0.014)
RATIONAL = (4.6, 1.3, 1e-4, -2e-4, 0.06, 4.9, 2.8, 0.31)
PRISM = (*RATIONAL, 1e-3, -2e-3, 5e-4, 1e-3)
TILTED = (*PRISM, 0.03, -0.02)
FISHEYE = (-0.0093, 0.0462, -0.0434, 0.0080)


def polynomial(rays: np.ndarray, d: tuple[float, ...]) -> np.ndarray:
    """OpenCV's documentation, "Detailed Description" of camera calibration, in double precision."""
    k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4, tx, ty = (*d, *[0.0] * (14 - len(d)))
    x, y = rays
    r2 = x * x + y * y
    radial = (1 + k1 * r2 + k2 * r2**2 + k3 * r2**3) / (1 + k4 * r2 + k5 * r2**2 + k6 * r2**3)
    u = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x) + s1 * r2 + s2 * r2**2
    v = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y + s3 * r2 + s4 * r2**2
    about_y = np.array([[np.cos(ty), 0, -np.sin(ty)], [0, 1, 0], [np.sin(ty), 0, np.cos(ty)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(tx), np.sin(tx)], [0, -np.sin(tx), np.cos(tx)]])
    turn = about_y @ about_x
    onto = np.array([[turn[2, 2], 0, -turn[0, 2]], [0, turn[2, 2], -turn[1, 2]], [0, 0, 1]])
    tilted = np.einsum("ij,j...->i...", onto @ turn, np.stack([u, v, np.ones_like(u)]))
    return tilted[:2] / tilted[2]


def fisheye(rays: np.ndarray, d: tuple[float, ...]) -> np.ndarray:
    """Kannala-Brandt, as in OpenCV's documentation of its fisheye camera."""
    radius = np.hypot(*rays)
    theta = np.arctan(radius)
    k1, k2, k3, k4 = d
    bent = theta * (1 + k1 * theta**2 + k2 * theta**4 + k3 * theta**6 + k4 * theta**8)
    return rays * np.where(radius > 0, bent / np.where(radius > 0, radius, 1), 1)


@pytest.mark.parametrize(
    ("model", "d", "expected"),
    [
        ("plumb_bob", BROWN[:4], polynomial(RAYS, BROWN[:4])),
        ("plumb_bob", BROWN, polynomial(RAYS, BROWN)),
        ("plumb_bob", RATIONAL, polynomial(RAYS, RATIONAL)),
        ("plumb_bob", (*BROWN, 0.0, 0.0, 0.0), polynomial(RAYS, BROWN)),
        ("plumb_bob", (0.0,) * 14, RAYS),
        ("rational_polynomial", BROWN, polynomial(RAYS, BROWN)),
        ("rational_polynomial", RATIONAL, polynomial(RAYS, RATIONAL)),
        ("rational_polynomial", PRISM, polynomial(RAYS, PRISM)),
        ("rational_polynomial", TILTED, polynomial(RAYS, TILTED)),
        ("rational_polynomial", (*RATIONAL, *[0.0] * 6), polynomial(RAYS, RATIONAL)),
        ("rational_polynomial", (*RATIONAL, *[0.0] * 9), polynomial(RAYS, RATIONAL)),
        ("Brown-Conrady", BROWN, polynomial(RAYS, BROWN)),
        ("Inverse Brown Conrady", BROWN, polynomial(RAYS, BROWN)),
        ("radtan", BROWN[:4], polynomial(RAYS, BROWN[:4])),
        ("", BROWN, polynomial(RAYS, BROWN)),
        ("", (), RAYS),
        ("", (0.0,) * 5, RAYS),
        ("none", (), RAYS),
        ("None", (0.0,) * 3, RAYS),
        ("omni", (0.0,) * 4, RAYS),
        ("equidistant", FISHEYE, fisheye(RAYS, FISHEYE)),
        ("equidistant", (*FISHEYE, 0.0), fisheye(RAYS, FISHEYE)),
        ("equidistant", (0.0,) * 6, fisheye(RAYS, (0.0,) * 4)),
        ("equidistant", (), RAYS),
        ("fisheye", FISHEYE, fisheye(RAYS, FISHEYE)),
        ("kannala_brandt4", (*FISHEYE, 0.0), fisheye(RAYS, FISHEYE)),
        ("KannalaBrandt4", FISHEYE, fisheye(RAYS, FISHEYE)),
    ],
)
def test_a_lens_distorts_as_its_model_says(
    model: str, d: tuple[float, ...], expected: np.ndarray
) -> None:
    assert_allclose(lens_of(model, np.array(d))(RAYS), expected, atol=1e-12)


def test_zeros_at_the_end_change_no_bit() -> None:
    plain = lens_of("plumb_bob", np.array(BROWN))(RAYS)
    assert_array_equal(lens_of("plumb_bob", np.array((*BROWN, *[0.0] * 9)))(RAYS), plain)


@pytest.mark.parametrize(
    ("model", "count"), [("equidistant", 5), ("equidistant", 3), ("plumb_bob", 6), ("radtan", 2)]
)
def test_a_number_of_coefficients_that_a_model_does_not_have(model: str, count: int) -> None:
    with pytest.raises(MessageError, match=f"has {count} numbers, {model} has "):
        lens_of(model, np.full(count, 0.01))


def test_every_known_name_has_a_lens() -> None:
    for name in MODELS:
        assert lens_of(name.upper().replace("_", " "), np.full(4, 1e-3))(RAYS).shape == RAYS.shape


@dataclass
class Region:
    x_offset: int = 0
    y_offset: int = 0
    width: int = 0
    height: int = 0
    do_rectify: bool = False


FULL = (256, 192)
K = (128.0, 0.0, 127.5, 0.0, 128.0, 95.5, 0.0, 0.0, 1.0)
"""Of a camera with the field of view of the policy's, four times as fine."""


def info(**fields: Any) -> SimpleNamespace:
    values = {
        "width": FULL[0],
        "height": FULL[1],
        "distortion_model": "plumb_bob",
        "d": np.zeros(5),
        "k": np.array(K),
        "p": np.array([*K[:3], 0, *K[3:6], 0, *K[6:], 0]),
        "binning_x": 0,
        "binning_y": 0,
        "roi": Region(),
    }
    return SimpleNamespace(**values | fields)


def scene(size: tuple[int, int] = FULL) -> np.ndarray:
    rng = np.random.default_rng(5)
    grain = cv2.GaussianBlur(rng.normal(size=(size[1], size[0], 3)), (0, 0), 6)
    return (grain / grain.std() * 40 + 128).clip(0, 255).astype(np.uint8)


def shrunk(image: np.ndarray, columns: int, rows: int) -> np.ndarray:
    size = image.shape[1] // columns, image.shape[0] // rows
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize(
    ("fields", "image"),
    [
        ({"binning_x": 2, "binning_y": 2}, shrunk(scene(), 2, 2)),
        ({"binning_x": 4, "binning_y": 2}, shrunk(scene(), 4, 2)),
        ({"roi": Region(32, 16, 192, 160)}, scene()[16:176, 32:224]),
        (
            {"roi": Region(32, 16, 192, 160), "binning_x": 2, "binning_y": 2},
            shrunk(scene()[16:176, 32:224], 2, 2),
        ),
        ({"roi": Region(0, 0, 256, 192), "binning_x": 1, "binning_y": 1}, scene()),
        # The size of the cut image, where that of the whole belongs.
        ({"width": 192, "height": 128, "roi": Region(64, 64, 192, 128)}, scene()[64:, 64:]),
        (
            {
                **{"width": 96, "height": 64, "binning_x": 2, "binning_y": 2},
                "roi": Region(64, 64, 192, 128),
            },
            shrunk(scene()[64:, 64:], 2, 2),
        ),
    ],
)
def test_a_part_of_the_sensor_shows_where_the_whole_would(
    fields: dict[str, Any], image: np.ndarray
) -> None:
    whole = CameraAdapter(TARGET, info()).adapt(scene()).astype(int)
    adapter = CameraAdapter(TARGET, info(**fields))
    part = adapter.adapt(image)
    assert adapter.warnings == ()
    # Within the part: its edge is continued beyond.
    region = fields.get("roi", Region())
    left, top = region.x_offset // 4, region.y_offset // 4
    columns = (region.width or FULL[0]) // 4
    rows = (region.height or FULL[1]) // 4
    seen = slice(top + 1, top + rows - 1), slice(left + 1, left + columns - 1)
    assert abs(part[seen] - whole[seen]).max() <= 4
    assert adapter.covers == pytest.approx(columns * rows / (64 * 48), abs=0.01)


def test_a_whole_image_is_whole_though_its_info_announces_a_part() -> None:
    whole = CameraAdapter(TARGET, info()).adapt(scene())
    for fields in ({"binning_x": 2, "binning_y": 2}, {"roi": Region(32, 16, 192, 160)}):
        adapter = CameraAdapter(TARGET, info(**fields))
        assert_array_equal(adapter.adapt(scene()), whole)
        assert "images are whole" in adapter.warnings[0]


@pytest.mark.parametrize("size", [(320, 240), (321, 241)])
def test_an_odd_size_may_be_binned_either_way(size: tuple[int, int]) -> None:
    k = np.array([320.0, 0, 320, 0, 320, 240, 0, 0, 1])
    calibration = Calibration(info(width=641, height=481, k=k, binning_x=2, binning_y=2))
    view = calibration.view(*size)
    assert (view.focal, view.centre, view.warning) == ((160, 160), (159.75, 119.75), "")


def test_k_of_zero_is_no_calibration_and_it_is_said() -> None:
    for k in (np.zeros(9), np.array([0.0, 0, 3, 0, 5, 2, 0, 0, 1])):
        adapter = CameraAdapter(TARGET, info(k=k, d=np.zeros(0), distortion_model=""))
        assert not adapter.calibrated
        assert "no calibration, its K is zero" in adapter.warnings[0]
        assert "covers" not in adapter.summary


def test_coefficients_without_a_model_are_said() -> None:
    assert "plumb_bob" in CameraAdapter(TARGET, info(distortion_model="", d=[0.1] * 5)).warnings[0]
    assert CameraAdapter(TARGET, info(distortion_model="")).warnings == ()


@pytest.mark.parametrize(
    ("topic", "frame", "rectified"),
    [
        ("/camera/image_rect", "camera", True),
        ("/camera/image_rect_color", "", True),
        ("/camera/infra1/image_rect_raw/compressed", "", True),
        ("/zed/rgb/rect/image", "", True),
        ("/camera/image_undistorted", "", True),
        ("/camera/image_raw", "left_rect_optical_frame", True),
        ("/camera/image_raw", "camera_optical_frame", False),
        ("/direct/image", "", False),
        ("/camera/image_unrectified", "", False),
        ("/camera/rectangle", "", False),
    ],
)
def test_the_name_says_whether_images_are_rectified(
    topic: str, frame: str, rectified: bool
) -> None:
    said = info(d=np.array(BROWN), header=SimpleNamespace(frame_id=frame))
    for geometry, expected in (("auto", rectified), ("raw", False), ("rectified", True)):
        source = CameraSource(TARGET, topic, ImageOptions(geometry))
        assert source.calibrate(said)
        assert source.adapter is not None
        assert source.adapter.rectified is expected


def test_rectified_images_take_p_and_no_distortion() -> None:
    wide = np.array([64.0, 0, 120.0, 0, 0, 66.0, 90.0, 0, 0, 0, 1, 0])
    rectified = CameraAdapter(TARGET, info(d=np.array(BROWN), p=wide), rectified=True)
    pinhole = info(d=np.zeros(0), k=np.delete(wide, [3, 7, 11]))
    assert_array_equal(rectified.adapt(scene()), CameraAdapter(TARGET, pinhole).adapt(scene()))
    assert "rectified" in rectified.summary
    # Without P the best that there is: K. With P alone, no K is needed.
    only_k = CameraAdapter(TARGET, info(d=np.array(BROWN), p=np.zeros(12)), rectified=True)
    assert_array_equal(only_k.adapt(scene()), CameraAdapter(TARGET, info()).adapt(scene()))
    assert CameraAdapter(TARGET, info(k=np.zeros(9), p=wide), rectified=True).calibrated


def test_another_calibration_takes_the_place_of_the_first() -> None:
    source = CameraSource(TARGET, "/camera/image_raw", ImageOptions())
    assert source.calibrate(info())
    first = source.adapter
    assert not source.calibrate(info(header=SimpleNamespace(frame_id="", stamp=7)))
    assert source.adapter is first
    assert source.calibrate(info(roi=Region(32, 16, 192, 160)))
    assert source.adapter is not first
    kept = source.adapter
    with pytest.raises(MessageError):
        source.calibrate(info(d=np.full(5, np.nan)))
    assert source.adapter is kept


def test_a_calibration_of_ros_1_has_its_matrices_in_capitals() -> None:
    new = info(d=np.array(BROWN))
    values = vars(new).copy()
    old = SimpleNamespace(**{k.upper() if k in "kdp" else k: v for k, v in values.items()})
    image = scene()
    assert_array_equal(
        CameraAdapter(TARGET, old).adapt(image), CameraAdapter(TARGET, new).adapt(image)
    )


@pytest.mark.parametrize("wrong", [{"geometry": "flat"}, {"bits": 11}, {"bits": -1}])
def test_wrong_image_options(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="image_"):
        ImageOptions(**wrong)
