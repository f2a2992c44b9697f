"""The world: physics, sensors and a task; commands in, events out, like a real vehicle."""

import heapq
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np
import pybullet
from numpy.typing import NDArray

from liquid_nav.command import Command
from liquid_nav.events import SECOND, CameraFrame, Event, ImuSample
from liquid_nav_sim.autopilot import Autopilot
from liquid_nav_sim.bodies import add_scene
from liquid_nav_sim.camera import Camera, CameraModel, add_noise
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.imu import PX4_DEFAULT, Imu, ImuNoise
from liquid_nav_sim.scene import Scene
from liquid_nav_sim.state import GRAVITY, VehicleState
from liquid_nav_sim.target import TargetTask, sample_target_scene
from liquid_nav_sim.timing import SensorClock, SensorTiming
from liquid_nav_sim.vehicle import QUAD_250, Vehicle, VehicleParameters
from liquid_nav_sim.wind import Wind, WindModel


class Outcome(str, Enum):
    """How a flight ended."""

    SUCCESS = "success"
    COLLISION = "collision"
    TIMEOUT = "timeout"


@dataclass(frozen=True)
class WorldConfig:
    """Everything about a world that is not drawn per flight.

    Attributes:
        vehicle: the quadrotor.
        camera, imu: sensor models.
        camera_timing, imu_timing: their clocks and links.
        wind: the air.
        appearance: family that scenes are drawn from, "train" or "held-out".
        task: what counts as success.
        step: physics step, ns.
    """

    vehicle: VehicleParameters = QUAD_250
    camera: CameraModel = field(default_factory=CameraModel)
    imu: ImuNoise = PX4_DEFAULT
    camera_timing: SensorTiming = field(
        default_factory=lambda: SensorTiming(
            rate=30, jitter=0.002, latency=0.025, latency_jitter=0.01, drop=0.05
        )
    )
    imu_timing: SensorTiming = field(
        default_factory=lambda: SensorTiming(
            rate=200, jitter=0.0003, latency=0.001, latency_jitter=0.0005, drop=0.005
        )
    )
    wind: WindModel = field(default_factory=WindModel)
    appearance: str = "train"
    task: TargetTask = field(default_factory=TargetTask)
    step: int = SECOND // 400

    def __post_init__(self) -> None:
        if not 0 < self.step <= SECOND // 50:
            raise SimulationError(f"physics step must be in (0, 20] ms, got {self.step} ns")


@dataclass(frozen=True, eq=False)
class View:
    """What was true when a frame was exposed; for experts and labels, never for a controller.

    Attributes:
        state: the vehicle at that instant.
        target_pixels: pixels of the frame that show the target.
    """

    state: VehicleState
    target_pixels: int


