"""Probes: how steady the commands of a pilot are, and how long a disturbance throws it off."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liquid_nav.command import Command
from liquid_nav.evaluation.home import HomeVehicle
from liquid_nav.evaluation.study.job import FlightJob, world_of
from liquid_nav.evaluation.study.measures import CommandChange
from liquid_nav.evaluation.vehicle import SimulatedVehicle
from liquid_nav.events import SECOND, Event
from liquid_nav.learning.flying.sensing import events
from liquid_nav.rotations import yaw_of
from liquid_nav_sim.air.wind import WindModel
from liquid_nav_sim.faults.kinds import Fault

SETTLING, HELD = 1.0, 4.0
"""Seconds of a held scene that are left out, and seconds that are measured."""

STEP, STEP_AT = 5.0, 1.0
"""The step disturbance: wind, m/s, from this time of the flight on, seconds."""

RATE, WINDOW = 20, 6.0
"""Samples per second of the response to the step, and its length at most, seconds."""

REGAINED = 0.1
"""Tracking is regained when the error is below this fraction of its peak for good."""


class HeldSceneJob(FlightJob):
    """Temporal coherence: how much the commands change while nothing does.

    The vehicle hovers at its start in still air and does not follow the pilot, and a moving target
    stands still. Frames and IMU samples keep coming, with their noise, vibration and timing.
    """

    def result(self) -> dict[str, Any]:
        """Measure the total variation of each axis of the command per second.

        Returns:
            ``variation``: of vx, vy, vz, m/s^2, and of the yaw rate, rad/s^2.

        """
        still = replace(self.cell.config, wind=WindModel(steady=0.0, gust=0.0))
        _, pilot, seen = replace(self, cell=replace(self.cell, config=still)).prepare()
        world = world_of(still)
        world.reset(self.seed)
        world.scene = replace(world.scene, route=None)
        pilot.reset()
        commands = CommandChange()
        for event in events(world, pilot.channels):
            pilot.on_event(event if seen is None else seen(event))
            command = pilot.command(event.arrival)
            world.command(Command(event.arrival))
            if event.arrival >= SETTLING * SECOND:
                commands.note(command)
            if event.arrival >= (SETTLING + HELD) * SECOND:
                break
        return {"variation": [round(value, 4) for value in commands.per_second]}


class StepJob(FlightJob):
    """Adaptation: what a sudden wind does to the velocity, and for how long."""

    def result(self) -> dict[str, Any]:
        """Fly with and without a step of the wind, and subtract.

        Returns:
            ``response``: along the step, the velocity error with it minus that without it, m/s,
            `RATE` times a second from the step on, for as long as both flights lasted. The
            velocity error is the true velocity minus the commanded one.

        """
        calm, windy = self._errors(0.0), self._errors(STEP)
        both = min(len(calm), len(windy))
        return {"response": [round(value, 4) for value in (windy[:both] - calm[:both]).tolist()]}

    def _errors(self, step: float) -> NDArray[np.float64]:
        """Velocity error along the step, from the step on, m/s."""
        config, times, errors = self.cell.config, [], []
        fault = Fault("wind_step", round(STEP_AT * SECOND), magnitude=step)
        cell = replace(self.cell, config=replace(config, faults=(*config.faults, fault)))

        def watch(vehicle: SimulatedVehicle, event: Event, command: Command) -> None:
            assert isinstance(vehicle, HomeVehicle)  # the others are not probed
            world = vehicle.world
            yaw = yaw_of(world.state.orientation)
            east = math.cos(yaw) * command.vx - math.sin(yaw) * command.vy
            times.append(world.time / SECOND - STEP_AT)
            errors.append(float(world.state.linear_velocity[0]) - east)

        replace(self, cell=cell).flight(watch)
        count = min(max(math.floor(times[-1] * RATE) + 1, 0), round(WINDOW * RATE))
        return np.interp(np.arange(count) / RATE, times, errors)


def mean_response(responses: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Average responses sample by sample, for as long as at least half of the flights lasted."""
    lengths = sorted(map(len, responses), reverse=True)
    length = lengths[(len(lengths) - 1) // 2] if lengths else 0
    return np.array([np.mean([r[k] for r in responses if len(r) > k]) for k in range(length)])


def adaptation_latency(response: NDArray[np.float64]) -> float | None:
    """Seconds from the step until the mean response stays within `REGAINED` of its peak.

    None if it does not before the response ends, or there is no response.
    """
    size = np.abs(response)
    if not len(size) or size.max() == 0:
        return None
    beyond = np.flatnonzero(size > REGAINED * size.max())
    last = int(beyond[-1])
    return None if last == len(size) - 1 else (last + 1) / RATE
