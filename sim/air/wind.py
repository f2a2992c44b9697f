"""The wind of one flight: a steady part, gusts and turbulence."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from liquid_nav_sim.air.dryden import Dryden
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.normals import Normals
from liquid_nav_sim.rotation import Vector

SLOWEST_FIELD = 1.0
"""Lowest speed at which turbulence and discrete gusts pass the vehicle, m/s.

It makes them change in hover and in still air too.
"""


@dataclass(frozen=True)
class DiscreteGust:
    """A gust of the 1 - cosine form (MIL-F-8785C, 3.7.3.1): it builds up over a length and stays.

    Two gusts of opposite velocity make one that builds up and dies down again.

    Attributes:
        start: time at which the vehicle reaches the front of the gust, seconds into the flight.
        velocity: change of the wind once the gust has built up, m/s, world ENU.
        length: distance over which the gust builds up, metres.

    Raises:
        SimulationError: if a value is out of range.
    """

    start: float
    velocity: tuple[float, float, float]
    length: float

    def __post_init__(self) -> None:
        if not 0 <= self.start < math.inf:
            raise SimulationError(
                f"DiscreteGust.start must be finite seconds, at least 0, got {self.start!r}"
            )
        if len(self.velocity) != 3 or not all(abs(value) <= 50 for value in self.velocity):
            raise SimulationError(
                f"DiscreteGust.velocity must be three components in [-50, 50] m/s, got "
                f"{self.velocity!r}"
            )
        if not 0 < self.length < math.inf:
            raise SimulationError(
                f"DiscreteGust.length must be positive finite metres, got {self.length!r}"
            )

    def share(self, distance: float) -> float:
        """Fraction of `velocity` that is reached `distance` metres behind the front."""
        return (1 - math.cos(math.pi * min(max(distance / self.length, 0.0), 1.0))) / 2


@dataclass(frozen=True)
class WindModel:
    """Distribution of the wind in one flight.

    Attributes:
        steady: largest speed of the steady horizontal wind, m/s; speed and direction are drawn
            uniformly.
        least: smallest speed of the steady wind, m/s, at most `steady`.
        gust: standard deviation of the gusts along each axis, m/s; the gusts are an
            Ornstein-Uhlenbeck process in time that depends on neither altitude nor speed.
        gust_time: correlation time of the gusts, seconds.
        turbulence: wind speed 6 m above the ground that sets the intensity of Dryden turbulence,
            m/s (see `Dryden`); 7.7 is light, 15.4 moderate and 23.1 severe (15, 30 and 45 kn).
        discrete: gusts that every flight meets.

    Raises:
        SimulationError: if a value is out of range.
    """

    steady: float = 1.0
    gust: float = 0.3
    gust_time: float = 1.0
    turbulence: float = 0.0
    discrete: tuple[DiscreteGust, ...] = ()
    least: float = 0.0

    def __post_init__(self) -> None:
        for name in ("steady", "gust", "turbulence"):
            if not 0 <= getattr(self, name) <= 50:
                raise SimulationError(
                    f"wind {name} must be in [0, 50] m/s, got {getattr(self, name)}"
                )
        if not 0 <= self.least <= self.steady:
            raise SimulationError(
                f"wind least must be in [0, steady = {self.steady}] m/s, got {self.least}"
            )
        if not self.gust_time > 0:
            raise SimulationError(f"wind gust_time must be positive, got {self.gust_time}")


class Wind:
    """The wind of one flight, exact for steps of any length.

    Turbulence is a frozen field that passes the vehicle at the largest of three speeds: the
    steady wind, the airspeed and `SLOWEST_FIELD`. Its longitudinal axis lies along the steady
    wind, and its lateral axis is horizontal.

    Args:
        model: distribution to draw from.
        rng: random stream.

    Attributes:
        ahead: direction that the steady wind blows towards, a unit vector (east, north).
    """

    def __init__(self, model: WindModel, rng: np.random.Generator) -> None:
        self._model = model
        self._dryden = Dryden(model.turbulence, rng.spawn(1)[0]) if model.turbulence else None
        self._speed, direction = (
            rng.uniform(model.least, model.steady),
            rng.uniform(-math.pi, math.pi),
        )
        self.ahead = (math.cos(direction), math.sin(direction))
        self._normals = Normals(rng, 3)
        x, y, z = self._normals.row()
        self._gust = (model.gust * x, model.gust * y, model.gust * z)
        self._dt, self._keep, self._kick = 0.0, 1.0, 0.0
        self._time = 0.0
        self._behind = [0.0 for _ in model.discrete]

    def advance(
        self, dt: float, altitude: float = 0.0, velocity: Sequence[float] = (0.0, 0.0, 0.0)
    ) -> Vector:
        """Advance by `dt` seconds.

        Args:
            dt: seconds.
            altitude: altitude of the vehicle, metres.
            velocity: velocity of the vehicle, m/s, world ENU, shape (3,).

        Returns:
            Velocity of the air at the vehicle, m/s, world ENU, shape (3,).
        """
        model, (east, north), speed = self._model, self.ahead, self._speed
        if dt != self._dt:
            self._dt, self._keep = dt, math.exp(-dt / model.gust_time)
            self._kick = model.gust * math.sqrt(1 - self._keep * self._keep)
        keep, kick = self._keep, self._kick
        (gx, gy, gz), (nx, ny, nz) = self._gust, self._normals.row()
        self._gust = x, y, z = keep * gx + kick * nx, keep * gy + kick * ny, keep * gz + kick * nz
        x, y = x + speed * east, y + speed * north
        if self._dryden is not None or model.discrete:
            vx, vy, vz = velocity
            airspeed = math.hypot(vx - speed * east, vy - speed * north, vz)
            passing = max(airspeed, speed, SLOWEST_FIELD)
            if self._dryden is not None:
                along, across, up = self._dryden.advance(dt, altitude, passing)
                x += along * east - across * north
                y += along * north + across * east
                z += up
            self._time += dt
            for k, gust in enumerate(model.discrete):
                self._behind[k] += passing * min(max(self._time - gust.start, 0.0), dt)
                share = gust.share(self._behind[k])
                x, y, z = (a + share * b for a, b in zip((x, y, z), gust.velocity, strict=True))
        return (x, y, z)
