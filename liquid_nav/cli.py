"""The `liquid-nav` command: ``fly``, ``train``, ``replay`` and ``dataset``.

Bad input gives one line on standard error and exit code 2, and leaves nothing behind. Ctrl-C gives
exit code 130. What is heavy to import is imported by the command that needs it.
"""

import contextlib
import ctypes
import importlib
import importlib.resources
import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Annotated, TypeVar

import tyro

from liquid_nav import __version__
from liquid_nav.errors import BundleError, ConfigError, LiquidNavError
from liquid_nav.evaluation.files import PLOT, RESULT, VIDEO, made_directories

TASKS = ("target", "forest", "gates", "follow")
PILOTS = ("policy", "expert")

USAGE = """\
usage: liquid-nav [--help] [--version] COMMAND ...

Drone navigation by a continuous-time (liquid) neural controller.

commands:
  fly      fly a task in the simulator and show what happened
  train    train a policy in the simulator
  replay   replay a recorded flight through the controller
  dataset  make training data of recorded flights

`liquid-nav COMMAND --help` tells more of a command.
"""

EXTRAS = {
    "av": "viz",
    "gymnasium": "sim",
    "lz4": "replay",
    "matplotlib": "viz",
    "mcap": "replay",
    "pybullet": "sim",
    "pyulog": "replay",
    "rosbags": "replay",
    "ruamel": "replay",
    "tensorboard": "train",
    "tomli": "sim",
    "zstandard": "replay",
}
"""Which extra of the package brings a module that may be missing."""

_Command = TypeVar("_Command")


