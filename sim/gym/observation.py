"""The observations of the environments, one class for each kind."""

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
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.gym.event_batch import EventBatch
from liquid_nav_sim.render.pinhole import FAR
from liquid_nav_sim.rotation import rotate_back, rotation_matrix
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.sensors.imu_models import IMU_RANGE
from liquid_nav_sim.sensors.model import SensorModel
from liquid_nav_sim.world import World

GOAL_RANGE, SPEED_RANGE, OBSTACLE_RANGE = 100.0, 50.0, 20.0
"""Largest values in the observation of a `StateObserver`: metres, m/s, metres."""

FRAMES = 2
"""Frames of each camera that an `EventsObserver` shows of one control period."""

EVENT_CHANNELS = (None, Channel.IMU, Channel.CAMERA)
"""Channels that have a fixed number in the observation of an `EventsObserver`; None is padding."""

Observation = Any
"""An element of `Observer.space`."""


class Observer(ABC):
    """Turns the events and the state of a world into observations.

    Args:
        config: of the world.
        rate: observations per second.

    Attributes:
        space: the space of the observations.
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
    """The newest measurements of each fitted sensor: a dict whose keys begin with sensor names.

    For each camera:

    - NAME: newest frame that has arrived, uint8 RGB, shape (H, W, 3); zeros if there is none.
    - NAME_age: seconds since that frame was taken, (1,).
    - "depth" for the camera named "camera", NAME_depth for any other, where `CameraModel.depth` is
      set: metres along the optical axis in that frame, at most `FAR`, float32, shape (H, W, 1);
      zeros if there is none.

    For each other sensor whose model has `limits`:

    - NAME: `SensorModel.values` of the events of this period, or the last values if none arrived,
      clipped to the limits, float32, shape (N,); zeros if there is none. For the IMU: mean
      angular velocity in rad/s, then mean specific force in m/s^2, shape (6,).
    - NAME_age: seconds since the newest of those events was measured, (1,).

    The first observation of a flight has what each sensor sees at the start. A sensor that sees
    nothing then, for instance because a fault silences it, has zeros and the largest age of the
    space, until its first measurement arrives.
    """

    def __init__(self, config: WorldConfig, rate: float) -> None:
        self._parts: dict[str, _Frames | _Vector] = {}
        for name, model in ((sensor.name, sensor.model) for sensor in config.sensors):
            if isinstance(model, CameraModel):
                self._parts[name] = _Frames(name, model)
            elif model.limits is not None:
                self._parts[name] = _Vector(name, model)
        self._oldest = config.task.time_limit + 1.0
        age = spaces.Box(0.0, self._oldest, (1,), np.float32)
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
            age = self._oldest if part.stamp is None else (world.time - part.stamp) / SECOND
            # A sensor whose clock is wrong may stamp its measurements far back, or ahead.
            observation[f"{name}_age"] = np.clip(np.array([age], np.float32), 0, self._oldest)
        return observation


class _Frames:
    """The newest frame of a camera, for `SensorsObserver`."""

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
        self.stamp: int | None = None

    def update(self, world: World, events: Sequence[Any]) -> None:
        """Take the frames that arrived, at least one."""
        frame = events[-1]
        self.newest[self._name], self.stamp = frame.image, frame.stamp
        if self._depth in self.boxes:
            depth = world.view(frame).depth
            assert depth is not None  # `CameraModel.depth` is set
            self.newest[self._depth] = np.minimum(depth, np.float32(FAR))[..., None]


class _Vector:
    """The numbers of a sensor whose model has `limits`.

    Attributes:
        low, high: bounds of the observed values, float32, shape (N,). They include 0, which stands
            for no measurement.
    """

    def __init__(self, name: str, model: SensorModel) -> None:
        assert model.limits is not None
        self._name, self._model = name, model
        self._limits = tuple(np.asarray(limit, np.float32) for limit in model.limits)
        self.low, self.high = np.minimum(self._limits[0], 0), np.maximum(self._limits[1], 0)
        self.boxes: dict[str, spaces.Space[Any]] = {
            name: spaces.Box(self.low, self.high, dtype=np.float32)
        }
        self.reset()

    def reset(self) -> None:
        """Forget the last flight."""
        self.newest = {self._name: np.zeros_like(self.low)}
        self.stamp: int | None = None

    def update(self, world: World, events: Sequence[Any]) -> None:
        """Take the events that arrived, at least one."""
        self.newest[self._name], self.stamp = self.values(events), events[-1].stamp

    def values(self, events: Sequence[Any]) -> NDArray[np.float32]:
        """`SensorModel.values` of events within the limits, float32, shape (N,)."""
        values = self._model.values(events).astype(np.float32)
        # A failing sensor reads NaN, which no space contains.
        return np.clip(np.nan_to_num(values, posinf=np.inf, neginf=-np.inf), *self._limits)


class StateObserver(Observer):
    """The true state and the IMU as one vector of floats; no frame is rendered.

    float32, in this order, all but the IMU in the heading frame (x forward, y left, z up):

    ========  ===================================================================================
    0 - 2     from the vehicle's centre to the next goal of the task, metres
    3 - 5     velocity of the vehicle, m/s
    6 - 8     the world's vertical in the body frame, a unit vector
    9 - 14    the IMU as in `SensorsObserver`
    15 - ...  for each of the `obstacles` nearest obstacles, the nearest first: from the vehicle's
              centre to the nearest point of its surface, metres, (3,); a vector of `OBSTACLE_RANGE`
              straight down for each one that the scene lacks
    ========  ===================================================================================

    Args:
        config: of the world.
        rate: observations per second.
        obstacles: number of obstacles in the observation.
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
        """Vectors to the nearest obstacles, see the class; c, s: cosine and sine of the yaw."""
        position = np.array(world.kinematics.position)
        ways = sorted(
            ((solid.nearest(position) - position).tolist() for solid in world.scene.obstacles),
            key=lambda way: math.hypot(*way),
        )[: self._obstacles]
        values = [v for x, y, z in ways for v in (c * x + s * y, c * y - s * x, z)]
        return values + [0.0, 0.0, -OBSTACLE_RANGE] * (self._obstacles - len(ways))


