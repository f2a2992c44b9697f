"""The camera against OpenCV's projection and the geometry of the horizon."""

from dataclasses import replace
from math import pi, tan

import cv2
import numpy as np
import pybullet
import pytest

from camera_support import LARGE, along, euler, plain, project, random_view
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.scenes.bodies import add_scene
from liquid_nav_sim.scenes.scene import Shape, Solid
from liquid_nav_sim.sensors.camera import Camera, look_at
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.tasks.target import sample_target_scene


@pytest.mark.parametrize("seed", range(12))
def test_objects_appear_where_opencv_projects_them(client: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    model, position, attitude = random_view(rng)
    u, v = rng.uniform((60, 60), (260, 180)).tolist()
    centre = along(model, position, attitude, u, v, 6.0)
    side = 1.0
    box = Solid(Shape.BOX, centre, (side,) * 3, (1.0, 1.0, 1.0), float(rng.uniform(-pi, pi)))
    scene = plain(obstacles=(box,))
    body = add_scene(client, scene).obstacles[0]
    seen = Camera(client, model, scene).render(position, attitude).segmentation == body
    rows, columns = np.nonzero(seen)
    turn, _ = cv2.Rodrigues(np.array([0.0, 0.0, box.yaw]))
    corners = np.array(np.meshgrid(*[(-side / 2, side / 2)] * 3)).reshape(3, -1).T @ turn.T
    pixels = project(centre + corners, model, position, attitude)
    hull = cv2.convexHull(pixels.astype(np.float32))
    moments = cv2.moments(hull)
    expected = np.array([moments["m10"], moments["m01"]]) / moments["m00"]
    np.testing.assert_allclose([columns.mean(), rows.mean()], expected, atol=0.2)
    assert seen.sum() == pytest.approx(cv2.contourArea(hull), rel=0.02)
    for low, high, truth in (
        (columns.min(), columns.max(), pixels[:, 0]),
        (rows.min(), rows.max(), pixels[:, 1]),
    ):
        assert truth.min() <= low + 0.1
        assert high - 0.1 <= truth.max()
        assert low - truth.min() < 1.5
        assert truth.max() - high < 1.5


@pytest.mark.parametrize(
    ("shape", "size"),
    [(Shape.SPHERE, (1.2,)), (Shape.CYLINDER, (0.8, 1.6)), (Shape.BOX, (0.4, 0.8, 1.6))],
)
def test_shapes_are_drawn_in_their_size(client: int, shape: Shape, size: tuple[float, ...]) -> None:
    distance, model = 50.0, replace(LARGE, horizontal_fov=0.05)
    solid = Solid(shape, np.array([distance, 0.0, 1.5]), size, (1.0, 1.0, 1.0))
    scene = plain(obstacles=(solid,))
    body = add_scene(client, scene).obstacles[0]
    seen = Camera(client, model, scene).render((0, 0, 1.5), euler(0, 0, 0)).segmentation == body
    metres = distance / model.focal_length
    width, height = {Shape.SPHERE: size * 2, Shape.CYLINDER: size}.get(shape, size[1:])
    assert seen.any(axis=0).sum() * metres == pytest.approx(width, rel=0.03)
    assert seen.any(axis=1).sum() * metres == pytest.approx(height, rel=0.03)


@pytest.mark.parametrize("seed", range(12))
def test_ground_is_where_opencv_projects_it(client: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    black = np.zeros((64, 64, 3), dtype=np.uint8)
    marked = black.copy()
    marked[40:44, 12:16] = 255
    # One texel is a metre, so the mark covers x 12..16, y 40..44: look at it from near by.
    mark = np.array([14.0, 42.0, 0.0])
    position = mark + rng.uniform((-6, -6, 7), (6, 6, 12))
    roll = euler(rng.uniform(-1, 1), 0, 0).tolist()
    facing = look_at(position, mark).tolist()
    attitude = np.array(pybullet.multiplyTransforms((0, 0, 0), facing, (0, 0, 0), roll)[1])
    pitch, yaw = rng.uniform(-0.1, 0.1, 2).tolist()
    model = replace(random_view(rng)[0], mount_pitch=pitch, mount_yaw=yaw)
    unmarked, seen, white = (
        Camera(client, model, plain(ground, 64.0)).render(position, attitude).image[..., 0] * 1.0
        for ground in (black, marked, black + np.uint8(255))
    )
    cover = (seen - unmarked) / (white - unmarked)
    corners = mark + np.array([[-2.0, -2, 0], [2, -2, 0], [2, 2, 0], [-2, 2, 0]])
    moments = cv2.moments(project(corners, model, position, attitude).astype(np.float32))
    expected = np.array([moments["m10"], moments["m01"]]) / moments["m00"]
    rows, columns = np.indices(cover.shape)
    centroid = np.array([(columns * cover).sum(), (rows * cover).sum()]) / cover.sum()
    np.testing.assert_allclose(centroid, expected, atol=0.5)
    assert cover.sum() == pytest.approx(moments["m00"], rel=0.04)


@pytest.mark.parametrize("roll", [0.0, 0.5, -0.5])
@pytest.mark.parametrize("pitch", [0.0, 0.2, -0.2])
@pytest.mark.parametrize("mount_pitch", [0.0, 0.15])
def test_horizon_tilts_and_sinks_with_the_body(
    client: int, roll: float, pitch: float, mount_pitch: float
) -> None:
    model = replace(LARGE, mount_pitch=mount_pitch)
    dark = plain(np.zeros((2, 2, 3), dtype=np.uint8))
    # Every sky is brighter than black haze, so blue alone tells them apart.
    scene = replace(dark, appearance=replace(dark.appearance, sky_horizon=(0.0, 0.0, 0.0)))
    image = Camera(client, model, scene).render((0, 0, 1.5), euler(roll, pitch, 0.7)).image
    sky = image[..., 2] > 0
    # A direction is level where its world z is 0: solve that for the row in each column.
    rotation, _ = model.pose((0, 0, 0), euler(roll, pitch, 0.7))
    columns = np.arange(model.width)
    a, b, c = rotation[2] @ np.linalg.inv(model.matrix)
    expected = -(a * columns + c) / b
    inside = (expected > 3) & (expected < model.height - 4)
    assert inside.sum() > 50
    np.testing.assert_allclose(sky.sum(axis=0)[inside] - 0.5, expected[inside], atol=1.6)
    slope = np.polyfit(columns[inside], sky.sum(axis=0)[inside], 1)[0]
    if mount_pitch == 0:
        # In FLU a positive roll drops the right wing: the horizon rises to the right.
        assert slope == pytest.approx(-tan(roll), abs=0.02)
        middle = (model.width - 1) / 2
        assert np.interp(middle, columns, expected) == pytest.approx(
            (model.height - 1) / 2 - model.focal_length * tan(pitch) / np.cos(roll), abs=1e-6
        )


def test_nose_up_lowers_the_horizon_and_so_does_the_mount(client: int) -> None:
    scene = plain(np.zeros((2, 2, 3), dtype=np.uint8))
    by_body = Camera(client, LARGE, scene).render((0, 0, 1.5), euler(0, -0.2, 0)).image
    tilted = replace(LARGE, mount_pitch=0.2)
    by_mount = Camera(client, tilted, scene).render((0, 0, 1.5), euler(0, 0, 0)).image
    level = Camera(client, LARGE, scene).render((0, 0, 1.5), euler(0, 0, 0)).image
    np.testing.assert_allclose(by_body.astype(int), by_mount.astype(int), atol=1)
    assert by_mount.mean() > level.mean() + 10


def test_background_does_not_depend_on_the_ground_body(client: int) -> None:
    scene = sample_target_scene(np.random.default_rng(2))
    view = (scene.start_position, euler(0.2, 0.1, scene.start_yaw))
    empty = Camera(client, CameraModel(), scene).render(*view)
    shape = pybullet.createCollisionShape(
        pybullet.GEOM_PLANE, planeNormal=(0, 0, 1), physicsClientId=client
    )
    pybullet.createMultiBody(0, shape, physicsClientId=client)
    on_plane = Camera(client, CameraModel(), scene).render(*view)
    assert np.all(on_plane.segmentation == -1)
    np.testing.assert_array_equal(empty.image, on_plane.image)


def test_light_comes_from_the_sun(client: int) -> None:
    wall = Solid(Shape.BOX, np.array([5.0, 0.0, 1.5]), (2.0, 2.0, 2.0), (1.0, 1.0, 1.0))
    scene = plain(obstacles=(wall,))
    add_scene(client, scene)
    levels = []
    for sun in (-1.0, 1.0):
        look = replace(scene.appearance, light=np.array([sun, 0.0, 0.0]), ambient=0.4)
        camera = Camera(client, LARGE, replace(scene, appearance=look))
        levels.append(int(camera.render((0, 0, 1.5), euler(0, 0, 0)).image[120, 160, 0]))
    assert levels == pytest.approx([255, 0.4 * 255], abs=2)


@pytest.mark.parametrize("distance", [2.0, 8.0, 25.0])
def test_fog_takes_its_share_of_a_colour_with_every_metre(client: int, distance: float) -> None:
    size = (1.0, 2 * distance, 2 * distance)
    wall = Solid(Shape.BOX, np.array([distance + 0.5, 0.0, 1.5]), size, (0.0, 0.0, 0.0))
    scene = plain(obstacles=(wall,))
    add_scene(client, scene)
    look = replace(scene.appearance, fog_length=10.0)
    image = (
        Camera(client, LARGE, replace(scene, appearance=look))
        .render((0, 0, 1.5), euler(0, 0, 0))
        .image
    )
    fog = 255 * np.array(look.sky_horizon)
    for column in (160, 300):
        ray = np.hypot(1, (column - 159.5) / LARGE.focal_length)
        expected = fog * (1 - np.exp(-distance * ray / 10.0))
        np.testing.assert_allclose(image[120, column], expected, atol=1.5)


def test_haze_swallows_the_far_ground(client: int) -> None:
    checks = np.kron(np.eye(2, dtype=np.uint8), np.full((8, 8), 255, np.uint8))
    scene = plain(np.repeat(checks[..., None], 3, axis=2), scale=1.0)
    red = Camera(client, LARGE, scene).render((0, 0, 1.5), euler(0, 0, 0.3)).image[..., 0]
    assert red[-20:].std() > 30
    assert np.abs(np.diff(red[121:124].astype(int), axis=1)).max() <= 2


def test_a_render_repeats_to_the_byte_and_clients_do_not_mix(client: int) -> None:
    other = pybullet.connect(pybullet.DIRECT)
    scenes = [sample_target_scene(np.random.default_rng(seed)) for seed in (4, 5)]
    cameras = []
    for number, scene in zip((client, other), scenes, strict=True):
        add_scene(number, scene)
        cameras.append(Camera(number, CameraModel(), scene))
    pose = (np.array([0.0, 0.0, 6.0]), euler(0, 1.2, 0))
    first = [camera.render(*pose) for camera in cameras]
    again = [camera.render(*pose) for camera in reversed(cameras)][::-1]
    for a, b in zip(first, again, strict=True):
        assert a.image.tobytes() == b.image.tobytes()
        assert a.segmentation.tobytes() == b.segmentation.tobytes()
    assert first[0].image.tobytes() != first[1].image.tobytes()
    pybullet.resetSimulation(physicsClientId=other)
    assert cameras[0].render(*pose).image.tobytes() == first[0].image.tobytes()
    pybullet.disconnect(other)


def test_pybullet_built_without_numpy_is_understood(
    client: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = sample_target_scene(np.random.default_rng(4))
    add_scene(client, scene)
    model = replace(LARGE, width=32, height=24, depth=True)
    pose = (scene.start_position, euler(0, 0, scene.start_yaw))
    arrays = Camera(client, model, scene).render(*pose)
    take = pybullet.getCameraImage

    def tuples(*args: object, **named: object) -> tuple[object, ...]:
        width, height, *images = take(*args, **named)
        return (width, height, *(tuple(np.ravel(image).tolist()) for image in images))

    monkeypatch.setattr(pybullet, "getCameraImage", tuples)
    found = Camera(client, model, scene).render(*pose)
    np.testing.assert_array_equal(found.image, arrays.image)
    np.testing.assert_array_equal(found.segmentation, arrays.segmentation)
    assert found.depth is not None
    np.testing.assert_array_equal(found.depth, arrays.depth)


def test_look_at_centres_its_target_without_roll() -> None:
    rng = np.random.default_rng(0)
    for eye, target in rng.uniform(-5, 5, (20, 2, 3)):
        orientation = look_at(eye, target)
        pixel = project(target[None], LARGE, eye, orientation)[0]
        np.testing.assert_allclose(pixel, LARGE.matrix[:2, 2], atol=1e-6)
        assert LARGE.pose(eye, orientation)[0][2, 0] == pytest.approx(0, abs=1e-9)
    with pytest.raises(SimulationError, match="two different finite points"):
        look_at((1, 2, 3), (1, 2, 3))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", 0),
        ("width", 64.5),
        ("height", -1),
        ("horizontal_fov", 0.0),
        ("horizontal_fov", pi),
        ("horizontal_fov", float("nan")),
        ("mount_pitch", 2.0),
        ("mount_yaw", 4.0),
        ("mount_roll", float("nan")),
        ("exposure", -0.01),
        ("readout", 1.5),
        ("exposure_samples", 0),
        ("exposure_samples", 2.5),
        ("row_groups", 0),
        ("shot_noise", -1.0),
        ("vignetting", 1.1),
        ("auto_exposure", -1.0),
        ("distortion", None),
        ("distortion", ("k1", 0.0, 0.0, 0.0, 0.0)),
        ("distortion", (0.1, 0.0)),
        ("distortion", (0.1, 0.0, 0.0, 0.0, float("inf"))),
        ("noise_sigma", -1.0),
        ("mount_position", (0.0, 0.0)),
        ("mount_position", (0.0, 0.0, float("inf"))),
    ],
)
def test_a_camera_that_cannot_be_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(SimulationError, match=rf"CameraModel\.{field}"):
        CameraModel(**{field: value})  # type: ignore[arg-type]


def test_a_ground_that_cannot_be_drawn_is_refused(client: int) -> None:
    with pytest.raises(SimulationError, match="ground must be uint8"):
        Camera(client, LARGE, plain(np.zeros((4, 8, 3), np.uint8)))
    with pytest.raises(SimulationError, match="ground_scale"):
        Camera(client, LARGE, plain(scale=0.0))
