"""Vehicles of simulators that are built on PyBullet: they get the IMU and the camera they lack."""

import math
from abc import abstractmethod
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pybullet
from numpy.typing import NDArray

from liquid_nav.command import Command
from liquid_nav.errors import ConfigError
from liquid_nav.evaluation.abroad.scenes import draw_scene
from liquid_nav.evaluation.vehicle import SimulatedVehicle
from liquid_nav.events import SECOND, CameraFrame, Channel, Event, ImuSample
from liquid_nav.onboard import PolicyCamera
from liquid_nav.vehicle import Equipment
from liquid_nav_sim.scenes.bodies import place_target
from liquid_nav_sim.scenes.scene import Scene
from liquid_nav_sim.tasks.base import Task
from liquid_nav_sim.tasks.target import TargetTask
from liquid_nav_sim.world import Outcome

NEAR, FAR = 0.1, 255.0
"""Metres between which a camera sees; the near plane hides a small vehicle's own body."""


@dataclass(frozen=True)
class Launched:
    """What a simulator gives when it has started.

    Attributes:
        client: PyBullet client.
        body: body id of the vehicle, whose base frame is FLU.
        floor: body id of the simulator's own floor at z = 0.

    """

    client: int
    body: int
    floor: int


class BulletVehicle(SimulatedVehicle):
    """A vehicle in a simulator on PyBullet.

    A subclass flies: `launch` starts its simulator with the vehicle in hover, `advance` flies one
    control period, `close` ends the simulator. The measurements are made here: an IMU sample at
    the end of each control period, from the difference of true velocities, and frames of a camera
    that is fixed to the body. Neither has noise of its own.

    Args:
        scene: where to fly.
        seed: seed of what is random in the simulator.
        task: what counts as success, and the time limit; the task target by default.
        camera: size and lens of the camera.
        frame_rate: frames a second; the control rate must be a multiple of it.
        latency: seconds from the exposure of a frame to its arrival.

    """

    control_rate: int
    """Control periods a second."""
    gravity: float
    """The simulator's gravity, m/s^2."""
    mount: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Centre of projection of the camera, metres, body FLU."""

    def __init__(
        self,
        scene: Scene,
        seed: int,
        *,
        task: Task | None = None,
        camera: PolicyCamera | None = None,
        frame_rate: int = 30,
        latency: float = 0.02,
    ) -> None:
        self.scene, self.seed = scene, seed
        self._task = task or TargetTask()
        self._camera = camera or PolicyCamera()
        self._frame_rate, self._latency = frame_rate, round(latency * SECOND)
        self._launched: Launched | None = None
        self._outcome: Outcome | None = None

    @abstractmethod
    def launch(self) -> Launched:
        """Start the simulator, with the vehicle in hover at the start of the scene."""

    @abstractmethod
    def advance(self, command: Command) -> None:
        """Fly one control period by a command in the heading frame."""

    @abstractmethod
    def close(self) -> None:
        """End the simulator."""

    @property
    def equipment(self) -> Equipment:
        """An IMU at the control rate, and a camera."""
        rates = {Channel.IMU: float(self.control_rate), Channel.CAMERA: float(self._frame_rate)}
        return Equipment(rates, float(self.control_rate), self._camera)

    @property
    def time(self) -> int:
        """Simulated time since the start of the flight, ns."""
        return self._periods * SECOND // self.control_rate

    @property
    def position(self) -> NDArray[np.float64]:
        """Centre of the vehicle, metres, world ENU, shape (3,)."""
        return self._pose()[0]

    @property
    def outcome(self) -> Outcome | None:
        """How the flight ended; None while it lasts."""
        return self._outcome

    def connect(self) -> None:
        """Start the simulator, draw the scene into it, and begin a flight in hover."""
        self._launched = launched = self.launch()
        self._bodies = draw_scene(launched.client, self.scene, launched.floor)
        self._periods, self._outcome, self._command = 0, None, Command(0)
        self.attempt = self._task.attempt(self.scene)
        self._waiting: deque[CameraFrame] = deque()
        self._velocity, _ = self._velocities()

    def command(self, command: Command) -> None:
        """Take a command; it is followed from the next control period on."""
        self._command = command

    def disconnect(self) -> None:
        """End the simulator."""
        if self._launched is not None:
            self._launched = None
            self.close()

    def events(self) -> Iterator[Event]:
        """Yield the sample of each control period, and frames as they arrive."""
        between = self.control_rate // self._frame_rate
        while self._outcome is None:
            self.advance(self._command)
            self._periods += 1
            place_target(self._client, self._bodies, self.scene, self.time / SECOND)
            yield from self._arrived()
            yield self._feel()
            if self._periods % between == 0:
                position, rotation = self._pose()
                eye = position + rotation @ self.mount
                image = body_view(self._client, eye, rotation, self._camera)
                self._waiting.append(CameraFrame(self.time, self.time + self._latency, image))
                yield from self._arrived()
            self._judge()

    def _arrived(self) -> Iterator[CameraFrame]:
        """Yield the frames that have arrived by now."""
        while self._waiting and self._waiting[0].arrival <= self.time:
            yield self._waiting.popleft()

    def _judge(self) -> None:
        """Set the outcome if the flight is over."""
        self.attempt.update(self.position.tolist(), self.time / SECOND)
        contacts = pybullet.getContactPoints(bodyA=self._body, physicsClientId=self._client)
        self._outcome = self._task.judge(self.attempt, self.time, bool(contacts))

    def _feel(self) -> ImuSample:
        """What an ideal IMU at the centre measures, averaged over the control period."""
        _, rotation = self._pose()
        velocity, rates = self._velocities()
        acceleration = (velocity - self._velocity) * self.control_rate
        self._velocity = velocity
        force = rotation.T @ (acceleration + np.array([0.0, 0.0, self.gravity]))
        return ImuSample(self.time, self.time, rotation.T @ rates, force)

    def _pose(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Position (3,), and rotation (3, 3) from body FLU to world ENU."""
        position, orientation = pybullet.getBasePositionAndOrientation(
            self._body, physicsClientId=self._client
        )
        rotation = np.reshape(pybullet.getMatrixFromQuaternion(orientation), (3, 3))
        return np.array(position), rotation

    def _velocities(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Linear, m/s, and angular velocity, rad/s, both in the world, shape (3,)."""
        linear, angular = pybullet.getBaseVelocity(self._body, physicsClientId=self._client)
        return np.array(linear), np.array(angular)

    @property
    def _client(self) -> int:
        return self._flying.client

    @property
    def _body(self) -> int:
        return self._flying.body

    @property
    def _flying(self) -> Launched:
        if self._launched is None:
            raise ConfigError("the vehicle is not connected: call connect() first")
        return self._launched


def body_view(
    client: int, eye: NDArray[np.float64], rotation: NDArray[np.float64], camera: PolicyCamera
) -> NDArray[np.uint8]:
    """Render what a camera that is fixed to a body sees along the body's x axis.

    Args:
        client: PyBullet client.
        eye: centre of projection, metres, world, shape (3,).
        rotation: from body FLU to the world, shape (3, 3).
        camera: size and lens.

    Returns:
        RGB, shape (height, width, 3).

    """
    aspect = camera.width / camera.height
    fov = 2 * math.atan(math.tan(camera.horizontal_fov / 2) / aspect)
    _, _, pixels, _, _ = pybullet.getCameraImage(
        camera.width,
        camera.height,
        pybullet.computeViewMatrix(
            eye.tolist(), (eye + rotation[:, 0]).tolist(), rotation[:, 2].tolist()
        ),
        pybullet.computeProjectionMatrixFOV(math.degrees(fov), aspect, NEAR, FAR),
        flags=pybullet.ER_NO_SEGMENTATION_MASK,
        renderer=pybullet.ER_TINY_RENDERER,
        physicsClientId=client,
    )
    image = np.asarray(pixels, np.uint8).reshape(camera.height, camera.width, 4)
    return np.ascontiguousarray(image[..., :3])
