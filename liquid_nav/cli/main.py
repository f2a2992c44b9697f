"""The `liquid-nav` command: ``fly``, ``train``, ``replay`` and ``dataset``.

Bad input gives one line on standard error and exit code 2, and leaves nothing behind. Ctrl-C gives
exit code 130. What is heavy to import is imported by the command that needs it.
"""

import contextlib
import importlib
import importlib.resources
import io
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, TypeVar

import tyro

from liquid_nav import __version__
from liquid_nav.errors import BundleError, ConfigError, LiquidNavError
from liquid_nav.evaluation.silence import import_pybullet
from liquid_nav.files import check_destinations

TASKS = ("target", "forest", "gates", "follow")

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
    from liquid_nav.cli.fly import Options, run

    options = _parse(Options, "fly", arguments)
    _check_task(options.task, options.difficulty)
    return run(options, _shipped_model)


def _train(arguments: list[str]) -> int:
    import_pybullet()

    from liquid_nav.learning.imitation import TrainingConfig, train
    from liquid_nav.onboard import PolicyConfig, read_manifest
    from liquid_nav.policy import PolicyNetwork
    from liquid_nav_sim.config import WorldConfig
    from liquid_nav_sim.tasks.registry import make_task

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
    check_destinations(out, None)
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
    from liquid_nav.cli.replay import Options, run

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
    check_destinations(options.out, None)

    from liquid_nav.learning.from_bag import Pieces, convert_all
    from liquid_nav.onboard import PolicyConfig, load_policy
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
