"""``liquid-nav dataset``: training data from recorded flights."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from liquid_nav.cli.replay_options import Topic
from liquid_nav.errors import ConfigError
from liquid_nav.files import check_destinations


@dataclass(frozen=True)
class FromBag:
    """Turn recorded flights into episodes for `liquid-nav train TASK --recorded DIR`.

    The labels are the commands recorded in the flight: velocities of the body, as Twist or
    TwistStamped.

    Example: liquid-nav dataset from-bag flight.mcap --out recorded
    """

    flights: Annotated[
        tuple[Path, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="FLIGHT...", help_behavior_hint="(at least one)"),
    ]
    """Recordings in any format that `liquid-nav replay` reads."""
    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """Directory for the episodes, one file each: FLIGHT_000.npz and so on."""
    camera: Topic = None
    """Topic of the images, raw or compressed."""
    camera_info: Annotated[
        str | None,
        tyro.conf.arg(metavar="TOPIC", help_behavior_hint="(default: next to the images)"),
    ] = None
    """Topic of the camera's calibration."""
    imu: Topic = None
    """Topic of the inertial samples."""
    odom: Topic = None
    """Topic of the odometry."""
    goal: Topic = None
    """Topic of the goals."""
    range: Topic = None
    """Topic of the range finder."""
    cmd: Topic = None
    """Topic of the commands."""
    hold: Annotated[float, tyro.conf.arg(metavar="S")] = 0.5
    """Seconds for which a command stays in force; an episode ends when no command is in force."""
    longest: Annotated[float, tyro.conf.arg(metavar="S")] = 120.0
    """Seconds after which an episode ends and the next one begins."""
    shortest: Annotated[float, tyro.conf.arg(metavar="S")] = 1.0
    """Episodes shorter than this many seconds are left out."""
    model: Annotated[
        Path | None, tyro.conf.arg(metavar="PATH", help_behavior_hint="(default: a new model)")
    ] = None
    """Model bundle to train further: the episodes hold what it reads, images as its camera's."""
    channels: Annotated[
        tuple[str, ...],
        tyro.conf.arg(metavar="NAME...", help_behavior_hint="(default: camera imu)"),
    ] = ()
    """What a new model reads: camera, imu, goal, range, odometry, or encoders of packages."""

    def run(self) -> int:
        """Write the episodes, print what became of each flight, and give the exit code."""
        if self.model is not None and self.channels:
            raise ConfigError("give --model or --channels, not both: a model has its channels")
        check_destinations(self.out, None)

        from liquid_nav.learning.data.from_bag import Pieces, convert_all
        from liquid_nav.onboard import PolicyConfig, load_policy
        from liquid_nav.replay.topics import Topics

        if self.model is not None:
            config = load_policy(self.model)[0].config
        else:
            config = PolicyConfig.of_channels(self.channels or ("camera", "imu"))
        given = {
            "camera": self.camera,
            "camera_info": self.camera_info,
            "imu": self.imu,
            "odometry": self.odom,
            "goal": self.goal,
            "range": self.range,
            "command": self.cmd,
        }
        chosen = Topics.of(given)
        pieces = Pieces(self.hold, self.longest, self.shortest)
        convert_all(self.flights, self.out, config.encoders, chosen, pieces, print)
        return 0


@dataclass(frozen=True)
class Dataset:
    """Make training data from recorded flights.

    Example: liquid-nav dataset from-bag flight.mcap --out recorded
    """

    command: Annotated[FromBag, tyro.conf.subcommand("from-bag")] | None
    """What the data is made from."""

    def run(self) -> int:
        """Run the command below this one."""
        assert self.command is not None  # The parser requires it.
        return self.command.run()
