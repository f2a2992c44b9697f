"""The Gymnasium environment: its contract, its clock, and what it tells of a flight."""

import copy
import gc
import math
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pybullet
import pytest
from gymnasium.error import ResetNeeded

from liquid_nav.command import Command, CommandLimits
from liquid_nav.events import SECOND, CameraFrame, ImuSample
from liquid_nav_sim.air.wind import WindModel
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.faults.kinds import Fault
from liquid_nav_sim.gym.env import COLLISION_REWARD, SUCCESS_REWARD, NavigationEnv
from liquid_nav_sim.gym.event_batch import EventBatch
from liquid_nav_sim.gym.observation import IMU_RANGE
from liquid_nav_sim.scenes.appearance import sample_appearance
from liquid_nav_sim.scenes.scene import Scene, Shape, Solid
from liquid_nav_sim.sensors.camera import look_at
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.sensors.imu_models import NOISELESS
from liquid_nav_sim.sensors.timing import SensorTiming
from liquid_nav_sim.tasks.target import TargetTask
from liquid_nav_sim.vehicle.state import GRAVITY
from liquid_nav_sim.world import World

STEP = WorldConfig().step
STAY = np.zeros(4, np.float32)
FORWARD = np.array([0.7, 0, 0, 0], np.float32)
PLAIN = (
    WorldConfig(wind=WindModel(steady=0, gust=0))
    .with_sensor("imu", model=NOISELESS, timing=SensorTiming(rate=100))
    .with_sensor(
        "camera", model=CameraModel(width=8, height=6), timing=SensorTiming(rate=20, latency=0.05)
    )
)


@pytest.fixture
def make() -> Iterator[Any]:
    """Makes environments that are closed after the test."""
    made: list[NavigationEnv] = []

    def build(config: WorldConfig | None = PLAIN, **arguments: Any) -> NavigationEnv:
        made.append(NavigationEnv(config=config, **arguments))
        return made[-1]

    yield build
    for env in made:
        env.close()


@pytest.fixture
def corridor(monkeypatch: pytest.MonkeyPatch) -> None:
    """The target 3 m straight ahead, a wall 2 m behind."""
    scene = Scene(
        start_position=np.array([0.0, 0.0, 1.5]),
        start_yaw=0.0,
        appearance=sample_appearance(np.random.default_rng(0), "train"),
        target=Solid(Shape.SPHERE, np.array([3.0, 0.0, 1.5]), (0.6,), (1.0, 0.0, 0.0)),
        obstacles=(Solid(Shape.BOX, np.array([-2.5, 0.0, 1.5]), (1.0, 4.0, 3.0), (0.0, 0.0, 1.0)),),
    )
    monkeypatch.setattr(TargetTask, "sample", lambda *_: scene)


def assert_same(first: Any, second: Any) -> None:
    """Two observations are bit for bit the same."""
    assert first.keys() == second.keys()
    for key, value in first.items():
        assert np.array_equal(value, second[key]), key


# The contract


