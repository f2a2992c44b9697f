"""What no controller can use: measurements that are not finite, not plausible, or frozen."""

import math
from collections.abc import Mapping

from liquid_nav.events import (
    SECOND,
    CameraFrame,
    Channel,
    Event,
    Goal,
    ImuSample,
    Odometry,
)

MAX_ANGULAR_VELOCITY = 100.0
"""rad/s about an axis. MEMS gyroscopes end at 35 rad/s (2000 deg/s); degrees taken for radians, or
a bus error, go beyond."""

MAX_SPECIFIC_FORCE = 1000.0
"""m/s^2 along an axis. Accelerometers of autopilots end at 320 m/s^2 (32 g); raw counts or
milli-g taken for m/s^2 go beyond."""

MAX_DISTANCE = 1e7
"""m from the origin of the world. A local frame never reaches a quarter of the Earth's
circumference; an estimator that has diverged does."""

MAX_SPEED = 1000.0
"""m/s. Nothing with propellers flies so fast; an estimator that has diverged says so."""


def defect(event: Event) -> str:
    """Why no controller can use this measurement; empty when it can."""
    # Python floats: numpy's functions take microseconds on three numbers.
    if isinstance(event, ImuSample):
        rates, force = event.angular_velocity.tolist(), event.specific_force.tolist()
        if not all(map(math.isfinite, rates + force)):
            return "not finite"
        if max(map(abs, rates)) > MAX_ANGULAR_VELOCITY:
            return f"implausible angular velocity: above {MAX_ANGULAR_VELOCITY:g} rad/s"
        if max(map(abs, force)) > MAX_SPECIFIC_FORCE:
            return f"implausible specific force: above {MAX_SPECIFIC_FORCE:g} m/s^2"
    elif isinstance(event, Goal):
        return _misplaced(event.position.tolist())
    elif isinstance(event, Odometry):
        return _lost(event)
    return ""


def _misplaced(position: list[float]) -> str:
    if not all(map(math.isfinite, position)):
        return "not finite"
    if math.hypot(*position) > MAX_DISTANCE:
        return f"implausible position: beyond {MAX_DISTANCE:g} m"
    return ""


def _lost(event: Odometry) -> str:
    orientation, velocity = event.orientation.tolist(), event.linear_velocity.tolist()
    rates = event.angular_velocity.tolist()
    if not all(map(math.isfinite, orientation + velocity + rates)):
        return "not finite"
    if abs(math.hypot(*orientation) - 1) > 0.01:
        return "orientation is not a unit quaternion"
    if math.hypot(*velocity) > MAX_SPEED:
        return f"implausible speed: above {MAX_SPEED:g} m/s"
    if max(map(abs, rates)) > MAX_ANGULAR_VELOCITY:
        return f"implausible angular velocity: above {MAX_ANGULAR_VELOCITY:g} rad/s"
    return _misplaced(event.position.tolist())


class FreezeDetector:
    """Tells a sensor that repeats its last values, bit for bit, under new stamps.

    Every real sensor has noise. Equal values are taken for as long as the channel's limit, from
    the stamp of the first of them; later ones are refused until the first that differs.

    Args:
        limits: s per channel; a channel that is missing is never frozen.

    """

    def __init__(self, limits: Mapping[Channel, float]) -> None:
        self.limits = limits
        self.reset()

    def reset(self) -> None:
        """Forget all values."""
        self._seen: dict[Channel, tuple[bytes, int]] = {}

    def objection(self, event: Event) -> str:
        """Why a measurement is refused, and remember its values; empty when it is not."""
        values = _bits(event)
        known, since = self._seen.get(event.channel, (b"", event.stamp))
        if values != known:
            self._seen[event.channel] = (values, event.stamp)
            return ""
        limit = self.limits.get(event.channel)
        if limit is not None and event.stamp - since > round(limit * SECOND):
            return f"frozen: unchanged for more than {limit:g} s"
        return ""


def _bits(event: Event) -> bytes:
    """Values of an event, copied: a driver may write its next image over the last."""
    if isinstance(event, ImuSample):
        return event.angular_velocity.tobytes() + event.specific_force.tobytes()
    if isinstance(event, CameraFrame):
        return event.image.tobytes()
    if isinstance(event, Odometry):
        return b"".join(
            vector.tobytes()
            for vector in (
                event.position,
                event.orientation,
                event.linear_velocity,
                event.angular_velocity,
            )
        )
    return event.position.tobytes() if isinstance(event, Goal) else b""
