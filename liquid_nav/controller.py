"""The controller turns events into commands. Simulation, replay and flight run the same code.

The controller's clock is the arrival clock. When an event arrives, the liquid state first flows
over the elapsed time with the inputs held as they were; then the event enters the latch. A query
lets a copy of the state flow to the requested time and reads a command from it; the controller
stays as it was.

If the clock jumps ahead, every channel becomes stale, and the usual failsafes follow. If the clock
goes back, the times in memory cannot be compared with new ones: see `CLOCK_TOLERANCE`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from liquid_nav.command import Command, Mode
from liquid_nav.errors import CommandError, ConfigError
from liquid_nav.events import (
    SECOND,
    TAKEN_IN,
    Channel,
    Event,
    ImuSample,
    Odometry,
    OperatorStop,
)
from liquid_nav.onboard import Memory, Policy, RawCommand
from liquid_nav.onboard.inference import Inference, in_words
from liquid_nav.safety.checks import PACE, SensorChecks
from liquid_nav.safety.layer import SafetyConfig, SafetyLayer
from liquid_nav.safety.limiting import LimitedCommands
from liquid_nav.safety.screening import defect
from liquid_nav.values import whole_nanoseconds

CLOCK_TOLERANCE = SECOND
"""Nanoseconds. An event that arrives up to this much behind the controller's clock is late; one
that arrives further behind shows that the clock itself went back. Arrivals are read from one clock
in order, so a late event is behind by the jitter between sensors at most, which is far less."""


@dataclass
class ChannelHealth:
    """Counters of one channel.

    Attributes:
        accepted: number of measurements that were used.
        rejected: number of measurements that were refused; `last_rejection` says why the last one
            was.
        late: number of accepted measurements that arrived behind the clock, or after a newer one
            of their channel.
        stamp: newest stamp accepted, ns, or None.
        latency: latency of the last one accepted, ns.
        warnings: what may be wrong with the sensor, in sentences that name a likely cause and what
            mends it. They change no command.

    """

    accepted: int = 0
    rejected: int = 0
    late: int = 0
    stamp: int | None = None
    latency: int = 0
    last_rejection: str = ""
    warnings: tuple[str, ...] = ()


@dataclass
class Health:
    """What the controller reports about itself.

    Attributes:
        time: arrival of the last event, ns, or None before the first.
        mode, reason: mode and reason of the command right after that event.
        channels: counters for each channel in `TAKEN_IN` and each channel that the policy reads.
        limited: how many commands were limited in magnitude or in their change.
        policy_faults: number of times that the policy raised an error or gave an output that was
            not finite. At an event its memory was reset then. At a query nothing was, and the
            number depends on how often somebody asked; a healthy policy adds nothing to it.
        last_policy_fault: description of the last of them.
        inferred: arrival of the last event at which the policy was evaluated without a fault, ns
            on the controller's clock, or None; whatever the sensors send, a policy that always
            fails leaves it behind.
        unfit: why the IMU is not fit to fly, with the likely cause and what mends it; empty if it
            is. The vehicle hovers meanwhile.
        unknown: number of events of other channels, and of objects that are no events, which were
            ignored.
        last_unknown: what the last of them was.
        clock_resets: number of times that the clock went back and the controller started again.
            All counters are kept then; stamps and latencies are not.

    """

    time: int | None = None
    mode: Mode = Mode.HOVER
    reason: str = "no event yet"
    channels: dict[Channel, ChannelHealth] = field(
        default_factory=lambda: {channel: ChannelHealth() for channel in TAKEN_IN}
    )
    limited: LimitedCommands = field(default_factory=LimitedCommands)
    policy_faults: int = 0
    last_policy_fault: str = ""
    inferred: int | None = None
    unfit: str = ""
    unknown: int = 0
    last_unknown: str = ""
    clock_resets: int = 0


class Controller:
    """Runs a policy and the safety layer on events.

    Nothing here raises in flight: an event that cannot be used is rejected, counted and reported in
    `health`, and the safety layer enters a failsafe when a channel becomes stale.

    Args:
        policy: the policy to fly.
        safety: settings of the safety layer, or None for its defaults.

    Raises:
        ConfigError: on a policy or settings of another type, or if a channel that is needed has no
            staleness.

    """

    def __init__(self, policy: Policy, safety: SafetyConfig | None = None) -> None:
        _check_policy(policy)
        safety = SafetyConfig() if safety is None else safety
        _check_settings(safety)
        self._policy = policy
        self._inference = Inference(policy)
        self._inference.configure(safety.staleness)
        self._safety = SafetyLayer(safety, policy.needed, policy.staleness)
        self._checks = SensorChecks(safety, policy.channels)
        self.reset()

    def reset(self) -> None:
        """Return to the state before the first event."""
        self._safety.reset()
        self._checks.reset()
        self._inference.reset()
        # Why the policy gave no command at the present query.
        self._query_fault = ""
        self._command: Command | None = None
        self._health = Health()
        for channel in sorted(self._policy.channels - self._health.channels.keys()):
            self._health.channels[channel] = ChannelHealth()

    @property
    def channels(self) -> frozenset[Channel]:
        """Channels that the policy reads, optional ones included."""
        return self._policy.channels

    @property
    def health(self) -> Health:
        """Counters and failsafe state after the last event. A live view: copy it to keep it."""
        return self._health

    @property
    def memory(self) -> Memory:
        """Liquid state and latch right after the last event, for plots and tests."""
        return self._inference.memory

    def reconfigure(self, safety: SafetyConfig, now: int) -> None:
        """Change the settings of the safety layer at `now` ns, in flight, and forget nothing.

        Freshness, the operator's stop, odometry, the policy's memory and the command are kept.
        The command at `now` still follows the old settings; it becomes the last command, and
        later ones change from it at the new slew rates, see `SafetyLayer.reconfigure`. The clock
        moves to `now`, or stays if `now` is behind it. The same calls at the same places
        among the events give the same flight.

        Raises:
            ConfigError: if a channel that is needed under `safety` has no staleness, or `safety`
                is of another type; nothing is changed then.
            CommandError: if `now` is not a whole number.

        """
        _check_settings(safety)
        now = _whole(now)
        command = self._safety.reconfigure(safety, now, self._raw_at)
        self._count_query_fault()
        last = self._health.time
        self._inference.configure(safety.staleness, now if last is None else max(now, last))
        self._checks.configure(safety)
        self._publish_checks()
        if command is not None:
            self._note(command)

    def on_event(self, event: Event) -> None:
        """Process one event, at its arrival.

        An event behind the clock does not advance the state; it enters the latch with its age. An
        event that is behind by more than `CLOCK_TOLERANCE` starts the controller again, as `reset`
        does, but the operator's stop and the counters of `health` are kept. What is no event, or of
        a channel that nobody reads, is counted in `health.unknown`.
        """
        health = self._health
        channel = getattr(event, "channel", None)
        if not isinstance(event, Event) or channel not in health.channels:
            health.unknown += 1
            health.last_unknown = _describe(event)
            return
        counters = health.channels[event.channel]
        rejection = self._defect(event)
        if not rejection:
            if health.time is not None and health.time - event.arrival > CLOCK_TOLERANCE:
                self._restart()
            rejection = self._checks.objection(event)
        elif isinstance(event, ImuSample):
            self._checks.weigh(event)
        if self._checks.warnings.changed or self._checks.unfit != health.unfit:
            self._publish_checks()
        if rejection:
            counters.rejected += 1
            counters.last_rejection = rejection
            return
        now = event.arrival if health.time is None else max(event.arrival, health.time)
        counters.accepted += 1
        if not counters.accepted % PACE:
            self._checks.measure_rate(event.channel, event.stamp, self._safety.hover_ages)
        behind = counters.stamp is not None and event.stamp < counters.stamp
        counters.late += behind or now > event.arrival
        counters.stamp = event.stamp if counters.stamp is None else max(counters.stamp, event.stamp)
        counters.latency = event.latency
        self._safety.receive(event.channel, event.stamp, now)
        if event.channel in self._policy.channels:
            self._infer(event, now)
        if isinstance(event, Odometry):
            self._safety.locate(event)
        elif isinstance(event, OperatorStop):
            self._safety.operator_stop(event.engaged)
        self._note(self._safety.commit(now, self._raw_at))
        self._count_query_fault()

    def command(self, now: int) -> Command:
        """Return the command at `now` ns, however often it is called: the flight stays the same.

        A time before the last event gives the command at that event, with the stamp of that event.
        While a clock has gone back by at most `CLOCK_TOLERANCE` this command is therefore answered
        for that long, whether it is nominal or not; nothing can be said about ages then, so that a
        caller who needs fresh inference compares arrivals on a clock that never goes back. A time
        that is earlier by more than `CLOCK_TOLERANCE` gives a hover, or the operator's stop.

        A query changes the counters of `health` only, and only if the policy fails.

        Raises:
            CommandError: if `now` is not a whole number of nanoseconds within 64 bits. Seconds are
                converted by `liquid_nav.events.nanoseconds`.

        """
        now = _whole(now)
        last = self._command
        if last is None or now > last.stamp:
            command = self._safety.command(now, self._raw_at)
            self._count_query_fault()
            return command
        if last.stamp - now <= CLOCK_TOLERANCE:
            return last
        if last.mode is Mode.STOP:
            return replace(last, stamp=now)
        return Command(now, mode=Mode.HOVER, reason="clock: went back")

    def _defect(self, event: Event) -> str:
        """Return why this event cannot be used, or an empty string if it can."""
        try:
            return defect(event) or self._policy.objection(event)
        except Exception as error:  # from a user's event or encoder: in flight nothing raises
            return in_words(error)

    def _publish_checks(self) -> None:
        """Take over what the checks of the sensors found."""
        health, checks = self._health, self._checks
        health.unfit = self._safety.unfit = checks.unfit
        for channel in checks.warnings.changed & health.channels.keys():
            health.channels[channel].warnings = checks.warnings.of(channel)
        checks.warnings.changed.clear()

    def _note(self, command: Command) -> None:
        self._command, health = command, self._health
        health.time, health.mode, health.reason = command.stamp, command.mode, command.reason
        health.limited.count(command)

    def _restart(self) -> None:
        """Start again after the clock went back; keep the operator's stop and the counters."""
        health, stopped = self._health, self._safety.stopped
        self.reset()
        self._safety.operator_stop(stopped)
        for counters in health.channels.values():
            counters.stamp, counters.latency = None, 0
        health.time = health.inferred = None
        health.clock_resets += 1
        self._health = health

    def _infer(self, event: Event, now: int) -> None:
        fault = self._inference.on_event(event, now)
        if fault:
            self._count_fault(fault)
            self._safety.policy_failed(now, fault)
        else:
            self._health.inferred = now

    def _count_fault(self, fault: str) -> None:
        self._health.policy_faults += 1
        self._health.last_policy_fault = fault

    def _count_query_fault(self) -> None:
        """Count once what went wrong in a query, however many times of the policy it asked for."""
        if self._query_fault:
            self._count_fault(self._query_fault)
            self._query_fault = ""

    def _raw_at(self, now: int) -> RawCommand | str:
        """Return the policy's command at `now`, or in words why it has none."""
        raw = self._inference.raw_at(now)
        if isinstance(raw, str):
            self._query_fault = raw
        return raw


def _whole(now: int) -> int:
    return whole_nanoseconds("now", now, CommandError)


def _describe(event: object) -> str:
    """Say why an object is not an event of any channel that is read."""
    if not isinstance(event, Event):
        return f"{type(event).__name__} is no event"
    return f"{type(event).__name__} is of a channel that the policy does not read"


def _check_policy(policy: object) -> None:
    """Raise ConfigError unless an object can fly."""
    needed = (
        "channels",
        "needed",
        "staleness",
        "initial",
        "objection",
        "on_event",
        "clear",
        "query",
    )
    if all(hasattr(policy, name) for name in needed):
        return
    pair = isinstance(policy, Sequence) and any(isinstance(part, Policy) for part in policy)
    hint = (
        "load_policy returns the policy and its manifest: policy, manifest = load_policy(path)"
        if pair
        else "load_policy and make_policy give one"
    )
    raise ConfigError(f"a controller needs a Policy, got {type(policy).__name__}; {hint}")


def _check_settings(safety: object) -> None:
    if not isinstance(safety, SafetyConfig):
        raise ConfigError(
            f"settings of the safety layer must be a SafetyConfig, got {type(safety).__name__}"
        )
