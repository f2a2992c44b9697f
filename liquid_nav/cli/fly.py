"""``liquid-nav fly``: a task in the simulator, in a table and in files.

What is heavy to import is imported once the options have been checked.
"""

import contextlib
import ctypes
import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from liquid_nav.errors import BundleError, ConfigError
from liquid_nav.evaluation.silence import import_pybullet
from liquid_nav.files import check_destinations, made_directories

PILOTS = ("policy", "expert")


@dataclass(frozen=True)
class Options:
    """Fly a task closed loop in the simulator and show what happened.

    A row is printed for each flight. With --out, DIR gets flights.mp4 (onboard and outside view),
    flights.png (the flights from above) and result.json. Ctrl-C leaves whole files of the flights
    flown so far.
    """

    task: Annotated[str, tyro.conf.arg(metavar="TASK")] = "target"
    """What to fly: target, forest, gates or follow."""
    difficulty: Annotated[float, tyro.conf.arg(metavar="D")] = 0.5
    """How hard, from 0 to 1."""
    pilot: Annotated[str, tyro.conf.arg(metavar="PILOT")] = "policy"
    """Who flies: policy, or expert, the one that knows the scene and that policies learn from."""
    episodes: Annotated[int, tyro.conf.arg(metavar="N")] = 10
    """How many flights, at least 1."""
    seed: Annotated[int, tyro.conf.arg(metavar="S")] = 100_000
    """Seed of the first flight, the next ones follow; training uses the seeds below 100000."""
    model: Annotated[
        Path | None, tyro.conf.arg(metavar="PATH", help_behavior_hint="(default: the shipped one)")
    ] = None
    """Directory of the model bundle to fly; it must have been trained for the task."""
    vehicle: Annotated[str, tyro.conf.arg(metavar="NAME|FILE")] = "racing_250"
    """What flies: crazyflie, racing_250, survey_1500, or a .toml file of parameters like theirs."""
    faults: Annotated[
        Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="(default: none)")
    ] = None
    """What breaks in every flight, a .toml file with a table [[fault]] for each: see
    docs/simulator.md."""
    gui: bool = False
    """Show the simulator's window and fly in real time; the ground drawn for it may change pixels
    of the camera, and so commands."""
    out: Annotated[
        Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: no files)")
    ] = None
    """Where video, plot and figures go."""
    json: Annotated[
        Path | None, tyro.conf.arg(metavar="PATH", help_behavior_hint="(default: no file)")
    ] = None
    """Where the figures go, in JSON."""
    record: Annotated[
        Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: no recording)")
    ] = None
    """Where each flight is recorded, flight_SEED.mcap, for `liquid-nav replay` and ROS tools."""
    video_episodes: Annotated[int, tyro.conf.arg(metavar="N")] = 3
    """How many flights the video shows, the first ones; more take longer, 0 makes no video."""


def run(options: Options, shipped: Callable[[str], Path]) -> int:
    """Fly, and give the exit code; the task has been checked.

    Args:
        options: of the command line.
        shipped: gives the directory of the bundle that comes with the package for a task.

    Raises:
        ConfigError: on an option out of its range.
        BundleError: when there is no policy for the task, or it is damaged.
        OSError: when a file cannot be written.
    """
    _check(options)

    from liquid_nav_sim.faults.schedule import read_faults
    from liquid_nav_sim.vehicle.files import load_vehicle

    vehicle = load_vehicle(options.vehicle)
    faults = () if options.faults is None else read_faults(options.faults)

    from liquid_nav.onboard import PolicyCamera, load_policy

    policy, seen = None, PolicyCamera()
    if options.pilot == "policy":
        model = options.model or shipped(options.task)
        policy, manifest = load_policy(model)
        if manifest.task != options.task:
            raise BundleError(f"model {model} is for task {manifest.task!r}, not {options.task!r}")
        seen = manifest.config.camera

    pybullet = import_pybullet()

    from liquid_nav.controller import Controller
    from liquid_nav.evaluation.report import evaluate
    from liquid_nav.learning.expert import ExpertPilot
    from liquid_nav.learning.experts import expert_of
    from liquid_nav.safety.layer import SafetyConfig
    from liquid_nav_sim.config import WorldConfig
    from liquid_nav_sim.sensors.frames import CameraModel
    from liquid_nav_sim.tasks.registry import make_task
    from liquid_nav_sim.world import World

    camera = replace(
        CameraModel.for_vehicle(vehicle),
        width=seen.width,
        height=seen.height,
        horizontal_fov=seen.horizontal_fov,
    )
    directories = [options.out] if options.out is not None else []
    directories += [options.json.parent] if options.json is not None else []
    directories += [options.record] if options.record is not None else []
    with made_directories(*directories):
        safety, task = SafetyConfig(), make_task(options.task, options.difficulty)
        config = WorldConfig(vehicle=vehicle, faults=faults, task=task)
        config = config.with_sensor("camera", model=camera)
        world = World(config, gui=options.gui)
        try:
            evaluation = evaluate(
                ExpertPilot(expert_of(world)) if policy is None else Controller(policy, safety),
                world,
                options.episodes,
                options.seed,
                out=options.out,
                json_path=options.json,
                video_episodes=options.video_episodes,
                real_time=options.gui,
                record=options.record,
                safety=None if policy is None else safety,
            )
        except pybullet.error as error:
            if not options.gui:
                raise
            raise ConfigError(f"the simulator's window was closed: {error}") from error
        finally:
            with contextlib.suppress(pybullet.error):
                world.close()
    return 130 if evaluation.interrupted else 0


def _check(options: Options) -> None:
    """Refuse what makes no sense, before anything heavy is imported."""
    if options.pilot not in PILOTS:
        raise ConfigError(f"--pilot must be {' or '.join(PILOTS)}, got {options.pilot!r}")
    if options.pilot == "expert" and options.model is not None:
        raise ConfigError("--model is for --pilot policy, the expert has none")
    if options.episodes < 1:
        raise ConfigError(f"--episodes must be at least 1, got {options.episodes}")
    if options.seed < 0:
        raise ConfigError(f"--seed must not be negative, got {options.seed}")
    if options.video_episodes < 0:
        raise ConfigError(f"--video-episodes must not be negative, got {options.video_episodes}")
    check_destinations(options.out, options.json)
    if options.record is not None:
        if options.record.exists() and not options.record.is_dir():
            raise ConfigError(f"--record {options.record} exists and is not a directory")
        # Fails here, before there is a directory, where what it needs is not installed.
        importlib.import_module("liquid_nav.recording.recorder")
    if options.gui:
        _check_display()


def _check_display() -> None:
    """Look for an X server: without one, PyBullet ends the process when asked for a window."""
    if not sys.platform.startswith("linux"):
        return
    try:
        x11 = ctypes.CDLL("libX11.so.6")
    except OSError as error:
        raise ConfigError("--gui needs X11, and its library libX11.so.6 is not there") from error
    x11.XOpenDisplay.restype = ctypes.c_void_p
    display = x11.XOpenDisplay(None)
    if not display:
        raise ConfigError("--gui needs a display: none could be opened, is DISPLAY set?")
    x11.XCloseDisplay(ctypes.c_void_p(display))
