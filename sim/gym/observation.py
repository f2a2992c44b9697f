"""What an environment observes of its world, one class for each way to observe."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from liquid_nav.events import SECOND, CameraFrame, Channel, Event, ImuSample
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.gym.event_batch import EventBatch
from liquid_nav_sim.render.pinhole import FAR
from liquid_nav_sim.rotation import rotate_back, rotation_matrix
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.sensors.imu_models import IMU_RANGE
from liquid_nav_sim.sensors.model import SensorModel
from liquid_nav_sim.world import World

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
    """The newest of each fitted sensor: a dict, whose keys begin with the names of the sensors.

    For each camera:

    - NAME: newest frame that arrived, uint8 RGB, shape (H, W, 3); zeros before the first.
    - NAME_age: seconds since that frame was taken, or since the start before the first, (1,).
    - depth, or NAME_depth for a camera of another name than "camera": where `CameraModel.depth` is
      set, metres along the optical axis in that frame, at most `FAR`, float32 of shape (H, W, 1);
      zeros before the first.

    For each other sensor whose model has `limits`:

    - NAME: `SensorModel.values` of what arrived in this period, or what they were before if nothing
      did, clipped to the limits, float32 of shape (N,); zeros before the first. For the IMU this is
      the mean over the samples: angular velocity in rad/s, then specific force in m/s^2, (6,).
    - NAME_age: seconds since the newest of those measurements was taken, or since the start, (1,).
    """

    def __init__(self, config: WorldConfig, rate: float) -> None:
        self._parts: dict[str, _Frames | _Vector] = {}
        for name, model in ((sensor.name, sensor.model) for sensor in config.sensors):
            if isinstance(model, CameraModel):
                self._parts[name] = _Frames(name, model)
            elif model.limits is not None:
                self._parts[name] = _Vector(name, model)
        age = spaces.Box(0.0, config.task.time_limit + 1.0, (1,), np.float32)
        boxes: dict[str, spaces.Space[Any]] = {}
        for name, part in self._parts.items():
            boxes |= part.boxes | {f"{name}_age": age}
        self.space = spaces.Dict(boxes)

    def reset(self) -> None:
        """Forget the last flight."""
        for part in self._parts.values():
            part.reset()

    def observe(self, world: World, events: EventBatch) -> Observation:
        """See the class."""
        arrived: dict[str, list[Event]] = {}
        for event in events:
            arrived.setdefault(world.sensor_of(event), []).append(event)
        observation: dict[str, Any] = {}
        for name, part in self._parts.items():
            if name in arrived:
                part.update(world, arrived[name])
            observation |= {key: value.copy() for key, value in part.newest.items()}
            observation[f"{name}_age"] = _seconds(world.time - part.stamp)
        return observation


class _Frames:
    """What `SensorsObserver` shows of a camera."""

    def __init__(self, name: str, model: CameraModel) -> None:
        shape = (model.height, model.width)
        self._name, self._depth = name, "depth" if name == "camera" else f"{name}_depth"
        self.boxes: dict[str, spaces.Space[Any]] = {name: spaces.Box(0, 255, (*shape, 3), np.uint8)}
        if model.depth:
            self.boxes[self._depth] = spaces.Box(0.0, FAR, (*shape, 1), np.float32)
        self.reset()

    def reset(self) -> None:
        """Forget the last flight."""
        self.newest = {key: np.zeros(box.shape or (), box.dtype) for key, box in self.boxes.items()}
        self.stamp = 0

    def update(self, world: World, events: Sequence[Any]) -> None:
        """Take in what arrived, at least one frame."""
        frame = events[-1]
        self.newest[self._name], self.stamp = frame.image, frame.stamp
        if self._depth in self.boxes:
            depth = world.view(frame).depth
            assert depth is not None  # the camera gives it
            self.newest[self._depth] = np.minimum(depth, np.float32(FAR))[..., None]


class _Vector:
    """What `SensorsObserver` shows of a sensor whose measurements are numbers."""

    def __init__(self, name: str, model: SensorModel) -> None:
        assert model.limits is not None
        self._name, self._model = name, model
        self._low, self._high = (np.asarray(limit, np.float32) for limit in model.limits)
        # Before the first measurement there are zeros.
        box = spaces.Box(np.minimum(self._low, 0), np.maximum(self._high, 0), dtype=np.float32)
        self.boxes: dict[str, spaces.Space[Any]] = {name: box}
        self.reset()

    def reset(self) -> None:
        """Forget the last flight."""
        self.newest = {self._name: np.zeros_like(self._low)}
        self.stamp = 0

    def update(self, world: World, events: Sequence[Any]) -> None:
        """Take in what arrived, at least one measurement."""
        values = self._model.values(events).astype(np.float32)
        # A sensor that fails reads not a number, which no space holds.
        values = np.clip(
            np.nan_to_num(values, posinf=np.inf, neginf=-np.inf), self._low, self._high
        )
        self.newest[self._name], self.stamp = values, events[-1].stamp


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
            uint8 RGB of shape (H, FRAMES W, 3); black where there is none. Only where a camera is
            fitted.
    """

    def __init__(self, config: WorldConfig, rate: float) -> None:
        shown = [sensor for sensor in config.sensors if sensor.model.channel in EVENT_CHANNELS]
        total = sum(sensor.timing.rate for sensor in shown)
        self._count = count = math.ceil(1.5 * total / rate) + 8
        limit = config.task.time_limit + 1.0
        inertial = np.tile(IMU_RANGE, count)
        boxes: dict[str, spaces.Space[Any]] = {
            "channel": spaces.Box(0, len(EVENT_CHANNELS) - 1, (count,), np.uint8),
            "age": spaces.Box(0.0, limit, (count,), np.float32),
            "latency": spaces.Box(0.0, limit, (count,), np.float32),
            "imu": spaces.Box(-inertial, inertial, dtype=np.float32),
        }
        self._shape: tuple[int, int, int] | None = None
        for sensor in shown:
            if isinstance(sensor.model, CameraModel):
                self._shape = (sensor.model.height, FRAMES * sensor.model.width, 3)
                boxes["frames"] = spaces.Box(0, 255, self._shape, np.uint8)
        self.space = spaces.Dict(boxes)

    def reset(self) -> None:
        """Forget the last flight: there is nothing to forget."""

    def observe(self, world: World, events: EventBatch) -> Observation:
        """See the class."""
        channel = np.zeros(self._count, np.uint8)
        age, latency = np.zeros((2, self._count), np.float32)
        imu = np.zeros((self._count, 6), np.float32)
        known = [event for event in events if event.channel in EVENT_CHANNELS][-self._count :]
        images = [event.image for event in known if isinstance(event, CameraFrame)][-FRAMES:]
        for row, event in enumerate(known):
            channel[row] = EVENT_CHANNELS.index(event.channel)
            age[row] = (world.time - event.stamp) / SECOND
            latency[row] = event.latency / SECOND
            if isinstance(event, ImuSample):
                reading = (*event.angular_velocity, *event.specific_force)
                imu[row] = np.clip(reading, -IMU_RANGE, IMU_RANGE)
        observation = {"channel": channel, "age": age, "latency": latency, "imu": imu.ravel()}
        if self._shape is not None:
            frames = observation["frames"] = np.zeros(self._shape, np.uint8)
            if images:
                seen = np.concatenate(images, axis=1)
                frames[:, -seen.shape[1] :] = seen
        return observation


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
