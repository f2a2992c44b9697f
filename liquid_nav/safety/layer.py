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

The whole table, with what is around this layer, is ``docs/safety.md``.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from liquid_nav.command import Command, CommandLimits, Mode
from liquid_nav.errors import ConfigError
from liquid_nav.events import SECOND, Channel, Odometry
from liquid_nav.safety.freshness import FOR_EVER, FRESH, LONGEST, NEVER, Staleness, Watch
from liquid_nav.safety.geofence import Bounds, Geofence, Track, heading, turned

__all__ = ["Geofence", "SafetyConfig", "SafetyLayer", "Staleness", "Vector"]

Vector = tuple[float, float, float, float]
"""(vx, vy, vz, yaw_rate), m/s and rad/s, heading frame."""

REST: Vector = (0.0, 0.0, 0.0, 0.0)


def _default_staleness() -> dict[Channel, Staleness]:
    return {
        Channel.CAMERA: Staleness(hover=0.3, land=2.0),
        Channel.IMU: Staleness(hover=0.1, land=2.0),
        Channel.ODOMETRY: Staleness(hover=0.5, land=5.0),
        Channel.RANGE: Staleness(hover=0.5, land=2.0),
    }


def _default_frozen() -> dict[Channel, float]:
    return {Channel.CAMERA: 1.0, Channel.IMU: 0.1}


@dataclass(frozen=True)
class SafetyConfig:
    """Settings of the safety layer.

    Attributes:
        limits: magnitude and slew limits of every command.
        staleness: per channel, when silence becomes a failsafe.
        recovery: seconds for which a channel must be fresh again before a failsafe is left.
        landing_speed: m/s of descent when landing.
        geofence: the box to stay in, or None; with one, odometry becomes a needed channel.
        frozen: per channel, seconds for which its values may stay the same, bit for bit; further
            ones are rejected, so that the channel goes stale. A channel without an entry is never
            judged frozen: leave out a source that has no noise.

    Raises:
        ConfigError: on a value out of range, or a geofence that the slew limits cannot brake for.

    """

    limits: CommandLimits = field(default_factory=CommandLimits)
    staleness: Mapping[Channel, Staleness] = field(default_factory=_default_staleness)
    recovery: float = 0.3
    landing_speed: float = 0.5
    geofence: Geofence | None = None
    frozen: Mapping[Channel, float] = field(default_factory=_default_frozen)

    def __post_init__(self) -> None:
        if not 0 <= self.recovery <= LONGEST:
            raise ConfigError(f"recovery must be in [0, {LONGEST:g}] s, got {self.recovery}")
        if not 0 < self.landing_speed <= self.limits.vz:
            raise ConfigError(f"landing_speed must be in (0, limits.vz], got {self.landing_speed}")
        for channel, seconds in self.frozen.items():
            if not 0 < seconds <= LONGEST:
                raise ConfigError(
                    f"frozen.{channel.value} must be in (0, {LONGEST:g}] s, got {seconds}; "
                    "leave the channel out to take values that never change"
                )
        # In a corner two walls are braked for at once.
        if self.geofence and math.sqrt(2) * self.geofence.deceleration > self.limits.acceleration:
            most = self.limits.acceleration / math.sqrt(2)
            raise ConfigError(
                f"geofence deceleration {self.geofence.deceleration:g} m/s^2 is above {most:g}, "
                f"all that limits.acceleration {self.limits.acceleration:g} allows in a corner"
            )


