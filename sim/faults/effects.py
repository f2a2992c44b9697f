"""Effects of faults: on the sensors of any channel, on those of one channel, on the vehicle.

To add an effect, name an `Effect` in an entry point ``CHANNEL_EFFECT`` of the group
``liquid_nav.faults``, for example ``airspeed_blocked``.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from liquid_nav.events import SECOND, Event, Odometry, RangeSample
from liquid_nav_sim.faults import images
from liquid_nav_sim.rotation import Vector


class Magnitude(NamedTuple):
    """The range of the magnitude of a fault.

    Attributes:
        low, high: bounds.
        unit: unit, for error messages.
        drawn: bounds of the magnitudes of random faults.
    """

    low: float
    high: float
    unit: str
    drawn: tuple[float, float]


@dataclass
class Action:
    """A fault of one flight, as passed to its effect.

    Attributes:
        magnitude: size of the fault, in the unit of its effect.
        vector: the magnitude along the direction of the fault, world ENU, (3,).
        rng: random stream of this fault.
        pattern: seed of anything that stays the same while the fault lasts.
    """

    magnitude: float
    vector: Vector
    rng: np.random.Generator
    pattern: int

    def normals(self, count: int) -> NDArray[np.float64]:
        """Draw white noise with the magnitude as standard deviation, shape (count,)."""
        return self.magnitude * self.rng.standard_normal(count)


Change = Callable[[Any, Action], Event]
"""Takes an event of the channel and the fault, and returns the broken event."""


class Effect(NamedTuple):
    """One way in which a sensor or the vehicle breaks.

    Attributes:
        magnitude: range of the magnitude; None if the effect has none.
        change: function that breaks a measurement; None if `Faults` itself applies the effect.
    """

    magnitude: Magnitude | None = None
    change: Change | None = None


def _delay(event: Event, action: Action) -> Event:
    return replace(event, arrival=event.arrival + round(action.magnitude * SECOND))


def _clock_jump(event: Event, action: Action) -> Event:
    stamp = event.stamp + round(action.magnitude * SECOND)
    return replace(event, stamp=min(stamp, event.arrival))


def _nan(event: Event, action: Action) -> Event:
    """Replace every measured number by NaN."""
    times = {f.name for f in fields(Event)}
    values = {f.name: getattr(event, f.name) for f in fields(event) if f.name not in times}
    return replace(event, **{name: value * math.nan for name, value in values.items()})


def _image(change: Callable[[Any, Action], NDArray[np.uint8]]) -> Change:
    return lambda event, action: replace(event, image=change(event.image, action))


def _bias(name: str) -> Change:
    """Make an effect that adds the magnitude to a field."""
    return lambda event, action: replace(event, **{name: getattr(event, name) + action.magnitude})


def _noise(name: str) -> Change:
    """Make an effect that adds white noise to a field of three numbers."""
    return lambda event, action: replace(event, **{name: getattr(event, name) + action.normals(3)})


def _range_noise(event: RangeSample, action: Action) -> Event:
    return replace(event, distance=event.distance + float(action.normals(1)[0]))


def _jump(event: Odometry, action: Action) -> Event:
    return replace(event, position=event.position + action.vector)


def _image_noise(image: NDArray[np.uint8], action: Action) -> NDArray[np.uint8]:
    return images.noise_burst(image, action.magnitude, int(action.rng.integers(2**32)))


DAMAGE_LOSS = 0.2
"""Share of its thrust that a rotor of damage 1 loses."""

DROP, FREEZE = Effect(), Effect()
DELAY = Effect(Magnitude(0.0, 10.0, "s", (0.05, 0.5)), _delay)
CLOCK_JUMP = Effect(Magnitude(-10.0, 10.0, "s", (-0.5, 0.5)), _clock_jump)
NAN = Effect(change=_nan)

OF_ANY_SENSOR = {
    "drop": DROP,
    "freeze": FREEZE,
    "delay": DELAY,
    "clock_jump": CLOCK_JUMP,
    "nan": NAN,
}
"""Effects on the sensors of any channel, also of other packages, by name.

- `drop`: no measurement arrives.
- `freeze`: the last values repeat under new stamps.
- `delay`: additional latency, s; the link still keeps the order.
- `clock_jump`: error of the sensor's clock, s; a stamp that would be later than the arrival is set
  to the arrival, as drivers do.
