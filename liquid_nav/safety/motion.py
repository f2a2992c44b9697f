"""Compare the parts of odometry with each other: a pose that stands still, a velocity that lies."""

import math

from liquid_nav.events import SECOND, Channel, Event, Odometry, RangeSample, bits
from liquid_nav.safety.warnings import SensorWarnings

MOVED = 0.5
"""Metres that a position cannot miss."""

SPEED = 0.2
"""m/s: an average speed above it is no rounding of a vehicle at rest."""

TURNED = 0.3
"""Radians that an orientation cannot miss."""

RATE = 0.1
"""rad/s: an average angular velocity above it is no bias of a vehicle at rest."""

LIVELY = 20
"""Changes after which a sensor is known to change."""

SILENCE = 2 * SECOND
"""ns for which a sensor that used to change may repeat its value without a warning."""


class OdometryChecks:
    """Judges odometry by itself: what it says of motion must agree with where it says it is.

    Args:
        warnings: where suspicions go.

    """

    def __init__(self, warnings: SensorWarnings) -> None:
        self._warnings = warnings
        self.reset()

    def reset(self) -> None:
        """Forget all odometry."""
        self._last: Odometry | None = None
        # Since when position and orientation stand still, and how far they should have moved.
        self._position = self._orientation = (0, 0.0)
        # How far the position moved while the velocity was zero.
        self._drift = 0.0

    def objection(self, odometry: Odometry) -> str:
        """Remember odometry and return why it is refused, or an empty string."""
        last, self._last = self._last, odometry
        if last is None or odometry.stamp <= last.stamp:
            self._position = self._orientation = (odometry.stamp, 0.0)
            return ""
        elapsed = (odometry.stamp - last.stamp) / SECOND
        speed = math.hypot(*odometry.linear_velocity.tolist())
        rate = math.hypot(*odometry.angular_velocity.tolist())
        step = math.dist(odometry.position.tolist(), last.position.tolist())
        turned = odometry.orientation.tolist() != last.orientation.tolist()
        self._position = _missed(self._position, bool(step), odometry.stamp, speed * elapsed)
        self._orientation = _missed(self._orientation, turned, odometry.stamp, rate * elapsed)
        self._drift = 0.0 if speed else self._drift + step
        self._warnings.set(
            Channel.ODOMETRY,
            "no velocity",
            "the velocity is exactly zero while the position moves: the driver fills in no twist; "
            "geofence and policy need it"
            if self._drift > MOVED
            else "",
        )
        for (since, missed), least, pace, what, unit in (
            (self._position, MOVED, SPEED, "position", "m"),
            (self._orientation, TURNED, RATE, "orientation", "rad"),
        ):
            if missed > least and missed > pace * (odometry.stamp - since) / SECOND:
                return f"frozen: {what} unchanged while its velocity says {least:g} {unit} or more"
        return ""


class RepeatCheck:
    """Warns about a sensor that used to change and then repeats its value, bit for bit.

    Args:
        warnings: where suspicions go.
        channel: the channel of the sensor.

    """

    def __init__(self, warnings: SensorWarnings, channel: Channel) -> None:
        self._warnings, self._channel = warnings, channel
        self.reset()

    def reset(self) -> None:
        """Forget all measurements."""
        self._values, self._since, self._changes, self._longest = b"", 0, 0, 0

    def add(self, event: Event) -> None:
        """Look at one measurement."""
        values = bits(event)
        held = event.stamp - self._since
        changed = values != self._values
        if changed:
            if self._changes:
                self._longest = max(self._longest, held)
            self._values, self._since = values, event.stamp
            self._changes += 1
        # Nothing in range is nothing new.
        beyond = isinstance(event, RangeSample) and math.isinf(event.distance)
        stuck = not changed and not beyond and self._changes > LIVELY
        stuck = stuck and held > max(SILENCE, 2 * self._longest)
        self._warnings.set(
            self._channel,
            "repeats",
            f"the same values for more than {SILENCE / SECOND:g} s, bit for bit, after they used "
            "to change: look at the sensor and its driver"
            if stuck
            else "",
        )


def _missed(
    before: tuple[int, float], moved: bool, stamp: int, distance: float
) -> tuple[int, float]:
    """Since when a pose stands still, and how far it should have moved since then."""
    since, missed = before
    return (stamp, 0.0) if moved else (since, missed + distance)
