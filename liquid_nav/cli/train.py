"""``liquid-nav train``: a policy from flights in the simulator."""

import itertools
import math
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from liquid_nav.cli.choices import cell_names, one_of, task_names
from liquid_nav.cli.cluster import OPTION, fleet_at
from liquid_nav.errors import ConfigError
from liquid_nav.files import check_destinations
from liquid_nav.learning.config import TrainingConfig
from liquid_nav.learning.quiet_import import import_pybullet
from liquid_nav.learning.settings import read_settings

if TYPE_CHECKING:
    from liquid_nav.learning.flying.workers import Fleet
    from liquid_nav.onboard import PolicyConfig


def _default_cell() -> str:
    from liquid_nav.onboard import PolicyConfig

    return PolicyConfig.cell


def _default_units(_: str) -> str:
    from liquid_nav.onboard import PolicyConfig

    return f"(default: {PolicyConfig.units})"


SLOW = {"liquid_flow": {"tau_min": 0.05}}
"""Options of cells that are trained anew. Noise of the IMU reaches the command through the liquid
state only, so the smallest time constant bounds how much of it does: at 10 Hz a third passes."""


@dataclass(frozen=True)
class Train:
    """Train a policy in the simulator by imitation of an expert.

    Example: liquid-nav train target --out runs/target
    """

    task: Annotated[str, tyro.conf.Positional, one_of(task_names)]
    """The task to learn."""
    config: Annotated[TrainingConfig, tyro.conf.arg(name="")]
    out: Annotated[
        Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: runs/TASK)")
    ] = None
    """Directory of the run, and of its bundle DIR/model. An interrupted run there is continued."""
    difficulty: Annotated[float, tyro.conf.arg(metavar="D")] = 0.5
    """How hard the flights are, from 0 to 1."""
    speed: Annotated[
        float | None,
        tyro.conf.arg(metavar="X", help_behavior_hint="(default: that of START, or 1)"),
    ] = None
    """How fast to fly, as a multiple of the usual speeds. Tasks and command limits scale."""
    channels: Annotated[
        tuple[str, ...],
        tyro.conf.arg(metavar="NAME...", help_behavior_hint="(default: camera imu)"),
    ] = ()
    """What the policy reads: camera, imu, goal, range, odometry, or encoders of packages."""
    optional: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="NAME...", help_behavior_hint="(default: none)")
    ] = ()
    """What the policy reads where it comes, and flies without where it does not."""
    cell: Annotated[str | None, one_of(cell_names, default=_default_cell)] = None
    """The recurrent cell of the network."""
    units: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint=_default_units)] = (
        None
    )
    """Number of neurons of the cell."""
    recorded: Annotated[
        Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: none)")
    ] = None
    """Directory of further episodes, made by `liquid-nav dataset from-bag`."""
    photographs: Annotated[
        Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: none)")
    ] = None
    """Directory of photographs that become grounds of training flights, in place of those
    of installed packages. On a cluster every machine needs it."""
    start: Annotated[
        Path | None, tyro.conf.arg(metavar="PATH", help_behavior_hint="(default: random weights)")
    ] = None
    """Model bundle whose weights training starts from."""
    cluster: Annotated[str | None, OPTION] = None
    """Ray cluster that flies: its address; auto for the one that this machine is part of, or else a
    new one on this machine; local for a new one in any case."""
    settings: Annotated[
        Path | None, tyro.conf.arg(metavar="FILE.toml", help_behavior_hint="(default: none)")
    ] = None
    """File of settings, such as settings.toml of a model bundle. Options given beside it win."""

    def run(self) -> int:
        """Train, print where the model bundle is, and give the exit code."""
        if not 0 <= self.difficulty <= 1:
            raise ConfigError(f"--difficulty must be in [0, 1], got {self.difficulty}")
        if self.speed is not None and not 0 < self.speed < math.inf:
            raise ConfigError(f"--speed must be positive and finite, got {self.speed}")
        out = self.out or Path("runs") / self.task
        check_destinations(out, None)
        import_pybullet()

        from liquid_nav.command import CommandLimits
        from liquid_nav.learning.imitation import train
        from liquid_nav.onboard import PolicyConfig, read_manifest
        from liquid_nav.policy import PolicyNetwork
        from liquid_nav_sim.config import WorldConfig
        from liquid_nav_sim.tasks.registry import make_task

        policy, speed = PolicyConfig(), self.speed or 1.0
        if self.start is not None:
            begun = read_manifest(self.start)
            policy, speed = begun.config, self.speed or begun.speed
        if self.start is None or speed != begun.speed:
            policy = replace(policy, limits=CommandLimits().scaled(speed))
        present = tuple(each.name for each in policy.encoders)
        names = self.channels or present
        names += tuple(name for name in self.optional if name not in names)
        if names != present or self.optional:
            encoders = PolicyConfig.of_channels(names).encoders
            optional = tuple(each.channel for each in encoders if each.name in self.optional)
            policy = replace(policy, encoders=encoders, direct=None, optional=optional)
        policy = replace(
            policy,
            cell=policy.cell if self.cell is None else self.cell,
            units=policy.units if self.units is None else self.units,
        )
        policy = replace(policy, cell_options=self._cell_options(policy))
        # An architecture that makes no sense fails here, before there is a run directory.
        PolicyNetwork(policy)
        world = WorldConfig(task=make_task(self.task, self.difficulty, speed))
        try:
            with self._fleet() as fleet:
                bundle = train(
                    out,
                    self.config,
                    policy,
                    world,
                    recorded=self.recorded,
                    photographs=self.photographs,
                    start=self.start,
                    fleet=fleet,
                )
        except KeyboardInterrupt:
            message = "liquid-nav: interrupted; the same command continues the training"
            print(message, file=sys.stderr)
            return 130
        print(
            f"trained: {bundle}\n"
            f"fly it: liquid-nav fly --task {self.task} --model {bundle}\n"
            f"compare it with other pilots: liquid-nav eval {bundle}"
        )
        return 0

    def _fleet(self) -> "AbstractContextManager[Fleet | None]":
        """Give what flies; None where flights and optimisation take turns."""
        alone = self.cluster is None and not self.config.workers
        return nullcontext() if alone else fleet_at(self.cluster, self.config.workers)

    def _cell_options(self, policy: "PolicyConfig") -> dict[str, Any]:
        """Choose the options of the cell of a policy that has none yet."""
        if policy.cell_options:
            return policy.cell_options
        begun = {} if self.settings is None else read_settings(self.settings)
        if begun.get("cell") == policy.cell and "cell_options" in begun:
            return dict(begun["cell_options"])
        return dict(SLOW.get(policy.cell, {}))


