"""What every task keeps: scenes that repeat, difficulty, attempts that judge; and the registry."""

import math
from dataclasses import replace

import numpy as np
import pybullet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_nav.command import Command
from liquid_nav.events import SECOND
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.render.background import Background
from liquid_nav_sim.scenes.appearance import (
    FAMILIES,
    sample_appearance,
)
from liquid_nav_sim.scenes.bodies import add_scene
from liquid_nav_sim.scenes.scene import Scene, Shape, Solid
from liquid_nav_sim.sensors.camera import RENDERERS, Camera
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.tasks.base import graded
from liquid_nav_sim.tasks.registry import TASKS, make_task
from liquid_nav_sim.world import World

HULL = 0.18
seeds = st.integers(0, 2**32 - 1)
names = st.sampled_from(sorted(TASKS))
families = st.sampled_from(sorted(FAMILIES))
difficulties = st.floats(0, 1)


def flat(scene: Scene) -> bytes:
    """Every bit of a scene."""
    parts = [scene.start_position.tobytes(), scene.start_yaw]
    parts += [(s.shape, s.position.tobytes(), s.size, s.colour, s.yaw) for s in scene.solids]
    parts += [(g.position.tobytes(), g.yaw, g.width, g.height) for g in scene.gates]
    parts += [np.asarray(value).tobytes() for value in vars(scene.appearance).values()]
    if scene.route is not None:
        parts += [value.tobytes() for value in vars(scene.route).values()]
    return repr(parts).encode()


@settings(max_examples=30, deadline=None)
@given(name=names, seed=seeds, family=families, difficulty=difficulties)
def test_same_stream_same_scene(name: str, seed: int, family: str, difficulty: float) -> None:
    def draw(number: int) -> bytes:
        task = make_task(name, difficulty)
        return flat(task.sample(np.random.default_rng(number), family, HULL))

    assert draw(seed) == draw(seed)
    assert draw(seed) != draw(seed + 1)


@settings(max_examples=40, deadline=None)
@given(name=names, seed=seeds, difficulty=difficulties, hull=st.floats(0.05, 0.5))
def test_a_flight_begins_clear_of_everything_and_undone(
    name: str, seed: int, difficulty: float, hull: float
) -> None:
    task = make_task(name, difficulty)
    scene = task.sample(np.random.default_rng(seed), "train", hull)
    attempt = task.attempt(scene)
    assert not attempt.succeeded
    assert min(solid.distance(scene.start_position) for solid in scene.solids) > hull + 0.3
    assert all(np.isfinite(solid.position).all() for solid in scene.solids)
    assert np.isfinite(attempt.progress)
    # To stay where one is brings nothing.
    attempt.update(scene.start_position, 0.004)
    assert not attempt.succeeded
    assert attempt.progress == pytest.approx(task.attempt(scene).progress, abs=0.02)


@pytest.mark.parametrize("name", sorted(TASKS))
def test_the_world_flies_every_task(name: str) -> None:
    world = World(WorldConfig(task=make_task(name, 1.0)).without("camera"))
    world.reset(3)
    world.command(Command(0, 1.0))
    before = world.attempt.progress
    while world.next_event(2 * SECOND) is not None:
        pass
    assert world.outcome is None
    assert world.attempt.progress != before
    world.close()


def test_difficulty_is_linear_between_its_three_grades() -> None:
    assert [graded(d, 1.0, 2.0, 4.0) for d in (0.0, 0.25, 0.5, 0.75, 1.0)] == [1, 1.5, 2, 3, 4]


def test_an_unknown_task_and_what_is_none_are_refused() -> None:
    assert {name: TASKS.get(name).name for name in TASKS} == {name: name for name in TASKS}
    with pytest.raises(SimulationError, match="target, forest, gates, follow, got 'maze'"):
        make_task("maze")
    with pytest.raises(SimulationError, match=r"ForestTask\.difficulty must be in \[0, 1\]"):
        make_task("forest", 1.5)
    with pytest.raises(SimulationError, match=r"WorldConfig\.task must be a Task, got 'forest'"):
        WorldConfig(task="forest")  # type: ignore[arg-type]
    with pytest.raises(SimulationError, match=r"GatesTask\.time_limit must be positive"):
        replace(make_task("gates"), time_limit=0.0)


# Appearance


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("distance", [2.0, 5.0, 15.0])
def test_fog_takes_the_colour_of_objects_by_their_distance(distance: float, renderer: str) -> None:
    """Koschmieder's law: what is left of the contrast falls exponentially."""
    client = pybullet.connect(pybullet.DIRECT)
    look = replace(sample_appearance(np.random.default_rng(0), "train"), ambient=1.0)
    wall = Solid(
        Shape.BOX, np.array([distance + 0.5, 0.0, 1.5]), (1.0, 60.0, 60.0), (0.8, 0.2, 0.1)
    )
    scene = Scene(np.zeros(3), 0.0, look, obstacles=(wall,))
    add_scene(client, scene)
    model = CameraModel(width=32, height=24)
    level = (0.0, 0.0, 0.0, 1.0)

    def see(fog_length: float) -> np.ndarray:
        foggy = replace(scene, appearance=replace(look, fog_length=fog_length))
        image = Camera(client, model, foggy, renderer).render((0.0, 0.0, 1.5), level).image
        return image.reshape(-1, 3).astype(float)

    v, u = np.indices((24, 32)).reshape(2, -1)
    rays = np.linalg.inv(model.matrix) @ np.stack([u, v, np.ones_like(u)])
    clear = np.exp(-distance * np.linalg.norm(rays, axis=0) / 10.0)[:, None]
    horizon = 255 * np.array(look.sky_horizon)
    assert see(10.0) == pytest.approx(horizon + (see(math.inf) - horizon) * clear, abs=1.01)
    pybullet.disconnect(client)


def test_fog_or_haze_of_no_length_is_refused() -> None:
    look = sample_appearance(np.random.default_rng(0), "train")
    for name in ("fog_length", "haze_length"):
        with pytest.raises(SimulationError, match=rf"Appearance\.{name} must be positive"):
            Background(replace(look, **{name: 0.0}))


@pytest.mark.parametrize("name", sorted(TASKS))
def test_a_slow_flight_has_more_time_and_a_fast_one_no_less(name: str) -> None:
    usual = make_task(name)
    assert usual.speed == 1
    assert make_task(name, speed=0.5).time_limit == 2 * usual.time_limit
    assert make_task(name, speed=2.0).time_limit == usual.time_limit


@pytest.mark.parametrize("speed", [0.0, -1.0, math.nan, math.inf])
def test_a_speed_is_positive_and_finite(speed: float) -> None:
    with pytest.raises(SimulationError, match=r"TargetTask\.speed must be positive and finite"):
        make_task("target", speed=speed)


def test_a_target_to_follow_is_as_fast_as_the_flight() -> None:
    def route(speed: float) -> np.ndarray:
        scene = make_task("follow", speed=speed).sample(np.random.default_rng(3), "train", HULL)
        assert scene.route is not None
        return scene.route.drift

    assert route(2.0) == pytest.approx(2 * route(1.0))
