"""Every task as a Gymnasium environment, observed in every way: contracts, vectors, learning."""

import math
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.utils.passive_env_checker import env_render_passive_checker

import liquid_nav_sim.gym  # noqa: F401  # registers the environments
from liquid_nav.events import SECOND, CameraFrame, Channel, ImuSample
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.gym.env import NavigationEnv
from liquid_nav_sim.gym.event_batch import EventBatch
from liquid_nav_sim.gym.observation import (
    EVENT_CHANNELS,
    FRAMES,
    GOAL_RANGE,
    IMU_RANGE,
    OBSERVERS,
    OBSTACLE_RANGE,
    EventsObserver,
)
from liquid_nav_sim.render.pinhole import FAR
from liquid_nav_sim.scenes.scene import Shape, Solid
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.sensors.range_finder import RangeFinderModel
from liquid_nav_sim.sensors.timing import SensorTiming
from liquid_nav_sim.tasks.follow import FollowTask
from liquid_nav_sim.tasks.registry import TASKS

IDS = {task: f"liquid_nav/{task.capitalize()}-v0" for task in TASKS}
FORWARD = np.array([0.6, 0, 0, 0], np.float32)
SMALL = WorldConfig().with_sensor("camera", model=CameraModel(width=40, height=36))
EVERY = [(task, observation) for task in sorted(TASKS) for observation in sorted(OBSERVERS)]


@pytest.fixture
def make() -> Iterator[Any]:
    """Makes registered environments that are closed after the test."""
    made: list[gymnasium.Env[Any, Any]] = []

    def build(task: str, **arguments: Any) -> Any:
        made.append(gymnasium.make(IDS[task], **arguments))
        return made[-1]

    yield build
    for env in made:
        env.close()


