"""Wind: a steady part and gusts."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liquid_nav_sim.errors import SimulationError


@dataclass(frozen=True)
class WindModel:
    """Distribution of the wind in one flight.

    Attributes:
        steady: largest speed of the steady horizontal wind, m/s; drawn uniformly, any direction.
        gust: standard deviation of the gusts along each axis, m/s.
        gust_time: correlation time of the gusts, seconds.

    Raises:
        SimulationError: on a value out of range.
    """

    steady: float = 1.0
    gust: float = 0.3
    gust_time: float = 1.0

    def __post_init__(self) -> None:
        for name in ("steady", "gust"):
            if not 0 <= getattr(self, name) <= 50:
                raise SimulationError(
                    f"wind {name} must be in [0, 50] m/s, got {getattr(self, name)}"
                )
        if not self.gust_time > 0:
            raise SimulationError(f"wind gust_time must be positive, got {self.gust_time}")


class Wind:
    """One flight's wind: constant plus an Ornstein-Uhlenbeck process, exact for any step.

    Args:
        model: distribution to draw from.
        rng: source of the draws.
    """

    def __init__(self, model: WindModel, rng: np.random.Generator) -> None:
        self._model = model
        self._rng = rng
        speed, direction = rng.uniform(0, model.steady), rng.uniform(-math.pi, math.pi)
        self._steady = np.array([speed * math.cos(direction), speed * math.sin(direction), 0.0])
        self._gust = model.gust * rng.standard_normal(3)

    def advance(self, dt: float) -> NDArray[np.float64]:
        """Move on by `dt` seconds and give the wind in world ENU, m/s, shape (3,)."""
        keep = math.exp(-dt / self._model.gust_time)
        kick = self._model.gust * math.sqrt(1 - keep * keep)
        self._gust = keep * self._gust + kick * self._rng.standard_normal(3)
        return self._steady + self._gust
