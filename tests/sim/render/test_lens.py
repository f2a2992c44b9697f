"""The lens against OpenCV: positions of corners and blobs; and the depth of known scenes."""

from dataclasses import replace
from math import pi
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from camera_support import LARGE, ball, bright, centroid, euler, plain, project, random_view
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.render.lens import distort, undistort
from liquid_nav_sim.scenes.bodies import add_scene
from liquid_nav_sim.scenes.scene import Shape, Solid
from liquid_nav_sim.sensors.camera import Camera, look_at
from liquid_nav_sim.sensors.frames import CameraModel

LENSES = {
    "ideal": (0.0, 0.0, 0.0, 0.0, 0.0),
    "barrel": (-0.28, 0.074, 0.0002, 0.00002, 0.0),
    "pincushion": (0.18, 0.05, 0.0, 0.0, 0.01),
    "decentred": (-0.1, 0.02, 0.006, -0.008, 0.0),
}
PIXELS = np.stack(np.meshgrid([10.0, 85, 160, 235, 309], [10.0, 65, 120, 175, 229])).reshape(2, -1)
"""Image coordinates that cover the whole image including its corners."""


def rays_through(pixels: NDArray[np.float64], model: CameraModel) -> NDArray[np.float64]:
    """Rays at unit depth, optical frame, shape (3, N)."""
    points = (pixels - model.matrix[:2, 2:]) / model.focal_length
    return np.vstack([undistort(points, model.distortion), np.ones(points.shape[1])])


@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize("seed", range(3))
def test_known_points_appear_where_opencv_projects_them(client: int, lens: str, seed: int) -> None:
    view, position, attitude = random_view(np.random.default_rng(seed))
    model = replace(view, distortion=LENSES[lens])
    rotation, eye = model.pose(position, attitude)
    points = eye[:, None] + rotation @ (6.0 * rays_through(PIXELS, model))
    scene = bright(*(ball(point, 0.25) for point in points.T))
    bodies = add_scene(client, scene).obstacles
    render = Camera(client, model, scene).render(position, attitude)
    expected = project(points.T, model, position, attitude)
    np.testing.assert_allclose(expected, PIXELS.T, atol=0.01)
    errors, labels = [], []
    for body, (u, v) in zip(bodies, expected, strict=True):
        left, top = round(u) - 9, round(v) - 9
        patch = render.image[top : top + 19, left : left + 19, 0]
        errors.append(centroid(patch) - [u - left, v - top])
        labels.append(centroid(render.segmentation == body) - [u, v])
    for found in (errors, labels):
        assert np.abs(found).max() < 0.45
        assert np.abs(np.mean(found, axis=0)).max() < 0.08


@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize("seed", range(3))
def test_corners_on_the_ground_appear_where_opencv_projects_them(
    client: int, lens: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    checks = np.kron(np.indices((2, 2)).sum(axis=0) % 2, np.ones((64, 64)))
    ground = np.repeat((30 + 200 * checks[..., None]).astype(np.uint8), 3, axis=2)
    scene = plain(ground, 4.0)  # squares of 2 m
    model = replace(
        LARGE,
        width=480,
        height=360,
        distortion=LENSES[lens],
        mount_roll=float(rng.uniform(-pi, pi)),
        mount_pitch=float(rng.uniform(-0.1, 0.1)),
        mount_yaw=float(rng.uniform(-0.1, 0.1)),
    )
    position = rng.uniform((-3, -3, 5), (3, 3, 7))
    attitude = look_at(position, (*rng.uniform(-2, 2, 2), 0.0))
    image = Camera(client, model, scene).render(position, attitude).image[..., 0]
    grid = 2.0 * np.indices((11, 11)).reshape(2, -1).T - 10
    corners = np.column_stack([grid, np.zeros(len(grid))])
    expected = project(corners, model, position, attitude)
    # Leave out points beside and behind the view: the polynomials may map them into the image.
    rotation, eye = model.pose(position, attitude)
    x, y, z = rotation.T @ (corners - eye).T
    inside = (expected > 12) & (expected < [model.width - 13, model.height - 13])
    clear = inside.all(axis=1) & (z > 0) & (np.hypot(x, y) < 1.1 * z)
    expected = expected[clear].astype(np.float32)
    assert len(expected) > 12
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-3)
    found = cv2.cornerSubPix(image, expected[:, None].copy(), (5, 5), (-1, -1), criteria)
    errors = found[:, 0] - expected
    assert np.abs(errors).max() < 0.5
    assert np.abs(errors.mean(axis=0)).max() < 0.1


@pytest.mark.parametrize("lens", LENSES)
def test_distortion_equals_opencvs_and_undistortion_inverts_it(lens: str) -> None:
    rng = np.random.default_rng(0)
    rays = rng.uniform(-0.8, 0.8, (2, 500))
    image = distort(rays, LENSES[lens])
    points = np.vstack([rays, np.ones(500)]).T
    none = np.zeros(3)
    expected, _ = cv2.projectPoints(points, none, none, np.eye(3), np.array(LENSES[lens]))
    np.testing.assert_allclose(image, expected[:, 0].T, atol=1e-12)
    np.testing.assert_allclose(undistort(image, LENSES[lens]), rays, atol=1e-9)