class SafetyLayer:
    """Limits, geofence, staleness and failsafe states.

    Between events the command leaves an *anchor*, the command at the event before the newest one,
    no faster than the slew limits allow. `commit` moves the anchor and is called once an event;
    `command` changes nothing.

    Slew limits therefore hold between the commands at any two events, and between a query and the
    event before it. They do not hold between a query and the next event's command: what the event
    brings may pull the other way than the query went, and the event does not know that it was
    asked. The step is at most twice what the limit allows since the event before. The operator's
    stop waits for no limit.

    Args:
        config: settings.
        channels: those without which the policy is not to be trusted.
        staleness: per channel, what holds where the settings do not say; None where the first
            measurement stays valid for ever.

    Raises:
        ConfigError: if a needed channel has no staleness.

    """

    def __init__(
        self,
        config: SafetyConfig,
        channels: Iterable[Channel],
        staleness: Mapping[Channel, Staleness | None] = MappingProxyType({}),
    ) -> None:
        self._channels, self._staleness = frozenset(channels), staleness
        self._configure(config, self._check(config))
        self.reset()

    def _check(self, config: SafetyConfig) -> list[Channel]:
        """Name the channels that are needed under `config`, in the order of their names."""
        fence = set() if config.geofence is None else {Channel.ODOMETRY}
        needed = sorted(self._channels | fence, key=lambda channel: channel.value)
        known = {*self._staleness, *config.staleness}
        missing = [channel.value for channel in needed if channel not in known]
        if missing:
            raise ConfigError(f"staleness is not set for needed channels: {', '.join(missing)}")
        return needed

    def _configure(self, config: SafetyConfig, needed: list[Channel]) -> None:
        self.config, self._needed = config, needed
        self._magnitude, self._rates = config.limits.magnitude, config.limits.slew
        self._recovery = round(config.recovery * SECOND)

    def reset(self) -> None:
        """Forget everything but the configuration."""
        self._stamps: dict[Channel, int] = {}
        self._watches = self._watch()
        self._stopped = False
        self._policy_trusted_from = NEVER
        self._odometry: Odometry | None = None
        self._track = Track()
        self._anchor: Command | None = None
        self._newest: Command | None = None

    def _watch(self) -> dict[Channel, Watch]:
        watches = {}
        for channel in self._needed:
            ages = self.config.staleness.get(channel) or self._staleness[channel]
            hover = land = FOR_EVER
            if ages is not None:
                hover, land = round(ages.hover * SECOND), round(ages.land * SECOND)
            watches[channel] = Watch(channel, hover, land, self._stamps.get(channel))
        return watches

    def reconfigure(
        self, config: SafetyConfig, now: int, raw: Callable[[int], Vector]
    ) -> Command | None:
        """Change the settings at `now` ns and forget nothing.

        The command at `now` is still that of the old settings and becomes the reference: from it
        the next ones leave at the new slew rates, towards the new limits. One beyond a new
        magnitude limit is therefore brought inside it at the new rate and not with a jump. A
        failsafe that the old settings had entered for staleness is left by the usual hysteresis
        if the new ones call the channel fresh. A channel that is needed only now counts from
        its newest measurement, even from before it was needed.

        Returns the command at `now`, or None before the first event. An instant before the last
        event's is taken as that.

        Raises:
            ConfigError: if a needed channel has no staleness; nothing is changed then.

        """
        needed = self._check(config)
        if self._newest is not None:
            now = max(now, self._newest.stamp)
            self._anchor = self._newest = self.command(now, raw)
            self._follow(self._newest)
        before = self._watches
        self._configure(config, needed)
        self._watches = self._watch()
        for channel, watch in self._watches.items():
            old = before.get(channel)
            if old is not None:
                watch.recovered = old.recovered
                if old.newest is not None and now - old.newest > old.hover:
                    watch.recovered = now + self._recovery
        return self._newest

    def receive(self, channel: Channel, stamp: int, now: int) -> None:
        """Note a good measurement of `channel` taken at `stamp` and entering at `now`, ns."""
        self._stamps[channel] = max(stamp, self._stamps.get(channel, stamp))
        watch = self._watches.get(channel)
        if watch is not None:
            watch.receive(stamp, now, self._recovery)

    def locate(self, odometry: Odometry) -> None:
        """Note where the vehicle is, for the geofence, unless newer odometry is known."""
        if self._odometry is None or odometry.stamp >= self._odometry.stamp:
            self._odometry = odometry
            self._track.locate(odometry.stamp)

    @property
    def stopped(self) -> bool:
        """Whether the operator's stop is engaged."""
        return self._stopped

    def operator_stop(self, engaged: bool) -> None:
        """Engage or release the operator's stop."""
        self._stopped = engaged

    def policy_failed(self, now: int) -> None:
        """Note that the policy's output at `now` ns was not finite."""
        self._policy_trusted_from = now + max(1, self._recovery)

    def commit(self, now: int, raw: Callable[[int], Vector]) -> Command:
        """As `command`, for the instant right after an event, and remember it as the reference."""
        if self._newest is not None and now > self._newest.stamp:
            self._anchor = self._newest
        self._newest = self.command(now, raw)
        self._follow(self._newest)
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
        changes = [t for watch in self._watches.values() for t in watch.changes(start, now)]
        if start < self._policy_trusted_from < now:
            changes.append(self._policy_trusted_from)
        for change in sorted(changes):
            target, _, _, bounds = self._target(change - 1, raw)
            vector = self._slew(vector, target, change - start, bounds)
            start = change
        target, mode, reason, bounds = self._target(now, raw)
        vector = self._slew(vector, target, now - start, bounds)
        if not reason and _differ(vector, target):
            reason = "limits: slew"
        return Command(now, *vector, mode=mode, reason=reason)

    def _follow(self, command: Command) -> None:
        """Note where a command leads in the world, if that is known."""
        if self._odometry is not None:
            yaw = heading(self._odometry, self._age(self._odometry, command.stamp))
            velocity = turned(yaw, (command.vx, command.vy, command.vz))
            self._track.follow(command.stamp, velocity, self._oldest)

    def _age(self, odometry: Odometry, now: int) -> float:
        """Age in s, but none beyond that at which the vehicle hovers: such motion says nothing."""
        return min(max(now - odometry.stamp, 0), self._oldest) / SECOND

    @property
    def _oldest(self) -> int:
        """Age in ns up to which odometry counts."""
        ages = self.config.staleness.get(Channel.ODOMETRY)
        return SECOND // 2 if ages is None else round(ages.hover * SECOND)

    def _reference(self, now: int) -> tuple[int, Vector]:
        """Instant and vector from which the command at `now` is slewed."""
        newest = self._newest
        reference = newest if newest is not None and now > newest.stamp else self._anchor
        return (now, REST) if reference is None else (reference.stamp, reference.vector)

    def _target(
        self, now: int, raw: Callable[[int], Vector]
    ) -> tuple[Vector, Mode, str, Bounds | None]:
        """Command to slew to at `now`, its mode and reason, and the geofence on the way there."""
        mode, reason = self._failsafe(now)
        target = REST
        if mode is Mode.NOMINAL:
            wanted = raw(now)
            if all(map(math.isfinite, wanted)):
                target = _clip(wanted, self._magnitude)
                reason = "limits: magnitude" if _differ(target, wanted) else ""
            else:
                mode, reason = Mode.HOVER, "policy: output is not finite"
        elif mode is Mode.LAND:
            # A landing passes the floor of the geofence; nothing else does.
            return (0.0, 0.0, -self.config.landing_speed, 0.0), mode, reason, None
        fence, place = self.config.geofence, self._odometry
        if fence is None or place is None:
            return target, mode, reason, None
        bounds = fence.bounds(place, self._age(place, now), self._track.travel(now))
        inside = self._inside(bounds, target)
        if _differ(inside, target):
            target, reason = inside, reason or "geofence"
        return target, mode, reason, bounds

    def _inside(self, bounds: Bounds, vector: Vector) -> Vector:
        # Turned back into the heading frame, the velocity may be too fast to the side.
        return _shorten(bounds.clamp(vector), self.config.limits)

    def _failsafe(self, now: int) -> tuple[Mode, str]:
        """Find the failsafe in force at `now` and its reasons, `Mode.NOMINAL` for none."""
        states = [watch.state(now) for watch in self._watches.values()]
        if now >= self._policy_trusted_from and all(state is FRESH for state in states):
            return FRESH
        if now < self._policy_trusted_from:
            states.append((Mode.HOVER, "policy: output was not finite"))
        for mode in (Mode.LAND, Mode.HOVER):
            reasons = [why for state, why in states if state is mode]
            if reasons:
                return mode, "; ".join(reasons)
        return FRESH

    def _slew(self, start: Vector, target: Vector, elapsed: int, bounds: Bounds | None) -> Vector:
        seconds = elapsed / SECOND
        a, b, c, d = self._rates
        step = (a * seconds, b * seconds, c * seconds, d * seconds)
        vector = _toward(start, target, step)
        if bounds is None:
            return vector
        # Each axis slews on its own, so that the way to a target inside may lead out: brake at the
        # walls first, and from there go as far as they allow.
        braked = _toward(start, self._inside(bounds, start), step)
        share = bounds.share(braked, vector)
        if share == 1.0:
            return vector
        a, b, c, _ = (x + share * (y - x) for x, y in zip(braked, vector, strict=True))
        return (a, b, c, vector[3])


def _differ(a: Vector, b: Vector) -> bool:
    """Whether two commands differ by more than the rounding of a float32 head."""
    return a != b and max(abs(x - y) for x, y in zip(a, b, strict=True)) > 1e-6


def _clip(vector: Vector, magnitude: Vector) -> Vector:
    return _toward(REST, vector, magnitude)


def _shorten(vector: Vector, limits: CommandLimits) -> Vector:
    """Slow the horizontal velocity, in its direction, to what the limits of both axes allow."""
    vx, vy, vz, yaw_rate = vector
    excess = max(1.0, abs(vx) / limits.vx, abs(vy) / limits.vy)
    return (vx / excess, vy / excess, vz, yaw_rate)


def _toward(start: Vector, target: Vector, step: Vector) -> Vector:
    # Written out, because it runs for every event and a generator takes four times as long.
    a, b, c, d = start
    p, q, r, s = step
    w, x, y, z = target
    return (
        min(max(w, a - p), a + p),
        min(max(x, b - q), b + q),
        min(max(y, c - r), c + r),
        min(max(z, d - s), d + s),
    )
