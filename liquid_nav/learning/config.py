"""Settings of a training run. Imports no torch: the command line reads them for its help."""

import math
from dataclasses import dataclass, fields

from liquid_nav.errors import ConfigError

SEED_LIMIT = 100_000
"""Training flies seeds below this, evaluation flies seeds from it on."""

ROUND_SEEDS = 2_000
"""Number of seeds set aside for each round."""

VALIDATION_SEEDS = SEED_LIMIT - ROUND_SEEDS
"""The first seed of the flights that judge the policy of every round."""

MOST = {
    "seed": 2**32 - 1,
    "demonstrations": ROUND_SEEDS,
    "rounds": VALIDATION_SEEDS // ROUND_SEEDS - 1,
    "episodes": ROUND_SEEDS,
    "first_steps": 1_000_000,
    "steps": 1_000_000,
    "last_steps": 1_000_000,
    "validation": ROUND_SEEDS // 2,
    "lanes": 4096,
    "length": 100_000,
    "learning_rate": 1e30,
    "clip": 1e30,
    "auxiliary": 1e30,
    "workers": 256,
}
"""The largest value of each setting."""

DEVICES = ("auto", "cpu", "cuda")

_AT_LEAST_ONE = (
    "demonstrations",
    "episodes",
    "first_steps",
    "steps",
    "last_steps",
    "lanes",
    "length",
)


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of a training run.

    Attributes:
        seed: Seed of the weights, the order of the data and the disturbances. Runs of different
            seeds share the seeds of their flights.
        demonstrations: Number of flights of the expert in round 0.
        rounds: Number of DAgger rounds after round 0.
        episodes: Number of flights in each of these rounds.
        first_steps: Optimiser steps in round 0.
        steps: Optimiser steps in each later round.
        last_steps: Optimiser steps in the last round.
        validation: Number of flights under the default conditions, and of as many under those of
            training, that judge the policy of each round.
        lanes: Number of episodes that are trained side by side.
        length: Number of events between two optimiser steps; gradients reach this far back.
        learning_rate: Learning rate of the Adam optimiser at first; it falls to zero over the run.
        clip: Largest norm of a gradient; a larger one is scaled down to it.
        auxiliary: Weight of the losses on what the camera sees of the target.
        device: Where the network is trained: cpu, cuda, or auto for a GPU where there is one.
        workers: Number of processes that fly, one less while the optimiser works beside them; 0
            for none, with which flights and optimisation take turns in one process.

    Raises:
        ConfigError: on a value of another type or out of its range, see `MOST`.

    """

    seed: int = 0
    demonstrations: int = 160
    rounds: int = 8
    episodes: int = 80
    first_steps: int = 300
    steps: int = 300
    last_steps: int = 600
    validation: int = 20
    lanes: int = 16
    length: int = 320
    learning_rate: float = 1e-3
    clip: float = 1.0
    auxiliary: float = 0.3
    device: str = "auto"
    workers: int = 2

    @property
    def total_steps(self) -> int:
        """Number of optimiser steps of a whole run."""
        if not self.rounds:
            return self.last_steps
        return self.first_steps + (self.rounds - 1) * self.steps + self.last_steps

    def __post_init__(self) -> None:
        if self.device not in DEVICES:
            raise ConfigError(
                f"training device must be one of {', '.join(DEVICES)}, got {self.device!r}"
            )
        for field in fields(self):
            if field.name == "device":
                continue
            value, whole = getattr(self, field.name), field.type is int
            kinds = (int,) if whole else (int, float)
            if not isinstance(value, kinds) or isinstance(value, bool):
                kind = "a whole number" if whole else "a number"
                raise ConfigError(f"training {field.name} must be {kind}, got {value!r}")
        for name in _AT_LEAST_ONE:
            if getattr(self, name) < 1:
                raise ConfigError(f"training {name} must be at least 1, got {getattr(self, name)}")
        for name in ("learning_rate", "clip"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(
                    f"training {name} must be positive and finite, got {getattr(self, name)}"
                )
        for name in ("rounds", "auxiliary", "seed", "validation", "workers"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(
                    f"training {name} must be finite and not negative, got {getattr(self, name)}"
                )
        for name, most in MOST.items():
            if getattr(self, name) > most:
                raise ConfigError(
                    f"training {name} must be at most {most}, got {getattr(self, name)}"
                )