class World:
    """One vehicle in one PyBullet client, flown flight after flight.

    `reset` begins a flight; then `next_event` hands over one measurement at a time, in order of
    arrival, and `command` takes a setpoint, until `outcome` says how it ended. Scene and
    disturbances (wind, sensor noise, timing) draw from separate streams of the seed.

    Args:
        config: the world.
        gui: show PyBullet's window.
    """

    def __init__(self, config: WorldConfig | None = None, gui: bool = False) -> None:
        self.config = config or WorldConfig()
        self.client: int = pybullet.connect(pybullet.GUI if gui else pybullet.DIRECT)
        if self.client < 0:
            raise SimulationError("PyBullet could not start; is there a display for its window?")
        self.outcome: Outcome | None = Outcome.TIMEOUT

    def close(self) -> None:
        """Give the PyBullet client back. The world cannot be used after that."""
        if self.client >= 0:
            pybullet.disconnect(self.client)
            self.client = -1

    def reset(self, seed: int) -> None:
        """Begin the flight of `seed`: same seed, same flight, for the same commands."""
        config = self.config
        scene_seed, *seeds = np.random.SeedSequence(seed).spawn(6)
        wind, imu, imu_clock, image, camera_clock = map(np.random.default_rng, seeds)
        self.scene: Scene = sample_target_scene(
            np.random.default_rng(scene_seed), config.appearance
        )
        client = self.client
        pybullet.resetSimulation(physicsClientId=client)
        pybullet.setGravity(0, 0, -GRAVITY, physicsClientId=client)
        pybullet.setTimeStep(config.step / SECOND, physicsClientId=client)
        self._bodies = add_scene(client, self.scene)
        self._vehicle = Vehicle(client, config.vehicle)
        self._vehicle.reset(self.scene.start_position, self.scene.start_yaw)
        self._autopilot = Autopilot(config.vehicle)
        self._camera = Camera(client, config.camera, self.scene)
        self._image_rng = image
        self._camera_clock = SensorClock(config.camera_timing, camera_clock)
        self._imu = Imu(config.imu, imu)
        self._imu_clock = SensorClock(config.imu_timing, imu_clock)
        self._imu_stamp = 0
        self._wind = Wind(config.wind, wind)
        self._pending: list[tuple[int, int, Event]] = []
        self._sequence = 0
        self.time = 0
        self.state: VehicleState = self._vehicle.observe(config.step / SECOND)
        self.views: dict[int, View] = {}
        self._command = Command(0)
        self.outcome = None

    def command(self, command: Command) -> None:
        """Set the setpoint that the autopilot tracks from the next physics step on."""
        self._command = command

    def next_event(self) -> Event | None:
        """Fly until the next measurement arrives and give it; None when the flight is over."""
        while not (self._pending and self._pending[0][0] <= self.time):
            if self.outcome is not None:
                return None
            self._step()
        return heapq.heappop(self._pending)[2]

    def clearance(self) -> float:
        """Metres from the vehicle's hull to the nearest obstacle."""
        distances = [solid.distance(self.state.position) for solid in self.scene.obstacles]
        return min(distances, default=float("inf")) - self.config.vehicle.collision_radius

    def _step(self) -> None:
        config, dt = self.config, self.config.step / SECOND
        before = self.state
        thrusts = self._autopilot.update(self._command, before, dt)
        self._vehicle.apply(thrusts, self._wind.advance(dt), dt)
        pybullet.stepSimulation(physicsClientId=self.client)
        self.state = self._vehicle.observe(dt)
        start, self.time = self.time, self.time + config.step
        while self._imu_clock.stamp <= self.time:
            self._measure_imu(before, start)
        while self._camera_clock.stamp <= self.time:
            self._expose(before, start)
        if pybullet.getContactPoints(bodyA=self._vehicle.body, physicsClientId=self.client):
            self.outcome = Outcome.COLLISION
        elif config.task.reached(self.state.position, self.scene):
            self.outcome = Outcome.SUCCESS
        elif self.time >= config.task.time_limit * SECOND:
            self.outcome = Outcome.TIMEOUT

    def _measure_imu(self, before: VehicleState, start: int) -> None:
        stamp, arrival = self._imu_clock.stamp, self._imu_clock.arrival
        state = interpolate(before, self.state, (stamp - start) / self.config.step)
        measured = self._imu.measure(state, (stamp - self._imu_stamp) / SECOND)
        self._imu_stamp = stamp
        if arrival is not None:
            self._deliver(ImuSample(stamp, arrival, *measured))
        self._imu_clock.advance()

    def _expose(self, before: VehicleState, start: int) -> None:
        stamp, arrival = self._camera_clock.stamp, self._camera_clock.arrival
        # A dropped frame is not rendered: nobody would see it.
        if arrival is not None:
            state = interpolate(before, self.state, (stamp - start) / self.config.step)
            render = self._camera.render(state.position, state.orientation)
            pixels = int(np.count_nonzero(render.segmentation == self._bodies.target))
            self.views[stamp] = View(state, pixels)
            image = add_noise(render.image, self.config.camera.noise, self._image_rng)
            self._deliver(CameraFrame(stamp, arrival, image))
        self._camera_clock.advance()

    def _deliver(self, event: Event) -> None:
        heapq.heappush(self._pending, (event.arrival, self._sequence, event))
        self._sequence += 1


def interpolate(before: VehicleState, after: VehicleState, fraction: float) -> VehicleState:
    """State at `fraction` in [0, 1] of a physics step; the specific force is that of the step."""

    def blend(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        return a + fraction * (b - a)

    end = after.orientation
    if float(before.orientation @ end) < 0:
        end = -end
    orientation = blend(before.orientation, end)
    return replace(
        after,
        position=blend(before.position, after.position),
        orientation=orientation / np.sqrt(orientation @ orientation),
        linear_velocity=blend(before.linear_velocity, after.linear_velocity),
        angular_velocity=blend(before.angular_velocity, after.angular_velocity),
    )
