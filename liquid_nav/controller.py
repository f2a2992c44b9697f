"""The core: events in, commands out. The same in simulation, replay and flight.

The controller's clock is the arrival clock. An event first lets the liquid state flow over the
time that passed, under the inputs as they were, and only then enters the latch. A query flows a
copy of the state to the instant asked for and reads a command off it; it changes nothing.
"""

import math
from dataclasses import dataclass, field

from liquid_nav.command import Command, Mode
from liquid_nav.events import Channel, Event, Goal, ImuSample, Odometry, OperatorStop
from liquid_nav.policy import Memory, Policy, RawCommand
from liquid_nav.safety import SafetyConfig, SafetyLayer


@dataclass
class ChannelHealth:
    """Counters of one channel.

    Attributes:
        accepted: measurements that entered.
        rejected: measurements that did not, and `last_rejection` says why the last did not.
        late: accepted ones that came behind the clock, or behind a newer one of their channel.
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
    """What the controller knows of itself.

    Attributes:
        time: arrival of the last event, ns, or None before the first.
        mode, reason: of the command right after that event.
        channels: counters per channel.
        policy_faults: outputs of the policy that were not finite, and errors in it; each reset its
            memory.
        last_policy_fault: what the last of them was.
        unknown: events of no kind that is known here; they were ignored.

    """

    time: int | None = None
    mode: Mode = Mode.HOVER
    reason: str = "no event yet"
    channels: dict[Channel, ChannelHealth] = field(
        default_factory=lambda: {channel: ChannelHealth() for channel in Channel}
    )
    policy_faults: int = 0
    last_policy_fault: str = ""
    unknown: int = 0


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
        self._safety = SafetyLayer(safety or SafetyConfig(), policy.channels)
        self.reset()

    def reset(self) -> None:
        """Return to the state before the first event."""
        self._safety.reset()
        self._memory: Memory = self._policy.initial()
        # The policy's own clock: the last event of a channel that it reads.
        self._flowed_to: int | None = None
        self._raw: RawCommand = (0.0, 0.0, 0.0, 0.0)
        self._command: Command | None = None
        self._health = Health()

    @property
    def health(self) -> Health:
        """Counters and failsafe state after the last event. A live view: copy it to keep it."""
        return self._health

    @property
    def memory(self) -> Memory:
        """Liquid state and latch right after the last event, for plots and tests."""
        return self._memory

    def on_event(self, event: Event) -> None:
        """Let one measurement in, at its arrival.

        An event behind the clock advances nothing and enters with its age.
        """
        health = self._health
        channel = getattr(event, "channel", None)
        if not isinstance(event, Event) or channel not in health.channels:
            health.unknown += 1
            return
        counters = health.channels[event.channel]
        now = event.arrival if health.time is None else max(event.arrival, health.time)
        rejection = _defect(event) or self._policy.objection(event)
        if rejection:
            counters.rejected += 1
            counters.last_rejection = rejection
            return
        counters.accepted += 1
        behind = counters.stamp is not None and event.stamp < counters.stamp
        counters.late += behind or now > event.arrival
        counters.stamp = event.stamp if counters.stamp is None else max(counters.stamp, event.stamp)
        counters.latency = event.latency
        self._safety.heard(event.channel, event.stamp, now)
        if event.channel in self._policy.channels:
            self._infer(event, now)
        elif isinstance(event, Odometry):
            self._safety.locate(event)
        elif isinstance(event, OperatorStop):
            self._safety.operator_stop(event.engaged)
        self._command = self._safety.commit(now, self._raw_at)
        health.time, health.mode, health.reason = now, self._command.mode, self._command.reason

    def command(self, now: int) -> Command:
        """Ask for the command at `now` ns. Changes nothing, whenever and however often asked.

        An instant before the last event is taken as that event's.
        """
        now = int(now)
        if self._command is not None and now <= self._command.stamp:
            return self._command
        return self._safety.command(now, self._raw_at)

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
            self._safety.distrust_policy(now)
            memory, raw = self._policy.initial(), (0.0, 0.0, 0.0, 0.0)
        self._memory, self._raw, self._flowed_to = memory, raw, now

    def _raw_at(self, now: int) -> RawCommand:
        if self._flowed_to is None or now <= self._flowed_to:
            return self._raw
        try:
            return self._policy.query(self._memory, now - self._flowed_to)
        except Exception:  # the safety layer refuses what is not finite
            return (math.nan, math.nan, math.nan, math.nan)


def _defect(event: Event) -> str:
    """Why no controller can use this measurement; empty when it can."""
    if isinstance(event, ImuSample):
        vectors = [event.angular_velocity, event.specific_force]
    elif isinstance(event, Goal):
        vectors = [event.position]
    elif isinstance(event, Odometry):
        vectors = [
            event.position,
            event.orientation,
            event.linear_velocity,
            event.angular_velocity,
        ]
    else:
        return ""
    # Python floats: numpy's functions take microseconds on three numbers.
    numbers = [number for vector in vectors for number in vector.tolist()]
    if not all(map(math.isfinite, numbers)):
        return "not finite"
    if isinstance(event, Odometry) and abs(math.hypot(*event.orientation.tolist()) - 1) > 0.01:
        return "orientation is not a unit quaternion"
    return ""
