"""A target that moves: smooth, seen where it is, solid; and what it means to have followed it."""

import math
from dataclasses import replace

import numpy as np
import pybullet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_nav.command import Command
from liquid_nav.events import SECOND
from liquid_nav_sim.air.wind import WindModel
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.scenes.scene import Route, Scene, Shape, Solid
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.sensors.timing import SensorTiming
from liquid_nav_sim.tasks.follow import (
    MARGIN,
    START_BEARING,
    START_RANGE,
    TARGET_HEIGHT,
    FollowTask,
)
from liquid_nav_sim.world import Outcome, World

seeds = st.integers(0, 2**32 - 1)
STILL = Route(np.zeros(3), np.zeros((1, 3)), np.ones(1), np.zeros(1))


def draw(seed: int, difficulty: float = 1.0) -> Scene:
    return FollowTask(difficulty=difficulty).sample(np.random.default_rng(seed), "train", 0.18)


def track(scene: Scene, times: np.ndarray) -> np.ndarray:
    return np.array([scene.target_position(time) for time in times])


@settings(max_examples=15, deadline=None)
@given(seed=seeds, difficulty=st.floats(0, 1))
def test_the_target_goes_away_smoothly_and_stays_in_its_heights(
    seed: int, difficulty: float
) -> None:
    scene = draw(seed, difficulty)
    assert scene.target is not None
    assert scene.route is not None
    times, dt = np.linspace(0.0, 30.0, 301, retstep=True)
    places = track(scene, times)
    assert np.array_equal(places[0], scene.target.position)
    velocity = np.array([scene.route.velocity(time) for time in times[:-1] + dt / 2])
    # The error of a midpoint: frequency squared times speed times step squared over 24.
    assert np.diff(places, axis=0) / dt == pytest.approx(velocity, abs=0.64 * 1.0 * dt**2 / 24)
    assert np.linalg.norm(velocity, axis=1).max() < 2.0
    assert (velocity @ scene.route.drift >= 0).all()
    assert TARGET_HEIGHT[0] <= places[:, 2].min() < places[:, 2].max() <= TARGET_HEIGHT[1]
    way = (places[0] - scene.start_position)[:2]
    assert START_RANGE[0] <= np.hypot(*way) <= START_RANGE[1]
    bearing = math.remainder(math.atan2(way[1], way[0]) - scene.start_yaw, math.tau)
    assert abs(bearing) <= START_BEARING + 1e-9


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_the_way_of_the_target_is_free(seed: int) -> None:
    scene = draw(seed)
    places = track(scene, np.arange(0.0, 30.0, 0.05))
    approach = np.linspace(scene.start_position, places[0], 50)
    for obstacle in scene.obstacles:
        level = np.concatenate((places, approach))[:, :2] - obstacle.position[:2]
        # Between two samples of the way that the scene was made by it may bend a little.
        assert np.hypot(*level.T).min() - obstacle.radius >= 0.18 + MARGIN - 0.05


def test_difficulty_is_speed_and_company() -> None:
    scenes = [draw(0, difficulty) for difficulty in (0.0, 0.5, 1.0)]
    speeds = [float(np.linalg.norm(scene.route.drift)) for scene in scenes if scene.route]
    assert speeds == pytest.approx([0.3, 0.8, 1.4])
    assert [len(scene.obstacles) for scene in scenes] == [2, 8, 16]


def test_only_an_unbroken_hold_in_the_band_succeeds() -> None:
    scene = replace(draw(0), route=STILL)
    assert scene.target is not None
    attempt = FollowTask(hold=2.0).attempt(scene)

    def at(distance: float, time: float) -> tuple[bool, float]:
        attempt.update(scene.target.position + np.array([0.0, distance, 0.0]), time)
        return attempt.succeeded, attempt.progress

    assert at(6.0, 1.0) == (False, pytest.approx(-2.0))
    assert at(1.0, 1.5) == (False, pytest.approx(-0.5))
    assert at(3.0, 2.0) == (False, pytest.approx(0.0))
    assert at(1.6, 3.9) == (False, pytest.approx(1.9))
    assert at(4.1, 3.95) == (False, pytest.approx(-0.1))
    assert at(3.9, 4.0) == (False, pytest.approx(0.0))
    assert at(3.9, 5.9)[0] is False
    assert at(3.9, 6.0) == (True, pytest.approx(2.0))


