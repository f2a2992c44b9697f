"""What every scene of the task `target` guarantees."""

import hashlib
from colorsys import rgb_to_hsv
from dataclasses import replace

import cv2
import numpy as np
import pybullet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.scenes.appearance import FAMILIES
from liquid_nav_sim.scenes.bodies import add_scene
from liquid_nav_sim.scenes.scene import Scene, Shape, Solid
from liquid_nav_sim.sensors.camera import Camera, look_at
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.tasks.target import TargetTask, sample_target_scene

seeds = st.integers(0, 2**32 - 1)
families = st.sampled_from(sorted(FAMILIES))


def draw(seed: int, family: str = "train") -> tuple[Scene, Solid]:
    scene = sample_target_scene(np.random.default_rng(seed), family)
    assert scene.target is not None
    return scene, scene.target


def hue_from_red(colour: tuple[float, float, float]) -> float:
    """Degrees around the colour circle from pure red, in [0, 180]."""
    hue = rgb_to_hsv(*colour)[0] * 360
    return min(hue, 360 - hue)


@settings(max_examples=60, deadline=None)
@given(seed=seeds, family=families)
def test_target_is_red_of_its_size_and_where_it_should_be(seed: int, family: str) -> None:
    scene, target = draw(seed, family)
    assert np.all(np.abs(scene.start_position[:2]) <= 0.5)
    assert 1.2 <= scene.start_position[2] <= 1.8
    way = target.position - scene.start_position
    assert 5.0 - 1e-9 <= np.linalg.norm(way) <= 15.0 + 1e-9
    bearing = np.angle(np.exp(1j * (np.arctan2(way[1], way[0]) - scene.start_yaw)))
    assert abs(bearing) <= np.pi / 3 + 1e-9
    assert 0.6 <= target.position[2] <= 2.2
    assert all(0.5 <= side <= 0.8 for side in target.size)
    if target.shape is Shape.BOX:
        assert len(set(target.size)) == 1
    _, saturation, value = rgb_to_hsv(*target.colour)
    assert hue_from_red(target.colour) <= 12 + 1e-6
    assert saturation >= 0.8 - 1e-9
    assert value >= 0.65


@settings(max_examples=60, deadline=None)
@given(seed=seeds, family=families)
def test_obstacles_are_of_other_colours_and_above_the_ground(seed: int, family: str) -> None:
    scene, _ = draw(seed, family)
    assert 4 <= len(scene.obstacles) <= 9
    for obstacle in scene.obstacles:
        assert all(0.2 <= side <= 2.0 for side in obstacle.size)
        assert obstacle.position[2] >= obstacle.size[-1] / 2 - 1e-9
        _, saturation, _ = rgb_to_hsv(*obstacle.colour)
        away = hue_from_red(obstacle.colour)
        if family == "train":
            assert saturation < 0.08 or away >= 60 - 1e-6
        else:
            assert saturation < 0.63 or away >= 24 - 1e-6


def test_wide_families_have_small_objects_near_the_targets_hue() -> None:
    for family, least, most in (("train", 0.0, 0.0), ("varied", 0.2, 0.45)):
        near = [
            hue_from_red(o.colour) < 60 and max(o.size) <= 0.9 and rgb_to_hsv(*o.colour)[1] > 0.15
            for seed in range(60)
            for o in draw(seed, family)[0].obstacles
        ]
        assert least <= np.mean(near) <= most


@pytest.mark.parametrize("family", ["train", "varied"])
def test_the_target_stands_out_at_ten_metres(family: str) -> None:
    client = pybullet.connect(pybullet.DIRECT)
    for seed in range(25):
        scene, target = draw(seed, family)
        pybullet.resetSimulation(physicsClientId=client)
        body = add_scene(client, scene).target
        way = target.position - scene.start_position
        eye = target.position - 10 * way / np.linalg.norm(way)
        camera = Camera(client, CameraModel(segmentation=True), scene)
        seen = camera.render(eye, look_at(eye, target.position))
        shown = (seen.segmentation == body).astype(np.uint8)
        around = (cv2.dilate(shown, np.ones((7, 7), np.uint8)) > 0) & (shown == 0)
        colour = seen.image[shown > 0].mean(axis=0)
        gaps = np.linalg.norm(seen.image[around] - colour, axis=1)
        # Grey levels, where the noise of a pixel is 2.
        assert np.percentile(gaps, 10) > 20, f"seed {seed}"
    pybullet.disconnect(client)


