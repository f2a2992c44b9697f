"""Screen out measurements that are not finite, not plausible, or frozen."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from liquid_nav.events import SECOND, Channel, Event, Goal, ImuSample, Odometry, bits

MAX_ANGULAR_VELOCITY = 100.0
"""rad/s about an axis. MEMS gyroscopes measure up to 35 rad/s (2000 deg/s); degrees mistaken for
radians, or an error on the bus, exceed this."""

MAX_SPECIFIC_FORCE = 1000.0
"""m/s^2 along an axis. Accelerometers of autopilots measure up to 320 m/s^2 (32 g); raw counts or
milli-g mistaken for m/s^2 exceed this."""

MAX_DISTANCE = 1e7
"""m from the origin of the world: a quarter of the Earth's circumference. No local frame is that
large; an estimator that has diverged exceeds this."""

MAX_SPEED = 1000.0
"""m/s. Nothing with propellers flies so fast; an estimator that has diverged exceeds this."""


def defect(event: Event) -> str:
    """Return why no controller can use this event, or an empty string if one can."""
    why = event.defect()
    kind, check = _PLAUSIBLE.get(event.channel, _NO_CHECK)
    return why or (check(event) if isinstance(event, kind) else "")


def _implausible_imu(event: ImuSample) -> str:
    # With Python floats and written out, because this runs for every sample.
    a, b, c = event.angular_velocity.tolist()
    most = MAX_ANGULAR_VELOCITY
    if not (-most <= a <= most and -most <= b <= most and -most <= c <= most):
        return f"implausible angular velocity: above {most:g} rad/s"
    a, b, c = event.specific_force.tolist()
    most = MAX_SPECIFIC_FORCE
    if not (-most <= a <= most and -most <= b <= most and -most <= c <= most):
        return f"implausible specific force: above {most:g} m/s^2"
    return ""


def _implausible_position(event: Goal | Odometry) -> str:
    if math.hypot(*event.position.tolist()) > MAX_DISTANCE:
        return f"implausible position: beyond {MAX_DISTANCE:g} m"
    return ""


def _implausible_odometry(event: Odometry) -> str:
    if abs(math.hypot(*event.orientation.tolist()) - 1) > 0.01:
        return "orientation is not a unit quaternion"
    if math.hypot(*event.linear_velocity.tolist()) > MAX_SPEED:
        return f"implausible speed: above {MAX_SPEED:g} m/s"
    if max(map(abs, event.angular_velocity.tolist())) > MAX_ANGULAR_VELOCITY:
        return f"implausible angular velocity: above {MAX_ANGULAR_VELOCITY:g} rad/s"
    return _implausible_position(event)


_PLAUSIBLE: Mapping[Channel, tuple[type[Event], Callable[[Any], str]]] = {
    Channel.IMU: (ImuSample, _implausible_imu),
    Channel.GOAL: (Goal, _implausible_position),
    Channel.ODOMETRY: (Odometry, _implausible_odometry),
}
"""Checks beyond `Event.defect`, per channel: the type of event, and what checks it."""

_NO_CHECK: tuple[type[Event], Callable[[Any], str]] = (Event, lambda _: "")


class FreezeDetector:
    """Detects a sensor that repeats its last values, bit for bit, under new stamps.

    Every real sensor has noise. Equal values are accepted until the limit of the channel has passed
    since the stamp of the first of them. Later ones are refused until a value differs.

    Args:
        limits: seconds per channel; a channel without a limit may repeat its values for ever.

    """

    def __init__(self, limits: Mapping[Channel, float]) -> None:
        self.limits = limits
        self.reset()

    def reset(self) -> None:
        """Forget all values."""
        self._seen: dict[Channel, tuple[bytes, int]] = {}

    def objection(self, event: Event) -> str:
        """Remember the values of an event; return why it is refused, or an empty string."""
        values = bits(event)
        known, since = self._seen.get(event.channel, (b"", event.stamp))
        if values != known:
            self._seen[event.channel] = (values, event.stamp)
            return ""
        limit = self.limits.get(event.channel)
        if limit is not None and event.stamp - since > round(limit * SECOND):
            return f"frozen: unchanged for more than {limit:g} s"
        return ""