def same(first: Any, second: Any) -> bool:
    """Whether two observations are bit for bit the same."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(v, second[k]) for k, v in first.items())
    return np.array_equal(first, second)


@pytest.mark.parametrize(("task", "observation"), EVERY)
def test_checkers_find_nothing(make: Any, task: str, observation: str) -> None:
    from stable_baselines3.common.env_checker import check_env as sb3_check_env

    env = make(task, observation=observation, config=SMALL, render_mode="rgb_array").unwrapped
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Its render check would open PyBullet's window; the other mode is checked here.
        check_env(env, skip_render_check=True)
        env_render_passive_checker(env)
        sb3_check_env(env)


@pytest.mark.parametrize(("task", "observation"), EVERY)
def test_a_seed_is_a_flight_and_another_seed_another(
    make: Any, task: str, observation: str
) -> None:
    env = make(task, observation=observation, config=SMALL)

    def flight(seed: int | None) -> list[Any]:
        seen = [env.reset(seed=seed)[0]]
        for _ in range(8):
            seen.append(env.step(FORWARD)[0])
            assert seen[-1] in env.observation_space
        return seen

    first, again, other, drawn = flight(5), flight(5), flight(6), flight(None)
    assert all(map(same, first, again))
    assert not same(first[-1], other[-1])
    assert not same(other[-1], drawn[-1])


@pytest.mark.parametrize(("task", "observation"), EVERY)
def test_environments_of_one_process_do_not_touch_each_other(
    make: Any, task: str, observation: str
) -> None:
    env, other = (make(task, observation=observation, config=SMALL) for _ in range(2))
    env.reset(seed=1)
    alone = [env.step(FORWARD)[0] for _ in range(6)]
    env.reset(seed=1)
    for expected in alone:
        other.reset(seed=2)
        other.step(-FORWARD)
        assert same(env.step(FORWARD)[0], expected)


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_vectors_fly_the_flights_of_their_seeds(make: Any, mode: str) -> None:
    # A process that has threads must not fork.
    options = {"context": "spawn"} if mode == "async" else {}
    envs = gymnasium.make_vec(
        IDS["gates"],
        num_envs=2,
        vectorization_mode=mode,
        vector_kwargs=options,
        observation="state",
    )
    first = envs.reset(seed=[3, 4])[0]
    second, rewards, *_, infos = envs.step(np.stack([FORWARD, FORWARD]))
    envs.close()
    assert first.shape == second.shape == (2, 15)
    for row, seed in enumerate((3, 4)):
        env = make("gates", observation="state")
        assert np.array_equal(env.reset(seed=seed)[0], first[row])
        observation, reward, *_, info = env.step(FORWARD)
        assert np.array_equal(observation, second[row])
        assert reward == pytest.approx(rewards[row])
        assert info["events"] == infos["events"][row]


# What is observed


def test_the_state_is_that_of_the_world(make: Any) -> None:
    env = make("target", observation="state", obstacles=3)
    env.reset(seed=3)
    assert env.observation_space.shape == (15 + 9,)
    for _ in range(40):
        observation, *_, info = env.step(np.array([0.5, 0.4, 0.2, 0.8], np.float32))
        world = env.unwrapped._world
        state = world.state
        x, y, z, w = state.orientation
        yaw = math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
        c, s = math.cos(yaw), math.sin(yaw)
        turn = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
        goal = turn @ (world.scene.target.position - state.position)
        assert observation[:3] == pytest.approx(goal, abs=1e-4)
        assert observation[3:6] == pytest.approx(turn @ state.linear_velocity, abs=1e-5)
        up = [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]
        assert observation[6:9] == pytest.approx(up, abs=1e-6)
        samples = [e for e in info["events"] if isinstance(e, ImuSample)]
        mean = np.mean([(*e.angular_velocity, *e.specific_force) for e in samples], axis=0)
        assert observation[9:15] == pytest.approx(mean, rel=1e-5, abs=1e-5)
        ways = observation[15:].reshape(3, 3)
        distances = sorted(o.distance(state.position) for o in world.scene.obstacles)[:3]
        assert np.linalg.norm(ways, axis=1) == pytest.approx(distances, abs=1e-4)
    assert not any(isinstance(event, CameraFrame) for event in info["events"])


def test_a_state_without_obstacles_says_so(make: Any) -> None:
    env = make("target", difficulty=0.0, observation="state", obstacles=4)
    for seed in range(20):
        observation, _ = env.reset(seed=seed)
        obstacles = len(env.unwrapped._world.scene.obstacles)
        ways = observation[15:].reshape(4, 3)
        assert (ways[obstacles:] == [0, 0, -OBSTACLE_RANGE]).all()
        assert (np.abs(observation[:3]) < GOAL_RANGE).all()


@pytest.mark.parametrize("shape", list(Shape))
def test_the_nearest_point_of_a_solid_is_as_far_as_the_solid(shape: Shape) -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        size = tuple(rng.uniform(0.3, 2.0, {"sphere": 1, "box": 3, "cylinder": 2}[shape.value]))
        solid = Solid(shape, rng.uniform(-2, 2, 3), size, (1, 0, 0), float(rng.uniform(-3, 3)))
        point = solid.position + rng.uniform(-2.5, 2.5, 3)
        nearest = solid.nearest(point)
        assert np.linalg.norm(nearest - point) == pytest.approx(
            max(solid.distance(point), 0.0), abs=1e-9
        )
        assert solid.distance(nearest) <= 1e-9


def test_events_are_all_that_arrived_with_their_times(make: Any) -> None:
    env = make("target", observation="events", config=SMALL, rate=20)
    env.reset(seed=2)
    channels: set[Any] = set()
    for _ in range(40):
        observation, *_, info = env.step(FORWARD)
        events, now = info["events"], info["time"]
        count = len(events)
        assert 0 < count <= len(observation["channel"])
        shown = [EVENT_CHANNELS[number] for number in observation["channel"]]
        assert shown == [event.channel for event in events] + [None] * (len(shown) - count)
        channels |= set(shown)
        ages = [now - event.stamp / SECOND for event in events]
        assert observation["age"][:count] == pytest.approx(ages, abs=1e-5)
        latencies = [event.latency / SECOND for event in events]
        assert observation["latency"][:count] == pytest.approx(latencies, abs=1e-6)
        assert not observation["age"][count:].any()
        imu = observation["imu"].reshape(-1, 6)
        for row, event in enumerate(events):
            if isinstance(event, ImuSample):
                assert imu[row] == pytest.approx(
                    (*event.angular_velocity, *event.specific_force), rel=1e-5, abs=1e-6
                )
            else:
                assert not imu[row].any()
        images = [event.image for event in events if isinstance(event, CameraFrame)][-FRAMES:]
        blank = np.zeros((36, 40 * (FRAMES - len(images)), 3), np.uint8)
        assert np.array_equal(observation["frames"], np.concatenate([blank, *images], axis=1))
    assert channels == set(EVENT_CHANNELS)


def test_events_of_every_fitted_sensor_are_shown(make: Any) -> None:
    config = SMALL.with_sensor("range_finder").with_sensor("odometry").with_sensor("event_camera")
    config = config.with_sensor("rear", CameraModel(width=20, height=10, mount_yaw=math.pi))
    config = config.with_sensor("front", RangeFinderModel(direction=(1.0, 0.0, 0.0), max_range=9.0))
    env = make("target", observation="events", config=config, rate=10)
    assert set(env.observation_space) == {
        *("channel", "age", "latency", "imu", "range_finder", "odometry", "front"),
        *("frames", "rear_frames"),
    }
    numbers = {Channel.IMU: 1, Channel.CAMERA: 2, Channel.RANGE: 3, Channel.ODOMETRY: 4}
    env.reset(seed=2)
    world, seen = env.unwrapped._world, set()
    for _ in range(10):
        observation, *_, info = env.step(FORWARD)
        assert observation in env.observation_space
        events = [event for event in info["events"] if event.channel in numbers]
        count = len(observation["channel"])
        expected = [numbers[event.channel] for event in events]
        assert observation["channel"].tolist() == expected + [0] * (count - len(events))
        for row, event in enumerate(events):
            name = world.sensor_of(event)
            seen.add(name)
            if event.channel is not Channel.CAMERA:
                model = config.sensor(name).model
                values = np.clip(model.values([event]), *model.limits)
                assert observation[name].reshape(count, -1)[row] == pytest.approx(values, abs=1e-4)
            for other in {"imu", "range_finder", "odometry", "front"} - {name}:
                assert not observation[other].reshape(count, -1)[row].any()
        rear = [event.image for event in events if world.sensor_of(event) == "rear"][-FRAMES:]
        blank = np.zeros((10, 20 * (FRAMES - len(rear)), 3), np.uint8)
        assert np.array_equal(observation["rear_frames"], np.concatenate([blank, *rear], axis=1))
    assert seen == {sensor.name for sensor in config.sensors} - {"event_camera"}


def test_a_sensor_named_like_a_key_of_the_events_observation_is_refused() -> None:
    config = SMALL.with_sensor("age", RangeFinderModel())
    with pytest.raises(SimulationError, match="must not be named age"):
        EventsObserver(config, rate=30.0)


def test_of_too_many_events_the_newest_are_shown() -> None:
    config = SMALL.with_sensor("imu", timing=SensorTiming(rate=60)).without("camera")
    observer = EventsObserver(config, rate=30.0)
    assert len(observer.space["channel"].low) == 11
    batch = EventBatch(
        ImuSample(k, k, np.full(3, float(k)), np.array([0.0, 0.0, 1e6])) for k in range(30)
    )

    class ImuWorld:
        time = 30

        def sensor_of(self, event: Any) -> str:
            return "imu"

    observation = observer.observe(ImuWorld(), batch)  # type: ignore[arg-type]
    assert observation in observer.space
    rates = observation["imu"].reshape(11, 6)
    assert rates[:, 0].tolist() == list(range(19, 30))
    assert (rates[:, 5] == IMU_RANGE[5]).all()
    assert Channel.IMU in EVENT_CHANNELS


def test_depth_is_that_of_the_newest_frame(make: Any) -> None:
    config = SMALL.with_sensor("camera", model=replace(SMALL.sensor("camera").model, depth=True))
    env = make("forest", config=config)
    assert 0 < env.reset(seed=0)[0]["depth"].min() < 10
    for _ in range(10):
        observation, *_, info = env.step(FORWARD)
        assert observation in env.observation_space
        frames = [event for event in info["events"] if isinstance(event, CameraFrame)]
        if frames:
            view = env.unwrapped._world.view(frames[-1])
            assert np.array_equal(observation["depth"][..., 0], np.minimum(view.depth, FAR))
            assert np.array_equal(observation["camera"], frames[-1].image)
    assert 0 < observation["depth"].min() < 10 < observation["depth"].max() == FAR


# Tasks


@pytest.mark.parametrize("task", sorted(TASKS))
def test_the_reward_is_progress(make: Any, task: str) -> None:
    env = make(task, observation="state")
    env.reset(seed=4)
    attempt = env.unwrapped._world.attempt
    before = attempt.progress
    rewards = [env.step(FORWARD)[1] for _ in range(20)]
    assert sum(rewards) == pytest.approx(attempt.progress - before)
    assert sum(rewards) != 0


def test_difficulty_changes_from_a_reset_on(make: Any) -> None:
    env = make("gates", difficulty=0.0, observation="state")

    def gates(**arguments: Any) -> int:
        env.reset(seed=0, **arguments)
        return len(env.unwrapped._world.scene.gates)

    assert gates() == 2
    assert gates(options={"difficulty": 1.0}) == 6
    assert gates() == 6


def test_a_task_of_a_configuration_is_kept(make: Any) -> None:
    config = WorldConfig(task=FollowTask(hold=3.0))
    assert make("follow", config=config).unwrapped._world.config.task.hold == 3.0
    assert make("gates", config=config).unwrapped._world.config.task.name == "gates"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("task", "maze"),
        ("difficulty", 2.0),
        ("difficulty", "hard"),
        ("observation", "lidar"),
        ("obstacles", -1),
        ("obstacles", 3),
    ],
)
def test_a_bad_argument_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(SimulationError, match=rf"{name} must"):
        NavigationEnv(**{name: value})


def test_an_unknown_option_is_refused(make: Any) -> None:
    with pytest.raises(SimulationError, match="difficulty, got speed"):
        make("target", observation="state").reset(options={"speed": 1})


@pytest.mark.parametrize(("task", "observation"), EVERY)
def test_ppo_learns_on_it(make: Any, task: str, observation: str) -> None:
    """Not that it learns much: that rollouts and updates run, and change the policy."""
    from stable_baselines3 import PPO

    torch.set_num_threads(1)
    env = make(task, observation=observation, config=SMALL)
    features = {"cnn_output_dim": 8} if observation != "state" else {}
    model = PPO(
        "MlpPolicy" if observation == "state" else "MultiInputPolicy",
        env,
        n_steps=64,
        batch_size=64,
        n_epochs=1,
        seed=0,
        device="cpu",
        policy_kwargs={"net_arch": [8], "features_extractor_kwargs": features},
    )
    before = model.policy.action_net.weight.detach().clone()
    model.learn(128)
    assert model.num_timesteps == 128
    assert torch.isfinite(model.policy.action_net.weight).all()
    assert not torch.equal(model.policy.action_net.weight, before)