@settings(max_examples=40, deadline=None)
@given(seed=seeds)
def test_the_way_to_the_target_is_free(seed: int) -> None:
    scene, target = draw(seed)
    start = scene.start_position
    way = np.linspace(start, target.position, 60)
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    rim = target.position + target.radius * np.stack(
        [np.cos(angles), np.sin(angles), 0 * angles], axis=1
    )
    for obstacle in scene.obstacles:
        # At the obstacle's own height the signed distance is the horizontal gap.
        def gap(point: np.ndarray, obstacle: Solid = obstacle) -> float:
            return obstacle.distance(np.array([*point[:2], obstacle.position[2]]))

        assert min(map(gap, way)) >= 1.0
        assert gap(start) >= 1.6
        assert min(map(gap, rim)) >= 1.6 - 1e-9


def test_scenes_vary_over_seeds() -> None:
    scenes = [draw(seed) for seed in range(60)]
    assert {target.shape for _, target in scenes} == set(Shape)
    assert {obstacle.shape for scene, _ in scenes for obstacle in scene.obstacles} == set(Shape)
    assert {len(scene.obstacles) for scene, _ in scenes} == set(range(4, 10))
    yaws = np.array([scene.start_yaw for scene, _ in scenes])
    assert abs(np.exp(1j * yaws).mean()) < 0.35
    on_ground = [
        np.isclose(o.position[2], o.size[-1] / 2) for scene, _ in scenes for o in scene.obstacles
    ]
    assert 0.4 < np.mean(on_ground) < 0.8


def flat(scene: Scene) -> bytes:
    look = scene.appearance
    solids = [(s.shape, s.position.tobytes(), s.size, s.colour, s.yaw) for s in scene.solids]
    return repr(
        (
            scene.start_position.tobytes(),
            scene.start_yaw,
            solids,
            look.ground.tobytes(),
            look.ground_scale,
            look.sky_zenith,
            look.sky_horizon,
            look.light.tobytes(),
            look.ambient,
        )
    ).encode()


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_same_seed_same_bytes(family: str) -> None:
    assert flat(draw(3, family)[0]) == flat(draw(3, family)[0])
    assert flat(draw(3, family)[0]) != flat(draw(4, family)[0])


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(
        SimulationError, match=r"appearances are train, varied, held-out, .*; got 'winter'"
    ):
        sample_target_scene(np.random.default_rng(0), "winter")


def test_success_is_a_ball_around_the_target() -> None:
    scene, target = draw(0)
    task = TargetTask()
    assert (task.success_radius, task.time_limit, task.difficulty) == (1.0, 20.0, 0.5)
    attempt = task.attempt(scene)
    assert not attempt.succeeded
    assert attempt.progress == pytest.approx(
        -np.linalg.norm(target.position - scene.start_position)
    )
    assert np.array_equal(attempt.goal, target.position)
    direction = np.array([2.0, -1.0, 2.0]) / 3
    for distance in (1.001, 0.999):
        attempt.update(target.position + distance * direction, 1.0)
        assert attempt.progress == pytest.approx(-distance)
        assert attempt.succeeded == (distance < 1)
    with pytest.raises(SimulationError, match="has none"):
        task.attempt(replace(scene, target=None))


def test_the_usual_scenes_stay_what_policies_were_trained_in() -> None:
    """A digest of the solids of 50 scenes, taken when the shipped policy was made."""
    solids = [
        (s.shape.value, *np.round(s.position, 6), *np.round(s.size, 6), *np.round(s.colour, 6))
        for seed in range(50)
        for s in draw(seed)[0].solids
    ]
    text = repr([[x if isinstance(x, str) else f"{x:.6f}" for x in solid] for solid in solids])
    assert hashlib.sha256(text.encode()).hexdigest() == (
        "2585667b01262d7d68390bf63a52985827b3b4b0cba2429835ed17d53ce21724"
    )


def test_difficulty_puts_the_target_farther_and_among_more() -> None:
    def grade(difficulty: float) -> tuple[float, float, float]:
        task = TargetTask(difficulty=difficulty)
        scenes = [task.sample(np.random.default_rng(seed), "train", 0.2) for seed in range(60)]
        distances = [-task.attempt(scene).progress for scene in scenes]
        return (
            float(np.mean(distances)),
            max(distances),
            float(np.mean([len(scene.obstacles) for scene in scenes])),
        )

    easy, usual, hard = map(grade, (0.0, 0.5, 1.0))
    assert easy[0] < usual[0] < hard[0] <= hard[1] <= 15
    assert easy[1] <= 6
    assert easy[2] < 3 < usual[2] < 9 < hard[2]


@pytest.mark.parametrize("difficulty", [-0.1, 1.1, float("nan")])
def test_a_difficulty_out_of_its_range_is_refused(difficulty: float) -> None:
    with pytest.raises(SimulationError, match=r"TargetTask\.difficulty"):
        TargetTask(difficulty=difficulty)


@pytest.mark.parametrize("field", ["success_radius", "time_limit"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_a_task_without_end_is_refused(field: str, value: float) -> None:
    with pytest.raises(SimulationError, match=rf"TargetTask\.{field}"):
        TargetTask(**{field: value})