def test_distance_is_from_where_the_target_is_now() -> None:
    route = replace(STILL, drift=np.array([1.0, 0.0, 0.0]))
    scene = replace(draw(0), route=route)
    assert scene.target is not None
    attempt = FollowTask().attempt(scene)
    attempt.update(scene.target.position + np.array([10.0, 3.0, 0.0]), 10.0)
    assert attempt.progress == 0
    assert np.array_equal(attempt.goal, scene.target.position + np.array([10.0, 0.0, 0.0]))


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A ball that comes from the left, 2 m ahead, at 2 m/s, and is ahead after 1.5 s."""
    route = replace(STILL, drift=np.array([0.0, -2.0, 0.0]))
    ball = Solid(Shape.SPHERE, np.array([2.0, 3.0, 1.5]), (0.6,), (1.0, 0.0, 0.0))
    look = replace(draw(0).appearance, fog_length=math.inf)
    scene = Scene(np.array([0.0, 0.0, 1.5]), 0.0, look, ball, (), route)
    monkeypatch.setattr(FollowTask, "sample", lambda *_: scene)
    return scene


def test_frames_show_the_target_where_it_was_at_their_stamps(passing: Scene) -> None:
    camera = CameraModel(width=64, height=48, segmentation=True, noise_sigma=0.0)
    world = World(
        WorldConfig(wind=WindModel(steady=0, gust=0), task=FollowTask())
        .with_sensor("camera", model=camera, timing=SensorTiming(rate=30, latency=0.05))
        .without("imu")
    )
    world.reset(0)
    seen = 0
    while (event := world.next_event(round(2.2 * SECOND))) is not None:
        view = world.view(event)
        goal = passing.target_position(event.stamp / SECOND)
        assert view.goal == pytest.approx(goal, abs=2 * 0.004 + 1e-9)
        rotation, eye = camera.pose(view.state.position, view.state.orientation)
        x, y, z = camera.matrix @ rotation.T @ (goal - eye)
        u, v = x / z, y / z
        if not (12 < u < 51 and z > 0):
            continue
        rows, columns = np.nonzero(view.segmentation == world._bodies.target)
        assert (columns.mean(), rows.mean()) == pytest.approx((u, v), abs=0.8)
        seen += 1
    assert seen > 15
    world.close()


def test_a_moving_target_hits_a_vehicle_in_its_way(
    passing: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = replace(passing, start_position=np.array([2.0, 0.0, 1.5]))
    monkeypatch.setattr(FollowTask, "sample", lambda *_: scene)
    task = FollowTask()
    world = World(
        WorldConfig(task=task).with_sensor("imu", timing=SensorTiming(rate=10)).without("camera")
    )
    world.reset(0)
    world.command(Command(0))
    while world.next_event() is not None:
        pass
    assert world.outcome is Outcome.COLLISION
    # 3 m less the ball's and the hull's radii, at 2 m/s.
    assert world.time / SECOND == pytest.approx((3 - 0.3 - 0.18) / 2, abs=0.15)
    body = world._bodies.target
    place = pybullet.getBasePositionAndOrientation(body, physicsClientId=world.client)[0]
    assert place == pytest.approx(scene.target_position(world.time / SECOND), abs=1e-9)
    world.close()


@pytest.mark.parametrize("band", [(4.0, 1.5), (0.0, 2.0), (1.0, math.inf), (1.0,)])
def test_a_band_that_is_none_is_refused(band: tuple[float, ...]) -> None:
    with pytest.raises(SimulationError, match=r"FollowTask\.band"):
        FollowTask(band=band)  # type: ignore[arg-type]


@pytest.mark.parametrize("hold", [0.0, 30.0, math.nan])
def test_a_hold_that_nobody_can_keep_is_refused(hold: float) -> None:
    with pytest.raises(SimulationError, match=r"FollowTask\.hold"):
        FollowTask(hold=hold)


def test_a_scene_without_target_is_refused() -> None:
    with pytest.raises(SimulationError, match="has none"):
        FollowTask().attempt(replace(draw(0), target=None, route=None))
