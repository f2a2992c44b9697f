"""A Gymnasium environment over the world: fixed-rate control, asynchronous measurements inside."""

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import gymnasium
import numpy as np
import pybullet
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray

from liquid_nav.command import Command, CommandLimits
from liquid_nav.events import SECOND, CameraFrame, Event, ImuSample
from liquid_nav_sim.camera import Camera, CameraModel, look_at
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.state import GRAVITY
from liquid_nav_sim.world import Outcome, World, WorldConfig

SUCCESS_REWARD = 10.0
"""Added to the reward of the step that reaches the target."""

COLLISION_REWARD = -10.0
"""Added to the reward of the step that ends in a collision."""

IMU_RANGE = np.array([math.radians(2000)] * 3 + [16 * GRAVITY] * 3, dtype=np.float32)
"""Full scale of the observed IMU: rad/s about three axes, then m/s^2 along three."""

OUTSIDE_CAMERA = CameraModel(width=320, height=240, horizontal_fov=1.2, noise_sigma=0.0)
"""The camera of `render_mode="rgb_array"`."""

OUTSIDE_OFFSET = (2.5, 1.0)
"""Metres from the vehicle to the outside camera: back, seen towards the target, and up."""

Observation = dict[str, Any]
"""Arrays by name, see `TargetEnv`."""


