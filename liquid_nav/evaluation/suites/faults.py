"""Suite of faults: each kind that can strike the vehicle or one of its sensors, and all of them."""

from dataclasses import replace

from liquid_nav.evaluation.suites.cell import Cell
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.faults.effects import EFFECTS
from liquid_nav_sim.faults.kinds import VEHICLE_KINDS, Fault
from liquid_nav_sim.faults.schedule import RandomFaults

RATE = 0.2
"""Faults per second of flight, on average; each lasts 0.2 to 2 s."""


def faults(base: WorldConfig) -> list[Cell]:
    """Random faults of one kind in each cell, and of all kinds in the last one."""
    kinds = tuple(kind for kind in EFFECTS if _can_strike(base, kind))
    return [
        *(Cell(kind, _struck(base, (kind,))) for kind in kinds),
        Cell("all kinds", _struck(base, kinds)),
    ]


def _struck(base: WorldConfig, kinds: tuple[str, ...]) -> WorldConfig:
    return replace(base, random_faults=RandomFaults(rate=RATE, kinds=kinds))


def _can_strike(base: WorldConfig, kind: str) -> bool:
    """Whether a kind of fault acts on the vehicle or on a sensor that is fitted."""
    if kind in VEHICLE_KINDS:
        return True
    magnitude = EFFECTS[kind].magnitude
    fault = Fault(kind, 0, magnitude=0.0 if magnitude is None else magnitude.drawn[1])
    return any(fault.breaks(s.name, s.model.channel.value) for s in base.sensors)
