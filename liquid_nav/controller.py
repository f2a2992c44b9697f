"""The controller turns events into commands. Simulation, replay and flight run the same code.

The controller's clock is the arrival clock. When an event arrives, the liquid state first flows
over the elapsed time with the inputs held as they were; then the event enters the latch. A query
lets a copy of the state flow to the requested time and reads a command from it; the controller
stays as it was.

If the clock jumps ahead, every channel becomes stale, and the usual failsafes follow. If the clock
goes back, the times in memory cannot be compared with new ones: see `CLOCK_TOLERANCE`.
"""

import math
from dataclasses import dataclass, field, replace

from liquid_nav.command import Command, Mode
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
from liquid_nav.safety.checks import PACE, SensorChecks
from liquid_nav.safety.layer import SafetyConfig, SafetyLayer
from liquid_nav.safety.screening import defect

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
        policy_faults: number of times that the policy gave an output that was not finite or raised
            an error; each time its memory was reset.
        last_policy_fault: description of the last of them.
        unfit: why the IMU is not fit to fly, with the likely cause and what mends it; empty if it
            is. The vehicle hovers meanwhile.
        unknown: number of events of other channels, which were ignored.
        clock_resets: number of times that the clock went back and the controller started again.
            All counters are kept then; stamps and latencies are not.

    """

    time: int | None = None
    mode: Mode = Mode.HOVER
    reason: str = "no event yet"
    channels: dict[Channel, ChannelHealth] = field(
        default_factory=lambda: {channel: ChannelHealth() for channel in TAKEN_IN}
    )
    policy_faults: int = 0
    last_policy_fault: str = ""
    unfit: str = ""
    unknown: int = 0
    clock_resets: int = 0


class Controller:
    """Runs a policy and the safety layer on events.

    Nothing here raises in flight: an event that cannot be used is rejected, counted and reported in
    `health`, and the safety layer enters a failsafe when a channel becomes stale.

    Args:
        policy: the policy to fly.
        safety: settings of the safety layer.

    """

    def __init__(self, policy: Policy, safety: SafetyConfig | None = None) -> None:
        self._policy = policy
        safety = safety or SafetyConfig()
        self._safety = SafetyLayer(safety, policy.channels, policy.staleness)
        self._checks = SensorChecks(safety)
        self.reset()

    def reset(self) -> None:
        """Return to the state before the first event."""
        self._safety.reset()
        self._checks.reset()
        self._memory: Memory = self._policy.initial()
        # The arrival of the last event that the policy read.
        self._flowed_to: int | None = None
        self._raw: RawCommand = (0.0, 0.0, 0.0, 0.0)
        self._command: Command | None = None
        # The newest measurement of each channel on which one stays valid for ever, such as a goal.
        self._lasting: dict[Channel, Event] = {}
        self._health = Health()
        for channel in sorted(self._policy.channels - self._health.channels.keys()):
            self._health.channels[channel] = ChannelHealth()

    @property
    def channels(self) -> frozenset[Channel]:
        """Channels that the policy reads."""
        return self._policy.channels

    @property
    def health(self) -> Health:
        """Counters and failsafe state after the last event. A live view: copy it to keep it."""
        return self._health

    @property
    def memory(self) -> Memory:
        """Liquid state and latch right after the last event, for plots and tests."""
        return self._memory

    def reconfigure(self, safety: SafetyConfig, now: int) -> None:
        """Change the settings of the safety layer at `now` ns, in flight, and forget nothing.

        Freshness, the operator's stop, odometry, the policy's memory and the command are kept.
        The command at `now` still follows the old settings; it becomes the last command, and
        later ones change from it at the new slew rates, see `SafetyLayer.reconfigure`. The clock
        moves to `now`, or stays if `now` is behind it. The same calls at the same places
        among the events give the same flight.

        Raises:
            ConfigError: if a channel that is needed under `safety` has no staleness; nothing is
                changed then.

        """
        command = self._safety.reconfigure(safety, int(now), self._raw_at)
        self._checks.configure(safety)
        self._publish_checks()
        if command is not None:
            self._note(command)

    def on_event(self, event: Event) -> None:
        """Process one event, at its arrival.

        An event behind the clock does not advance the state; it enters the latch with its age. An
        event that is behind by more than `CLOCK_TOLERANCE` starts the controller again, as `reset`
        does, but the operator's stop and the counters of `health` are kept.
        """
        health = self._health
        channel = getattr(event, "channel", None)
        if not isinstance(event, Event) or channel not in health.channels:
            health.unknown += 1
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

    def command(self, now: int) -> Command:
        """Return the command at `now` ns. This changes nothing, however often it is called.

        A time before the last event gives the command at that event. A time that is earlier by more
        than `CLOCK_TOLERANCE` gives a hover, or the operator's stop.
        """
        now, last = int(now), self._command
        if last is None or now > last.stamp:
            return self._safety.command(now, self._raw_at)
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
            return f"{type(error).__name__}: {error}"

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

    def _restart(self) -> None:
        """Start again after the clock went back; keep the operator's stop and the counters."""
        health, stopped = self._health, self._safety.stopped
        self.reset()
        self._safety.operator_stop(stopped)
        for counters in health.channels.values():
            counters.stamp, counters.latency = None, 0
        health.time = None
        health.clock_resets += 1
        self._health = health

    def _infer(self, event: Event, now: int) -> None:
        elapsed = 0 if self._flowed_to is None else now - self._flowed_to
        try:
            memory, raw = self._policy.on_event(self._memory, event, elapsed, now - event.stamp)
            fault = "" if all(map(math.isfinite, raw)) else "not finite"
        except Exception as error:  # torch may raise anything, the controller nothing
            fault = f"{type(error).__name__}: {error}"
        if fault:
            self._health.policy_faults += 1
            self._health.last_policy_fault = fault
            self._safety.policy_failed(now)
            memory, raw = self._fresh_memory(now), (0.0, 0.0, 0.0, 0.0)
        elif self._policy.staleness[event.channel] is None:
            self._lasting[event.channel] = event
        self._memory, self._raw, self._flowed_to = memory, raw, now

    def _fresh_memory(self, now: int) -> Memory:
        """Return the initial memory, with the measurements latched that stay valid for ever."""
        memory = self._policy.initial()
        try:
            for event in self._lasting.values():
                memory, _ = self._policy.on_event(memory, event, 0, now - event.stamp)
        except Exception:  # the policy still fails: the next event will report it
            return self._policy.initial()
        return memory

    def _raw_at(self, now: int) -> RawCommand:
        if self._flowed_to is None or now <= self._flowed_to:
            return self._raw
        try:
            return self._policy.query(self._memory, now - self._flowed_to)
        except Exception:  # the safety layer refuses what is not finite
            return (math.nan, math.nan, math.nan, math.nan)
