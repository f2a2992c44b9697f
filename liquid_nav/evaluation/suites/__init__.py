"""Suites: named lists of conditions under which pilots are compared.

Imports nothing heavy: the command line reads the names for its help.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from liquid_nav.registry import Registry

if TYPE_CHECKING:
    from liquid_nav.evaluation.suites.cell import Cell
    from liquid_nav_sim.config import WorldConfig

Suite = Callable[["WorldConfig"], "Sequence[Cell]"]
"""Makes the cells of a suite from the nominal conditions, which hold task, sensors and renderer."""

_HERE = "liquid_nav.evaluation.suites"

SUITES: Registry[Suite] = Registry(
    "liquid_nav.suites",
    "suite",
    {
        "nominal": f"{_HERE}.scenes:nominal",
        "difficulty": f"{_HERE}.scenes:difficulty",
        "looks": f"{_HERE}.scenes:looks",
        "image": f"{_HERE}.image:image",
        "timing": f"{_HERE}.timing:timing",
        "wind": f"{_HERE}.wind:wind",
        "vehicles": f"{_HERE}.vehicles:vehicles",
        "vibration": f"{_HERE}.vibration:vibration",
        "faults": f"{_HERE}.faults:faults",
        "abroad": f"{_HERE}.abroad:abroad",
    },
)
"""Suites by name; entry points of the group ``liquid_nav.suites`` add to them."""