def begun_with(arguments: Sequence[str]) -> Train | None:
    """Give the options that a command line begins with, those of its ``--settings``.

    Returns:
        The options, of which those of the command line change some; None without ``--settings``.

    Raises:
        BundleError: when it names a bundle to start from that cannot be read.
        ConfigError: when the file cannot be read, or holds what is no setting or names what is no
            task or cell.

    """
    if "train" not in arguments[:1]:
        return None
    path = None
    for argument, following in itertools.pairwise([*arguments, ""]):
        if argument == "--settings" and following:
            path = Path(following)
        elif argument.startswith("--settings="):
            path = Path(argument.partition("=")[2])
    if path is None:
        return None
    values = read_settings(path)
    for option, names in (("task", task_names), ("cell", cell_names)):
        if option in values and values[option] not in (known := tuple(names())):
            raise ConfigError(
                f"settings {path}: {option} must be one of {', '.join(known)}, got "
                f"{values[option]!r}"
            )
    if "cell" not in values:
        from liquid_nav.onboard import read_manifest

        start = values.get("start")
        values["cell"] = read_manifest(start).config.cell if start else _default_cell()
    values.pop("cell_options", None)
    values["config"] = values.pop("training")
    options: dict[str, Any] = {"task": tyro.MISSING, "settings": path, **values}
    return Train(**options)
