"""The figures of a study: cell by cell, pilot by pilot, and pilot against pilot."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from liquid_nav.evaluation.statistics import mcnemar, wilson
from liquid_nav.evaluation.study.probes import adaptation_latency, mean_response
from liquid_nav.evaluation.study.study import Study
from liquid_nav.evaluation.suites.cell import Cell
from liquid_nav_sim.world import Outcome

SCHEMA = "liquid-nav-eval/1"
"""Name and version of the schema of ``result.json``."""

Results = Mapping[int, Mapping[str, Any]]
"""Results of flights by seed, see `FlightJob.result`."""

_WORST = {Outcome.COLLISION.value: 2, Outcome.TIMEOUT.value: 1, Outcome.SUCCESS.value: 0}


@dataclass(frozen=True)
class PilotFigures:
    """What one pilot did in one cell; its fields are keys of ``result.json``.

    Attributes:
        flights: number of flights.
        success, collision, timeout: number of flights with each outcome.
        wilson95: 95 % confidence interval of the success rate (Wilson 1927).
        time_to_success_s: median over the successful flights, simulated seconds.
        speed: mean speed of the successful flights, m/s.
        efficiency: mean of the successful flights, see `path_efficiency`.
        clearance_m: 5th percentile over the flights of the least distance to an obstacle, metres.
        smoothness: median rate of change of the velocity command, m/s^2.
        coherence: temporal coherence: median change of the command under a held scene, per second
            and axis, see `HeldSceneJob`; None without a probe.
        adaptation_s: time to regain tracking after a step of the wind, see `adaptation_latency`;
            None if it is not regained, or without a probe.
        response: mean response to that step, `RATE` samples a second, m/s, see `mean_response`.
        worst_seed: seed of the worst flight: a collision, else a timeout, else the slowest.
        worst_outcome: how that flight ended.

    """

    flights: int
    success: int
    collision: int
    timeout: int
    wilson95: tuple[float, float]
    time_to_success_s: float | None
    speed: float | None
    efficiency: float | None
    clearance_m: float | None
    smoothness: float | None
    coherence: tuple[float, ...] | None
    adaptation_s: float | None
    response: tuple[float, ...]
    worst_seed: int
    worst_outcome: str


@dataclass(frozen=True)
class PairedTest:
    """Two pilots in the same flights of one cell; its fields are keys of ``result.json``.

    Attributes:
        pilots: the two.
        flights: number of seeds that both have flown.
        first_only, second_only: flights in which only one of them succeeded.
        p: two-sided p-value of the exact McNemar test: how likely so uneven a split is between
            pilots of which neither is better.

    """

    pilots: tuple[str, str]
    flights: int
    first_only: int
    second_only: int
    p: float


@dataclass(frozen=True)
class CellFigures:
    """The figures of one cell.

    Attributes:
        suite, name: names of suite and cell.
        pilots: figures by pilot; a pilot without a flight is missing.
        tests: paired tests of every two pilots that have flown.

    """

    suite: str
    name: str
    pilots: Mapping[str, PilotFigures]
    tests: tuple[PairedTest, ...]

    def p(self, first: str, second: str) -> float | None:
        """Return the p-value of two pilots, or None if one of them has not flown."""
        values = (test.p for test in self.tests if test.pilots == (first, second))
        return next(values, None)


def cell_figures(study: Study, suite: str, cell: Cell) -> CellFigures:
    """Sum up the flights of one cell that have been flown."""
    flown = {pilot: results for pilot in study.pilots if (results := study.results(cell, pilot))}
    return CellFigures(
        suite,
        cell.name,
        {
            pilot: _pilot_figures(
                results, study.results(cell, pilot, "held"), study.results(cell, pilot, "step")
            )
            for pilot, results in flown.items()
        },
        tuple(_paired(pair, flown[pair[0]], flown[pair[1]]) for pair in combinations(flown, 2)),
    )


def to_dict(cells: Sequence[CellFigures], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Give the content of ``result.json``, plain JSON types."""
    suites: dict[str, dict[str, Any]] = {}
    for cell in cells:
        suites.setdefault(cell.suite, {})[cell.name] = {
            "pilots": {pilot: asdict(figures) for pilot, figures in cell.pilots.items()},
            "tests": [asdict(test) for test in cell.tests],
        }
    return {"schema": SCHEMA, "settings": dict(settings), "suites": suites}


def _pilot_figures(results: Results, held: Results, step: Results) -> PilotFigures:
    outcomes = Counter(result["outcome"] for result in results.values())
    success = outcomes[Outcome.SUCCESS.value]
    won = [result for result in results.values() if _succeeded(result)]
    variations = [result["variation"] for result in held.values()]
    response = mean_response([result["response"] for result in step.values()])
    worst = max(results, key=lambda s: (_WORST[results[s]["outcome"]], results[s]["duration_s"]))
    return PilotFigures(
        flights=len(results),
        success=success,
        collision=outcomes[Outcome.COLLISION.value],
        timeout=outcomes[Outcome.TIMEOUT.value],
        wilson95=wilson(success, len(results)),
        time_to_success_s=_quantile([r["duration_s"] for r in won], 0.5),
        speed=_mean([r["path_m"] / r["duration_s"] for r in won]),
        efficiency=_mean([r["efficiency"] for r in won]),
        clearance_m=_quantile([r["clearance_m"] for r in results.values()], 0.05),
        smoothness=_quantile([r["smoothness"] for r in results.values()], 0.5),
        coherence=tuple(np.median(variations, axis=0).round(4).tolist()) if variations else None,
        adaptation_s=adaptation_latency(response),
        response=tuple(np.round(response, 4).tolist()),
        worst_seed=worst,
        worst_outcome=results[worst]["outcome"],
    )


def _paired(pilots: tuple[str, str], first: Results, second: Results) -> PairedTest:
    both = [
        (
            first[s]["outcome"] == Outcome.SUCCESS.value,
            second[s]["outcome"] == Outcome.SUCCESS.value,
        )
        for s in first.keys() & second.keys()
    ]
    counts = Counter(both)
    first_only, second_only = counts[True, False], counts[False, True]
    return PairedTest(
        pilots, len(both), first_only, second_only, round(mcnemar(first_only, second_only), 6)
    )


def _succeeded(result: Mapping[str, Any]) -> bool:
    return bool(result["outcome"] == Outcome.SUCCESS.value)


def _quantile(values: Sequence[float | None], share: float) -> float | None:
    known = [value for value in values if value is not None]
    return round(float(np.quantile(known, share)), 4) if known else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(float(np.mean(known)), 4) if known else None
