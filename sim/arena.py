"""Where a flight takes place: a scene in a PyBullet client, sensors that look at it, and the task.

An arena does not know how the vehicle moves. Two classes do: `liquid_nav_sim.world.World` flies it
by physics, `liquid_nav_sim.watched.WatchedWorld` follows the poses of a vehicle that something else
flies. Scenes, frames, faults and outcomes are therefore the same in both.
"""

import os
import sys
from collections.abc import MutableMapping
from dataclasses import replace
from typing import Any, NoReturn
from weakref import WeakKeyDictionary, finalize

import numpy as np
import pybullet
from numpy.typing import NDArray

from liquid_nav.events import SECOND, CameraFrame, Event
from liquid_nav_sim.config import FittedSensor, WorldConfig
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.faults.flight import Faults
from liquid_nav_sim.faults.kinds import Fault
from liquid_nav_sim.scenes.bodies import add_scene, place_target
from liquid_nav_sim.scenes.scene import Scene
from liquid_nav_sim.sensors.frames import View
from liquid_nav_sim.sensors.model import SensorContext
from liquid_nav_sim.sensors.shutter import Stage
from liquid_nav_sim.sensors.sources import Sensors, Source
from liquid_nav_sim.streams import Streams
from liquid_nav_sim.tasks.base import Attempt, Outcome
from liquid_nav_sim.vehicle.airframe import VehicleParameters
from liquid_nav_sim.vehicle.body import Vehicle
from liquid_nav_sim.vehicle.state import Kinematics, Motion, VehicleState

FIRST_LOOK = SECOND
"""Nanoseconds. A sensor that has measured nothing by then is not in `Arena.first_look`."""


