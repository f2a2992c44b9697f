"""``liquid-nav train``: a policy from flights in the simulator."""

import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from liquid_nav.cli.choices import cell_names, one_of, task_names
from liquid_nav.errors import ConfigError
from liquid_nav.files import check_destinations
from liquid_nav.learning.config import TrainingConfig
from liquid_nav.learning.quiet_import import import_pybullet


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
    start: Annotated[
        Path | None, tyro.conf.arg(metavar="PATH", help_behavior_hint="(default: random weights)")
    ] = None
    """Model bundle whose weights training starts from."""

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
        if self.channels:
            encoders = PolicyConfig.of_channels(self.channels).encoders
            policy = replace(policy, encoders=encoders, direct=None)
        policy = replace(
            policy,
            cell=policy.cell if self.cell is None else self.cell,
            units=policy.units if self.units is None else self.units,
        )
        if not policy.cell_options and policy.cell in SLOW:
            policy = replace(policy, cell_options=SLOW[policy.cell])
        # An architecture that makes no sense fails here, before there is a run directory.
        PolicyNetwork(policy)
        world = WorldConfig(task=make_task(self.task, self.difficulty, speed))
        try:
            bundle = train(
                out, self.config, policy, world, recorded=self.recorded, start=self.start
            )
        except KeyboardInterrupt:
            message = "liquid-nav: interrupted; the same command continues the training"
            print(message, file=sys.stderr)
            return 130
        print(f"trained: {bundle}")
        return 0
