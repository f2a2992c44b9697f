"""What an environment observes of its world, one class for each way to observe."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from liquid_nav.events import SECOND, CameraFrame, Channel, ImuSample
from liquid_nav_sim.gym.event_batch import EventBatch
from liquid_nav_sim.render.pinhole import FAR
from liquid_nav_sim.rotation import rotate_back, rotation_matrix
from liquid_nav_sim.vehicle.state import GRAVITY
from liquid_nav_sim.world import World, WorldConfig

IMU_RANGE = np.array([math.radians(2000)] * 3 + [16 * GRAVITY] * 3, dtype=np.float32)
"""Full scale of the observed IMU: rad/s about three axes, then m/s^2 along three."""

GOAL_RANGE, SPEED_RANGE, OBSTACLE_RANGE = 100.0, 50.0, 20.0
"""Largest values in a `StateObserver`'s observation: metres, m/s, metres."""

FRAMES = 2
"""Frames of one control period that an `EventsObserver` shows."""

EVENT_CHANNELS = (None, Channel.IMU, Channel.CAMERA)
"""What the numbers in an `EventsObserver`'s observation stand for; None is padding."""

Observation = Any
"""An element of `Observer.space`."""


class Observer(ABC):
    """Turns the events and the state of a world into observations.

    Args:
        config: of the world.
        rate: observations per second.

    Attributes:
        space: what observations are in.
    """

    space: spaces.Space[Any]

    @abstractmethod
    def __init__(self, config: WorldConfig, rate: float) -> None: ...

    @abstractmethod
    def reset(self) -> None:
        """Forget the last flight."""

    @abstractmethod
    def observe(self, world: World, events: EventBatch) -> Observation:
        """Observe the end of a control period.

        Args:
            world: at that time.
            events: what arrived in the period.
        """


class SensorsObserver(Observer):
    """The newest of each sensor: a dict.

    Keys:
        camera: newest frame that arrived, uint8 RGB, shape (H, W, 3); zeros before the first.
        camera_age: seconds since that frame was taken, or since the start before the first, (1,).
        depth: where `CameraModel.depth` is set, metres along the optical axis in that frame, at
            most `FAR`, float32 of shape (H, W, 1); zeros before the first.
        imu: mean over the samples that arrived in this period, or the last mean if none did;
            angular velocity in rad/s, then specific force in m/s^2, body FLU, shape (6,), clipped
            to `IMU_RANGE`; zeros before the first.
        imu_age: seconds since the newest of those samples was taken, or since the start, (1,).
    """

    def __init__(self, config: WorldConfig, rate: float) -> None:
        camera = config.camera
        shape = (camera.height, camera.width)
        age = spaces.Box(0.0, config.task.time_limit + 1.0, (1,), np.float32)
        boxes: dict[str, spaces.Space[Any]] = {
            "camera": spaces.Box(0, 255, (*shape, 3), np.uint8),
            "camera_age": age,
            "imu": spaces.Box(-IMU_RANGE, IMU_RANGE, dtype=np.float32),
            "imu_age": age,
        }
        if camera.depth:
            boxes["depth"] = spaces.Box(0.0, FAR, (*shape, 1), np.float32)
        self.space = spaces.Dict(boxes)
        self._shape, self._deep = shape, camera.depth

    def reset(self) -> None:
        """Forget the last flight."""
        self._frame = np.zeros((*self._shape, 3), np.uint8)
        self._depth = np.zeros((*self._shape, 1), np.float32)
        self._inertial = np.zeros(6, np.float32)
        self._frame_stamp = self._inertial_stamp = 0

    def observe(self, world: World, events: EventBatch) -> Observation:
        """See the class."""
        self._inertial, samples = inertial_mean(events, self._inertial)
        if samples:
            self._inertial_stamp = samples[-1].stamp
        frames = [event for event in events if isinstance(event, CameraFrame)]
        if frames:
            self._frame, self._frame_stamp = frames[-1].image, frames[-1].stamp
            if self._deep:
                depth = world.view(frames[-1]).depth
                assert depth is not None  # the camera gives it
                self._depth = np.minimum(depth, np.float32(FAR))[..., None]
        observation = {
            "camera": self._frame.copy(),
            "camera_age": _seconds(world.time - self._frame_stamp),
            "imu": self._inertial.copy(),
            "imu_age": _seconds(world.time - self._inertial_stamp),
        }
        if self._deep:
            observation["depth"] = self._depth.copy()
        return observation


