"""Random faults, and scripts of faults."""

import dataclasses
import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from liquid_nav.events import SECOND
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.faults.effects import EFFECTS
from liquid_nav_sim.faults.kinds import KINDS, Fault, effect_of
from liquid_nav_sim.toml_files import is_number, read_toml


@dataclass(frozen=True)
class RandomFaults:
    """A distribution of faults that begin at the times of a Poisson process.

    Kind, rotor, direction and duration are uniform; the magnitude is uniform within
    `Magnitude.drawn` of the effect.

    Attributes:
        rate: mean number of faults per second.
        kinds: kinds of faults to draw from.
        shortest, longest: bounds of the durations, seconds.

    Raises:
        SimulationError: on a field out of its range.
    """

    rate: float = 0.1
    kinds: tuple[str, ...] = tuple(EFFECTS)
    shortest: float = 0.2
    longest: float = 2.0

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 100:
            raise SimulationError(f"RandomFaults.rate must be in [0, 100] per s, got {self.rate!r}")
        try:
            for kind in self.kinds:
                effect_of(kind)
        except SimulationError as error:
            raise SimulationError(f"RandomFaults.kinds: {error}") from error
        if not self.kinds:
            raise SimulationError("RandomFaults.kinds must not be empty")
        if not 0 < self.shortest <= self.longest < math.inf:
            raise SimulationError(
                "RandomFaults.shortest and longest must be positive, finite and in that order, "
                f"got {self.shortest!r} and {self.longest!r}"
            )

    def draw(self, rng: np.random.Generator, seconds: float) -> tuple[Fault, ...]:
        """Draw the faults of one flight.

        Args:
            rng: random stream.
            seconds: time in which faults begin.

        Returns:
            The faults, in the order in which they begin.
        """
        starts = np.sort(rng.uniform(0, seconds, rng.poisson(self.rate * seconds)))
        return tuple(self._draw(rng, round(start * SECOND)) for start in starts.tolist())

    def _draw(self, rng: np.random.Generator, start: int) -> Fault:
        kind = self.kinds[rng.integers(len(self.kinds))]
        possible = effect_of(kind).magnitude
        magnitude = 0.0 if possible is None else rng.uniform(*possible.drawn)
        x, y, z = rng.standard_normal(3).tolist()
        return Fault(
            kind=kind,
            start=start,
            duration=float(rng.uniform(self.shortest, self.longest)),
            magnitude=float(magnitude),
            rotor=int(rng.integers(4)),
            direction=(x, y, z),
        )


def read_faults(path: str | Path) -> tuple[Fault, ...]:
    """Read a script: a TOML file with a table [[fault]] for each fault, see `faults_of`.

    Raises:
        SimulationError: on a file that cannot be read, or an invalid fault.
    """
    script = read_toml(Path(path), f"faults {path}")
    for name in script:
        if name != "fault":
            raise SimulationError(
                f"faults {path}: unknown table {name}; each fault must be a [[fault]]"
            )
    entries = script.get("fault", [])
    if not isinstance(entries, list):
        raise SimulationError(
            f"faults {path}: each fault must be a table [[fault]], got {entries!r}"
        )
    try:
        return faults_of(entries)
    except SimulationError as error:
        raise SimulationError(f"faults {path}: {error}") from error


def script_of(faults: Iterable[Fault]) -> str:
    """Write faults as a script that `read_faults` reads."""
    return "\n".join(
        f"[[fault]]\n"
        f'kind = "{fault.kind}"\n'
        f"start = {fault.start / SECOND!r}\n"
        f"duration = {float(fault.duration)!r}\n"
        f"magnitude = {float(fault.magnitude)!r}\n"
        f"rotor = {fault.rotor}\n"
        f"direction = {list(map(float, fault.direction))!r}\n"
        + (f'sensor = "{fault.sensor}"\n' if fault.sensor else "")
        for fault in faults
    )


def faults_of(entries: Iterable[Mapping[str, Any]]) -> tuple[Fault, ...]:
    """Make faults from mappings, such as the tables of a script.

    Args:
        entries: fields of each `Fault`, with `start` in seconds.

    Raises:
        SimulationError: on an invalid fault; the message gives its number, from 1, and its field.
    """
    return tuple(_fault(f"fault {number}", entry) for number, entry in enumerate(entries, start=1))


_FIELDS = tuple(field.name for field in dataclasses.fields(Fault))


def _fault(where: str, entry: Mapping[str, Any]) -> Fault:
    if not isinstance(entry, Mapping):
        raise SimulationError(f"{where} must be a table of fields, got {entry!r}")
    for name in entry:
        if name not in _FIELDS:
            raise SimulationError(f"{where}: unknown field {name!r}, {_choice(str(name), _FIELDS)}")
    for name in ("kind", "start"):
        if name not in entry:
            raise SimulationError(f"{where}: field {name} is missing")
    kind = entry["kind"]
    try:
        effect_of(kind)
    except SimulationError:
        raise SimulationError(
            f"{where}: unknown kind {kind!r}, {_choice(str(kind), tuple(KINDS))}"
        ) from None
    for name in ("start", "duration", "magnitude"):
        if not is_number(entry.get(name, 0.0)):
            raise SimulationError(f"{where}: {name} must be a number, got {entry[name]!r}")
    if not 0 <= entry["start"] < 1e9:
        raise SimulationError(
            f"{where}: start must be finite and at least 0 s, and below 1e9 s, got "
            f"{entry['start']!r}"
        )
    direction = entry.get("direction", (1.0, 0.0, 0.0))
    if not (
        isinstance(direction, (list, tuple))
        and len(direction) == 3
        and all(map(is_number, direction))
    ):
        raise SimulationError(f"{where}: direction must be three numbers, got {direction!r}")
    values = {**entry, "start": round(entry["start"] * SECOND), "direction": tuple(direction)}
    try:
        return Fault(**values)
    except SimulationError as error:
        raise SimulationError(f"{where}: {error}") from error


def _choice(name: str, names: tuple[str, ...]) -> str:
    """Hint at the closest name, or at all names."""
    near = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(names)}"
