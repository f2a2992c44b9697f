"""The safety layer: every command leaves through it, in simulation, replay and flight.

It has no timer and is never polled. Its answer at any time depends only on the events so far and
on that time, so a query changes nothing and a replay gives the same flight.

==========  ===========================================  ==================================
failsafe    entered                                      left
==========  ===========================================  ==================================
hover       a needed channel has sent nothing yet        its first measurement
hover       newest measurement of a needed channel is    `recovery` after it is fresh again
            older than `hover`
hover       the policy fails: it raises an error, or     `recovery` after the last failure at an
            its output is not finite                     event; the next good answer to a query
hover       the IMU contradicts gravity at the start     it agrees with gravity once
land        as hover, older than `land`                  to hover, when it is fresh again
stop        the operator engages the stop                the operator releases it
==========  ===========================================  ==================================

The whole table, which also covers the code around this layer, is in ``docs/safety.md``.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from liquid_nav.command import Command, CommandLimits, Mode
from liquid_nav.errors import ConfigError
from liquid_nav.events import SECOND, Channel, Odometry
from liquid_nav.safety.freshness import FOR_EVER, FRESH, LONGEST, NEVER, Freshness, Staleness
from liquid_nav.safety.geofence import Bounds, Geofence, Track, heading, turned
from liquid_nav.safety.limiting import MAGNITUDE, SLEW
from liquid_nav.values import check_number

__all__ = ["Geofence", "SafetyConfig", "SafetyLayer", "Staleness", "Vector"]

Vector = tuple[float, float, float, float]
"""(vx, vy, vz, yaw_rate), m/s and rad/s, heading frame."""

PolicyCommand = Callable[[int], Vector | str]
"""Gives the policy's command at a time in ns between the last event and now; or, in words, why it
has none."""

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
        frozen: per channel, seconds for which its values may stay the same, bit for bit; later
            equal values are rejected, so that the channel becomes stale. A channel without an
            entry may repeat values for ever: leave out a sensor that has no noise. The entry of
            the IMU holds for each of its axes too, where others show that it should have moved.
        cross_checks: whether sensors are compared with gravity, with each other and with the rate
            that `staleness` needs. False takes them as they are.

    Raises:
        ConfigError: on a value of another type or out of range, or a geofence that needs harder
            braking than the slew limits allow.

    """

    limits: CommandLimits = field(default_factory=CommandLimits)
    staleness: Mapping[Channel, Staleness] = field(default_factory=_default_staleness)
    recovery: float = 0.3
    landing_speed: float = 0.5
    geofence: Geofence | None = None
    frozen: Mapping[Channel, float] = field(default_factory=_default_frozen)
    cross_checks: bool = True

    def __post_init__(self) -> None:
        self._check_types()
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
        # In a corner the vehicle brakes in front of two walls at once.
        if self.geofence and math.sqrt(2) * self.geofence.deceleration > self.limits.acceleration:
            most = self.limits.acceleration / math.sqrt(2)
            raise ConfigError(
                f"geofence deceleration {self.geofence.deceleration:g} m/s^2 is above {most:g}, "
                f"all that limits.acceleration {self.limits.acceleration:g} allows in a corner"
            )

    def _check_types(self) -> None:
        kinds = {"limits": CommandLimits, "staleness": Mapping, "frozen": Mapping}
        for name, kind in {**kinds, "geofence": Geofence | None, "cross_checks": bool}.items():
            value = getattr(self, name)
            if not isinstance(value, kind):
                kind_name = getattr(kind, "__name__", "Geofence or None")
                raise ConfigError(f"{name} must be a {kind_name}, got {value!r:.120}")
        for name in ("recovery", "landing_speed"):
            check_number(name, getattr(self, name), ConfigError)
        for name, settings in (("staleness", self.staleness), ("frozen", self.frozen)):
            for channel, value in settings.items():
                if not isinstance(channel, Channel):
                    raise ConfigError(
                        f"{name} is set for {channel!r}; its keys must be Channel, such as "
                        'Channel.IMU or Channel("sonar")'
                    )
                if name == "frozen":
                    check_number(f"frozen.{channel.value}", value, ConfigError)
                elif not isinstance(value, Staleness):
                    raise ConfigError(
                        f"staleness.{channel.value} must be a Staleness, got {value!r:.120}"
                    )