class StateObserver(Observer):
    """The true state and the IMU, one vector of floats; no frame is drawn.

    float32, in this order, all but the IMU in the heading frame (x forward, y left, z up):

    ========  ===================================================================================
    0 - 2     where the task leads next, from the vehicle's centre, metres
    3 - 5     velocity of the vehicle, m/s
    6 - 8     the world's vertical in the body frame, a unit vector
    9 - 14    the IMU as in `SensorsObserver`
    15 - ...  for each of the `obstacles` nearest obstacles, the nearest first, the way to the
              nearest point of its surface, metres, (3,); `OBSTACLE_RANGE` straight down for each
              that there is not
    ========  ===================================================================================

    Args:
        config: of the world.
        rate: observations per second.
        obstacles: how many obstacles are observed.
    """

    def __init__(self, config: WorldConfig, rate: float, obstacles: int = 0) -> None:
        high = np.concatenate(
            (
                [GOAL_RANGE] * 3 + [SPEED_RANGE] * 3 + [1.0] * 3,
                IMU_RANGE,
                [OBSTACLE_RANGE] * 3 * obstacles,
            )
        ).astype(np.float32)
        self.space = spaces.Box(-high, high, dtype=np.float32)
        self._high, self._obstacles = high, obstacles

    def reset(self) -> None:
        """Forget the last flight."""
        self._inertial = np.zeros(6, np.float32)

    def observe(self, world: World, events: EventBatch) -> Observation:
        """See the class."""
        position, orientation, velocity, *_ = world.kinematics
        attitude = rotation_matrix(orientation)
        level = max(math.hypot(attitude[0][0], attitude[1][0]), 1e-9)
        c, s = attitude[0][0] / level, attitude[1][0] / level
        self._inertial, _ = inertial_mean(events, self._inertial)
        gx, gy, gz = world.attempt.goal.tolist()
        x, y, z = gx - position[0], gy - position[1], gz - position[2]
        vx, vy, vz = velocity
        values = [
            *(c * x + s * y, c * y - s * x, z),
            *(c * vx + s * vy, c * vy - s * vx, vz),
            *rotate_back(attitude, (0.0, 0.0, 1.0)),
            *self._inertial.tolist(),
        ]
        if self._obstacles:
            values += self._nearest(world, c, s)
        return np.clip(np.array(values, np.float32), -self._high, self._high)

    def _nearest(self, world: World, c: float, s: float) -> list[float]:
        """The ways to the nearest obstacles, see the class; c, s: cosine and sine of the yaw."""
        position = np.array(world.kinematics.position)
        ways = sorted(
            ((solid.nearest(position) - position).tolist() for solid in world.scene.obstacles),
            key=lambda way: math.hypot(*way),
        )[: self._obstacles]
        values = [v for x, y, z in ways for v in (c * x + s * y, c * y - s * x, z)]
        return values + [0.0, 0.0, -OBSTACLE_RANGE] * (self._obstacles - len(ways))


class EventsObserver(Observer):
    """Each event that arrived, with its own times: a dict of arrays padded to N events.

    N is half as much again as the sensors measure in a period, and 8. Rows are in order of arrival,
    the oldest first; where more arrive, the newest N are shown, and all of them in `info`.

    Keys:
        channel: index in `EVENT_CHANNELS`, uint8 of shape (N,), 0 after the last event.
        age: seconds since each was measured, float32 of shape (N,), 0 where there is none.
        latency: seconds from each measurement to its arrival, likewise.
        imu: angular velocity in rad/s and specific force in m/s^2 of each IMU sample, body FLU,
            clipped to `IMU_RANGE`, six numbers an event, float32 of shape (6 N,), 0 elsewhere.
        frames: the newest `FRAMES` frames of the period side by side, the newest on the right,
            uint8 RGB of shape (H, FRAMES W, 3); black where there is none.
    """

    def __init__(self, config: WorldConfig, rate: float) -> None:
        timings = (config.camera_timing, config.imu_timing)
        total = sum(timing.rate for timing in timings if timing is not None)
        self._count = count = math.ceil(1.5 * total / rate) + 8
        limit = config.task.time_limit + 1.0
        camera = config.camera
        self._shape = (camera.height, FRAMES * camera.width, 3)
        inertial = np.tile(IMU_RANGE, count)
        self.space = spaces.Dict(
            {
                "channel": spaces.Box(0, len(EVENT_CHANNELS) - 1, (count,), np.uint8),
                "age": spaces.Box(0.0, limit, (count,), np.float32),
                "latency": spaces.Box(0.0, limit, (count,), np.float32),
                "imu": spaces.Box(-inertial, inertial, dtype=np.float32),
                "frames": spaces.Box(0, 255, self._shape, np.uint8),
            }
        )

    def reset(self) -> None:
        """Forget the last flight: there is nothing to forget."""

    def observe(self, world: World, events: EventBatch) -> Observation:
        """See the class."""
        channel = np.zeros(self._count, np.uint8)
        age, latency = np.zeros((2, self._count), np.float32)
        imu = np.zeros((self._count, 6), np.float32)
        frames = np.zeros(self._shape, np.uint8)
        known = [event for event in events if event.channel in EVENT_CHANNELS][-self._count :]
        images = [event.image for event in known if isinstance(event, CameraFrame)][-FRAMES:]
        for row, event in enumerate(known):
            channel[row] = EVENT_CHANNELS.index(event.channel)
            age[row] = (world.time - event.stamp) / SECOND
            latency[row] = event.latency / SECOND
            if isinstance(event, ImuSample):
                reading = (*event.angular_velocity, *event.specific_force)
                imu[row] = np.clip(reading, -IMU_RANGE, IMU_RANGE)
        if images:
            seen = np.concatenate(images, axis=1)
            frames[:, -seen.shape[1] :] = seen
        return {
            "channel": channel,
            "age": age,
            "latency": latency,
            "imu": imu.ravel(),
            "frames": frames,
        }


OBSERVERS: Mapping[str, type[Observer]] = MappingProxyType(
    {"sensors": SensorsObserver, "state": StateObserver, "events": EventsObserver}
)
"""Ways to observe, by name."""


def inertial_mean(
    events: EventBatch, last: NDArray[np.float32]
) -> tuple[NDArray[np.float32], list[ImuSample]]:
    """Mean of the IMU samples among events, clipped to `IMU_RANGE`, or `last` where there are none.

    Returns:
        The mean, rad/s and m/s^2, float32 of shape (6,), and the samples.
    """
    samples = [event for event in events if isinstance(event, ImuSample)]
    if not samples:
        return last, samples
    readings = np.array([(s.angular_velocity, s.specific_force) for s in samples])
    mean = readings.mean(axis=0).ravel().astype(np.float32)
    return np.clip(mean, -IMU_RANGE, IMU_RANGE), samples


def _seconds(time: int) -> NDArray[np.float32]:
    return np.array([time / SECOND], np.float32)
