"""How the policy of each round of training flies on scenes that training never sees."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from liquid_nav.learning.config import VALIDATION_SEEDS
from liquid_nav.learning.data.episodes import EpisodeError
from liquid_nav.learning.flying.flights import Job
from liquid_nav.learning.runs import Run
from liquid_nav.onboard.encoders import Encoder
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.world import Outcome

NOMINAL, DRAWN = "nominal", "drawn"
"""Under the conditions of the run, and under conditions drawn as those of training flights."""


@dataclass(frozen=True)
class Score:
    """Successes of one policy.

    Attributes:
        nominal, drawn: successful flights of each kind.
        flights: number of flights of each kind.

    """

    nominal: int
    drawn: int
    flights: int

    def __str__(self) -> str:
        return (
            f"{self.nominal}/{self.flights} under default conditions, "
            f"{self.drawn}/{self.flights} under those of training"
        )


class Validation:
    """The flights that judge the policies of a run; each policy flies the same ones.

    Args:
        run: the run.
        world: its conditions.
        encoders: what the policies read.
        flights: number of flights of each kind.
        looks: appearance of most flights under the conditions of training.

    """

    def __init__(
        self, run: Run, world: WorldConfig, encoders: tuple[Encoder, ...], flights: int, looks: str
    ) -> None:
        self._run, self._world, self._encoders = run, world, encoders
        self._flights, self._looks = flights, looks

    def jobs(self, round_: int) -> list[Job]:
        """List the flights of the policy of a round that have not been flown yet."""
        bundle = self._run.model(round_)
        return [
            Job(
                self._world,
                self._encoders,
                bundle,
                seed,
                path,
                drawn=kind == DRAWN,
                judges=True,
                looks=self._looks,
            )
            for kind, seed, path in self._paths(round_)
            if not path.exists()
        ]

    def score(self, round_: int) -> Score | None:
        """Count the successes of the policy of a round; None if it has not flown them all.

        Raises:
            EpisodeError: when the file of an outcome is damaged.

        """
        counts = {NOMINAL: 0, DRAWN: 0}
        for kind, _, path in self._paths(round_):
            if not path.exists():
                return None
            counts[kind] += _outcome(path) is Outcome.SUCCESS
        return Score(counts[NOMINAL], counts[DRAWN], self._flights)

    def best(self, rounds: Sequence[int]) -> int:
        """Return the round whose policy succeeded most often; of equals, the latest.

        Rounds whose bundle is gone do not count. While no policy has flown, it is the last round.

        Raises:
            EpisodeError: when the file of an outcome is damaged.

        """
        successes = {
            number: score.nominal + score.drawn
            for number in rounds
            if self._run.model(number).exists() and (score := self.score(number)) is not None
        }
        if not successes or not self._flights:
            return rounds[-1]
        return max(successes, key=lambda number: (successes[number], number))

    def _paths(self, round_: int) -> Iterator[tuple[str, int, Path]]:
        for index in range(self._flights):
            for number, kind in enumerate((NOMINAL, DRAWN)):
                seed = VALIDATION_SEEDS + 2 * index + number
                yield kind, seed, self._run.outcome(round_, kind, seed)


def _outcome(path: Path) -> Outcome:
    try:
        return Outcome(json.loads(path.read_text(encoding="utf-8"))["outcome"])
    except (KeyError, TypeError, ValueError) as error:
        raise EpisodeError(
            f"{path} is damaged: {error!r}; delete it, and it is flown again if the policy of its "
            "round is still there"
        ) from error
