"""``liquid-nav check-vehicle``: do a simulator's sensors and commands mean what ours do?"""

from dataclasses import dataclass
from typing import Annotated

import tyro

from liquid_nav.errors import ConfigError
from liquid_nav.learning.quiet_import import import_pybullet


@dataclass(frozen=True)
class CheckVehicle:
    """Fly a short flight by fixed commands in a simulator, and say what is wrong with its vehicle.

    Example: liquid-nav check-vehicle pyflyt_crazyflie
    """

    simulator: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SIMULATOR")]
    """Name of a simulator that is installed, see docs/abroad.md."""
    seed: Annotated[int, tyro.conf.arg(metavar="S")] = 0
    """Seed of the scene."""

    def run(self) -> int:
        """Fly, print a row for each check, and give the exit code: 1 if a check failed.

        Raises:
            ConfigError: on an unknown simulator, or one that cannot be imported.

        """
        import_pybullet()
        from rich.console import Console

        from liquid_nav.evaluation.abroad import NONE_INSTALLED, SIMULATORS
        from liquid_nav.evaluation.abroad.checks import check_vehicle
        from liquid_nav.evaluation.abroad.scenes import over_ground
        from liquid_nav_sim.streams import Streams
        from liquid_nav_sim.tasks.target import sample_target_scene

        if not SIMULATORS:
            raise ConfigError(NONE_INSTALLED)
        simulator = SIMULATORS.get(self.simulator)
        # A ground with many edges, so that the camera's motion is seen.
        scene = over_ground(sample_target_scene(Streams(self.seed)["scene"]), "noise", self.seed)
        checks = check_vehicle(simulator(scene, self.seed))
        console = Console(highlight=False, soft_wrap=True)
        words = {True: "[green]passed[/]", False: "[red]failed[/]", None: "[yellow]unknown[/]"}
        for check in checks:
            console.print(f"{words[check.passed]}  {check.name}: ", end="")
            console.print(check.found, markup=False)
        return int(any(check.passed is False for check in checks))
