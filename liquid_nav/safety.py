"""The safety layer: the only exit for a command, in simulation, replay and flight alike.

It holds no timer and is never polled. What it will say at any instant is a function of the events
so far and of that instant alone, so a query changes nothing and a replay gives the same flight.

==========  ===========================================  ==================================
failsafe    entered                                      left
==========  ===========================================  ==================================
hover       a needed channel has sent nothing yet        its first measurement
hover       newest measurement of a needed channel is    `recovery` after it is fresh again
            older than `hover`
hover       the policy's output is not finite            `recovery` after the last such output
land        as hover, older than `land`                  to hover, when it is fresh again
stop        the operator engages the stop                the operator releases it
==========  ===========================================  ==================================
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from liquid_nav.command import Command, CommandLimits, Mode
from liquid_nav.errors import ConfigError
from liquid_nav.events import SECOND, Channel, Odometry

Vector = tuple[float, float, float, float]
"""(vx, vy, vz, yaw_rate), m/s and rad/s, heading frame."""

REST: Vector = (0.0, 0.0, 0.0, 0.0)

_NEVER = -(2**63)
"""An instant before all others, ns: clocks may start below zero."""

LONGEST = 1e9
"""Seconds; settings of time go no further, so that they stay whole numbers of ns."""


@dataclass(frozen=True)
class Staleness:
    """When silence on a channel becomes a failsafe.

    Attributes:
        hover: age of the newest measurement, in seconds, at which the vehicle hovers.
        land: age at which it lands.

    Raises:
        ConfigError: unless 0 < hover <= land <= `LONGEST`.

    """

    hover: float
    land: float

    def __post_init__(self) -> None:
        if not 0 < self.hover <= self.land <= LONGEST:
            raise ConfigError(f"staleness needs 0 < hover <= land <= {LONGEST:g} s, got {self}")


@dataclass(frozen=True)
class Geofence:
    """A box in the world frame that the vehicle is kept inside, when odometry is there.

    Attributes:
        low, high: corners, metres, world ENU; the lowest z is the minimum height.
        deceleration: m/s^2 the vehicle is trusted to brake with in front of a wall.

    Raises:
        ConfigError: on an empty box or a deceleration that is not positive and finite.

    """

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    deceleration: float = 2.0

    def __post_init__(self) -> None:
        if not all(a < b for a, b in zip(self.low, self.high, strict=True)):
            raise ConfigError(f"geofence needs low < high on every axis, got {self}")
        if not 0 < self.deceleration < math.inf:
            raise ConfigError(
                f"geofence deceleration must be positive and finite, got {self.deceleration}"
            )

    def limit(self, command: Vector, odometry: Odometry) -> Vector:
        """Slow the part of a velocity that leads out so that the vehicle can stop at the wall.

        Outside the box the outward part is zero; the way back in stays free.
        """
        x, y, z, w = odometry.orientation.tolist()
        yaw = math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
        c, s = math.cos(yaw), math.sin(yaw)
        vx, vy, vz, yaw_rate = command
        world = [c * vx - s * vy, s * vx + c * vy, vz]
        for axis, position in enumerate(odometry.position.tolist()):
            up = math.sqrt(2 * self.deceleration * max(self.high[axis] - position, 0.0))
            down = math.sqrt(2 * self.deceleration * max(position - self.low[axis], 0.0))
            world[axis] = min(max(world[axis], -down), up)
        return (c * world[0] + s * world[1], -s * world[0] + c * world[1], world[2], yaw_rate)


def _default_staleness() -> dict[Channel, Staleness]:
    return {
        Channel.CAMERA: Staleness(hover=0.3, land=2.0),
        Channel.IMU: Staleness(hover=0.1, land=2.0),
        Channel.ODOMETRY: Staleness(hover=0.5, land=5.0),
    }


@dataclass(frozen=True)
class SafetyConfig:
    """Settings of the safety layer.

    Attributes:
        limits: magnitude and slew limits of every command.
        staleness: per channel, when silence becomes a failsafe.
        recovery: seconds for which a channel must be fresh again before a failsafe is left.
        landing_speed: m/s of descent when landing.
        geofence: the box to stay in, or None; with one, odometry becomes a needed channel.

    Raises:
        ConfigError: on a value out of range.

    """

    limits: CommandLimits = field(default_factory=CommandLimits)
    staleness: Mapping[Channel, Staleness] = field(default_factory=_default_staleness)
    recovery: float = 0.3
    landing_speed: float = 0.5
    geofence: Geofence | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.recovery <= LONGEST:
            raise ConfigError(f"recovery must be in [0, {LONGEST:g}] s, got {self.recovery}")
        if not 0 < self.landing_speed <= self.limits.vz:
            raise ConfigError(f"landing_speed must be in (0, limits.vz], got {self.landing_speed}")


@dataclass
class _Watch:
    """Freshness of one needed channel; times in ns."""

    channel: Channel
    hover: int
    land: int
    newest: int | None = None
    recovered: int = _NEVER

    def heard(self, stamp: int, now: int, recovery: int) -> None:
        if self.newest is not None:
            if now - self.newest > self.hover:
                self.recovered = now + recovery
            stamp = max(stamp, self.newest)
        self.newest = stamp

    def state(self, now: int) -> tuple[Mode, str]:
        name = self.channel.value
        if self.newest is None:
            return Mode.HOVER, f"{name}: nothing received yet"
        if now - self.newest > self.land:
            return Mode.LAND, f"{name}: stale for more than {self.land / SECOND:g} s"
        if now - self.newest > self.hover:
            return Mode.HOVER, f"{name}: stale for more than {self.hover / SECOND:g} s"
        if now < self.recovered:
            return Mode.HOVER, f"{name}: recovering"
        return Mode.NOMINAL, ""

    def changes(self) -> tuple[int, ...]:
        """Instants at which `state` may change with no further event."""
        if self.newest is None:
            return ()
        return (self.newest + self.hover + 1, self.newest + self.land + 1, self.recovered)


class SafetyLayer:
    """Limits, geofence, staleness and failsafe states.

    Between events the command leaves an *anchor*, the command at the event before the newest one,
    no faster than the slew limits allow. `commit` moves the anchor and is called once an event;
    `command` changes nothing.

    Args:
        config: settings.
        needed: channels without which the policy is not to be trusted.

    """

    def __init__(self, config: SafetyConfig, needed: Iterable[Channel]) -> None:
        self.config = config
        self._needed = frozenset(needed) | (
            {Channel.ODOMETRY} if config.geofence is not None else set()
        )
        missing = self._needed - config.staleness.keys()
        if missing:
            names = ", ".join(sorted(channel.value for channel in missing))
            raise ConfigError(f"staleness is not set for needed channels: {names}")
        self.reset()

    def reset(self) -> None:
        """Forget everything but the configuration."""
        order = sorted(self._needed, key=lambda channel: channel.value)
        self._watches = {
            channel: _Watch(
                channel,
                round(self.config.staleness[channel].hover * SECOND),
                round(self.config.staleness[channel].land * SECOND),
            )
            for channel in order
        }
        self._stopped = False
        self._policy_trusted_from = _NEVER
        self._odometry: Odometry | None = None
        self._anchor: Command | None = None
        self._newest: Command | None = None

    def heard(self, channel: Channel, stamp: int, now: int) -> None:
        """Note a good measurement of `channel` taken at `stamp` and entering at `now`, ns."""
        watch = self._watches.get(channel)
        if watch is not None:
            watch.heard(stamp, now, round(self.config.recovery * SECOND))

    def locate(self, odometry: Odometry) -> None:
        """Note where the vehicle is, for the geofence; an older place than the known one is not."""
        if self._odometry is None or odometry.stamp >= self._odometry.stamp:
            self._odometry = odometry

    def operator_stop(self, engaged: bool) -> None:
        """Engage or release the operator's stop."""
        self._stopped = engaged

    def distrust_policy(self, now: int) -> None:
        """Note that the policy's output at `now` ns was not finite."""
        self._policy_trusted_from = now + max(1, round(self.config.recovery * SECOND))

    def commit(self, now: int, raw: Callable[[int], Vector]) -> Command:
        """As `command`, for the instant right after an event, and remember it as the reference."""
        if self._newest is not None and now > self._newest.stamp:
            self._anchor = self._newest
        self._newest = self.command(now, raw)
        return self._newest

    def command(self, now: int, raw: Callable[[int], Vector]) -> Command:
        """Pass on the policy's command at `now` ns, or what must be done instead.

        Args:
            now: the instant of the query, not before the last event.
            raw: gives the policy's command at an instant between the last event and `now`.

        """
        if self._stopped:
            return Command(now, mode=Mode.STOP, reason="operator stop")
        start, vector = self._reference(now)
        # Slew towards each target for as long as it was the target, so that a failsafe entered
        # between two events starts from the command of that instant.
        changes = [t for watch in self._watches.values() for t in watch.changes()]
        changes.append(self._policy_trusted_from)
        for change in sorted(t for t in changes if start < t < now):
            vector = self._slew(vector, self._target(change - 1, raw)[0], change - start)
            start = change
        target, mode, reason = self._target(now, raw)
        vector = self._slew(vector, target, now - start)
        if not reason and _differ(vector, target):
            reason = "limits: slew"
        return Command(now, *vector, mode=mode, reason=reason)

    def _reference(self, now: int) -> tuple[int, Vector]:
        """Instant and vector from which the command at `now` is slewed."""
        newest = self._newest
        reference = newest if newest is not None and now > newest.stamp else self._anchor
        return (now, REST) if reference is None else (reference.stamp, reference.vector)

    def _target(self, now: int, raw: Callable[[int], Vector]) -> tuple[Vector, Mode, str]:
        """What to slew to at `now`, who says so, and why."""
        mode, reason = self._failsafe(now)
        target = REST
        if mode is Mode.NOMINAL:
            wanted = raw(now)
            if all(map(math.isfinite, wanted)):
                target = _clip(wanted, self.config.limits.magnitude)
                reason = "limits: magnitude" if _differ(target, wanted) else ""
            else:
                mode, reason = Mode.HOVER, "policy: output is not finite"
        elif mode is Mode.LAND:
            # A landing passes the floor of the geofence; nothing else does.
            return (0.0, 0.0, -self.config.landing_speed, 0.0), mode, reason
        if self.config.geofence is not None and self._odometry is not None:
            inside = self.config.geofence.limit(target, self._odometry)
            # What the fence leaves is turned, and may be too fast to the side.
            inside = _shorten(inside, self.config.limits)
            if _differ(inside, target):
                target, reason = inside, reason or "geofence"
        return target, mode, reason

    def _failsafe(self, now: int) -> tuple[Mode, str]:
        """Find the failsafe in force at `now` and its reasons, `Mode.NOMINAL` for none."""
        states = [watch.state(now) for watch in self._watches.values()]
        if now < self._policy_trusted_from:
            states.append((Mode.HOVER, "policy: output was not finite"))
        for mode in (Mode.LAND, Mode.HOVER):
            reasons = [why for state, why in states if state is mode]
            if reasons:
                return mode, "; ".join(reasons)
        return Mode.NOMINAL, ""

    def _slew(self, start: Vector, target: Vector, elapsed: int) -> Vector:
        seconds = elapsed / SECOND
        return _toward(start, target, tuple(rate * seconds for rate in self.config.limits.slew))


def _differ(a: Vector, b: Vector) -> bool:
    """Whether two commands differ by more than the rounding of a float32 head."""
    return max(abs(x - y) for x, y in zip(a, b, strict=True)) > 1e-6


def _clip(vector: Vector, magnitude: Vector) -> Vector:
    a, b, c, d = (min(max(x, -m), m) for x, m in zip(vector, magnitude, strict=True))
    return (a, b, c, d)


def _shorten(vector: Vector, limits: CommandLimits) -> Vector:
    """Slow the horizontal velocity, in its direction, to what the limits of both axes allow."""
    vx, vy, vz, yaw_rate = vector
    excess = max(1.0, abs(vx) / limits.vx, abs(vy) / limits.vy)
    return (vx / excess, vy / excess, vz, yaw_rate)


def _toward(start: Vector, target: Vector, step: tuple[float, ...]) -> Vector:
    a, b, c, d = (min(max(t, x - h), x + h) for x, t, h in zip(start, target, step, strict=True))
    return (a, b, c, d)
