"""Suites of the scenes: as trained, at other difficulties, and with other looks."""

from dataclasses import replace

from liquid_nav.evaluation.suites.cell import Cell
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.scenes.appearance import FAMILIES

DIFFICULTIES = (0.0, 0.25, 0.5, 0.75, 1.0)


def nominal(base: WorldConfig) -> list[Cell]:
    """The default conditions."""
    return [Cell("nominal", base)]


def difficulty(base: WorldConfig) -> list[Cell]:
    """The task at difficulties from easy to hard."""
    return [
        Cell(f"difficulty {d:g}", replace(base, task=replace(base.task, difficulty=d)))
        for d in DIFFICULTIES
    ]


def looks(base: WorldConfig) -> list[Cell]:
    """Every family of appearances, those that training never draws among them."""
    return [Cell(f"{family} looks", replace(base, appearance=family)) for family in FAMILIES]
