"""The times at which a sensor measures and its measurements arrive, and which ones are lost."""

import numpy as np

from liquid_nav.events import SECOND
from liquid_nav_sim.sensors.timing import SensorTiming

_BLOCK = 64
"""Measurements whose random numbers are drawn together, which is far cheaper than one by one."""


class SensorClock:
    """Draws the stamps and arrivals of one sensor, in order of stamp.

    The regular grid starts at a random phase. Stamps strictly increase: jitter is clipped to 0.45
    periods. The link keeps the order: a measurement overtakes only those that
    `SensorTiming.overtaken` holds back.

    Losses follow Gilbert's model (1960, "Capacity of a burst-noise channel"): the link is up or
    down, and changes between the two with fixed probabilities from measurement to measurement.

    Args:
        timing: clock and link.
        rng: random stream of phase, jitter, latency and drops.

    Attributes:
        stamp: stamp of the next measurement, ns.
        arrival: arrival of that measurement, ns; None if it is lost.
    """

    def __init__(self, timing: SensorTiming, rng: np.random.Generator) -> None:
        self._rng = rng
        self._draws: list[tuple[float, float, float]] = []
        self._period = SECOND / (timing.rate * (1 + 1e-6 * timing.drift))
        self._phase = float(rng.uniform(0.0, self._period))
        self._jitter, self._bound = timing.jitter * SECOND, 0.45 * self._period
        self._latency, self._latency_jitter = timing.latency, timing.latency_jitter
        recover = min(1 / timing.burst, 1 - timing.drop)
        self._stay_down = 1 - recover
        self._go_down = recover * timing.drop / (1 - timing.drop)
        self._lost_below = timing.drop
        self._overtaken = timing.overtaken
        self._tick = 0
        self._last_arrival = 0
        self.stamp = 0
        self.arrival: int | None = None
        self.advance()

    def advance(self) -> None:
        """Move to the next measurement."""
        if not self._draws:
            rng, block = self._rng, (_BLOCK,)
            self._draws = [
                *zip(
                    rng.standard_normal(block).tolist(),
                    rng.standard_exponential(block).tolist(),
                    rng.random(block).tolist(),
                    strict=True,
                )
            ]
        jitter, latency, luck = self._draws.pop()
        offset = min(max(jitter * self._jitter, -self._bound), self._bound)
        self.stamp = max(0, round(self._phase + self._tick * self._period + offset))
        self._tick += 1
        if luck < self._lost_below:
            self.arrival, self._lost_below = None, self._stay_down
            return
        # What is left of the luck above the threshold of a loss is uniform again.
        spare = (luck - self._lost_below) / (1 - self._lost_below)
        self._lost_below = self._go_down
        delay = self._latency + latency * self._latency_jitter
        self._last_arrival = max(self.stamp + round(delay * SECOND), self._last_arrival)
        self.arrival = self._last_arrival
        if spare < self._overtaken:
            self.arrival += round(1.5 * self._period)
