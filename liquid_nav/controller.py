"""The core: events in, commands out. The same in simulation, replay and flight.

The controller's clock is the arrival clock. An event first lets the liquid state flow over the
time that passed, under the inputs as they were, and only then enters the latch. A query flows a
copy of the state to the instant asked for and reads a command off it; it changes nothing.

A clock that jumps ahead makes every channel stale, which is a failsafe like any other. One that
goes back makes nothing that is remembered comparable with what comes: see `CLOCK_TOLERANCE`.
"""

import math
from dataclasses import dataclass, field, replace

from liquid_nav.command import Command, Mode
from liquid_nav.events import SECOND, TAKEN_IN, Channel, Event, Odometry, OperatorStop
from liquid_nav.onboard import Memory, Policy, RawCommand
from liquid_nav.safety.layer import SafetyConfig, SafetyLayer
from liquid_nav.safety.screening import FreezeDetector, defect

CLOCK_TOLERANCE = SECOND
"""ns. An arrival this much behind the controller's clock is late; one further behind means that
the clock itself went back. Arrivals are taken off one clock in order, so that a real one is behind
by the jitter of merged sources at most, which is far below."""


@dataclass
class ChannelHealth:
    """Counters of one channel.

    Attributes:
        accepted: measurements that entered.
        rejected: measurements that did not; `last_rejection` says why the last one did not.
        late: accepted measurements that came behind the clock, or behind a newer one of their
            channel.
        stamp: newest stamp accepted, ns, or None.
        latency: latency of the last one accepted, ns.

    """

    accepted: int = 0
    rejected: int = 0
    late: int = 0
    stamp: int | None = None
    latency: int = 0
    last_rejection: str = ""


@dataclass
class Health:
    """What the controller reports about itself.

    Attributes:
        time: arrival of the last event, ns, or None before the first.
        mode, reason: of the command right after that event.
        channels: counters per channel, of `TAKEN_IN` and of those that the policy reads.
        policy_faults: outputs of the policy that were not finite, and errors in it; each reset its
            memory.
        last_policy_fault: description of the last of them.
        unknown: events of other channels; they were ignored.
        clock_resets: times that the clock went back and the controller started afresh. Counters,
            here and of the channels, are kept then; stamps and latencies are not.

    """

    time: int | None = None
    mode: Mode = Mode.HOVER
    reason: str = "no event yet"
    channels: dict[Channel, ChannelHealth] = field(
        default_factory=lambda: {channel: ChannelHealth() for channel in TAKEN_IN}
    )
    policy_faults: int = 0
    last_policy_fault: str = ""
    unknown: int = 0
    clock_resets: int = 0


class Controller:
    """Drives a policy and the safety layer from events.

    Nothing here raises in flight: what cannot be used is rejected, counted and reported in
    `health`, and the safety layer degrades.

    Args:
        policy: the policy to fly.
        safety: settings of the safety layer.

    """

    def __init__(self, policy: Policy, safety: SafetyConfig | None = None) -> None:
        self._policy = policy
        safety = safety or SafetyConfig()
        self._safety = SafetyLayer(safety, policy.channels, policy.staleness)
        self._freeze = FreezeDetector(safety.frozen)
        self.reset()

    def reset(self) -> None:
        """Return to the state before the first event."""
        self._safety.reset()
        self._freeze.reset()
        self._memory: Memory = self._policy.initial()
        # The policy's own clock: the last event of a channel that it reads.
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
        The command at `now` is still that of the old settings; it becomes the last command, and
        the next ones leave it at the new slew rates, see `SafetyLayer.reconfigure`. The clock
        moves to `now`, or stays if `now` is behind it. The same calls at the same places
        among the events give the same flight.

        Raises:
            ConfigError: if a channel that is needed under `safety` has no staleness; nothing is
                changed then.

        """
        command = self._safety.reconfigure(safety, int(now), self._raw_at)
        self._freeze.limits = safety.frozen
        if command is not None:
            self._note(command)

    def on_event(self, event: Event) -> None:
        """Let one measurement in, at its arrival.

        An event behind the clock advances nothing and enters with its age. One that is behind by
        more than `CLOCK_TOLERANCE` starts the controller afresh, as `reset` does, except that the
        operator's stop and what `health` counts outlive it.
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
            rejection = self._freeze.objection(event)
        if rejection:
            counters.rejected += 1
            counters.last_rejection = rejection
            return
        now = event.arrival if health.time is None else max(event.arrival, health.time)
        counters.accepted += 1
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
        """Ask for the command at `now` ns. Changes nothing, whenever and however often asked.

        An instant before the last event is taken as that event's; one before it by more than
        `CLOCK_TOLERANCE` gets a hover, or the operator's stop.
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
        """Say why this event cannot be used; empty where it can."""
        try:
            return defect(event) or self._policy.objection(event)
        except Exception as error:  # an event or encoder of a user: in flight nothing raises
            return f"{type(error).__name__}: {error}"

    def _note(self, command: Command) -> None:
        self._command, health = command, self._health
        health.time, health.mode, health.reason = command.stamp, command.mode, command.reason

    def _restart(self) -> None:
        """Start afresh on a clock that went back."""
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
        except Exception as error:  # whatever torch may raise, in flight nothing does
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
        """Memory that has forgotten the past but for what stays valid for ever."""
        memory = self._policy.initial()
        try:
            for event in self._lasting.values():
                memory, _ = self._policy.on_event(memory, event, 0, now - event.stamp)
        except Exception:  # the fault goes on: the next event will report it
            return self._policy.initial()
        return memory

    def _raw_at(self, now: int) -> RawCommand:
        if self._flowed_to is None or now <= self._flowed_to:
            return self._raw
        try:
            return self._policy.query(self._memory, now - self._flowed_to)
        except Exception:  # the safety layer refuses what is not finite
            return (math.nan, math.nan, math.nan, math.nan)