- `nan`: every value is NaN; for events whose fields are numbers.
"""

EFFECTS: dict[str, Effect] = {
    "camera_drop": DROP,
    "camera_freeze": FREEZE,
    "camera_black": Effect(change=_image(lambda image, action: images.black(image))),
    "camera_delay": DELAY,
    "camera_clock_jump": CLOCK_JUMP,
    "camera_dirt": Effect(
        Magnitude(0.0, 1.0, "of the lens", (0.05, 0.5)),
        _image(lambda image, action: images.lens_dirt(image, action.magnitude, action.pattern)),
    ),
    "camera_exposure": Effect(
        Magnitude(0.01, 100.0, "times the light", (0.1, 5.0)),
        _image(lambda image, action: images.wrong_exposure(image, action.magnitude)),
    ),
    "camera_noise": Effect(
        Magnitude(0.0, 100.0, "grey levels", (10.0, 60.0)), _image(_image_noise)
    ),
    "imu_drop": DROP,
    "imu_freeze": FREEZE,
    "imu_delay": DELAY,
    "imu_clock_jump": CLOCK_JUMP,
    "imu_bias": Effect(Magnitude(-10.0, 10.0, "rad/s", (-0.3, 0.3)), _bias("angular_velocity")),
    "imu_accel_bias": Effect(
        Magnitude(-100.0, 100.0, "m/s^2", (-2.0, 2.0)), _bias("specific_force")
    ),
    "imu_noise": Effect(Magnitude(0.0, 10.0, "rad/s", (0.05, 1.0)), _noise("angular_velocity")),
    "imu_accel_noise": Effect(
        Magnitude(0.0, 100.0, "m/s^2", (0.5, 10.0)), _noise("specific_force")
    ),
    "imu_nan": NAN,
    "dvs_drop": DROP,
    "dvs_freeze": FREEZE,
    "dvs_delay": DELAY,
    "range_drop": DROP,
    "range_freeze": FREEZE,
    "range_delay": DELAY,
    "range_clock_jump": CLOCK_JUMP,
    "range_bias": Effect(Magnitude(-100.0, 100.0, "m", (-1.0, 1.0)), _bias("distance")),
    "range_noise": Effect(Magnitude(0.0, 100.0, "m", (0.05, 1.0)), _range_noise),
    "range_nan": NAN,
    "odometry_drop": DROP,
    "odometry_freeze": FREEZE,
    "odometry_delay": DELAY,
    "odometry_clock_jump": CLOCK_JUMP,
    "odometry_jump": Effect(Magnitude(-100.0, 100.0, "m", (-3.0, 3.0)), _jump),
    "odometry_noise": Effect(Magnitude(0.0, 100.0, "m", (0.05, 1.0)), _noise("position")),
    "odometry_nan": NAN,
    "motor_loss": Effect(Magnitude(0.0, 1.0, "of its thrust", (0.05, 0.4))),
    "motor_stuck": Effect(),
    "wind_step": Effect(Magnitude(-50.0, 50.0, "m/s", (1.0, 6.0))),
    "mass_change": Effect(Magnitude(-0.9, 5.0, "of the mass", (-0.2, 0.3))),
    "rotor_damage": Effect(Magnitude(0.0, 1.0, "of a broken blade", (0.05, 0.6))),
}
"""Effects on each channel and on the vehicle by the kind of fault, ``CHANNEL_EFFECT``.

Random faults are drawn from these, in this order. In addition to `OF_ANY_SENSOR` there are:

- `bias`: the magnitude is added to each axis of the gyroscope, rad/s, to each axis of the
  accelerometer, m/s^2, or to the range, m.
- `noise`: the magnitude is the standard deviation of white noise on each axis of the gyroscope,
  rad/s, of the accelerometer, m/s^2, or of the position, m, on the range, m, or on each value of
  each pixel, grey levels.
- of the camera, see `liquid_nav_sim.faults.images`: `black` images; `exposure`, which scales the
  light by the magnitude; `dirt`, which covers that fraction of the lens, with a new pattern for
  each fault.
- of the odometry: `jump`, which moves the position along the direction, m.
- of the vehicle: `motor_loss`, which takes that fraction of the thrust of one rotor; `motor_stuck`,
  which keeps the thrust setpoint of one rotor; `wind_step`, wind along the direction, m/s;
  `mass_change`, which adds that fraction of the mass at its centre; `rotor_damage`, which takes
  that share of `DAMAGE_LOSS` from the thrust of one rotor and unbalances it, so that IMUs vibrate.
"""
