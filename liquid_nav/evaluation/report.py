"""The closed-loop benchmark: many flights, a table as they go, whole files at the end."""

import math
import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING

import numpy as np
import pybullet
from rich.console import Console
from rich.text import Text

from liquid_nav.command import Command
from liquid_nav.evaluation.flight import Flight, Pilot, fly
from liquid_nav.evaluation.plots import plot_flights
from liquid_nav.evaluation.statistics import Summary
from liquid_nav.evaluation.video import FlightVideo
from liquid_nav.events import SECOND, CameraFrame, Event
from liquid_nav.files import PLOT, RESULT, VIDEO
from liquid_nav.safety.layer import SafetyConfig
from liquid_nav_sim.tasks.target import TargetTask
from liquid_nav_sim.world import Outcome, World

if TYPE_CHECKING:
    from liquid_nav.evaluation.recording import SimulationRecorder

_COLUMNS = (
    ("episode", 7),
    ("seed", 8),
    ("outcome", 9),
    ("time s", 7),
    ("path m", 7),
    ("clearance m", 11),
    ("event to command us", 19),
)
_STYLES = {Outcome.SUCCESS: "green", Outcome.COLLISION: "red", Outcome.TIMEOUT: "yellow"}


class Interruption:
    """Turns Ctrl-C into a wish, heard between two events, so that no file is cut in the middle.

    A context manager; off the main thread, where there is no Ctrl-C, it does nothing.

    Attributes:
        wished: whether Ctrl-C came.
    """

    def __init__(self) -> None:
        self.wished = False

    def __enter__(self) -> "Interruption":
        self._installed = threading.current_thread() is threading.main_thread()
        if self._installed:
            self._previous = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, self._previous)

    def obey(self) -> None:
        """Raise KeyboardInterrupt where Ctrl-C came."""
        if self.wished:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.wished = True


@dataclass(frozen=True)
class Evaluation:
    """What a benchmark run gave.

    Attributes:
        summary: its figures.
        flights: the flights that were finished, in order.
        interrupted: whether Ctrl-C ended it early.
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
    """Fly the flights of `seed` to `seed + episodes - 1` and show what happened.

    Ctrl-C ends it early: the files then hold the flights finished so far, the video also the
    beginning of the one that was cut.

    Args:
        pilot: who flies.
        world: where.
        episodes: how many flights.
        seed: of the first.
        out: existing directory for `VIDEO`, `PLOT` and `RESULT`, or None.
        json_path: a further place for the figures, in an existing directory, or None.
        video_episodes: flights that the video shows, the first ones; 0 makes no video.
        real_time: hold the simulation back to the pace of the wall clock and let its window follow
            the vehicle.
        record: existing directory for a recording of each flight, see `recording_name`, or None.
        safety: settings that the pilot keeps to, told in recordings; None where it has none.
        console: where the table goes; standard output by default.

    Raises:
        OSError: when a file cannot be written; the others are whole or absent.
    """
    console = console or Console(highlight=False)
    flights: list[Flight] = []
    with Interruption() as interruption, ExitStack() as stack:
        video: FlightVideo | None = None
        if out is not None and video_episodes:
            video = FlightVideo(out / VIDEO, world)
            stack.callback(video.discard)
        console.print(_row([name for name, _ in _COLUMNS]), style="bold", soft_wrap=True)
        try:
            for index in range(episodes):
                filming = video if index < video_episodes else None
                if filming is not None:
                    filming.begin(f"episode {index + 1}/{episodes}   seed {seed + index}")
                with ExitStack() as recordings:
                    recorder = None
                    if record is not None:
                        recorder = recordings.enter_context(
                            _recorder(record / recording_name(seed + index), world, safety)
                        )
                    watch = _watcher(world, filming, interruption, real_time, recorder)
                    flight = fly(world, pilot, seed + index, watch)
                if filming is not None:
                    filming.end()
                flights.append(flight)
                _print_flight(console, index, flight)
            interrupted = False
        except KeyboardInterrupt:
            interrupted = True
        summary = Summary.of(flights, seed)
        _print_summary(console, summary, interrupted)
        if video is not None:
            video.close()
        if out is not None:
            plot_flights(flights, out / PLOT, _success_radius(world))
            summary.save(out / RESULT)
        if json_path is not None:
            summary.save(json_path)
    return Evaluation(summary, flights, interrupted)


def _success_radius(world: World) -> float | None:
    task = world.config.task
    return task.success_radius if isinstance(task, TargetTask) else None


def recording_name(seed: int) -> str:
    """Name of the file that the flight of `seed` is recorded in."""
    return f"flight_{seed}.mcap"


def _recorder(path: Path, world: World, safety: SafetyConfig | None) -> "SimulationRecorder":
    # Flying needs none of the packages that recordings need.
    from liquid_nav.evaluation.recording import SimulationRecorder

    return SimulationRecorder(path, world, safety)


def _watcher(
    world: World,
    video: FlightVideo | None,
    interruption: Interruption,
    real_time: bool,
    recorder: "SimulationRecorder | None",
) -> Callable[[Event, Command], None]:
    begin = time.perf_counter()

    def watch(event: Event, command: Command) -> None:
        interruption.obey()
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


def _print_flight(console: Console, index: int, flight: Flight) -> None:
    latencies = [t for channel in flight.event_to_command.values() for t in channel]
    cells = [
        str(index + 1),
        str(flight.seed),
        flight.outcome.value,
        f"{flight.duration:.2f}",
        f"{flight.path_length:.2f}",
        f"{flight.min_clearance:.2f}",
        f"{np.mean(latencies):.0f}" if latencies else "-",
    ]
    text = Text(_row(cells))
    text.highlight_words([flight.outcome.value], _STYLES[flight.outcome])
    console.print(text, soft_wrap=True)


def _print_summary(console: Console, summary: Summary, interrupted: bool) -> None:
    low, high = summary.wilson95
    console.print(
        f"{'interrupted: ' if interrupted else ''}success {summary.success}/{summary.episodes} "
        f"(95 % interval {low:.3f} to {high:.3f}), collision {summary.collision}, "
        f"timeout {summary.timeout}",
        style="bold",
        soft_wrap=True,
    )
    if summary.realtime_factor is not None:
        latencies = ", ".join(
            f"{name} {times.p50:.0f} / {times.p99:.0f} us"
            for name, times in summary.event_to_command_us.items()
            if times.p50 is not None
        )
        console.print(
            f"{summary.realtime_factor:.1f}x real time; event to command, median / 99th "
            f"percentile: {latencies}",
            soft_wrap=True,
        )
    console.print(f"commands_sha256 {summary.commands_sha256}", soft_wrap=True)


def _row(cells: list[str]) -> str:
    return "  ".join(f"{cell:>{width}}" for cell, (_, width) in zip(cells, _COLUMNS, strict=True))
