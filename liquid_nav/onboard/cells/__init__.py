"""Cells as they fly: a cell's parameters, kept in a bundle, and the object that steps it."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from liquid_nav.onboard.cells.base import FoldedCell, OnboardCell
from liquid_nav.registry import Registry

__all__ = ["FOLDED_CELLS", "FoldedCell", "OnboardCell", "folded_cell"]

FOLDED_CELLS: Registry[type[FoldedCell]] = Registry(
    "liquid_nav.folded_cells",
    "folded cell",
    {
        "flow": "liquid_nav.onboard.cells.flow:FoldedFlow",
        "ltc": "liquid_nav.onboard.cells.ltc:FoldedLtc",
    },
)
"""Folded cells by their `kind`, the name that a bundle stores."""


def folded_cell(kind: str, arrays: Mapping[str, NDArray[Any]]) -> FoldedCell:
    """Build the folded cell that a bundle stores under a kind.

    Raises:
        ConfigError: if there is no such kind, or the arrays are not those of this kind.

    """
    return FOLDED_CELLS.get(kind)(arrays)