@dataclass(frozen=True)
class Fly:
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


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv`, by default the process's, and give the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(arguments)
    except KeyboardInterrupt:
        return 130
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        return _fail(f"{error.name} is not installed: pip install liquid_nav[{extra}]")
    except LiquidNavError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))


def _fail(message: str) -> int:
    print("liquid-nav: error:", " ".join(message.split()), file=sys.stderr)
    return 2


def _dispatch(arguments: list[str]) -> int:
    commands: Mapping[str, Callable[[list[str]], int]] = {
        "fly": _fly,
        "train": _train,
        "replay": _replay,
        "dataset": _dataset,
    }
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE, end="")
        return 0
    if arguments[0] == "--version":
        print(f"liquid-nav {__version__}")
        return 0
    command = commands.get(arguments[0])
    if command is None:
        raise ConfigError(f"unknown command {arguments[0]!r}, choose from {', '.join(commands)}")
    return command(arguments[1:])


def _parse(kind: type[_Command], name: str, arguments: list[str]) -> _Command:
    """Parse arguments by tyro, and say in one line what tyro frames in a box."""
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(
                kind,
                prog=f"liquid-nav {name}",
                args=arguments,
                config=(tyro.conf.FlagCreatePairsOff,),
            )
    except SystemExit as error:
        if not error.code:
            raise
        lines = [line.strip("│ ") for line in complaint.getvalue().splitlines()[1:]]
        said = lines[: next((i for i, line in enumerate(lines) if line[:1] in "─╰"), None)]
        raise ConfigError(f"{' '.join(said)} (see liquid-nav {name} --help)") from error


def _fly(arguments: list[str]) -> int:
    options = _parse(Fly, "fly", arguments)
    _check_task(options.task, options.difficulty)
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
    _check_destinations(options.out, options.json)
    if options.record is not None:
        if options.record.exists() and not options.record.is_dir():
            raise ConfigError(f"--record {options.record} exists and is not a directory")
        # Fails here, before there is a directory, where what it needs is not installed.
        importlib.import_module("liquid_nav.replay.recorder")
    if options.gui:
        _check_display()

    from liquid_nav_sim.fault_schedule import read_faults
    from liquid_nav_sim.vehicle_files import load_vehicle

    vehicle = load_vehicle(options.vehicle)
    faults = () if options.faults is None else read_faults(options.faults)

    import torch

    from liquid_nav.policy import PolicyCamera, load_policy

    # More threads do not help a batch of one, and could change the order of its sums.
    torch.set_num_threads(1)
    policy, seen = None, PolicyCamera()
    if options.pilot == "policy":
        model = options.model or _shipped_model(options.task)
        policy, manifest = load_policy(model)
        if manifest.task != options.task:
            raise BundleError(f"model {model} is for task {manifest.task!r}, not {options.task!r}")
        seen = manifest.config.camera

    pybullet = _import_pybullet()

    from liquid_nav.controller import Controller
    from liquid_nav.evaluation.report import evaluate
    from liquid_nav.learning.expert import ExpertPilot
    from liquid_nav.learning.experts import expert_of
    from liquid_nav.safety import SafetyConfig
    from liquid_nav_sim.tasks import make_task
    from liquid_nav_sim.world import World, WorldConfig, nose_camera

    camera = replace(
        nose_camera(vehicle),
        width=seen.width,
        height=seen.height,
        horizontal_fov=seen.horizontal_fov,
    )
    directories = [options.out] if options.out is not None else []
    directories += [options.json.parent] if options.json is not None else []
    directories += [options.record] if options.record is not None else []
    with made_directories(*directories):
        safety, task = SafetyConfig(), make_task(options.task, options.difficulty)
        config = WorldConfig(vehicle=vehicle, camera=camera, faults=faults, task=task)
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


def _train(arguments: list[str]) -> int:
    _import_pybullet()

    from liquid_nav.learning.imitation import TrainingConfig, train
    from liquid_nav.policy import PolicyConfig, PolicyNetwork, read_manifest
    from liquid_nav_sim.tasks import make_task
    from liquid_nav_sim.world import WorldConfig

    @dataclass(frozen=True)
    class Train:
        """Train a policy by imitation in the simulator: behaviour cloning, then DAgger.

        A run that was cut goes on where it stopped, given the same command line. The model bundle
        is DIR/model, the logs are for TensorBoard in DIR/tensorboard.
        """

        task: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TASK")]
        """What to learn: target, forest, gates or follow."""
        config: Annotated[TrainingConfig, tyro.conf.arg(name="")]
        out: Annotated[
            Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: runs/TASK)")
        ] = None
        """Directory of the run."""
        difficulty: Annotated[float, tyro.conf.arg(metavar="D")] = 0.5
        """How hard the flights are, from 0 to 1."""
        cell: Annotated[
            str | None,
            tyro.conf.arg(metavar="CELL", help_behavior_hint=f"(default: {PolicyConfig.cell})"),
        ] = None
        """The liquid cell."""
        units: Annotated[
            int | None,
            tyro.conf.arg(metavar="N", help_behavior_hint=f"(default: {PolicyConfig.units})"),
        ] = None
        """Neurons of the liquid cell."""
        recorded: Annotated[
            Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: none)")
        ] = None
        """Directory of further episodes, of `liquid-nav dataset from-bag`."""
        start: Annotated[
            Path | None, tyro.conf.arg(metavar="PATH", help_behavior_hint="(default: random)")
        ] = None
        """Model bundle to start from; its weights are learnt on."""

    options = _parse(Train, "train", arguments)
    _check_task(options.task, options.difficulty)
    out = options.out or Path("runs") / options.task
    _check_destinations(out, None)
    policy = PolicyConfig() if options.start is None else read_manifest(options.start).config
    policy = replace(
        policy,
        cell=policy.cell if options.cell is None else options.cell,
        units=policy.units if options.units is None else options.units,
    )
    # Fails here, before there is a run directory, where the architecture makes no sense.
    PolicyNetwork(policy)
    bundle = train(
        out,
        options.config,
        policy,
        WorldConfig(task=make_task(options.task, options.difficulty)),
        recorded=options.recorded,
        start=options.start,
    )
    print(f"trained: {bundle}")
    return 0


def _replay(arguments: list[str]) -> int:
    from liquid_nav.replay.command import Options, run

    options = _parse(Options, "replay", arguments)
    return run(options, options.model or _shipped_model(TASKS[0]))


@dataclass(frozen=True)
class FromBag:
    """Make training data of recorded flights, for `liquid-nav train TASK --recorded DIR`.

    FLIGHT is what `liquid-nav replay` reads. The commands recorded in it, velocities of the body as
    Twist or TwistStamped, are what is learnt. Each episode is one file in DIR, FLIGHT_000.npz.
    """

    flights: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FLIGHT...")]
    """The recordings."""
    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """Where the episodes go."""
    camera: Annotated[
        str | None, tyro.conf.arg(metavar="TOPIC", help_behavior_hint="(default: by type)")
    ] = None
    """Images, raw or compressed."""
    camera_info: Annotated[
        str | None,
        tyro.conf.arg(metavar="TOPIC", help_behavior_hint="(default: beside the images)"),
    ] = None
    """Calibration of the camera."""
    imu: Annotated[
        str | None, tyro.conf.arg(metavar="TOPIC", help_behavior_hint="(default: by type)")
    ] = None
    """Inertial samples."""
    cmd: Annotated[
        str | None, tyro.conf.arg(metavar="TOPIC", help_behavior_hint="(default: by type)")
    ] = None
    """Commands."""
    hold: Annotated[float, tyro.conf.arg(metavar="S")] = 0.5
    """Seconds for which a command is in force; a longer silence of them ends an episode."""
    longest: Annotated[float, tyro.conf.arg(metavar="S")] = 120.0
    """Seconds after which an episode ends and another begins."""
    shortest: Annotated[float, tyro.conf.arg(metavar="S")] = 1.0
    """Seconds below which one is left out."""
    model: Annotated[
        Path | None, tyro.conf.arg(metavar="PATH", help_behavior_hint="(default: any new model's)")
    ] = None
    """Model bundle whose camera images are brought to."""


def _dataset(arguments: list[str]) -> int:
    if arguments[:1] in ([], ["-h"], ["--help"]):
        print("usage: liquid-nav dataset from-bag FLIGHT... --out DIR (see from-bag --help)")
        return 0
    if arguments[0] != "from-bag":
        raise ConfigError(f"unknown command dataset {arguments[0]!r}, choose from-bag")
    options = _parse(FromBag, "dataset from-bag", arguments[1:])
    _check_destinations(options.out, None)

    from liquid_nav.learning.from_bag import Pieces, convert_all
    from liquid_nav.policy import PolicyConfig, load_policy
    from liquid_nav.replay.topics import NONE, Topics

    config = PolicyConfig() if options.model is None else load_policy(options.model)[0].config
    chosen = Topics(
        camera=options.camera,
        camera_info=options.camera_info,
        imu=options.imu,
        odometry=NONE,
        command=options.cmd,
        operator=NONE,
    )
    pieces = Pieces(options.hold, options.longest, options.shortest)
    convert_all(options.flights, options.out, config.camera, chosen, pieces, print)
    return 0


def _check_task(task: str, difficulty: float) -> None:
    if task not in TASKS:
        raise ConfigError(f"unknown task {task!r}, choose from {', '.join(TASKS)}")
    if not 0 <= difficulty <= 1:
        raise ConfigError(f"--difficulty must be in [0, 1], got {difficulty}")


def _check_destinations(out: Path | None, json: Path | None) -> None:
    """Refuse an output directory and a JSON file that cannot both be there."""
    if out is not None:
        if out.exists() and not out.is_dir():
            raise ConfigError(f"--out {out} exists and is not a directory")
        for name in (VIDEO, PLOT, RESULT):
            if (out / name).is_dir():
                raise ConfigError(f"--out {out}: {name} in it is a directory")
    if json is None:
        return
    if json.is_dir() or not json.name:
        raise ConfigError(f"--json {json} is a directory, give a file")
    # Files appear by renaming: a device or a pipe would be replaced, not written to.
    if json.exists() and not json.is_file():
        raise ConfigError(f"--json {json} exists and is not a regular file")
    if out is not None:
        target, folder = json.resolve(), out.resolve()
        if target == folder or target in folder.parents:
            raise ConfigError(f"--json {json} must be a file, but --out {out} needs a directory")
        if target in (folder / VIDEO, folder / PLOT):
            raise ConfigError(f"--json {json} is where --out {out} puts another file")


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


def _import_pybullet() -> ModuleType:
    """Import PyBullet without the line that it writes past Python's `sys.stderr`."""
    stderr = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        return importlib.import_module("pybullet")
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def _shipped_model(task: str) -> Path:
    """Directory of the bundle that comes with the package."""
    try:
        model = Path(str(importlib.resources.files("liquid_nav_models") / task))
    except ModuleNotFoundError as error:
        raise BundleError("no model comes with this installation, give one with --model") from error
    if not model.is_dir():
        raise BundleError(
            f"no model for task {task!r} comes with liquid_nav: train one with liquid-nav train "
            f"{task} and give it with --model, or fly with --pilot expert"
        )
    return model


if __name__ == "__main__":
    sys.exit(main())
