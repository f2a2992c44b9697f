"""When a sensor measures, when its measurement arrives, and which ones never do."""

from dataclasses import dataclass

import numpy as np

from liquid_nav.events import SECOND
from liquid_nav_sim.errors import SimulationError


@dataclass(frozen=True)
class SensorTiming:
    """Clock and link of one sensor.

    Attributes:
        rate: measurements per second.
        jitter: standard deviation of each stamp about the regular grid, seconds.
        latency: shortest time from stamp to arrival, seconds.
        latency_jitter: mean of the exponentially distributed further latency, seconds.
        drop: probability that a measurement never arrives.

    Raises:
        SimulationError: on a value out of range.
    """

    rate: float
    jitter: float = 0.0
    latency: float = 0.0
    latency_jitter: float = 0.0
    drop: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 10_000:
            raise SimulationError(f"sensor rate must be in (0, 10000] Hz, got {self.rate}")
        for name in ("jitter", "latency", "latency_jitter"):
            if not 0 <= getattr(self, name) < 10:
                raise SimulationError(
                    f"sensor {name} must be in [0, 10) s, got {getattr(self, name)}"
                )
        if not 0 <= self.drop < 1:
            raise SimulationError(f"sensor drop must be in [0, 1), got {self.drop}")


class SensorClock:
    """Draws the stamps and arrivals of one sensor, in order of stamp.

    The grid starts at a random phase. Stamps strictly increase: jitter is cut at 0.45 periods. The
    link keeps the order: a measurement never overtakes an earlier one.

    Args:
        timing: clock and link.
        rng: source of phase, jitter, latency and drops.
    """

    def __init__(self, timing: SensorTiming, rng: np.random.Generator) -> None:
        self.timing = timing
        self._rng = rng
        self._period = SECOND / timing.rate
        self._phase = float(rng.uniform(0.0, self._period))
        self._tick = 0
        self._last_arrival = 0
        self.stamp = 0
        self.arrival: int | None = None
        self.advance()

    def advance(self) -> None:
        """Move to the next measurement: sets `stamp`, and `arrival` (None where it is dropped)."""
        jitter, latency, drop = (
            self._rng.standard_normal(),
            self._rng.standard_exponential(),
            self._rng.random(),
        )
        bound = 0.45 * self._period
        offset = min(max(jitter * self.timing.jitter * SECOND, -bound), bound)
        self.stamp = max(0, round(self._phase + self._tick * self._period + offset))
        self._tick += 1
        self.arrival = None
        if drop >= self.timing.drop:
            delay = self.timing.latency + latency * self.timing.latency_jitter
            self._last_arrival = max(self.stamp + round(delay * SECOND), self._last_arrival)
            self.arrival = self._last_arrival
