"""Gymnasium environments of all tasks, with fixed-rate control and asynchronous sensors."""

import math
import time
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pybullet
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray

from liquid_nav.command import Command, CommandLimits
from liquid_nav.events import SECOND, Channel
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.gym.event_batch import EventBatch
from liquid_nav_sim.gym.observation import OBSERVERS, Observation, Observer, StateObserver
from liquid_nav_sim.sensors.camera import Camera, look_at
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.tasks.registry import make_task
from liquid_nav_sim.world import Outcome, World

SUCCESS_REWARD = 10.0
"""Added to the reward of the step that ends in success."""

COLLISION_REWARD = -10.0
"""Added to the reward of the step that ends in a collision."""

OUTSIDE_CAMERA = CameraModel(width=320, height=240, horizontal_fov=1.2, noise_sigma=0.0)
"""The camera of `render_mode="rgb_array"`."""

OUTSIDE_OFFSET = (2.5, 1.0)
"""Offset of the outside camera from the vehicle: metres backwards from the goal, and up."""


class NavigationEnv(gymnasium.Env[Observation, NDArray[np.float32]]):
    """A task, with one action per control period.

    Inside a step each sensor measures on its own clock, and its measurements arrive late or never.
    A step flies until the next control instant, the first physics step at or after a multiple of
    1 / `rate`, and observes the measurements that have arrived.

    Action: float32 in [-1, 1], shape (4,): forward, left and up velocity and yaw rate (heading
    frame), as fractions of the magnitude of `CommandLimits()`, scaled by the speed of the task.
    Values outside are clipped.

    Observation: see `liquid_nav_sim.gym.observation`: "sensors" for the newest measurements of each
    sensor with their ages (`SensorsObserver`), "state" for the true state without a camera
    (`StateObserver`), "events" for each event with its own times (`EventsObserver`).

    Reward: the change of `Attempt.progress` in the step (metres; in `follow` seconds too), plus
    `SUCCESS_REWARD` or `COLLISION_REWARD` in the last step. Success and collision terminate, the
    time limit truncates.

    Info: `events`, the `EventBatch` of the events that arrived in the step, for a controller that
    uses the time of each; `time` in seconds since the start; after the last step also
    `outcome` (a string, see `Outcome`) and `is_success`.

    Seeds: `reset(seed=n)` begins the flight of `World.reset(n)`; without a seed the next flight is
    drawn from `np_random`. `reset(options={"difficulty": d})` sets the task's difficulty from this
    flight on, for curricula.

    Args:
        task: name of the task, see `liquid_nav_sim.tasks.registry.TASKS`; that of `config` if None.
        difficulty: difficulty of the task, in [0, 1]; that of `config` if None.
        observation: "sensors", "state" or "events".
        obstacles: number of nearest obstacles in a "state"; 0 for the others.
        config: configuration of the world; the default one if None.
        rate: actions per second of simulated time.
        render_mode: None; "rgb_array" for an outside view, uint8 RGB; "human" for PyBullet's window
            in real time.

    Raises:
        SimulationError: on an invalid argument, or a window without a display.
    """

    metadata: dict[str, Any] = {"render_modes": ["human", "rgb_array"], "render_fps": 30}  # noqa: RUF012

    def __init__(
        self,
        task: str | None = None,
        difficulty: float | None = None,
        observation: str = "sensors",
        obstacles: int = 0,
        config: WorldConfig | None = None,
        rate: float = 30.0,
        render_mode: str | None = None,
    ) -> None:
        if config is None:
            config = WorldConfig()
        elif not isinstance(config, WorldConfig):
            raise SimulationError(f"config must be a WorldConfig, got {config!r}")
        if task is not None and task != config.task.name:
            config = replace(config, task=make_task(task))
        fastest = SECOND / config.step
        if not (isinstance(rate, (int, float)) and 1 <= rate <= fastest):
            raise SimulationError(
                f"rate must be in [1, {fastest:g}] Hz, no faster than physics, got {rate!r}"
            )
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise SimulationError(
                f"render_mode must be None, 'human' or 'rgb_array', got {render_mode!r}"
            )
        if observation not in OBSERVERS:
            raise SimulationError(
                f"observation must be one of {', '.join(OBSERVERS)}, got {observation!r}"
            )
        if observation == "state":
            cameras = [s.name for s in config.sensors if s.model.channel is Channel.CAMERA]
            config = config.without(*cameras)
        self.render_mode = render_mode
        self.metadata = {**self.metadata, "render_fps": rate}
        self.action_space = spaces.Box(-1.0, 1.0, (4,), np.float32)
        self._observer = _observer(observation, obstacles, config, rate)
        self.observation_space = self._observer.space
        self._rate = rate
        self._scale = np.array(CommandLimits().scaled(config.task.speed).magnitude)
        self._flying = False
        self._world = World(_with_difficulty(config, difficulty), gui=render_mode == "human")

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin a flight, and observe what its sensors see at the start (`World.first_look`).

        No time has passed, and no measurement of the flight has arrived: `info["events"]` is empty.

        Args:
            seed: seed of this flight and of the random seeds after it, >= 0; None draws one.
            options: `difficulty`, that of the task from this flight on, in [0, 1].

        Raises:
            SimulationError: on an invalid seed or option, or after `close`.
        """
        world = self._world
        if unknown := set(options or ()) - {"difficulty"}:
            raise SimulationError(f"options may hold difficulty, got {', '.join(sorted(unknown))}")
        world.config = _with_difficulty(world.config, (options or {}).get("difficulty"))
        if seed is None:
            world.reset(int(self.np_random.integers(2**32)))
        else:
            world.reset(seed)
            super().reset(seed=int(seed))
        self._ticks = 0
        self._observer.reset()
        self._progress = world.attempt.progress
        self._started = time.perf_counter()
        if self.render_mode == "rgb_array":
            self._outside = Camera(world.client, OUTSIDE_CAMERA, world.scene)
        self._flying = True
        if self.render_mode == "human":
            self.render()
        seen = EventBatch(world.first_look())
        return self._observer.observe(world, seen), self._info(EventBatch())

    def step(
        self, action: NDArray[np.float32]
    ) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Fly one control period.

        Args:
            action: shape (4,), see the class.

        Raises:
            ResetNeeded: if no flight is under way.
            SimulationError: on an action of another shape, or one that is not finite.
        """
        if not self._flying:
            raise ResetNeeded("no flight is under way: call reset() before step()")
        velocity = self._scale * np.clip(_checked(action), -1.0, 1.0)
        world = self._world
        world.command(Command(world.time, *velocity.tolist()))
        self._ticks += 1
        until = round(self._ticks * SECOND / self._rate)
        events = EventBatch(iter(lambda: world.next_event(until), None))
        before, self._progress = self._progress, world.attempt.progress
        reward = self._progress - before
        if world.outcome is Outcome.SUCCESS:
            reward += SUCCESS_REWARD
        elif world.outcome is Outcome.COLLISION:
            reward += COLLISION_REWARD
        self._flying = world.outcome is None
        if self.render_mode == "human":
            self.render()
        truncated = world.outcome is Outcome.TIMEOUT
        terminated = not self._flying and not truncated
        observation = self._observer.observe(world, events)
        return observation, reward, terminated, truncated, self._info(events)

    def render(self) -> NDArray[np.uint8] | None:
        """Show the flight from outside.

        Returns:
            uint8 RGB of `OUTSIDE_CAMERA`'s shape in mode "rgb_array", else None.

        Raises:
            ResetNeeded: before the first `reset`.
        """
        if self.render_mode is None:
            gymnasium.logger.warn("render() does nothing: make the environment with a render_mode")
            return None
        if not hasattr(self, "_ticks"):
            raise ResetNeeded("there is nothing to render yet: call reset() before render()")
        if self.render_mode == "human":
            self._show()
            return None
        eye, position = self._viewpoint()
        return self._outside.render(eye, look_at(eye, position)).image

    def close(self) -> None:
        """Close the simulator; a second call does nothing."""
        self._flying = False
        self._world.close()

    def _info(self, events: EventBatch) -> dict[str, Any]:
        world = self._world
        info: dict[str, Any] = {"events": events, "time": world.time / SECOND}
        if world.outcome is not None:
            info["outcome"] = world.outcome.value
            info["is_success"] = world.outcome is Outcome.SUCCESS
        return info

    def _viewpoint(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Position of the outside camera and of the vehicle, metres, world ENU, shape (3,) each."""
        position = self._world.state.position
        x, y, _ = (self._world.attempt.goal - position).tolist()
        level = max(math.hypot(x, y), 1e-6)
        back, up = OUTSIDE_OFFSET
        return position + np.array([-back * x / level, -back * y / level, up]), position

    def _show(self) -> None:
        eye, position = self._viewpoint()
        x, y, z = (position - eye).tolist()
        pybullet.resetDebugVisualizerCamera(
            cameraDistance=math.hypot(x, y, z),
            # PyBullet counts this yaw from the y axis.
            cameraYaw=math.degrees(math.atan2(y, x)) - 90,
            cameraPitch=math.degrees(math.atan2(z, math.hypot(x, y))),
            cameraTargetPosition=position.tolist(),
            physicsClientId=self._world.client,
        )
        flown = self._world.time / SECOND
        time.sleep(max(0.0, flown - (time.perf_counter() - self._started)))


def _checked(action: NDArray[np.float32]) -> NDArray[np.float64]:
    values = np.asarray(action, dtype=np.float64)
    if values.shape != (4,) or not np.isfinite(values).all():
        raise SimulationError(f"action must be four finite numbers, got {action!r}")
    return values


def _with_difficulty(config: WorldConfig, difficulty: float | None) -> WorldConfig:
    """The configuration with another difficulty of its task, unless that is None."""
    if difficulty is None:
        return config
    if not isinstance(difficulty, (int, float)):
        raise SimulationError(f"difficulty must be a number in [0, 1], got {difficulty!r}")
    return replace(config, task=replace(config.task, difficulty=difficulty))


def _observer(name: str, obstacles: int, config: WorldConfig, rate: float) -> Observer:
    if not (isinstance(obstacles, int) and 0 <= obstacles <= 100):
        raise SimulationError(f"obstacles must be a whole number in [0, 100], got {obstacles!r}")
    if name == "state":
        return StateObserver(config, rate, obstacles)
    if obstacles:
        raise SimulationError(f"obstacles must be 0 where the observation is {name!r}")
    return OBSERVERS[name](config, rate)
