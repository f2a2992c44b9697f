"""Clocks and links of sensors: rates, latencies and losses."""

from dataclasses import dataclass

from liquid_nav_sim.errors import SimulationError


@dataclass(frozen=True)
class SensorTiming:
    """Clock and link of one sensor.

    Attributes:
        rate: measurements per second, by the sensor's own clock.
        jitter: standard deviation of each stamp about the regular grid, seconds.
        latency: shortest time from stamp to arrival, seconds.
        latency_jitter: mean of the additional, exponentially distributed latency, seconds.
        drop: probability that a measurement is lost.
        burst: mean number of measurements that are lost in a row; at least 1 / (1 - drop), that of
            independent losses.
        overtaken: probability that a measurement is held back by one and a half periods on top, so
            that the next one overtakes it. At 0 the link keeps the order.
        drift: parts per million by which the sensor's clock is fast; negative if it is slow. The
            driver converts stamps to the vehicle's clock, so drift changes only the rate.

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
    overtaken: float = 0.0

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
        if not 0 <= self.overtaken <= 1:
            raise SimulationError(f"sensor overtaken must be in [0, 1], got {self.overtaken}")
        if not 1 <= self.burst <= 1e6:
            raise SimulationError(
                f"sensor burst must be in [1, 1000000] measurements, got {self.burst}"
            )
        if not -100_000 <= self.drift <= 100_000:
            raise SimulationError(
                f"sensor drift must be in [-100000, 100000] ppm, got {self.drift}"
            )
