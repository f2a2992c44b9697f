"""A sensor of one's own: a pitot tube for the events of `encoder_airspeed`, and how it fails."""

from dataclasses import dataclass, replace

import numpy as np
from airspeed import Airspeed

from liquid_nav_sim.faults.effects import Effect
from liquid_nav_sim.sensors.model import SensorContext, SensorModel
from liquid_nav_sim.sensors.timing import SensorTiming
from liquid_nav_sim.vehicle.state import Motion


@dataclass(frozen=True)
class PitotModel(SensorModel):
    """A pitot tube; `noise` is the standard deviation of a reading, m/s."""

    channel = Airspeed.channel
    timing = SensorTiming(rate=50.0, latency=0.005)
    limits = (np.full(1, -60.0), np.full(1, 60.0))

    noise: float = 0.2

    def sensor(self, context: SensorContext) -> "Pitot":
        """A pitot tube that draws its noise from a stream of its own."""
        return Pitot(self.noise, context.rng)


class Pitot:
    """One pitot tube in one flight."""

    def __init__(self, noise: float, rng: np.random.Generator) -> None:
        self._noise, self._rng = noise, rng

    def measure(self, motion: Motion, stamp: int, arrival: int | None) -> Airspeed | None:
        """Measure at `stamp` ns; nothing where the reading never arrives."""
        error = self._noise * self._rng.standard_normal()
        if arrival is None:
            return None
        state = motion.at(stamp)
        x, y, z, w = state.orientation
        nose = (1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y))
        return Airspeed(stamp, arrival, float(state.linear_velocity @ nose) + error)


BLOCKED = Effect(change=lambda event, action: replace(event, speed=0.0))
"""A plug of ice: the tube reads no speed."""
