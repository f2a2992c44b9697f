"""A forest can be flown through, and coming out on the far side is what counts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_nav_sim.scenes.scene import Scene, Shape
from liquid_nav_sim.tasks.forest import (
    FINISH,
    FOREST,
    HALF_WIDTH,
    MARGIN,
    TRUNK_DIAMETER,
    TRUNK_HEIGHT,
    ForestTask,
)
from liquid_nav_sim.tasks.registry import make_task

seeds = st.integers(0, 2**32 - 1)


def draw(seed: int, difficulty: float = 1.0, hull: float = 0.18) -> Scene:
    return ForestTask(difficulty=difficulty).sample(np.random.default_rng(seed), "train", hull)


def local(scene: Scene, points: np.ndarray) -> np.ndarray:
    """Points (N, 2+) seen from the start: ahead, left."""
    c, s = np.cos(scene.start_yaw), np.sin(scene.start_yaw)
    return (np.asarray(points)[:, :2] - scene.start_position[:2]) @ np.array([[c, -s], [s, c]])


@settings(max_examples=25, deadline=None)
@given(seed=seeds, difficulty=st.floats(0, 1), hull=st.floats(0.05, 0.5))
def test_every_gap_lets_the_vehicle_through(seed: int, difficulty: float, hull: float) -> None:
    scene = draw(seed, difficulty, hull)
    places = np.array([trunk.position[:2] for trunk in scene.obstacles])
    radii = np.array([trunk.radius for trunk in scene.obstacles])
    gaps = np.linalg.norm(places[:, None] - places, axis=2) - radii[:, None] - radii
    np.fill_diagonal(gaps, np.inf)
    assert gaps.min() >= 2 * (hull + MARGIN) - 1e-9


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_trunks_stand_upright_in_the_forest(seed: int) -> None:
    scene = draw(seed)
    for trunk in scene.obstacles:
        assert trunk.shape is Shape.CYLINDER
        assert TRUNK_DIAMETER[0] <= trunk.size[0] <= TRUNK_DIAMETER[1]
        assert trunk.size[1] == TRUNK_HEIGHT == 2 * trunk.position[2]
    ahead, left = local(scene, [trunk.position for trunk in scene.obstacles]).T
    assert FOREST[0] <= ahead.min() < ahead.max() <= FOREST[1]
    assert np.abs(left).max() <= HALF_WIDTH


def test_difficulty_is_density() -> None:
    area = (FOREST[1] - FOREST[0]) * 2 * HALF_WIDTH
    for difficulty, density in ((0, 0.03), (0.5, 0.1), (1, 0.2)):
        assert len(draw(0, difficulty).obstacles) == round(density * area)


def test_places_are_even_over_the_forest() -> None:
    places = np.concatenate(
        [local(scene, [t.position for t in scene.obstacles]) for scene in map(draw, range(40))]
    )
    ahead = np.histogram(places[:, 0], 4, FOREST)[0] / len(places)
    left = np.histogram(places[:, 1], 4, (-HALF_WIDTH, HALF_WIDTH))[0] / len(places)
    assert ahead == pytest.approx(0.25, abs=0.04)
    assert left == pytest.approx(0.25, abs=0.04)


@pytest.mark.parametrize(
    ("ahead", "left", "height", "success"),
    [
        (FINISH + 1e-6, 0.0, 1.5, True),
        (FINISH + 1e-6, HALF_WIDTH - 0.01, 1.5, True),
        (FINISH - 0.01, 0.0, 1.5, False),
        (FINISH + 1e-6, HALF_WIDTH + 0.01, 1.5, False),
        (FINISH + 1e-6, 0.0, TRUNK_HEIGHT + 0.01, False),
        (-FINISH, 0.0, 1.5, False),
    ],
)
def test_success_is_behind_the_forest_not_beside_nor_above(
    ahead: float, left: float, height: float, success: bool
) -> None:
    scene = draw(5)
    attempt = ForestTask().attempt(scene)
    c, s = np.cos(scene.start_yaw), np.sin(scene.start_yaw)
    x, y, _ = scene.start_position
    place = np.array([x + c * ahead - s * left, y + s * ahead + c * left, height])
    attempt.update(place, 1.0)
    assert attempt.succeeded == success
    assert attempt.progress == pytest.approx(ahead - max(abs(left) - HALF_WIDTH, 0))
    assert local(scene, attempt.goal[None])[0] == pytest.approx([FINISH, 0])


def test_a_fast_flight_has_a_longer_forest_as_dense_as_ever() -> None:
    task = make_task("forest", 0.5, speed=3.0)
    scene = task.sample(np.random.default_rng(0), "train", 0.18)
    ahead = local(scene, [trunk.position for trunk in scene.obstacles])[:, 0]
    assert FOREST[1] < ahead.max() <= 3 * FINISH - (FINISH - FOREST[1])
    area = (3 * FINISH - (FINISH - FOREST[1]) - FOREST[0]) * 2 * HALF_WIDTH
    assert len(ahead) == pytest.approx(0.1 * area, abs=0.5)
    attempt = task.attempt(scene)
    c, s = np.cos(scene.start_yaw), np.sin(scene.start_yaw)
    for metres, success in ((FINISH + 1, False), (3 * FINISH + 1e-6, True)):
        attempt.update(scene.start_position + metres * np.array([c, s, 0.0]), 1.0)
        assert attempt.succeeded == success
