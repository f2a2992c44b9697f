"""The world: physics, sensors and a task; commands in, events out, like a real vehicle."""

import heapq
import math
import os
import sys
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
import pybullet

from liquid_nav.command import Command
from liquid_nav.events import SECOND, CameraFrame, Event, ImuSample
from liquid_nav_sim.appearance import FAMILIES
from liquid_nav_sim.autopilot import Autopilot
from liquid_nav_sim.bodies import add_scene
from liquid_nav_sim.camera import Camera, CameraModel, add_noise
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.faults import Fault, Faults
from liquid_nav_sim.imu import PX4_DEFAULT, Imu, ImuNoise
from liquid_nav_sim.scene import Scene
from liquid_nav_sim.state import GRAVITY, VehicleState
from liquid_nav_sim.target import TargetTask, sample_target_scene
from liquid_nav_sim.timing import SensorClock, SensorTiming
from liquid_nav_sim.vehicle import QUAD_250, Vehicle, VehicleParameters
from liquid_nav_sim.wind import Wind, WindModel

NOSE_CAMERA = CameraModel(mount_position=(0.12, 0.0, 0.0))
"""The default camera, at the front of `QUAD_250`, where no rotor stands in its view."""


class Outcome(str, Enum):
    """How a flight ended. A collision is a contact, which Bullet reports within 5 mm."""

    SUCCESS = "success"
    COLLISION = "collision"
    TIMEOUT = "timeout"


@dataclass(frozen=True)
class WorldConfig:
    """Everything about a world that is not drawn per flight.

    Attributes:
        vehicle: the quadrotor.
        camera, imu: sensor models; a camera among the rotors sees them.
        camera_timing, imu_timing: their clocks and links.
        wind: the air.
        appearance: family that scenes are drawn from, "train" or "held-out".
        task: what counts as success.
        step: physics step, ns.

    Raises:
        SimulationError: on a field out of its range.
    """

    vehicle: VehicleParameters = QUAD_250
    camera: CameraModel = NOSE_CAMERA
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
    step: int = SECOND // 250

    def __post_init__(self) -> None:
        if self.appearance not in FAMILIES:
            raise SimulationError(
                f"WorldConfig.appearance must be one of {', '.join(FAMILIES)}, "
                f"got {self.appearance!r}"
            )
        if not (isinstance(self.step, int) and SECOND // 10_000 <= self.step <= SECOND // 50):
            raise SimulationError(
                "WorldConfig.step must be a whole number of ns in [100000, 20000000], "
                f"0.1 to 20 ms, got {self.step!r}"
            )


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

    Attributes:
        client: PyBullet client, -1 once closed.
        outcome: how the flight ended, None until then.
        time: ns since the start of the flight.
        scene: what is flown in.
        state: the true state at `time`.
        views: what was true at the stamp of each frame that was not dropped.

    Raises:
        SimulationError: if PyBullet cannot start, or has no display for its window.
    """

    def __init__(self, config: WorldConfig | None = None, gui: bool = False) -> None:
        self.config = config or WorldConfig()
        # Without a display PyBullet would end the whole process.
        if gui and sys.platform == "linux" and not os.environ.get("DISPLAY"):
            raise SimulationError("PyBullet's window needs a display: set DISPLAY, or fly without")
        self.client: int = pybullet.connect(pybullet.GUI if gui else pybullet.DIRECT)
        if self.client < 0:
            raise SimulationError("PyBullet could not start; is one of its windows open already?")
        if gui:
            # Its panes cover the view, and show the raw render instead of what the camera gives.
            for pane in (
                pybullet.COV_ENABLE_GUI,
                pybullet.COV_ENABLE_RGB_BUFFER_PREVIEW,
                pybullet.COV_ENABLE_DEPTH_BUFFER_PREVIEW,
                pybullet.COV_ENABLE_SEGMENTATION_MARK_PREVIEW,
            ):
                pybullet.configureDebugVisualizer(pane, 0, physicsClientId=self.client)
        self.outcome: Outcome | None = None
        self._flying = False

    def close(self) -> None:
        """Give the PyBullet client back. The world cannot be used after that."""
        if self.client >= 0:
            pybullet.disconnect(self.client)
            self.client = -1
            self._flying = False

    def reset(self, seed: int) -> None:
        """Begin the flight of `seed`: same seed, same flight, for the same commands.

        Raises:
            SimulationError: on a seed that is not a whole number >= 0, or after `close`.
        """
        if self.client < 0:
            raise SimulationError("this world is closed: make another one")
        if not (isinstance(seed, (int, np.integer)) and seed >= 0):
            raise SimulationError(f"seed must be a whole number >= 0, got {seed!r}")
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
        self._faults = Faults()
        self.time = 0
        self.state: VehicleState = self._vehicle.observe(config.step / SECOND)
        self.views: dict[int, View] = {}
        self._command = Command(0)
        self.outcome = None
        self._flying = True

    def command(self, command: Command) -> None:
        """Set the setpoint that the autopilot tracks from the next physics step on."""
        self._command = command

    def inject(self, fault: Fault) -> None:
        """Let a fault act in this flight; `reset` mends it.

        It does not act on what was measured before, be it on its way or not.

        Raises:
            SimulationError: before `reset` or after `close`.
        """
        if not self._flying:
            raise SimulationError("no flight is under way: call reset() first")
        self._faults.add(fault)

    def next_event(self, until: int | None = None) -> Event | None:
        """Fly until the next measurement arrives, and give it.

        Args:
            until: fly no further than the first physics step that ends at or after this time, ns.

        Returns:
            The measurement, or None: the flight is over where `outcome` is set, else `until` came
            first.

        Raises:
            SimulationError: before `reset` or after `close`.
        """
        if not self._flying:
            raise SimulationError("no flight is under way: call reset() first")
        while not (self._pending and self._pending[0][0] <= self.time):
            if self.outcome is not None or (until is not None and self.time >= until):
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
        wind = self._faults.wind(self._wind.advance(dt).tolist(), self.time)
        self._vehicle.apply(self._faults.thrusts(thrusts, self.time), wind, dt)
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
            image = add_noise(render.image, self.config.camera.noise_sigma, self._image_rng)
            self._deliver(CameraFrame(stamp, arrival, image))
        self._camera_clock.advance()

    def _deliver(self, measured: Event) -> None:
        event = self._faults.measured(measured)
        if event is not None:
            heapq.heappush(self._pending, (event.arrival, self._sequence, event))
            self._sequence += 1


def interpolate(before: VehicleState, after: VehicleState, fraction: float) -> VehicleState:
    """State at `fraction` in [0, 1] of a physics step; the specific force is that of the step."""
    start, end, rest = before.orientation, after.orientation, 1 - fraction
    # Two quaternions of opposite sign are the same rotation: take the near one.
    orientation = rest * start + (fraction if start @ end >= 0 else -fraction) * end
    return VehicleState(
        position=rest * before.position + fraction * after.position,
        orientation=orientation / math.sqrt(orientation @ orientation),
        linear_velocity=rest * before.linear_velocity + fraction * after.linear_velocity,
        angular_velocity=rest * before.angular_velocity + fraction * after.angular_velocity,
        specific_force=after.specific_force,
    )
