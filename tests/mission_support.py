"""Missions of a scripted vehicle, flown by a rule in the place of a policy."""

import math
import threading
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import numpy as np

from liquid_nav.command import Command
from liquid_nav.controller import Controller
from liquid_nav.events import Channel, Event, Odometry
from liquid_nav.mavlink.link import Link
from liquid_nav.mavlink.vehicle import MavlinkVehicle
from liquid_nav.mission.mission import Mission
from liquid_nav.mission.plan import MissionConfig, Result, State
from liquid_nav.onboard import Memory, Policy, PolicyCamera, RawCommand
from liquid_nav.rotations import yaw_of
from liquid_nav.safety.freshness import Staleness
from liquid_nav.safety.layer import SafetyConfig
from mavlink_support import ScriptedVehicle

# A busy machine must not trip a failsafe that a test is not about.
PATIENT = Staleness(hover=10.0, land=20.0)
EMPTY = Memory(np.zeros(0, np.float32), np.zeros(0, np.float32))
CAMERA = PolicyCamera()


class Straight(Policy):
    """Flies forward at 1 m/s."""

    staleness = MappingProxyType(
        dict.fromkeys((Channel.IMU, Channel.CAMERA, Channel.ODOMETRY), PATIENT)
    )

    def __init__(self, *channels: Channel) -> None:
        self.channels = self.needed = frozenset({Channel.IMU, *channels})

    def initial(self) -> Memory:
        return EMPTY

    def objection(self, event: Event) -> str:
        return ""

    def on_event(
        self, memory: Memory, event: Event, dt: int, age: int
    ) -> tuple[Memory, RawCommand]:
        return memory, (1.0, 0.0, 0.0, 0.0)

    def query(self, memory: Memory, dt: int) -> RawCommand:
        return (1.0, 0.0, 0.0, 0.0)


class ToGoal(Straight):
    """Flies to a place, metres ENU, by odometry, at 1 m/s at most."""

    def __init__(self, goal: tuple[float, float, float]) -> None:
        super().__init__(Channel.ODOMETRY)
        self._goal = np.array(goal)
        self._command: RawCommand = (0.0, 0.0, 0.0, 0.0)

    def on_event(
        self, memory: Memory, event: Event, dt: int, age: int
    ) -> tuple[Memory, RawCommand]:
        if isinstance(event, Odometry):
            east, north, up = self._goal - event.position
            c, s = math.cos(yaw_of(event.orientation)), math.sin(yaw_of(event.orientation))
            away = np.array([c * east + s * north, c * north - s * east, up])
            x, y, z = away / max(1.0, float(np.linalg.norm(away)))
            self._command = (x, y, z, 0.0)
        return memory, self._command

    def query(self, memory: Memory, dt: int) -> RawCommand:
        return self._command


class Eye:
    """A camera: frames of noise, 50 a second, unless a test covers the lens."""

    def __init__(self) -> None:
        self.image: np.ndarray | None = None
        self.gone = False
        self._random = np.random.default_rng(0)
        self._tick = threading.Event()

    def __call__(self) -> np.ndarray | None:
        self._tick.wait(0.02)
        if self.gone:
            return None
        if self.image is not None:
            return self.image
        return self._random.integers(0, 256, (48, 64, 3), dtype=np.uint8)


SAFETY = SafetyConfig(
    staleness=dict.fromkeys((Channel.IMU, Channel.CAMERA, Channel.ODOMETRY), PATIENT),
    frozen={},
)


class Flown:
    """One mission and everything that it told."""

    def __init__(
        self,
        vehicle: ScriptedVehicle,
        eye: Eye | None = None,
        safety: SafetyConfig = SAFETY,
        goal: tuple[float, float, float] | None = None,
        **plan: Any,
    ) -> None:
        channels = () if eye is None else (Channel.CAMERA,)
        policy = ToGoal(goal) if goal is not None else Straight(*channels)
        self.scripted = vehicle
        vehicle.patience = 20.0
        self.told: list[tuple[State, str]] = []
        self.on_told: Callable[[State, str], object] = lambda state, text: None
        self.watched: list[Event | Command] = []
        self.link = Link(vehicle.address)
        self.vehicle = MavlinkVehicle(self.link, eye, CAMERA)
        settings = {"height": 1.0, "duration": 1.0, "settling": 0.3, "goal": goal} | plan
        config = MissionConfig(
            needed=policy.needed, camera=None if eye is None else CAMERA, **settings
        )
        pilot = Controller(policy, safety)
        self.mission = Mission(self.vehicle, pilot, config, self._say, self.watched.append)

    def _say(self, state: State, text: str) -> None:
        self.told.append((state, text))
        self.on_told(state, text)

    def at(self, state: State, act: Callable[[], object]) -> None:
        """Do something as soon as the mission is in a state."""
        done: list[bool] = []

        def watch(now: State, text: str) -> None:
            if now is state and not done:
                done.append(True)
                act()

        self.on_told = watch

    def fly(self) -> Result:
        with self.vehicle:
            return self.mission.run()

    def words(self) -> str:
        return "\n".join(f"{state.value}: {text}" for state, text in self.told)

    def states(self) -> list[State]:
        """States in order, each once."""
        return list(dict.fromkeys(state for state, _ in self.told))
