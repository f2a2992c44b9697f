"""The ray caster against PyBullet's renderer, pixel by pixel, and against exact geometry."""

from dataclasses import replace
from math import inf, pi
from typing import Any

import cv2
import numpy as np
import pybullet
import pytest
from numpy.typing import NDArray

import liquid_nav_sim.render.raycaster
from camera_support import LARGE, along, ball, bright, centroid, euler, plain, project, random_view
from liquid_nav.events import SECOND, CameraFrame
from liquid_nav_sim.config import NOSE_CAMERA, WorldConfig
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.render.pinhole import Render
from liquid_nav_sim.render.raycaster import library
from liquid_nav_sim.scenes.appearance import sample_appearance
from liquid_nav_sim.scenes.bodies import add_scene
from liquid_nav_sim.scenes.scene import Route, Scene, Shape, Solid
from liquid_nav_sim.sensors.camera import Camera
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.world import World

MODEL = replace(LARGE, depth=True)


@pytest.fixture(autouse=True)
def _compiled() -> None:
    if library() is None:
        pytest.skip("the ray caster was not compiled: there was no C++ compiler")


def scattered(seed: int, *shapes: Shape, count: int = 20) -> Scene:
    """Solids of the given shapes around the origin on a textured ground."""
    rng = np.random.default_rng(seed)
    solids = []
    for number in range(count):
        bearing, distance = rng.uniform(-pi, pi), rng.uniform(3, 15)
        centre = np.array(
            [distance * np.cos(bearing), distance * np.sin(bearing), rng.uniform(0.3, 3)]
        )
        shape = shapes[number % len(shapes)]
        size = tuple(
            rng.uniform(0.4, 1.6, {Shape.SPHERE: 1, Shape.CYLINDER: 2, Shape.BOX: 3}[shape])
        )
        colour = tuple(rng.uniform(0.1, 0.9, 3).tolist())
        yaw = float(rng.uniform(-pi, pi)) if shape is Shape.BOX else 0.0
        solids.append(Solid(shape, centre, size, colour, yaw))
    family = ("train", "varied", "held-out")[seed % 3]
    look = replace(sample_appearance(rng, family), smooth=True)
    return Scene(np.zeros(3), 0.0, look, obstacles=tuple(solids))


def both(client: int, model: CameraModel, scene: Scene, *pose: Any) -> tuple[Render, Render]:
    """Images of PyBullet's renderer and of the ray caster."""
    bullet, cast = (
        Camera(client, model, scene, renderer).render(*pose) for renderer in ("bullet", "raycast")
    )
    return bullet, cast


def outlines(labels: NDArray[np.int32], width: int) -> NDArray[np.bool_]:
    """Mask of the pixels within `width` pixels of another label."""
    kernel = np.ones((2 * width + 1,) * 2, np.uint8)
    values = labels.astype(np.int16)
    return np.asarray(cv2.dilate(values, kernel) != cv2.erode(values, kernel))


