"""The worst flight of a cell, flown again for a recording and a picture."""

import re
from dataclasses import dataclass
from pathlib import Path

from liquid_nav.command import Command
from liquid_nav.controller import Controller
from liquid_nav.evaluation.flight import fly_vehicle
from liquid_nav.evaluation.home import HomeVehicle
from liquid_nav.evaluation.plots import plot_flights
from liquid_nav.evaluation.recording import SimulationRecorder
from liquid_nav.evaluation.study.job import FlightJob
from liquid_nav.evaluation.study.pilots import safety_in
from liquid_nav.evaluation.study.study import Study
from liquid_nav.evaluation.study.summary import CellFigures
from liquid_nav.events import Event
from liquid_nav.recording.recorder import FlightRecorder
from liquid_nav_sim.tasks.target import TargetTask

WORST = "worst"
"""Folder of the recordings and pictures in that of the study."""


@dataclass(frozen=True)
class WorstJob(FlightJob):
    """Flies a flight again, as it was, and records it; `path` is that of the picture."""

    @property
    def recording(self) -> Path:
        """The recording, for ``liquid-nav replay`` and tools for MCAP."""
        return self.path.with_suffix(".mcap")

    def fly(self) -> None:
        """Fly, and write the recording, then the picture."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        vehicle, pilot, seen = self.prepare()
        safety = safety_in(self.cell.config) if isinstance(pilot, Controller) else None
        recorder: SimulationRecorder | FlightRecorder
        if isinstance(vehicle, HomeVehicle):
            recorder = SimulationRecorder(self.recording, vehicle.world, safety)
        else:  # of another simulator, nobody knows how to draw the truth
            recorder = FlightRecorder(self.recording, vehicle.equipment.camera, safety=safety)
        with recorder:

            def watch(event: Event, command: Command) -> None:
                recorder.event(event)
                recorder.command(command)

            flight = fly_vehicle(vehicle, pilot, self.seed, watch, seen)
        task = self.cell.config.task
        radius = task.success_radius if isinstance(task, TargetTask) else None
        plot_flights([flight], self.path, radius)


def worst_job(study: Study, cell: CellFigures, pilot: str) -> WorstJob | None:
    """Make the job that records the worst flight of a pilot in a cell; None if it flew none."""
    figures = cell.pilots.get(pilot)
    if figures is None:
        return None
    conditions = next(c for c in study.suites[cell.suite] if c.name == cell.name)
    name = f"{_plain(cell.suite)}-{_plain(cell.name)}-{pilot}-{figures.worst_seed}.png"
    path = study.folder / WORST / name
    return WorstJob(conditions, pilot, study.bundle, figures.worst_seed, path)


def _plain(name: str) -> str:
    """Turn a name into part of a file's name."""
    return re.sub(r"[^A-Za-z0-9.+]+", "-", name).strip("-")