def test_gymnasium_is_imported_for_the_environment_only() -> None:
    program = (
        "import sys, liquid_nav_sim, liquid_nav_sim.world; assert 'gymnasium' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


# Seeds


def test_seeds_repeat_and_their_absence_varies(make: Any) -> None:
    def flight(env: NavigationEnv, seed: int | None) -> tuple[Any, Any]:
        env.reset(seed=seed)
        for _ in range(5):
            observation, _, _, _, info = env.step(FORWARD)
        return observation, info["events"]

    env, other = make(), make()
    first, second, third = (flight(env, seed) for seed in (11, None, None))
    assert not np.array_equal(first[0]["camera"], second[0]["camera"])
    assert not np.array_equal(second[0]["camera"], third[0]["camera"])
    for expected, seed in ((first, 11), (second, None), (third, None)):
        found = flight(other, seed)
        assert_same(found[0], expected[0])
        assert found[1] == expected[1]


def test_a_seeded_reset_is_the_flight_of_the_world(make: Any) -> None:
    env, world = make(), World(PLAIN)
    env.reset(seed=21)
    world.reset(21)
    *_, info = env.step(STAY)
    events = [world.next_event(SECOND // 30) for _ in info["events"]]
    assert len(events) > 0
    assert EventBatch(event for event in events if event is not None) == info["events"]
    world.close()


def test_two_environments_do_not_touch_each_other(make: Any) -> None:
    env, other = make(), make()
    env.reset(seed=1)
    alone = [env.step(FORWARD)[0] for _ in range(6)]
    env.reset(seed=1)
    for expected in alone:
        other.reset(seed=2)
        other.step(STAY)
        assert_same(env.step(FORWARD)[0], expected)


# Time


@pytest.mark.parametrize("rate", [10, 30.0, 37.7])
def test_control_keeps_its_rate(make: Any, rate: float) -> None:
    env = make(rate=rate)
    assert env.metadata["render_fps"] == rate
    env.reset(seed=0)
    for k in range(1, 21):
        *_, info = env.step(STAY)
        assert 0 <= info["time"] - k / rate < STEP / SECOND


def test_observations_are_what_arrived(make: Any) -> None:
    env = make()
    observation, info = env.reset(seed=5)
    assert len(info["events"]) == 0
    frame, stamp, first = observation["camera"], 0, 0
    for _ in range(30):
        observation, _, _, _, info = env.step(0.5 * FORWARD)
        now = info["time"]
        samples = [event for event in info["events"] if isinstance(event, ImuSample)]
        mean = np.mean([(*s.angular_velocity, *s.specific_force) for s in samples], axis=0)
        assert observation["imu"] == pytest.approx(mean, rel=1e-5, abs=1e-6)
        age = now - samples[-1].stamp / SECOND
        assert observation["imu_age"][0] == pytest.approx(age, abs=1e-6)
        for event in info["events"]:
            assert event.arrival <= now * SECOND + 1
            if isinstance(event, CameraFrame):
                frame, stamp = event.image, event.stamp
        first += stamp == 0
        assert np.array_equal(observation["camera"], frame)
        assert observation["camera_age"][0] == pytest.approx(now - stamp / SECOND, abs=1e-6)
        assert stamp == 0 or 0.05 <= observation["camera_age"][0] < 0.05 + 1 / 20
    assert 0 < first < 4


@pytest.mark.parametrize("kind", ["sensors", "events"])
def test_a_flight_begins_with_what_its_sensors_see(make: Any, kind: str) -> None:
    config = WorldConfig().with_sensor("range_finder")
    env = make(config, observation=kind)
    first, info = env.reset(seed=3)
    assert first in env.observation_space
    assert info["time"] == 0
    other, _ = env.reset(seed=4)
    again, _ = env.reset(seed=3)
    assert_same(again, first)
    picture = "camera" if kind == "sensors" else "frames"
    assert first[picture].std() > 5, "a black frame"
    assert not np.array_equal(other[picture], first[picture])
    if kind == "events":
        assert np.count_nonzero(first["channel"]) == 3
        return
    # At rest the IMU feels gravity, and each sensor says that it has just measured.
    assert first["imu"][5] == pytest.approx(GRAVITY, abs=0.5)
    assert first["range_finder"][0] == pytest.approx(env._world.state.position[2], abs=0.2)
    assert [first[f"{name}_age"][0] for name in ("imu", "camera", "range_finder")] == [0, 0, 0]
    assert not np.array_equal(other["imu"], first["imu"])


def test_the_first_look_is_no_part_of_the_flight(make: Any) -> None:
    env, world = make(WorldConfig()), World(WorldConfig())
    env.reset(seed=8)
    world.reset(8)
    seen = EventBatch(event for _ in range(5) for event in env.step(FORWARD)[-1]["events"])
    world.command(Command(0, *(np.array(CommandLimits().magnitude) * FORWARD).tolist()))
    flown = EventBatch(iter(lambda: world.next_event(env._world.time), None))
    assert seen == flown
    with pytest.raises(SimulationError, match="first_look"):
        world.first_look()
    world.close()


def test_a_sensor_that_sees_nothing_has_the_largest_age(make: Any) -> None:
    env = make(replace(PLAIN, faults=(Fault("camera_drop", 0, 0.2),)))
    observation, _ = env.reset(seed=1)
    oldest = env.observation_space["camera_age"].high[0]
    ages = [observation["camera_age"][0]] + [env.step(STAY)[0]["camera_age"][0] for _ in range(12)]
    assert ages[:6] == [oldest] * 6
    assert not observation["camera"].any()
    assert max(ages[-3:]) < 0.2
    assert observation["imu_age"][0] == 0


def test_a_dropped_environment_frees_its_simulator(make: Any) -> None:
    env = NavigationEnv(config=PLAIN)
    env.reset(seed=0)
    env.step(STAY)
    client = env._world.client
    assert pybullet.isConnected(client)
    del env
    gc.collect()
    assert not pybullet.isConnected(client)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_world_that_is_copied_says_what_to_do(duplicate: Any) -> None:
    world = World(PLAIN)
    with pytest.raises(SimulationError, match=r"World\(config\) and reset it with the same seed"):
        duplicate(world)
    world.close()


def test_no_sample_in_a_step_leaves_the_last_mean(make: Any) -> None:
    env = make(
        WorldConfig()
        .with_sensor("imu", timing=SensorTiming(rate=10))
        .with_sensor("camera", model=CameraModel(width=8, height=6), timing=SensorTiming(rate=1))
    )
    env.reset(seed=0)
    kept = 0
    last = env.step(STAY)[0]
    for _ in range(20):
        observation, _, _, _, info = env.step(STAY)
        if not info["events"]:
            kept += 1
            assert np.array_equal(observation["imu"], last["imu"])
            grown = observation["imu_age"][0] - last["imu_age"][0]
            assert grown == pytest.approx(1 / 30, abs=STEP / SECOND + 1e-4)
        last = observation
    assert kept > 8


def test_a_violent_end_stays_in_the_observation_space(make: Any) -> None:
    env = make()
    env.reset(seed=0)
    sample = ImuSample(0, 0, np.array([1e3, -1e3, 0]), np.array([0, 0, 1e6]))
    observation = env._observer.observe(env._world, EventBatch([sample]))
    assert observation in env.observation_space
    assert observation["imu"][0] == IMU_RANGE[0]


# Actions and rewards


@pytest.mark.usefixtures("corridor")
def test_actions_are_shares_of_the_limits(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    env = make()
    env.reset(seed=0)
    commands = []
    monkeypatch.setattr(World, "command", lambda _, command: commands.append(command))
    env.step(np.array([1, -0.5, 0.25, -1], np.float32))
    env.step(np.array([0, 0, 0, -9], np.float32))
    vx, vy, vz, yaw_rate = CommandLimits().magnitude
    assert commands[0].vector == (vx, -0.5 * vy, 0.25 * vz, -yaw_rate)
    assert commands[1].vector == (0, 0, 0, -yaw_rate)
    # The first physics step that ends at or after a thirtieth of a second.
    assert [command.stamp for command in commands] == [0, STEP * math.ceil(SECOND / 30 / STEP)]


@pytest.mark.usefixtures("corridor")
def test_progress_is_paid_and_success_ends(make: Any) -> None:
    env = make()
    env.reset(seed=0)
    rewards, terminated = [], False
    while not terminated:
        _, reward, terminated, truncated, info = env.step(FORWARD)
        rewards.append(reward)
        assert not truncated
        assert ("outcome" in info) == terminated
    assert info["outcome"] == "success"
    assert info["is_success"] is True
    assert min(rewards[10:]) > 0.02
    # From 3 m to 1 m.
    assert sum(rewards) == pytest.approx(2.0 + SUCCESS_REWARD, abs=0.02)
    with pytest.raises(ResetNeeded, match="reset"):
        env.step(STAY)
    env.reset()
    env.step(STAY)


@pytest.mark.usefixtures("corridor")
def test_a_collision_costs_and_ends(make: Any) -> None:
    env = make()
    env.reset(seed=0)
    total, terminated = 0.0, False
    while not terminated:
        _, reward, terminated, truncated, info = env.step(-FORWARD)
        total += reward
        assert not truncated
    assert info["outcome"] == "collision"
    assert info["is_success"] is False
    # From the start to the wall, hull in front.
    assert total == pytest.approx(-(2.0 - 0.18) + COLLISION_REWARD, abs=0.03)


def test_the_time_limit_truncates(make: Any) -> None:
    env = make(WorldConfig(task=TargetTask(time_limit=0.25)), rate=20)
    env.reset(seed=0)
    ends = [env.step(STAY)[2:] for _ in range(5)]
    assert [end[:2] for end in ends] == [(False, False)] * 4 + [(False, True)]
    assert ends[-1][2]["outcome"] == "timeout"


# Pictures


def test_the_outside_view_shows_a_flight(make: Any) -> None:
    env = make(render_mode="rgb_array")
    with pytest.raises(ResetNeeded):
        env.render()
    env.reset(seed=0)
    before = env.render()
    assert before is not None
    assert before.shape == (240, 320, 3)
    assert before.dtype == np.uint8
    # The vehicle is in the middle.
    eye, position = env._viewpoint()
    bodies = env._outside.render(eye, look_at(eye, position)).segmentation
    rows, columns = np.nonzero(bodies == env._world._vehicle.body)
    assert len(rows) > 100
    assert rows.mean() == pytest.approx(119.5, abs=8)
    assert columns.mean() == pytest.approx(159.5, abs=8)
    for _ in range(5):
        env.step(FORWARD)
    assert not np.array_equal(env.render(), before)


def test_the_window_follows_in_real_time(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    views: list[dict[str, Any]] = []
    monkeypatch.setattr(pybullet, "resetDebugVisualizerCamera", lambda **view: views.append(view))
    env = make()
    # All that the mode does but opening the window, for which tests have no display.
    env.render_mode = "human"
    env.reset(seed=0)
    begin = time.perf_counter()
    for _ in range(9):
        env.step(FORWARD)
    assert time.perf_counter() - begin > 9 / 30 - 0.05
    assert len(views) == 10
    eye, position = env._viewpoint()
    view = np.reshape(
        pybullet.computeViewMatrixFromYawPitchRoll(
            position,
            views[-1]["cameraDistance"],
            views[-1]["cameraYaw"],
            views[-1]["cameraPitch"],
            roll=0,
            upAxisIndex=2,
        ),
        (4, 4),
    ).T
    assert np.linalg.inv(view)[:3, 3] == pytest.approx(eye, abs=1e-4)
    assert views[-1]["cameraTargetPosition"] == pytest.approx(position)
    assert views[-1]["physicsClientId"] == env._world.client


def test_no_mode_no_picture(make: Any) -> None:
    env = make()
    env.reset(seed=0)
    with pytest.warns(UserWarning, match="render_mode"):
        assert env.render() is None


# The boundary


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("config", {"step": 1}),
        ("rate", 0),
        ("rate", float("nan")),
        ("rate", 401),
        ("rate", "30"),
        ("render_mode", "ansi"),
    ],
)
def test_a_bad_argument_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(SimulationError, match=f"{name} must"):
        NavigationEnv(**{name: value})


@pytest.mark.parametrize("action", [np.zeros(3), np.zeros((1, 4)), [0, 0, 0, np.nan], [np.inf] * 4])
def test_a_bad_action_is_refused(make: Any, action: Any) -> None:
    env = make()
    env.reset(seed=0)
    with pytest.raises(SimulationError, match="action"):
        env.step(action)


@pytest.mark.parametrize("seed", [-1, 0.5])
def test_a_bad_seed_is_refused(make: Any, seed: Any) -> None:
    with pytest.raises(SimulationError, match="seed"):
        make().reset(seed=seed)


def test_before_reset_and_after_close_nothing_flies(make: Any) -> None:
    env = make()
    with pytest.raises(ResetNeeded, match="reset"):
        env.step(STAY)
    env.reset(seed=0)
    env.close()
    env.close()
    with pytest.raises(ResetNeeded):
        env.step(STAY)
    with pytest.raises(SimulationError, match="closed"):
        env.reset()


def test_batches_compare_by_content() -> None:
    def batch(stamp: int = 0, rate: float = 0.0) -> EventBatch:
        return EventBatch([ImuSample(stamp, 5, np.array([rate, 0, 0]), np.array([0, 0, 9.8]))])

    assert batch() == batch()
    assert batch() != batch(stamp=1)
    assert batch() != batch(rate=1e-9)
    assert batch() != EventBatch()
    assert batch() != EventBatch([*batch(), *batch()])
    assert batch() != EventBatch([CameraFrame(0, 5, np.zeros((1, 1, 3), np.uint8))])
    assert repr(batch()) == "EventBatch(imu@5)"
