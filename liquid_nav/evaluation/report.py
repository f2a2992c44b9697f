"""The closed-loop benchmark: many flights, a table as they end, and files at the end."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pybullet
from rich.console import Console

from liquid_nav.command import Command
from liquid_nav.evaluation.console import print_flight, print_header, print_summary
from liquid_nav.evaluation.flight import Flight, Pilot, fly
from liquid_nav.evaluation.interruption import deferred_interrupt
from liquid_nav.evaluation.plots import plot_flights
from liquid_nav.evaluation.statistics import Summary
from liquid_nav.evaluation.video import FlightVideo
from liquid_nav.events import SECOND, Event
from liquid_nav.files import PLOT, RESULT, VIDEO, whole_files
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

    Ctrl-C ends the run early: the files then hold the flights finished so far, and the video shows
    the beginning of the interrupted one too.

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
        OSError: when a file cannot be written; there is none of the files then, except for the
            recordings of flights that ended before.

    """
    console = console or Console(highlight=False)
    flights, interrupted = list[Flight](), False
    files = [] if out is None else [out / VIDEO, out / PLOT, out / RESULT]
    if json_path is not None and json_path.resolve() not in {file.resolve() for file in files}:
        files.append(json_path)
    with deferred_interrupt() as check, ExitStack() as stack:
        # After an error none of them is there.
        staged = dict(zip(files, stack.enter_context(whole_files(*files)), strict=True))
        video = None
        if out is not None and video_episodes:
            video = FlightVideo(staged[out / VIDEO], world)
            stack.callback(video.discard)
        print_header(console)
        try:
            for index in range(episodes):
                shown = video if index < video_episodes else None
                title = f"episode {index + 1}/{episodes}   seed {seed + index}"
                recording = _recorder(record, seed + index, world, safety)
                with _filmed(shown, title), recording as recorder:
                    watch = _watcher(world, shown, recorder, check, real_time)
                    flights.append(fly(world, pilot, seed + index, watch))
                print_flight(console, index, flights[-1])
        except KeyboardInterrupt:
            interrupted = True
        evaluation = Evaluation(Summary.of(flights, seed), flights, interrupted)
        print_summary(console, evaluation.summary, interrupted)
        if video is not None:
            video.close()
        if out is not None:
            _plot(evaluation, world, staged.pop(out / PLOT))
            del staged[out / VIDEO]
        for staging in staged.values():
            evaluation.summary.save(staging)
    return evaluation


def recording_name(seed: int) -> str:
    """Name the file in which the flight of `seed` is recorded."""
    return f"flight_{seed}.mcap"


@contextmanager
def _filmed(video: FlightVideo | None, title: str) -> Iterator[None]:
    if video is not None:
        video.begin(title)
    yield
    if video is not None:
        video.end()


def _plot(evaluation: Evaluation, world: World, path: Path) -> None:
    task = world.config.task
    radius = task.success_radius if isinstance(task, TargetTask) else None
    plot_flights(evaluation.flights, path, radius)


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
    recorder: "SimulationRecorder | None",
    check: Callable[[], None],
    real_time: bool,
) -> Callable[[Event, Command], None]:
    begin, followed_at = time.perf_counter(), 0

    def watch(event: Event, command: Command) -> None:
        nonlocal followed_at
        check()
        if recorder is not None:
            recorder.event(event)
            recorder.command(command)
        if video is not None:
            video.watch(event, command)
        if real_time:
            if world.time >= followed_at:
                followed_at = world.time + SECOND // 30
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
