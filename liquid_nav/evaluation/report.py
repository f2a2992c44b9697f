"""The closed-loop benchmark: many flights, a table as they end, and files at the end."""

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pybullet
from rich.console import Console

from liquid_nav.command import Command
from liquid_nav.evaluation.console import print_flight, print_header, print_summary
from liquid_nav.evaluation.flight import Flight, Pilot, fly
from liquid_nav.evaluation.interruption import Interruption
from liquid_nav.evaluation.plots import plot_flights
from liquid_nav.evaluation.statistics import Summary
from liquid_nav.evaluation.video import FlightVideo
from liquid_nav.events import SECOND, CameraFrame, Event
from liquid_nav.files import PLOT, RESULT, VIDEO
from liquid_nav.safety.layer import SafetyConfig
from liquid_nav_sim.tasks.target import TargetTask
from liquid_nav_sim.world import World

if TYPE_CHECKING:
    from liquid_nav.evaluation.recording import SimulationRecorder


@dataclass(frozen=True)
class Evaluation:
    """The result of a benchmark run.

    Attributes:
        summary: statistics over the flights.
        flights: the finished flights, in order.
        interrupted: whether Ctrl-C ended the run early.

    """

    summary: Summary
    flights: list[Flight]
    interrupted: bool


def evaluate(
    pilot: Pilot,
    world: World,
    episodes: int,
    seed: int,
    *,
    out: Path | None = None,
    json_path: Path | None = None,
    video_episodes: int = 3,
    real_time: bool = False,
    record: Path | None = None,
    safety: SafetyConfig | None = None,
    console: Console | None = None,
) -> Evaluation:
    """Fly the flights of `seed` to `seed + episodes - 1` and show how they went.

    Ctrl-C ends the run early: the files then hold the flights finished so far, and the video also
    shows the beginning of the interrupted one.

    Args:
        pilot: gives the commands.
        world: the simulator.
        episodes: number of flights.
        seed: seed of the first flight.
        out: existing directory for `VIDEO`, `PLOT` and `RESULT`, or None.
        json_path: another file for the summary, in an existing directory, or None.
        video_episodes: how many flights, from the first, the video shows; 0 makes no video.
        real_time: slow the simulation down to real time, and let its window follow the vehicle.
        record: existing directory for a recording of each flight, see `recording_name`, or None.
        safety: settings of the pilot's safety layer, for recordings; None where it has none.
        console: where the table is printed; standard output by default.

    Raises:
        OSError: when a file cannot be written; the other files are whole or absent.

    """
    console = console or Console(highlight=False)
    flights: list[Flight] = []
    interrupted = False
    with Interruption() as interruption, ExitStack() as stack:
        video: FlightVideo | None = None
        if out is not None and video_episodes:
            video = FlightVideo(out / VIDEO, world)
            stack.callback(video.discard)
        print_header(console)
        try:
            for index in range(episodes):
                shown = video if index < video_episodes else None
                if shown is not None:
                    shown.begin(f"episode {index + 1}/{episodes}   seed {seed + index}")
                with _recorder(record, seed + index, world, safety) as recorder:
                    watch = _watcher(world, shown, interruption, real_time, recorder)
                    flight = fly(world, pilot, seed + index, watch)
                if shown is not None:
                    shown.end()
                flights.append(flight)
                print_flight(console, index, flight)
        except KeyboardInterrupt:
            interrupted = True
        summary = Summary.of(flights, seed)
        print_summary(console, summary, interrupted)
        if video is not None:
            video.close()
        if out is not None:
            plot_flights(flights, out / PLOT, _success_radius(world))
            summary.save(out / RESULT)
        if json_path is not None:
            summary.save(json_path)
    return Evaluation(summary, flights, interrupted)


def recording_name(seed: int) -> str:
    """Name the file in which the flight of `seed` is recorded."""
    return f"flight_{seed}.mcap"


def _success_radius(world: World) -> float | None:
    task = world.config.task
    return task.success_radius if isinstance(task, TargetTask) else None


def _recorder(
    folder: Path | None, seed: int, world: World, safety: SafetyConfig | None
) -> "AbstractContextManager[SimulationRecorder | None]":
    if folder is None:
        return nullcontext()
    # Flying needs none of the packages that recordings need.
    from liquid_nav.evaluation.recording import SimulationRecorder

    return SimulationRecorder(folder / recording_name(seed), world, safety)


def _watcher(
    world: World,
    video: FlightVideo | None,
    interruption: Interruption,
    real_time: bool,
    recorder: "SimulationRecorder | None",
) -> Callable[[Event, Command], None]:
    begin = time.perf_counter()

    def watch(event: Event, command: Command) -> None:
        interruption.check()
        if recorder is not None:
            recorder.event(event)
            recorder.command(command)
        if video is not None:
            video.watch(event, command)
        if real_time:
            if isinstance(event, CameraFrame):
                _follow(world)
            time.sleep(max(0.0, begin + world.time / SECOND - time.perf_counter()))

    return watch


def _follow(world: World) -> None:
    """Keep the vehicle in the middle of the simulator's window."""
    pybullet.resetDebugVisualizerCamera(
        cameraDistance=3.0,
        cameraYaw=math.degrees(world.scene.start_yaw) - 90,
        cameraPitch=-25,
        cameraTargetPosition=world.state.position.tolist(),
        physicsClientId=world.client,
    )