@pytest.mark.parametrize("seed", range(6))
def test_ground_and_sky_equal_pybullets_within_a_grey_level(client: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scene = scattered(seed, Shape.BOX)
    add_scene(client, scene)
    for _ in range(5):
        pose = rng.uniform((-2, -2, 0.2), (2, 2, 8)), euler(*rng.uniform((-3, -1, -3), (3, 1, 3)))
        bullet, cast = both(client, MODEL, scene, *pose)
        empty = (bullet.segmentation < 0) & (cast.segmentation < 0)
        assert empty.mean() > 0.3
        difference = np.abs(bullet.image[empty].astype(int) - cast.image[empty])
        # Rounding decides between two mipmap levels that are equally close.
        assert np.mean(difference.max(axis=1) > 1) < 1e-3
        assert bullet.depth is not None
        assert cast.depth is not None
        np.testing.assert_allclose(1 / bullet.depth[empty], 1 / cast.depth[empty], atol=1e-6)


@pytest.mark.parametrize("smooth", [True, False])
@pytest.mark.parametrize("haze", [10.0, inf])
def test_a_fine_grid_with_and_without_filter_and_haze_equals_pybullets(
    client: int, haze: float, smooth: bool
) -> None:
    scene = plain()
    checker = 255 * (np.indices((64, 64)).sum(axis=0) // 8 % 2)
    ground = checker[..., None].repeat(3, axis=2).astype(np.uint8)
    look = replace(
        scene.appearance, ground=ground, ground_scale=0.8, haze_length=haze, smooth=smooth
    )
    scene = replace(scene, appearance=look)
    add_scene(client, scene)
    bullet, cast = both(client, MODEL, scene, np.array([0, 0, 1.5]), euler(0, 0.2, 0.5))
    difference = np.abs(bullet.image.astype(int) - cast.image).max(axis=2)
    assert bullet.depth is not None
    # Far away, rounding decides which of the fine squares a ray meets.
    near = bullet.depth < 20
    assert near.mean() > 0.4
    assert np.mean(difference[near] > 1) < 2e-3
    far = (bullet.depth > 25) & (bullet.depth < 60)
    spread = cast.image[far].std()
    # 10 cm squares cannot be told apart at 25 m, where a pixel covers 16 cm.
    assert spread < 30 if smooth else spread > (15 if haze == 10 else 60)


def test_light_colours_ground_and_objects_alike_in_both_renderers(client: int) -> None:
    scene = scattered(3, Shape.BOX)
    add_scene(client, scene)
    white = replace(scene, appearance=replace(scene.appearance, haze_length=inf))
    warm = replace(white, appearance=replace(white.appearance, light_colour=(0.5, 0.4, 0.2)))
    pose = np.array([0, 0, 1.5]), euler(0, 0.2, 0)
    before, _ = both(client, MODEL, white, *pose)
    bullet, cast = both(client, MODEL, warm, *pose)
    whole = ~outlines(bullet.segmentation, 1)
    difference = np.abs(bullet.image.astype(int) - cast.image).max(axis=2)
    assert np.mean(difference[whole] > 2) < 5e-3
    assert bullet.depth is not None
    for shown in ((bullet.segmentation >= 0), (bullet.segmentation < 0) & (bullet.depth < inf)):
        expected = before.image[shown] * np.array([0.5, 0.4, 0.2])
        assert np.abs(bullet.image[shown] - expected).max() <= 1.01
        assert shown.mean() > 0.02


@pytest.mark.parametrize("light", [(1.0, 1.0), (1.0, 1.0, 1.1), (float("nan"), 1.0, 1.0)])
def test_light_that_is_no_colour_is_refused(client: int, light: Any) -> None:
    scene = plain()
    bad = replace(scene, appearance=replace(scene.appearance, light_colour=light))
    with pytest.raises(SimulationError, match=r"Appearance\.light_colour must be three numbers"):
        Camera(client, MODEL, bad)


@pytest.mark.parametrize("fog", [3.0, 20.0])
def test_fog_equals_pybullets(client: int, fog: float) -> None:
    scene = scattered(1, Shape.BOX)
    add_scene(client, scene)
    foggy = replace(scene, appearance=replace(scene.appearance, fog_length=fog))
    for yaw in (0.0, 1.5, 3.0):
        pose = np.array([0, 0, 1.5]), euler(0, 0, yaw)
        clear, _ = both(client, MODEL, scene, *pose)
        bullet, cast = both(client, MODEL, foggy, *pose)
        whole = ~outlines(bullet.segmentation, 1)
        difference = np.abs(bullet.image.astype(int) - cast.image).max(axis=2)
        assert np.mean(difference[whole] > 2) < 5e-3
        assert np.abs(clear.image.astype(int) - cast.image)[whole].max() > 30


@pytest.mark.parametrize("seed", range(6))
def test_boxes_equal_pybullets_pixel_by_pixel(client: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scene = scattered(seed, Shape.BOX)
    add_scene(client, scene)
    for _ in range(5):
        roll, pitch, yaw = rng.uniform((-0.5, -0.3, -3), (0.5, 0.3, 3)).tolist()
        pose = rng.uniform((-1, -1, 0.5), (1, 1, 3)), euler(roll, pitch, yaw)
        bullet, cast = both(client, MODEL, scene, *pose)
        other = bullet.segmentation != cast.segmentation
        # Rounding decides where the centre of a pixel lies on an edge.
        assert other.mean() < 2e-3
        assert np.all(outlines(bullet.segmentation, 1)[other])
        shown = (cast.segmentation >= 0) & ~outlines(bullet.segmentation, 1)
        assert bullet.depth is not None
        assert cast.depth is not None
        np.testing.assert_allclose(bullet.depth[shown], cast.depth[shown], rtol=2e-3)
        difference = np.abs(bullet.image.astype(int) - cast.image).max(axis=2)
        # This leaves out edges between two faces of a box.
        assert np.sum(difference[shown] > 2) <= 5e-3 * shown.sum()


@pytest.mark.parametrize("seed", range(4))
def test_round_solids_equal_pybullets_except_for_facets(client: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scene = scattered(seed, Shape.SPHERE, Shape.CYLINDER)
    add_scene(client, scene)
    for _ in range(5):
        pose = np.array([0, 0, 1.5]), euler(*rng.uniform((-0.5, -0.3, -3), (0.5, 0.3, 3)))
        bullet, cast = both(client, MODEL, scene, *pose)
        other = bullet.segmentation != cast.segmentation
        assert other.mean() < 0.02
        # 7 % of a radius of 0.8 m are 4 pixels at 3 m, and more at an angle.
        assert np.all(outlines(bullet.segmentation, 6)[other])


@pytest.mark.parametrize("shape", list(Shape))
@pytest.mark.parametrize("seed", range(3))
def test_depth_lies_on_the_surface_of_the_solid(client: int, shape: Shape, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scene = scattered(seed, shape)
    add_scene(client, scene)
    solids = {1 + number: solid for number, solid in enumerate(scene.obstacles)}
    for _ in range(3):
        pose = np.array([0, 0, 1.5]), euler(*rng.uniform((-0.5, -0.3, -3), (0.5, 0.3, 3)))
        render = Camera(client, MODEL, scene, "raycast").render(*pose)
        rotation, eye = MODEL.pose(*pose)
        rows, columns = np.nonzero(render.segmentation >= 0)
        assert len(rows) > 100
        for row, column in zip(rows[::37].tolist(), columns[::37].tolist(), strict=True):
            ray = np.linalg.solve(MODEL.matrix, [column, row, 1.0])
            point = eye + rotation @ ray * render.depth[row, column]  # type: ignore[index]
            assert abs(solids[int(render.segmentation[row, column])].distance(point)) < 1e-4


@pytest.mark.parametrize("lens", [(0.0,) * 5, (-0.28, 0.074, 0.0002, 0.00002, 0.0)])
@pytest.mark.parametrize("seed", range(3))
def test_balls_appear_where_opencv_projects_them(client: int, lens: Any, seed: int) -> None:
    view, position, attitude = random_view(np.random.default_rng(seed))
    model = replace(view, distortion=lens)
    centres = [
        along(model, position, attitude, u, v, 6.0) for u in (60.0, 160, 260) for v in (50.0, 190)
    ]
    scene = bright(*(ball(centre, 0.25) for centre in centres))
    bodies = add_scene(client, scene).obstacles
    seen = Camera(client, model, scene, "raycast").render(position, attitude).segmentation
    expected = project(np.array(centres), model, position, attitude)
    found = [centroid(seen == body) for body in bodies]
    np.testing.assert_allclose(found, expected, atol=0.3)


def test_light_comes_from_the_sun(client: int) -> None:
    wall = Solid(Shape.BOX, np.array([5.0, 0.0, 1.5]), (2.0, 2.0, 2.0), (1.0, 1.0, 1.0))
    sphere = ball(np.array([5.0, -3.0, 1.5]), 1.0)
    scene = plain(obstacles=(wall, sphere))
    add_scene(client, scene)
    levels = []
    for sun in (-1.0, 1.0):
        look = replace(scene.appearance, light=np.array([sun, 0.0, 0.0]), ambient=0.4)
        lit = replace(scene, appearance=look)
        image = Camera(client, LARGE, lit, "raycast").render((0, 0, 1.5), euler(0, 0, 0)).image
        levels.append(int(image[120, 160, 0]))
        if sun < 0:
            u, v = project(sphere.position[None], LARGE, np.array([0, 0, 1.5]), euler(0, 0, 0))[0]
            # The ray to its centre hits it where the surface normal points at the camera.
            towards = 5 / np.hypot(5, 3)
            assert image[round(v), round(u), 0] == pytest.approx(255 * (0.4 + 0.6 * towards), abs=4)
    assert levels == pytest.approx([255, 0.4 * 255], abs=1)


def test_solids_around_or_behind_the_camera_are_not_seen(client: int) -> None:
    around = ball(np.array([0.0, 0.0, 1.5]), 2.0)
    behind = Solid(Shape.BOX, np.array([-3.0, 0.0, 1.5]), (1.0, 9.0, 9.0), (1.0, 1.0, 1.0))
    scene = plain(obstacles=(around, behind))
    add_scene(client, scene)
    seen = Camera(client, LARGE, scene, "raycast").render((0, 0, 1.5), euler(0, 0, 0)).segmentation
    assert np.all(seen == -1)


def test_moving_bodies_are_drawn_where_they_are(client: int) -> None:
    target = ball(np.array([6.0, 0.0, 1.5]), 0.4)
    none = np.zeros((1, 3))
    route = Route(np.array([0.0, 1.0, 0.0]), none, np.zeros(1), np.zeros(1))
    scene = replace(bright(), target=target, route=route)
    body = add_scene(client, scene).target
    assert body is not None
    camera = Camera(client, LARGE, scene, "raycast")
    for y in (0.0, -1.0, 2.0):
        where = np.array([6.0, y, 1.5])
        pybullet.resetBasePositionAndOrientation(body, where, (0, 0, 0, 1), physicsClientId=client)
        seen = camera.render((0, 0, 1.5), euler(0, 0, 0)).segmentation == body
        expected = project(where[None], LARGE, np.array([0, 0, 1.5]), euler(0, 0, 0))[0]
        np.testing.assert_allclose(centroid(seen), expected, atol=0.3)


# In a world


def test_a_flight_repeats_and_its_views_equal_pybullets() -> None:
    flights: dict[str, list[bytes]] = {}
    views: dict[str, list[int]] = {}
    for name, renderer in (("one", "raycast"), ("two", "raycast"), ("reference", "bullet")):
        world = World(WorldConfig(renderer=renderer).with_sensor("camera", model=NOSE_CAMERA))
        try:
            world.reset(5)
            frames, views[name] = [], []
            while (event := world.next_event(SECOND)) is not None:
                if isinstance(event, CameraFrame):
                    frames.append(event.image.tobytes())
                    views[name].append(world.view(event).target_pixels)
            flights[name] = frames
        finally:
            world.close()
    assert flights["one"] == flights["two"]
    assert len(flights["one"]) == len(flights["reference"]) > 20
    np.testing.assert_allclose(views["one"], views["reference"], atol=8)
    for cast, bullet in zip(flights["one"], flights["reference"], strict=True):
        a, b = (np.frombuffer(frame, np.uint8).astype(int) for frame in (cast, bullet))
        # The noise has the same seed, so only the facets of round solids differ.
        assert np.mean(np.abs(a - b) > 3) < 0.03


def test_the_vehicle_is_drawn(client: int) -> None:
    world = World(WorldConfig())
    try:
        world.reset(1)
        where = world.state.position + np.array([-1.0, 0.0, 0.3])
        seen = [
            Camera(world.client, LARGE, world.scene, renderer).render(where, euler(0, 0.2, 0))
            for renderer in ("bullet", "raycast")
        ]
    finally:
        world.close()
    vehicle = 1 + len(world.scene.solids)
    pixels = [int((render.segmentation == vehicle).sum()) for render in seen]
    assert pixels[0] > 500
    assert pixels[1] == pytest.approx(pixels[0], rel=0.03)


# The boundary


def test_an_unknown_renderer_is_refused_by_name(client: int) -> None:
    with pytest.raises(SimulationError, match=r"WorldConfig\.renderer must be one of bullet, ray"):
        WorldConfig(renderer="opengl")
    with pytest.raises(SimulationError, match="renderer must be one of"):
        Camera(client, LARGE, plain(), "opengl")


def test_shapes_other_than_primitives_are_refused(client: int) -> None:
    shape = pybullet.createVisualShape(
        pybullet.GEOM_CAPSULE, radius=0.1, length=0.5, physicsClientId=client
    )
    pybullet.createMultiBody(0, -1, shape, physicsClientId=client)
    with pytest.raises(SimulationError, match="spheres, boxes and cylinders"):
        Camera(client, LARGE, plain(), "raycast")


def test_a_missing_library_is_one_error(client: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liquid_nav_sim.render.raycaster, "library", lambda: None)
    with pytest.raises(SimulationError, match=r"not compiled.*compiler"):
        Camera(client, LARGE, plain(), "raycast")