class EventsObserver(Observer):
    """Each event that arrived, with its own times: a dict of arrays padded to N events.

    It shows cameras and the sensors whose model has `limits`. N is half as much again as these
    sensors measure in a period, plus 8. Rows are in order of arrival, the oldest first. If more
    than N events arrive, the newest N are shown; `info` has all of them. The first observation of a
    flight has one row for what each sensor sees at the start, with age and latency 0.

    Keys:
        channel: number of each event's channel, uint8, shape (N,): 0 for padding, the index in
            `EVENT_CHANNELS` for IMU and camera, and from 3 on the other channels in the order in
            which their sensors are fitted.
        age: seconds since each event was measured, float32, shape (N,); 0 for padding.
        latency: seconds from each measurement to its arrival, likewise.
        NAME: for each sensor whose model has `limits`, `SensorModel.values` of each of its events,
            clipped to the limits, K numbers an event, float32, shape (K N,); 0 for other events and
            padding. For the IMU: angular velocity in rad/s, then specific force in m/s^2, body FLU.
        frames: the newest `FRAMES` frames of the period of the camera named "camera", side by side,
            the newest on the right, uint8 RGB, shape (H, FRAMES W, 3); black where there is none.
            NAME_frames for any other camera.

    Raises:
        SimulationError: on a sensor whose name is already a key.
    """

    def __init__(self, config: WorldConfig, rate: float) -> None:
        self._vectors: dict[str, _Vector] = {}
        self._frames: dict[str, tuple[str, tuple[int, int, int]]] = {}
        channels: list[Channel | None] = list(EVENT_CHANNELS)
        total = 0.0
        for sensor in config.sensors:
            name, model = sensor.name, sensor.model
            if isinstance(model, CameraModel):
                key = "frames" if name == "camera" else f"{name}_frames"
                self._frames[name] = (key, (model.height, FRAMES * model.width, 3))
            elif model.limits is not None:
                self._vectors[name] = _Vector(name, model)
            else:
                continue
            total += sensor.timing.rate
            if model.channel not in channels:
                channels.append(model.channel)
        self._channels, self._count = channels, math.ceil(1.5 * total / rate) + 8
        count, limit = self._count, config.task.time_limit + 1.0
        boxes: dict[str, spaces.Space[Any]] = {
            "channel": spaces.Box(0, len(channels) - 1, (count,), np.uint8),
            "age": spaces.Box(0.0, limit, (count,), np.float32),
            "latency": spaces.Box(0.0, limit, (count,), np.float32),
        }
        for key, shape in self._frames.values():
            boxes[key] = spaces.Box(0, 255, shape, np.uint8)
        for name, vector in self._vectors.items():
            if name in boxes:
                raise SimulationError(f"a sensor of an events observation must not be named {name}")
            low, high = (np.tile(bound, count) for bound in (vector.low, vector.high))
            boxes[name] = spaces.Box(low, high, dtype=np.float32)
        self.space = spaces.Dict(boxes)

    def reset(self) -> None:
        """Nothing is kept from period to period."""

    def observe(self, world: World, events: EventBatch) -> Observation:
        """See the class."""
        count = self._count
        channel = np.zeros(count, np.uint8)
        age, latency = np.zeros((2, count), np.float32)
        rows = {
            name: np.zeros((count, len(v.low)), np.float32) for name, v in self._vectors.items()
        }
        images: dict[str, list[Any]] = {name: [] for name in self._frames}
        named = [(world.sensor_of(event), event) for event in events]
        shown = [pair for pair in named if pair[0] in rows or pair[0] in images][-count:]
        for row, (name, event) in enumerate(shown):
            channel[row] = self._channels.index(event.channel)
            age[row] = (world.time - event.stamp) / SECOND
            latency[row] = event.latency / SECOND
            if isinstance(event, CameraFrame):
                images[name].append(event.image)
            else:
                rows[name][row] = self._vectors[name].values([event])
        observation = {"channel": channel, "age": age, "latency": latency}
        observation |= {name: values.ravel() for name, values in rows.items()}
        for name, (key, shape) in self._frames.items():
            frames = observation[key] = np.zeros(shape, np.uint8)
            if images[name]:
                newest = np.concatenate(images[name][-FRAMES:], axis=1)
                frames[:, -newest.shape[1] :] = newest
        return observation


OBSERVERS: Mapping[str, type[Observer]] = MappingProxyType(
    {"sensors": SensorsObserver, "state": StateObserver, "events": EventsObserver}
)
"""Kinds of observations by name."""


def inertial_mean(
    events: EventBatch, last: NDArray[np.float32]
) -> tuple[NDArray[np.float32], list[ImuSample]]:
    """Mean of the IMU samples among events, clipped to `IMU_RANGE`; `last` if there is none.

    Returns:
        The mean, rad/s and m/s^2, float32 of shape (6,), and the samples.
    """
    samples = [event for event in events if isinstance(event, ImuSample)]
    if not samples:
        return last, samples
    readings = np.array([(s.angular_velocity, s.specific_force) for s in samples])
    mean = readings.mean(axis=0).ravel().astype(np.float32)
    return np.clip(mean, -IMU_RANGE, IMU_RANGE), samples
