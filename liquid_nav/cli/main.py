"""The `liquid-nav` command.

Each command is a dataclass in a file of its own: its fields are the options, and `run` does the
work and gives the exit code. These files import nothing heavy at the top, so that ``--help`` is
quick and a command loads only what it needs.

Exit codes: 0 when all went well, 1 when a check of a vehicle or a mission failed, 130 after Ctrl-C,
2 on bad input, which leaves no files behind.
A command line that cannot be parsed is explained by tyro; every other error is one line on
standard error. Warnings go to standard error as well, and with LIQUID_NAV_LOG=info in the
environment also messages such as which runtime evaluates the policy.
"""

import errno
import logging
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import tyro

from liquid_nav import __version__
from liquid_nav.cli.check_vehicle import CheckVehicle
from liquid_nav.cli.dataset import Dataset
from liquid_nav.cli.eval import Eval
from liquid_nav.cli.fly import Fly
from liquid_nav.cli.mission import Mission
from liquid_nav.cli.replay import Replay
from liquid_nav.cli.train import Train, begun_with
from liquid_nav.errors import LiquidNavError
from liquid_nav.files import final_name

DESCRIPTION = (
    "Drone navigation by a continuous-time (liquid) neural controller. `liquid-nav COMMAND --help` "
    "lists the options of a command; `liquid-nav --version` tells the version."
)

# tyro looks into the first command to see what kind of union this is, and so looks up the names
# that its options take: Dataset has no such options.
Command = (
    Annotated[Dataset, tyro.conf.subcommand("dataset")]
    | Annotated[CheckVehicle, tyro.conf.subcommand("check-vehicle")]
    | Annotated[Eval, tyro.conf.subcommand("eval")]
    | Annotated[Fly, tyro.conf.subcommand("fly")]
    | Annotated[Mission, tyro.conf.subcommand("mission")]
    | Annotated[Replay, tyro.conf.subcommand("replay")]
    | Annotated[Train, tyro.conf.subcommand("train")]
)

MARKERS = (
    tyro.conf.DisallowNone,
    tyro.conf.FlagCreatePairsOff,
    tyro.conf.OmitSubcommandPrefixes,
)
"""No option takes `None`, there is no `--no-gui`, and `from-bag` is not `command:from-bag`."""

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
"""What the environment variable LIQUID_NAV_LOG can be, in either case."""

EXTRAS = {
    "av": "viz",
    "gymnasium": "sim",
    "jinja2": "replay",
    "lz4": "replay",
    "matplotlib": "viz",
    "mcap": "replay",
    "pybullet": "sim",
    "pymavlink": "mavlink",
    "pyulog": "replay",
    "rosbags": "replay",
    "ruamel": "replay",
    "tensorboard": "train",
    "ray": "cluster",
    "tomli": "sim",
    "zstandard": "replay",
}
"""The extra of the package that installs a module which may be missing."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv`, by default the process's, and give the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments == ["--version"]:
        print(f"liquid-nav {__version__}")
        return 0
    level = os.environ.get("LIQUID_NAV_LOG", "warning").upper()
    if level not in LEVELS:
        return _fail(f"LIQUID_NAV_LOG must be one of {', '.join(LEVELS).lower()}, got {level!r}")
    logging.basicConfig(level=level, format="liquid-nav: %(levelname)s: %(message)s")
    # An empty path would be the working directory.
    for before, argument in zip(["", *arguments], arguments, strict=False):
        if not argument:
            return _fail(f"{before if before.startswith('--') else 'an argument'} is empty")
        if argument.startswith("--") and argument.endswith("="):
            return _fail(f"{argument[:-1]} is empty")
    if arguments in ([], ["dataset"]):
        arguments.append("--help")
    try:
        begun = begun_with(arguments)
        options: dict[str, Any] = {} if begun is None else {"default": begun}
        command: Any = tyro.cli(
            Command,
            prog="liquid-nav",
            description=DESCRIPTION,
            args=arguments,
            config=MARKERS,
            **options,
        )
        status: int = command.run()
        return status
    except SystemExit as stop:
        # tyro has shown the help, or said what is wrong.
        return int(stop.code or 0)
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
        if error.filename is None and error.errno in (errno.ENOSPC, errno.EPIPE):
            # All files are named by what writes them.
            error.filename = "standard output"
        return _fail(
            f"{final_name(error.filename)}: {error.strerror}" if error.filename else str(error)
        )


def _fail(message: str) -> int:
    print("liquid-nav: error:", " ".join(message.split()), file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
