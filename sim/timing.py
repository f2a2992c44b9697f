"""When a sensor measures, when its measurement arrives, and which ones never do."""

from dataclasses import dataclass

import numpy as np

from liquid_nav.events import SECOND
from liquid_nav_sim.errors import SimulationError


@dataclass(frozen=True)
class SensorTiming:
    """Clock and link of one sensor.

    Attributes:
        rate: measurements per second, by the sensor's own clock.
        jitter: standard deviation of each stamp about the regular grid, seconds.
        latency: shortest time from stamp to arrival, seconds.
        latency_jitter: mean of the exponentially distributed further latency, seconds.
        drop: probability that a measurement never arrives.
        burst: mean number of measurements that are lost in a row; what losses without memory have,
            1 / (1 - drop), where that is more.
        drift: parts per million by which the sensor's clock is fast; negative for slow. The driver
            puts every stamp on the vehicle's clock, so that drift shows in the rate alone.

    Raises:
        SimulationError: on a value out of range.
    """

    rate: float
    jitter: float = 0.0
    latency: float = 0.0
    latency_jitter: float = 0.0
    drop: float = 0.0
    burst: float = 1.0
    drift: float = 0.0

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
        if not 1 <= self.burst <= 1e6:
            raise SimulationError(
                f"sensor burst must be in [1, 1000000] measurements, got {self.burst}"
            )
        if not -100_000 <= self.drift <= 100_000:
            raise SimulationError(
                f"sensor drift must be in [-100000, 100000] ppm, got {self.drift}"
            )


class SensorClock:
    """Draws the stamps and arrivals of one sensor, in order of stamp.

    The grid starts at a random phase. Stamps strictly increase: jitter is cut at 0.45 periods. The
    link keeps the order: a measurement never overtakes an earlier one.

    Losses come as in Gilbert's model (1960, "Capacity of a burst-noise channel"): the link is up or
    down, and goes from one to the other with fixed probabilities between measurements.

    Args:
        timing: clock and link.
        rng: source of phase, jitter, latency and drops.

    Attributes:
        stamp: of the next measurement, ns.
        arrival: of that measurement, ns, or None where it is dropped.
    """

    def __init__(self, timing: SensorTiming, rng: np.random.Generator) -> None:
        self._rng = rng
        self._period = SECOND / (timing.rate * (1 + 1e-6 * timing.drift))
        self._phase = float(rng.uniform(0.0, self._period))
        self._jitter, self._bound = timing.jitter * SECOND, 0.45 * self._period
        self._latency, self._latency_jitter = timing.latency, timing.latency_jitter
        recover = min(1 / timing.burst, 1 - timing.drop)
        self._stay_down = 1 - recover
        self._go_down = recover * timing.drop / (1 - timing.drop)
        self._lost_below = timing.drop
        self._tick = 0
        self._last_arrival = 0
        self.stamp = 0
        self.arrival: int | None = None
        self.advance()

    def advance(self) -> None:
        """Move to the next measurement."""
        rng, bound = self._rng, self._bound
        jitter, latency, luck = (
            rng.standard_normal(),
            rng.standard_exponential(),
            rng.random(),
        )
        offset = min(max(jitter * self._jitter, -bound), bound)
        self.stamp = max(0, round(self._phase + self._tick * self._period + offset))
        self._tick += 1
        if luck < self._lost_below:
            self.arrival, self._lost_below = None, self._stay_down
            return
        self._lost_below = self._go_down
        delay = self._latency + latency * self._latency_jitter
        self._last_arrival = max(self.stamp + round(delay * SECOND), self._last_arrival)
        self.arrival = self._last_arrival
