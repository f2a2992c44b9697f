"""Suite of the air: steady wind with Dryden turbulence, and gusts."""

from dataclasses import replace

from liquid_nav.evaluation.suites.cell import Cell
from liquid_nav_sim.air.wind import WindModel
from liquid_nav_sim.config import WorldConfig


def wind(base: WorldConfig) -> list[Cell]:
    """No wind, winds of a fixed speed and a drawn direction, and gusts in still air."""
    return [
        Cell("still air", replace(base, wind=WindModel(steady=0.0, gust=0.0))),
        *(
            Cell(f"{speed} m/s with turbulence", replace(base, wind=turbulent(speed)))
            for speed in (2, 3, 5, 8)
        ),
        Cell("gusts of 1.5 m/s", replace(base, wind=WindModel(steady=1.0, gust=1.5))),
    ]


def turbulent(speed: float) -> WindModel:
    """Make a wind of exactly this speed 6 m above the ground, m/s, with the turbulence it brings.

    The turbulence is that of Dryden (MIL-F-8785C) near the ground, on top of the default gusts.
    """
    return WindModel(steady=speed, least=speed, turbulence=speed)
