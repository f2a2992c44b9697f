"""One flight of a study, from the take-off to its line of JSON."""

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liquid_nav.command import Command
from liquid_nav.evaluation.flight import Flight, Pilot, fly_vehicle
from liquid_nav.evaluation.study.measures import CommandChange, path_efficiency
from liquid_nav.evaluation.study.pilots import PILOTS
from liquid_nav.evaluation.suites.cell import Cell
from liquid_nav.evaluation.vehicle import SimulatedVehicle
from liquid_nav.events import CameraFrame, Event
from liquid_nav.files import write_whole
from liquid_nav.learning.data.images import ImageChange
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.streams import Streams
from liquid_nav_sim.world import Outcome, World

Watch = Callable[[SimulatedVehicle, Event, Command], None]
"""Called after each event with the command after it."""

Seen = Callable[[Event], Event]
"""Gives the event that a pilot gets in place of one of the vehicle."""


@dataclass(frozen=True)
class FlightJob:
    """A flight of a study.

    Attributes:
        cell: the conditions.
        pilot: name in `PILOTS`.
        bundle: bundle of the policy, or None.
        seed: seed of the flight.
        path: file for the result.

    """

    cell: Cell
    pilot: str
    bundle: Path | None
    seed: int
    path: Path

    def fly(self) -> None:
        """Fly, and write the result as a line of JSON."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.path, json.dumps(self.result()) + "\n")

    def moved(self, path: Path, bundle: Path | None) -> "FlightJob":
        """Give the same flight on a machine where its file and its bundle are elsewhere."""
        return replace(self, path=path, bundle=bundle)

    def result(self) -> dict[str, Any]:
        """Fly, and give what is kept of the flight; plain JSON types.

        ``clearance_m`` is None in a scene without obstacles, and ``efficiency`` unless the flight
        succeeded and the aims stand still.
        """
        commands = CommandChange()
        aims: list[NDArray[np.float64]] = []

        def watch(vehicle: SimulatedVehicle, event: Event, command: Command) -> None:
            commands.note(command)
            goal = vehicle.attempt.goal
            if not aims or goal is not aims[-1]:
                aims.append(goal)

        flight = self.flight(watch)
        succeeded = flight.outcome is Outcome.SUCCESS
        still = flight.scene.route is None
        clearance = flight.min_clearance
        return {
            "outcome": flight.outcome.value,
            "duration_s": round(flight.duration, 3),
            "path_m": round(flight.path_length, 3),
            "clearance_m": round(clearance, 3) if flight.scene.obstacles else None,
            "efficiency": round(path_efficiency(flight.track[0], aims[:-1], flight.track), 4)
            if succeeded and still
            else None,
            "smoothness": round(commands.smoothness, 4),
            "commands_sha256": flight.digest.hex(),
        }

    def flight(self, watch: Watch | None = None) -> Flight:
        """Fly once."""
        vehicle, pilot, seen = self.prepare()
        watching = None if watch is None else functools.partial(watch, vehicle)
        return fly_vehicle(vehicle, pilot, self.seed, watching, seen)

    def prepare(self) -> tuple[SimulatedVehicle, Pilot, Seen | None]:
        """Make vehicle and pilot, and what changes the frames on the way between them."""
        world = world_of(self.cell.config)
        pilot = PILOTS[self.pilot](world, self.bundle)
        vehicle = self.cell.vehicle(world, self.seed, pilot.channels)
        return vehicle, pilot, frames_through(self.cell.image, self.seed)


def frames_through(change: ImageChange, seed: int) -> Seen | None:
    """Give what changes the frames of the flight of a seed, or None if nothing changes."""
    if change == ImageChange():
        return None
    through = change.filter(Streams(seed)["image_change"])

    def seen(event: Event) -> Event:
        if isinstance(event, CameraFrame):
            return replace(event, image=through(event.image[None])[0])
        return event

    return seen


def world_of(config: WorldConfig) -> World:
    """Return the world of this process, which has this configuration from its next reset on."""
    world = _world()
    world.config = config
    return world


@functools.cache
def _world() -> World:
    return World()
