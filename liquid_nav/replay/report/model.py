"""The report of a replay as plain data; console, page and JSON file are written from it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liquid_nav.bags.records import Damage
from liquid_nav.command import Mode
from liquid_nav.events import SECOND, Channel
from liquid_nav.replay.compare import Comparison
from liquid_nav.replay.run import MODES, Replay
from liquid_nav.replay.statistics import ChannelStatistics, ChannelTimes

UNITS = ("m/s", "m/s", "m/s", "rad/s")
"""Units of a command's axes, in the order of `liquid_nav.replay.compare.AXES`."""


@dataclass(frozen=True)
class FailsafeSpan:
    """A span of time in one failsafe.

    Attributes:
        start, end: seconds after the first event of the flight.
        mode: the mode of the commands in it.
        reason: why the failsafe was entered.
        open: whether it lasted until the replay ended.

    """

    start: float
    end: float
    mode: Mode
    reason: str
    open: bool

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.end - self.start


@dataclass(frozen=True)
class WarningSpan:
    """A span of time in which a sensor gave reason to doubt it.

    Attributes:
        channel: of the sensor.
        start, end: seconds after the first event of the flight.
        text: what may be wrong, with the likely cause and what mends it.
        open: whether it lasted until the replay ended.

    """

    channel: Channel
    start: float
    end: float
    text: str
    open: bool


@dataclass(frozen=True)
class TopicLosses:
    """Messages of one topic that lost some.

    Attributes:
        topic: its name.
        declared: how many the recording says it holds; None where it does not say.
        read: how many were read.
        undecodable: how many of these could not be decoded.

    """

    topic: str
    declared: int | None
    read: int
    undecodable: int


@dataclass(frozen=True)
class Losses:
    """Messages that the recording is known to have lost.

    Attributes:
        missing: messages that the recording declares and that were not found.
        unreadable: messages that were there and could not be read.
        undecodable: messages that were read and could not be decoded, per topic.
        topics: the topics that lost messages, by name.
        notes: what is wrong with the files, in words.

    """

    missing: int
    unreadable: int
    undecodable: Mapping[str, int]
    topics: tuple[TopicLosses, ...]
    notes: tuple[str, ...]

    @property
    def total(self) -> int:
        """All messages that are known to be lost."""
        return self.missing + self.unreadable + sum(self.undecodable.values())

    @property
    def doubt(self) -> str:
        """What to say beside the total: nothing is known of what a cut or broken file had held."""
        return " known, but the recording is damaged" if self.notes and not self.total else ""


@dataclass(frozen=True, eq=False)
class RunReport:
    """One replay of a recording.

    Attributes:
        topics: topic by role, None where the recording has none.
        start: arrival of the first event, ns.
        duration: seconds from the first event to the last or, where the recording goes on without
            events, to its end.
        span: arrivals, ns, between which the recording went on.
        events: number of events replayed.
        commands_sha256: SHA-256 over all commands at events, hexadecimal.
        modes: seconds in each mode.
        channels: statistics of the channels that had messages.
        failsafes: in order of time.
        warnings: about sensors, in the order in which they came.
        comparison: with the recorded commands, or of a changed replay with the one before; None
            where neither was asked for.
        policy_faults: errors of the policy, and outputs that were not finite.
        slew_limited: share of the nominal commands at events that were limited in their change.
        losses: messages lost by the recording.
        notes: what a reader must know to judge these figures.
        wall: seconds that the replay took, reading included.
        decoding: of these, seconds for decoding and adapting images.
        times: instants of the commands, ns, shape (N,).
        commands: (vx, vy, vz, yaw_rate) at them, m/s and rad/s, shape (N, 4).
        channel_times: stamps and arrivals of the channels that had events.

    """

    topics: Mapping[str, str | None]
    start: int
    duration: float
    span: tuple[int, int]
    events: int
    commands_sha256: str
    modes: Mapping[Mode, float]
    channels: Mapping[Channel, ChannelStatistics]
    failsafes: tuple[FailsafeSpan, ...]
    warnings: tuple[WarningSpan, ...]
    comparison: Comparison | None
    policy_faults: int
    slew_limited: float
    losses: Losses
    notes: tuple[str, ...]
    wall: float
    decoding: float
    times: NDArray[np.int64]
    commands: NDArray[np.float64]
    channel_times: Mapping[Channel, ChannelTimes]

    @property
    def speed(self) -> float:
        """Seconds of flight replayed per second; NaN if the replay took no time."""
        return self.duration / self.wall if self.wall else float("nan")

    @property
    def decoding_share(self) -> float:
        """Fraction of the time that went into images; NaN if the replay took no time."""
        return self.decoding / self.wall if self.wall else float("nan")


@dataclass(frozen=True, eq=False)
class ReplayReport:
    """A replay, and a second one of the same recording with changes, if there was one.

    Attributes:
        flight: the recording.
        model: the model bundle.
        run: the replay.
        changed: the second replay, compared with the first, or None.

    """

    flight: str
    model: str
    run: RunReport
    changed: RunReport | None = None


def run_report(result: Replay, comparison: Comparison | None = None) -> RunReport:
    """Report on one replay.

    Args:
        result: the replay.
        comparison: with another replay; by default the one with the recorded commands.

    """
    failsafes = tuple(
        FailsafeSpan(
            (failsafe.start - result.start) / SECOND,
            (failsafe.end - result.start) / SECOND,
            failsafe.mode,
            failsafe.reason,
            failsafe.open,
        )
        for failsafe in result.failsafes
    )
    return RunReport(
        topics=result.topics.roles,
        start=result.start,
        duration=result.duration,
        span=result.span,
        events=result.events,
        commands_sha256=result.digest.hex(),
        modes=_modes(result),
        channels={c: figures for c, figures in result.channels.items() if figures.present},
        failsafes=failsafes,
        warnings=tuple(
            WarningSpan(
                warning.channel,
                (warning.start - result.start) / SECOND,
                (warning.end - result.start) / SECOND,
                warning.text,
                warning.open,
            )
            for warning in result.warnings
        ),
        comparison=comparison or result.comparison,
        policy_faults=result.policy_faults,
        slew_limited=result.slew_limited,
        losses=_losses(result.damage),
        notes=tuple(result.notes),
        wall=result.wall,
        decoding=result.decode,
        times=result.times,
        commands=result.commands,
        channel_times={c: times for c, times in result.channel_times.items() if len(times)},
    )


def _modes(result: Replay) -> dict[Mode, float]:
    seconds = dict.fromkeys(MODES, 0.0)
    for failsafe in result.failsafes:
        seconds[failsafe.mode] += (failsafe.end - failsafe.start) / SECOND
    seconds[Mode.NOMINAL] = max(result.duration - sum(seconds.values()), 0.0)
    return seconds


def _losses(damage: Damage) -> Losses:
    topics = tuple(
        TopicLosses(
            topic,
            damage.declared[topic] or None,
            damage.read[topic],
            damage.undecodable[topic],
        )
        for topic in sorted(damage.declared | damage.read)
        if damage.undecodable[topic]
        or (damage.declared and damage.declared[topic] != damage.read[topic])
    )
    return Losses(
        missing=damage.missing,
        unreadable=damage.unreadable,
        undecodable=dict(damage.undecodable),
        topics=topics,
        notes=tuple(damage.notes),
    )