class Arena:
    """The scene of one flight after the other in one PyBullet client, see the module.

    It lives in PyBullet, so it can be neither copied nor pickled: make another one with the same
    `config`, and reset it with the same seed. The client ends with `close`, or when nothing refers
    to the arena any more.

    Args:
        config: configuration, the default one if None.
        gui: whether to show PyBullet's window.

    Attributes:
        client: PyBullet client, -1 once closed.
        outcome: outcome of the flight; None before its end.
        time: ns since the start of the flight.
        scene: scene of the flight.
        attempt: progress of the flight at its task.
        vehicle: parameters of the vehicle of this flight.

    Raises:
        SimulationError: if PyBullet cannot start, or has no display for its window.
    """

    def __init__(self, config: WorldConfig | None = None, gui: bool = False) -> None:
        self.config = config or WorldConfig()
        # Without a display PyBullet ends the whole process.
        if gui and sys.platform == "linux" and not os.environ.get("DISPLAY"):
            raise SimulationError("PyBullet's window needs a display: set DISPLAY, or fly without")
        self.client: int = pybullet.connect(pybullet.GUI if gui else pybullet.DIRECT)
        if self.client < 0:
            raise SimulationError("PyBullet could not start; is one of its windows open already?")
        self._disconnect = finalize(self, pybullet.disconnect, self.client)
        if gui:
            # The panes of the window cover the view, and show raw renders instead of frames.
            for pane in (
                pybullet.COV_ENABLE_GUI,
                pybullet.COV_ENABLE_RGB_BUFFER_PREVIEW,
                pybullet.COV_ENABLE_DEPTH_BUFFER_PREVIEW,
                pybullet.COV_ENABLE_SEGMENTATION_MARK_PREVIEW,
            ):
                pybullet.configureDebugVisualizer(pane, 0, physicsClientId=self.client)
        self.outcome: Outcome | None = None
        self._state: VehicleState | None = None
        self._faults = Faults(np.random.default_rng(0))
        self._flying = False

    def close(self) -> None:
        """Disconnect the PyBullet client. The arena cannot be used after that."""
        self._disconnect()
        self.client = -1
        self._flying = False

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        """Refuse to be copied or pickled, see the class."""
        raise SimulationError(
            "a world cannot be copied or pickled, because PyBullet holds its physics: make another "
            "World(config) and reset it with the same seed"
        )

    @property
    def state(self) -> VehicleState:
        """The true state at `time`."""
        if self._state is None:
            self._state = VehicleState.of(self._kinematics)
        return self._state

    @property
    def kinematics(self) -> Kinematics:
        """The true state at `time` in plain floats, which are faster."""
        return self._kinematics

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Every fault of this flight, in this order: configured, random, injected."""
        return self._faults.all

    def view(self, frame: CameraFrame) -> View:
        """The truth at the exposure of a frame, also if a fault has changed its stamp.

        Raises:
            SimulationError: on a frame that is not of this flight. A copy of a frame is not.
        """
        view = self._views.get(self._sensors.measured(frame))
        if view is None:
            raise SimulationError("no view is known of a frame that is not of this flight")
        return view

    def first_look(self) -> list[Event]:
        """What each sensor sees at the start of the flight, with stamp and arrival 0.

        It stands for what the sensors of a vehicle measured before the flight began. It is not part
        of the flight: `next_event` does not return it, and the flight is the same without it.

        Returns:
            One measurement of each sensor, in the order in which they are fitted; none of a sensor
            that would measure nothing in a vehicle at rest, or whose faults let nothing through.

        Raises:
            SimulationError: unless the flight has just begun.
        """
        if not self._flying or self.time > 0:
            raise SimulationError("first_look() is possible between reset() and the first event")
        # The same draws as in the flight: a sensor has the same bias in both.
        draws = Streams(self._seed)
        faults, rest, step = self._planned_faults(draws), self._kinematics, self.config.step
        seen = []
        for sensor in self.config.sensors:
            source = self._source(sensor, draws, lambda _: self._stage(0))
            steps = (Motion(rest, rest, t, t + step) for t in range(0, FIRST_LOOK, step))
            measured = next((event for motion in steps for event in source.advance(motion)), None)
            event = None if measured is None else faults.measured(measured, sensor.name)
            if measured is not None and event is not None:
                event = replace(event, stamp=0, arrival=0)
                self._sensors.note(event, sensor.name, measured)
                seen.append(event)
        return seen

    def sensor_of(self, event: Event) -> str:
        """Name of the sensor that an event of this flight came from.

        An event that was created elsewhere counts as one of the first sensor of its channel.
        """
        name = self._sensors.name_of(event)
        if name is None:
            fitted = self.config.sensors
            name = next(s.name for s in fitted if s.model.channel is event.channel)
        return name

    def inject(self, fault: Fault) -> None:
        """Add a fault to this flight; `reset` removes it.

        It does not act on earlier measurements, even if they have not arrived yet.

        Raises:
            SimulationError: before `reset` or after `close`, or on a fault that has no effect, see
                `WorldConfig.check_fault`.
        """
        if not self._flying:
            raise SimulationError("no flight is under way: call reset() first")
        self.config.check_fault(fault)
        self._faults.add(fault)

    def clearance(self) -> float:
        """Distance from the vehicle's hull to the nearest obstacle, metres."""
        distances = [solid.distance(self.state.position) for solid in self.scene.obstacles]
        return min(distances, default=float("inf")) - self.vehicle.collision_radius

    def _set_scene(self, seed: int) -> Streams:
        """Draw the scene of `seed` into the empty client, and return the flight's random streams.

        Raises:
            SimulationError: on a seed that is not a whole number >= 0, or after `close`.
        """
        if self.client < 0:
            raise SimulationError("this world is closed: create another World")
        if not (isinstance(seed, (int, np.integer)) and seed >= 0):
            raise SimulationError(f"seed must be a whole number >= 0, got {seed!r}")
        config = self.config
        self._seed = int(seed)
        draws = Streams(self._seed)
        self.scene: Scene = config.task.sample(
            draws["scene"], config.appearance, config.vehicle.collision_radius
        )
        self.attempt: Attempt = config.task.attempt(self.scene)
        pybullet.resetSimulation(physicsClientId=self.client)
        self._bodies = add_scene(self.client, self.scene)
        return draws

    def _set_vehicle(self, parameters: VehicleParameters, draws: Streams) -> None:
        """Put the vehicle at the start of the scene, fit its sensors, and begin the flight."""
        self.vehicle: VehicleParameters = parameters
        self._vehicle = Vehicle(self.client, parameters)
        self._vehicle.reset(self.scene.start_position, self.scene.start_yaw)
        self._faults = self._planned_faults(draws)
        self._views: MutableMapping[Event, View] = WeakKeyDictionary()
        self.time = 0
        self._kinematics: Kinematics = self._vehicle.observe(self.config.step / SECOND)
        self._state = None
        sources = {s.name: self._source(s, draws, self._stage) for s in self.config.sensors}
        self._sensors = Sensors(sources, self._faults)
        self.outcome = None
        self._flying = True

    def _judge(self) -> None:
        """Set the outcome if the flight is over at `time`; Bullet must have looked for contacts."""
        contacts = pybullet.getContactPoints(bodyA=self._vehicle.body, physicsClientId=self.client)
        self.outcome = self.config.task.judge(self.attempt, self.time, bool(contacts))

    def _stage(self, time: int) -> NDArray[np.float64]:
        """Move the moving bodies to `time` ns, and return the next goal of the task, (3,)."""
        place_target(self.client, self._bodies, self.scene, time / SECOND)
        return self.attempt.goal

    def _planned_faults(self, draws: Streams) -> Faults:
        """The faults of the configuration, and those drawn for this flight."""
        faults = Faults(draws["faults"])
        for fault in self.config.faults:
            faults.add(fault)
        if self.config.random_faults is not None:
            limit = self.config.task.time_limit
            for fault in self.config.random_faults.draw(draws["random_faults"], limit):
                faults.add(fault)
        return faults

    def _source(self, sensor: FittedSensor, streams: Streams, stage: Stage) -> Source:
        """Build the source of a sensor."""
        return sensor.model.source(
            SensorContext(
                name=sensor.name,
                timing=sensor.timing,
                streams=streams,
                client=self.client,
                vehicle=self._vehicle.body,
                scene=self.scene,
                bodies=self._bodies,
                renderer=self.config.renderer,
                start=self.state,
                hover_speed=self.vehicle.hover_speed,
                stage=stage,
                views=self._views,
            )
        )