class SafetyLayer:
    """Limits, geofence, staleness and failsafe states.

    The command at an event changes from the *anchor*, the command at the event before it, no faster
    than the slew limits allow. `commit` moves the anchor and is called once for each event;
    `command` changes nothing.

    Slew limits therefore hold between the commands at any two events, and between a query and the
    event before it. They do not hold between a query and the next event's command: the event may
    change the command in the other direction, and it does not know of the query. The step is at
    most twice what the limit allows since the event before. No limit delays the operator's stop.

    Args:
        config: settings.
        channels: those that the policy needs; it is not trusted while one of them is not fresh.
        staleness: per channel, the staleness where the settings have none; None if the first
            measurement stays valid for ever.

    Attributes:
        config: settings.
        unfit: why the vehicle must hover until its sensors are set up right; empty if it need not.

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
        """Return the channels that are needed under `config`, in the order of their names."""
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
        self._freshness = self._freshness_of_needed()
        self._stopped = False
        self.unfit = ""
        self._policy_trusted_from = NEVER
        self._policy_fault = ""
        self._odometry: Odometry | None = None
        self._track = Track()
        self._anchor: Command | None = None
        self._newest: Command | None = None

    def _freshness_of_needed(self) -> dict[Channel, Freshness]:
        freshness = {}
        for channel in self._needed:
            ages = self.config.staleness.get(channel) or self._staleness[channel]
            hover = land = FOR_EVER
            if ages is not None:
                hover, land = round(ages.hover * SECOND), round(ages.land * SECOND)
            freshness[channel] = Freshness(channel, hover, land, self._stamps.get(channel))
        return freshness

    def reconfigure(self, config: SafetyConfig, now: int, raw: PolicyCommand) -> Command | None:
        """Change the settings at `now` ns and forget nothing.

        The command at `now` still follows the old settings and becomes the reference: later
        commands change from it at the new slew rates, towards the new limits. A command beyond a
        new magnitude limit is therefore brought inside it at the new rate and without a jump. If
        a channel was stale under the old settings and is fresh under the new ones, the failsafe
        ends after the usual recovery. A channel that was not needed before is judged by its newest
        measurement, even one from that time.

        Returns the command at `now`, or None before the first event. A time before the last event
        counts as the time of that event.

        Raises:
            ConfigError: if a needed channel has no staleness; nothing is changed then.

        """
        needed = self._check(config)
        if self._newest is not None:
            now = max(now, self._newest.stamp)
            self._anchor = self._newest = self.command(now, raw)
            self._follow(self._newest)
        before = self._freshness
        self._configure(config, needed)
        self._freshness = self._freshness_of_needed()
        for channel, freshness in self._freshness.items():
            old = before.get(channel)
            if old is not None:
                freshness.recovered = old.recovered
                if old.newest is not None and now - old.newest > old.hover:
                    freshness.recovered = now + self._recovery
        return self._newest

    def receive(self, channel: Channel, stamp: int, now: int) -> None:
        """Note an accepted measurement of `channel`, taken at `stamp` and entering at `now`, ns."""
        self._stamps[channel] = max(stamp, self._stamps.get(channel, stamp))
        freshness = self._freshness.get(channel)
        if freshness is not None:
            freshness.receive(stamp, now, self._recovery)

    @property
    def hover_ages(self) -> dict[Channel, int]:
        """Age in ns at which the vehicle hovers, for each channel that is needed."""
        return {channel: freshness.hover for channel, freshness in self._freshness.items()}

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

    def policy_failed(self, now: int, why: str = "output was not finite") -> None:
        """Note that the policy failed at an event at `now` ns, and why."""
        self._policy_trusted_from = now + max(1, self._recovery)
        self._policy_fault = f"policy: {why}"

    def commit(self, now: int, raw: PolicyCommand) -> Command:
        """Return the `command` right after an event at `now` ns and make it the reference."""
        if self._newest is not None and now > self._newest.stamp:
            self._anchor = self._newest
        self._newest = self.command(now, raw)
        self._follow(self._newest)
        return self._newest

    def command(self, now: int, raw: PolicyCommand) -> Command:
        """Return the policy's command at `now` ns within all limits, or that of a failsafe.

        Args:
            now: time of the query, ns, not before the last event.
            raw: gives the policy's command at times between the last event and `now`.

        """
        if self._stopped:
            return Command(now, mode=Mode.STOP, reason="operator stop")
        start, vector = self._reference(now)
        # Slew towards each target for as long as it was the target, so that a failsafe entered
        # between two events starts from the command at that time.
        changes = [t for f in self._freshness.values() for t in f.changes(start, now)]
        if start < self._policy_trusted_from < now:
            changes.append(self._policy_trusted_from)
        for change in sorted(changes):
            target, _, _, bounds = self._target(change - 1, raw)
            vector = self._slew(vector, target, change - start, bounds)
            start = change
        target, mode, reason, bounds = self._target(now, raw)
        vector = self._slew(vector, target, now - start, bounds)
        if not reason and _differ(vector, target):
            reason = SLEW
        return Command(now, *vector, mode=mode, reason=reason)

    def _follow(self, command: Command) -> None:
        """Note where a command leads in the world, if that is known."""
        if self._odometry is not None:
            yaw = heading(self._odometry, self._age(self._odometry, command.stamp))
            velocity = turned(yaw, (command.vx, command.vy, command.vz))
            self._track.follow(command.stamp, velocity, self._oldest)

    def _age(self, odometry: Odometry, now: int) -> float:
        """Age in s, at most that at which the vehicle hovers: an older velocity says nothing."""
        return min(max(now - odometry.stamp, 0), self._oldest) / SECOND

    @property
    def _oldest(self) -> int:
        """Age in ns at which the vehicle hovers because odometry is stale."""
        ages = self.config.staleness.get(Channel.ODOMETRY)
        return SECOND // 2 if ages is None else round(ages.hover * SECOND)

    def _reference(self, now: int) -> tuple[int, Vector]:
        """Time and vector from which the command at `now` is slewed."""
        newest = self._newest
        reference = newest if newest is not None and now > newest.stamp else self._anchor
        return (now, REST) if reference is None else (reference.stamp, reference.vector)

    def _target(self, now: int, raw: PolicyCommand) -> tuple[Vector, Mode, str, Bounds | None]:
        """Command to slew to at `now`, its mode and reason, and the geofence on the way there."""
        mode, reason = self._failsafe(now)
        target = REST
        if mode is Mode.NOMINAL:
            wanted = raw(now)
            if isinstance(wanted, str):
                mode, reason = Mode.HOVER, f"policy: {wanted}"
            elif all(map(math.isfinite, wanted)):
                target = _clip(wanted, self._magnitude)
                reason = MAGNITUDE if _differ(target, wanted) else ""
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
        states = [freshness.state(now) for freshness in self._freshness.values()]
        trusted = now >= self._policy_trusted_from and not self.unfit
        if trusted and all(state is FRESH for state in states):
            return FRESH
        if now < self._policy_trusted_from:
            states.append((Mode.HOVER, self._policy_fault))
        if self.unfit:
            states.append((Mode.HOVER, self.unfit))
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
        # Each axis slews on its own, so the way to a target inside the box may lead out of it:
        # first brake in front of the walls, then go on as far as they allow.
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
    """Slow the horizontal velocity to what both axes allow, and keep its direction."""
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