class EventBatch(Sequence[Event]):
    """Events in order of arrival.

    Batches are equal when their events have the same kinds, times and measurements (single events
    compare by identity), so that the `info` of two equal steps is equal.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._events = tuple(events)

    def __len__(self) -> int:
        return len(self._events)

    def __getitem__(self, index: Any) -> Any:
        return self._events[index]

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, EventBatch) or len(self) != len(other):
            return False
        return all(
            type(mine) is type(theirs)
            and all(np.array_equal(value, vars(theirs)[key]) for key, value in vars(mine).items())
            for mine, theirs in zip(self, other, strict=True)
        )

    def __repr__(self) -> str:
        kinds = ", ".join(f"{event.channel.value}@{event.arrival}" for event in self)
        return f"EventBatch({kinds})"


class TargetEnv(gymnasium.Env[Observation, NDArray[np.float32]]):
    """Fly to the target, with one action per control period.

    Inside a step the world runs as ever: measurements are taken on their own clocks and arrive
    late, or never. A step flies until the next control instant, the first physics step at or after
    a multiple of 1 / `rate`, and observes what arrived until then.

    Action: float32 in [-1, 1], shape (4,): forward, left and up velocity and yaw rate (heading
    frame), as shares of the magnitude of `CommandLimits()`. Values outside are clipped.

    Observation:
        camera: newest frame that arrived, uint8 RGB, shape (H, W, 3); zeros before the first.
        camera_age: seconds since that frame was taken, or since the start before the first, (1,).
        imu: mean over the samples that arrived in this step, or the last mean if none did;
            angular velocity in rad/s, then specific force in m/s^2, body FLU, shape (6,), clipped
            to `IMU_RANGE`; zeros before the first.
        imu_age: seconds since the newest of those samples was taken, or since the start, (1,).

    Reward: metres by which the step brought the vehicle's centre closer to the target's, plus
    `SUCCESS_REWARD` or `COLLISION_REWARD` in the last step. Success and collision terminate, the
    time limit truncates.

    Info: `events`, the `EventBatch` of raw events that arrived in the step, for a controller that
    takes each with its own time; `time` in seconds since the start; after the last step also
    `outcome` (a string, see `Outcome`) and `is_success`.

    Seeds: `reset(seed=n)` begins the flight of `World.reset(n)`; without a seed the next flight is
    drawn from `np_random`.

    Args:
        config: the world; the default one if None.
        rate: actions per second of simulated time.
        render_mode: None; "rgb_array" for an outside view, uint8 RGB; "human" for PyBullet's window
            in real time.

    Raises:
        SimulationError: on a bad argument, or a window where there is no display.
    """

    metadata: dict[str, Any] = {"render_modes": ["human", "rgb_array"], "render_fps": 30}  # noqa: RUF012

    def __init__(
        self,
        config: WorldConfig | None = None,
        rate: float = 30.0,
        render_mode: str | None = None,
    ) -> None:
        if config is None:
            config = WorldConfig()
        elif not isinstance(config, WorldConfig):
            raise SimulationError(f"config must be a WorldConfig, got {config!r}")
        fastest = SECOND / config.step
        if not (isinstance(rate, (int, float)) and 1 <= rate <= fastest):
            raise SimulationError(
                f"rate must be in [1, {fastest:g}] Hz, no faster than physics, got {rate!r}"
            )
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise SimulationError(
                f"render_mode must be None, 'human' or 'rgb_array', got {render_mode!r}"
            )
        self.render_mode = render_mode
        self.metadata = {**self.metadata, "render_fps": rate}
        self.action_space = spaces.Box(-1.0, 1.0, (4,), np.float32)
        age = spaces.Box(0.0, config.task.time_limit + 1.0, (1,), np.float32)
        self.observation_space = spaces.Dict(
            {
                "camera": spaces.Box(
                    0, 255, (config.camera.height, config.camera.width, 3), np.uint8
                ),
                "camera_age": age,
                "imu": spaces.Box(-IMU_RANGE, IMU_RANGE, dtype=np.float32),
                "imu_age": age,
            }
        )
        self._rate = rate
        self._scale = np.array(CommandLimits().magnitude)
        self._flying = False
        self._world = World(config, gui=render_mode == "human")

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin a flight; nothing has arrived yet.

        Args:
            seed: of this flight and of those drawn after it, not negative; None draws one.
            options: not used.

        Raises:
            SimulationError: on a bad seed, or after `close`.
        """
        world = self._world
        if seed is None:
            world.reset(int(self.np_random.integers(2**32)))
        else:
            world.reset(seed)
            super().reset(seed=int(seed))
        self._ticks = 0
        camera = world.config.camera
        self._frame = np.zeros((camera.height, camera.width, 3), np.uint8)
        self._inertial = np.zeros(6, np.float32)
        self._frame_stamp = self._inertial_stamp = 0
        self._progress = world.attempt.progress
        self._started = time.perf_counter()
        if self.render_mode == "rgb_array":
            self._outside = Camera(world.client, OUTSIDE_CAMERA, world.scene)
        self._flying = True
        if self.render_mode == "human":
            self.render()
        return self._observation(), self._info(EventBatch())

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
        self._take(events)
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
        return self._observation(), reward, terminated, truncated, self._info(events)

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
            raise ResetNeeded("there is nothing to see yet: call reset() before render()")
        if self.render_mode == "human":
            self._show()
            return None
        eye, position = self._viewpoint()
        return self._outside.render(eye, look_at(eye, position)).image

    def close(self) -> None:
        """Give the simulator back; closing twice is no error."""
        self._flying = False
        self._world.close()

    def _take(self, events: EventBatch) -> None:
        samples = [event for event in events if isinstance(event, ImuSample)]
        if samples:
            readings = np.array([(s.angular_velocity, s.specific_force) for s in samples])
            mean = readings.mean(axis=0).ravel().astype(np.float32)
            self._inertial = np.clip(mean, -IMU_RANGE, IMU_RANGE)
            self._inertial_stamp = samples[-1].stamp
        frames = [event for event in events if isinstance(event, CameraFrame)]
        if frames:
            self._frame, self._frame_stamp = frames[-1].image, frames[-1].stamp

    def _observation(self) -> Observation:
        def age(stamp: int) -> NDArray[np.float32]:
            return np.array([(self._world.time - stamp) / SECOND], np.float32)

        return {
            "camera": self._frame.copy(),
            "camera_age": age(self._frame_stamp),
            "imu": self._inertial.copy(),
            "imu_age": age(self._inertial_stamp),
        }

    def _info(self, events: EventBatch) -> dict[str, Any]:
        world = self._world
        info: dict[str, Any] = {"events": events, "time": world.time / SECOND}
        if world.outcome is not None:
            info["outcome"] = world.outcome.value
            info["is_success"] = world.outcome is Outcome.SUCCESS
        return info

    def _viewpoint(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Eye of the outside view and what it looks at, metres, world ENU, shape (3,) each."""
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


gymnasium.register(id="liquid_nav/Target-v0", entry_point="liquid_nav_sim.env:TargetEnv")