@pytest.mark.parametrize(
    ("fov", "distortion"),
    [
        (1.4, (-0.6, 0.0, 0.0, 0.0, 0.0)),
        (1.9, (-0.28, 0.0, 0.0, 0.0, 0.0)),
        (2.99, (1e-5, 0.0, 0.0, 0.0, 0.0)),
        (1.4, (0.0, 0.0, 0.5, 0.0, 0.0)),
        (1.4, (0.0, -3.0, 0.0, 0.0, 0.0)),
        (1.4, (-1.0, 0.2, 0.0, 0.0, 0.0)),
        (1.4, (1e300, 0.0, 0.0, 0.0, 0.0)),
    ],
)
def test_a_lens_that_does_not_map_one_to_one_is_refused(fov: float, distortion: Any) -> None:
    with pytest.raises(SimulationError, match=r"CameraModel\.distortion .*horizontal_fov"):
        CameraModel(horizontal_fov=fov, distortion=distortion)


def test_a_lens_that_takes_too_many_pixels_is_refused() -> None:
    with pytest.raises(SimulationError, match=r"CameraModel\.distortion .* pixels wide"):
        CameraModel(8192, 6144, 1.18, distortion=(-0.32, 0.05, 0.0, 0.0, 0.0))


def test_a_straight_edge_is_averaged_and_not_aliased(client: int) -> None:
    wall = Solid(Shape.BOX, np.array([6.0, 2.03, 1.5]), (0.1, 4.0, 9.0), (1.0, 1.0, 1.0))
    scene = bright(wall)
    add_scene(client, scene)
    # The edge is almost vertical, so that it moves by one pixel over many rows.
    model = replace(LARGE, distortion=(1e-9, 0.0, 0.0, 0.0, 0.0), mount_roll=0.05)
    image = Camera(client, model, scene).render((0, 0, 1.5), euler(0, 0, 0)).image[40:200, :, 0]
    cover = image.sum(axis=1, dtype=np.int64) / 255
    assert np.diff(cover).max() < 0.6
    line = np.polyval(np.polyfit(np.arange(len(cover)), cover, 1), np.arange(len(cover)))
    assert np.abs(cover - line).max() < 0.45


# Depth


@pytest.mark.parametrize("lens", ["ideal", "barrel"])
@pytest.mark.parametrize("seed", range(3))
def test_depth_of_plane_sphere_and_sky_is_geometric(client: int, lens: str, seed: int) -> None:
    view, position, attitude = random_view(np.random.default_rng(seed))
    model = replace(view, distortion=LENSES[lens], depth=True)
    rotation, eye = model.pose(position, attitude)
    pixels = np.indices((model.height, model.width))[::-1].reshape(2, -1).astype(np.float64)
    rays = rotation @ rays_through(pixels, model)
    centre = eye + rotation @ np.array([0.3, 0.2, 5.0])
    radius = 0.9
    scene = plain(obstacles=(ball(centre, 2 * radius),))
    body = add_scene(client, scene).obstacles[0]
    render = Camera(client, model, scene).render(position, attitude)
    assert render.depth is not None
    assert render.depth.dtype == np.float32
    with np.errstate(divide="ignore"):
        ground = np.where(rays[2] < 0, -eye[2] / rays[2], np.inf)
    shape = (model.height, model.width)
    empty, inside = render.segmentation == -1, render.segmentation == body
    assert inside.sum() > 1000
    # The renderer's sphere is a mesh, up to 7 % inside the sphere.
    on_sphere = eye[:, None] + rays[:, inside.ravel()] * render.depth[inside]
    radii = np.linalg.norm(on_sphere - centre[:, None], axis=0) / radius
    assert radii.min() > 0.93
    assert radii.max() < 1.005 if lens == "ideal" else np.percentile(radii, 98) < 1.02
    found, truth = render.depth[empty], ground.reshape(shape)[empty]
    assert np.isinf(found).any() == np.isinf(truth).any()
    near = truth < 30
    assert near.sum() > 1000
    np.testing.assert_allclose(found[near], truth[near], rtol=1e-4 if lens == "ideal" else 0.03)
    if lens == "ideal":
        np.testing.assert_array_equal(np.isinf(found), np.isinf(truth))


def test_depth_of_a_wall_is_exact_and_returned_only_on_request(client: int) -> None:
    for distance in (2.0, 20.0, 100.0):
        size = (1.0, distance, distance)
        wall = Solid(Shape.BOX, np.array([distance + 0.5, 0.0, 1.5]), size, (1.0, 1.0, 1.0))
        scene = plain(obstacles=(wall,))
        body = add_scene(client, scene).obstacles[-1]
        model = replace(LARGE, depth=True)
        render = Camera(client, model, scene).render((0, 0, 1.5), euler(0, 0, 0))
        assert render.depth is not None
        seen = render.depth[render.segmentation == body]
        np.testing.assert_allclose(seen, distance, rtol=2e-3)
        assert Camera(client, LARGE, scene).render((0, 0, 1.5), euler(0, 0, 0)).depth is None
