"""Replays a recorded flight through the controller: the same events in the same order.

The only clock is that of the recording, so that every replay gives the same commands.
"""

import hashlib
import math
import struct
import time
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liquid_nav.bags.bag import Recording
from liquid_nav.bags.records import LEAP, Damage
from liquid_nav.command import Command, Mode
from liquid_nav.controller import Controller
from liquid_nav.errors import ConfigError
from liquid_nav.events import SECOND, Channel, Event
from liquid_nav.messages.camera import ImageOptions
from liquid_nav.onboard import Policy
from liquid_nav.recording.settings import Reconfigured, differences, limited
from liquid_nav.replay.commands import RecordedCommands
from liquid_nav.replay.compare import Comparison, compare, zero_order_hold
from liquid_nav.replay.decoder import EventDecoder, Refusals
from liquid_nav.replay.failsafes import Failsafe, FailsafeLog
from liquid_nav.replay.statistics import ChannelStatistics, ChannelTimes
from liquid_nav.replay.timeline import Cut, Item, Recorded, timeline
from liquid_nav.replay.topics import Topics, option_of
from liquid_nav.replay.warnings import SensorWarning, WarningLog
from liquid_nav.safety.layer import SafetyConfig

MODES = tuple(Mode)
"""Modes in the order that `Replay.modes` numbers them."""

Watch = Callable[[Event, Command, Controller], None]
"""Called after each event with the command that the controller gave and the controller itself."""

_BATCH = 256
"""Items of the timeline that are read together."""

_MANY = 0.05
"""Part of a channel's measurements above which a note says that they are missing."""

_SILENCE = 3600 * SECOND
"""ns of silences longer than `LEAP`, all together, in which commands are asked for."""


@dataclass(eq=False)
class Replay:
    """What a controller made of a recording.

    Attributes:
        topics: the topic of each role.
        start: arrival of the first event, ns; 0 without events.
        end: arrival of the last event or, where the recording goes on without events, its end, ns.
        span: arrivals, ns, between which the recording went on, whether or not events came.
        times: instants of the commands, ns, shape (N,).
        commands: (vx, vy, vz, yaw_rate) at them, m/s and rad/s, shape (N, 4).
        modes: index of each command's mode in `MODES`, uint8 (N,).
        at_event: whether each command came right after an event, bool (N,); the others were asked
            for in silences.
        digest: SHA-256 over the commands at events, computed as `evaluation.flight.Flight.digest`.
        failsafes: every time in a failsafe.
        warnings: what may be wrong with the sensors.
        channel_times: stamps and arrivals per channel.
        channels: statistics per channel.
        damage: what the recording lost.
        notes: what a reader must know to judge the figures, in words.
        policy_faults: errors of the policy, and outputs that were not finite.
        slew_limited: share of the nominal commands at events that were limited in their change.
        covers: fraction of the model's view that the camera sees; None without calibration.
        comparison: with the recorded commands; None where that was not asked for.
        wall: seconds that the replay took, including reading and `watch`.
        decode: how many of these went into decoding and adapting images.

    """

    topics: Topics
    start: int
    end: int
    span: tuple[int, int]
    times: NDArray[np.int64]
    commands: NDArray[np.float64]
    modes: NDArray[np.uint8]
    at_event: NDArray[np.bool_]
    digest: bytes
    failsafes: list[Failsafe]
    warnings: list[SensorWarning]
    channel_times: dict[Channel, ChannelTimes]
    channels: dict[Channel, ChannelStatistics]
    damage: Damage
    notes: list[str]
    policy_faults: int
    slew_limited: float
    covers: float | None
    comparison: Comparison | None
    wall: float
    decode: float

    @property
    def duration(self) -> float:
        """Seconds from `start` to `end`."""
        return (self.end - self.start) / SECOND

    @property
    def events(self) -> int:
        """Events that were replayed."""
        return sum(statistics.events for statistics in self.channels.values())


def replay(
    recording: Recording,
    topics: Topics,
    policy: Policy,
    *,
    safety: SafetyConfig | None = None,
    limits: Mapping[str, float] | None = None,
    cut: Cut | None = None,
    camera_info: Any | None = None,
    imu_rotation: NDArray[np.float64] | None = None,
    images: ImageOptions = ImageOptions(),  # noqa: B008
    rate: float = 20.0,
    watch: Watch | None = None,
    progress: Callable[[int], None] | None = None,
) -> Replay:
    """Replay a recording, open loop: its measurements, new commands.

    Args:
        recording: the recording.
        topics: the topic of each role, see `liquid_nav.replay.topics.find`. If it names a topic of
            commands, the controller is asked for its own at the time of each of them, and the two
            are compared.
        policy: the policy that flies.
        safety: settings of the safety layer, until the recording changes them.
        limits: limits by name, in place of those in the settings.
        cut: part of the recording, and changes to it.
        camera_info: calibration of the camera, see `find_camera_info`; a different one that is
            recorded on the topic of `topics` takes its place from then on.
        imu_rotation: from the IMU's frame to body FLU, see `find_imu_rotation`.
        images: what the user says of the images.
        rate: Hz at which commands are asked for in silences; it changes no other command.
        watch: called after each event.
        progress: called now and then with the newest arrival, ns.

    Raises:
        ReplayError: when nothing of the recording can be read; lesser damage is reported in
            `Replay.damage`.
        ConfigError: when the rate is neither 0 (never) nor from 0.001 to 10000 Hz, or a limit is
            unknown or out of range.
        OSError: when the file cannot be read any more.

    """
    if rate and not 0.001 <= rate <= 10_000:
        raise ConfigError(f"rate must be 0 (never) or from 0.001 to 10000 Hz, got {rate}")
    begin = time.perf_counter()
    cut, damage = cut or Cut(), Damage()
    run = _Run(policy, safety or SafetyConfig(), limits or {}, rate)
    decoder = EventDecoder(topics, policy.config.camera, camera_info, imu_rotation, images)
    commands = RecordedCommands()
    items = _in_batches(timeline(recording, topics, decoder, cut, damage, commands))
    for number, item in enumerate(items):
        run.query_until(item.arrival)
        if isinstance(item, Recorded):
            run.compare_with(item)
        elif isinstance(item, Reconfigured):
            run.reconfigure(item)
        else:
            command = run.enter(item)
            if watch is not None:
                watch(item, command, run.controller)
            if progress is not None and number % 64 == 0:
                progress(item.arrival)
    span = run.end_at(recording.span, cut)
    result = run.result(topics, decoder, damage, span, begin)
    if commands.frame:
        result.notes.append(
            f"the recorded commands on {topics.command} are in frame {commands.frame}: "
            f"{commands.turned} were turned by the heading of the odometry"
        )
    return result


class _Run:
    """A controller on its way through a recording, and what it gave so far."""

    def __init__(
        self, policy: Policy, safety: SafetyConfig, limits: Mapping[str, float], rate: float
    ) -> None:
        self._policy, self._limits = policy, limits
        self._settings = limited(safety, limits)
        self.controller = Controller(policy, self._settings)
        self._start: int | None = None
        self._end: int | None = None
        self._times, self._vectors = array("q"), array("d")
        self._modes, self._at_event = array("B"), array("B")
        self._digest = hashlib.sha256()
        self._failsafes, self._warnings = FailsafeLog(), WarningLog()
        self._channel_times: defaultdict[Channel, ChannelTimes] = defaultdict(ChannelTimes)
        self._changes: list[str] = []
        self._rejections: defaultdict[Channel, Refusals] = defaultdict(Refusals)
        self._period = round(SECOND / rate) if rate else None
        self._last: int | None = None
        self._silence = _SILENCE
        # Instants of the recorded commands, those commands, and ours at the same instants.
        self._recorded = array("q"), array("d"), array("d")

    def query_until(self, now: int) -> None:
        """Ask for commands in the silence since the last event or change, up to `now` ns."""
        if self._period is None or self._last is None:
            return
        # A long silence may be a clock that leapt, and a broken recording leaps often.
        long = now - self._last > LEAP
        end = min(now, self._last + self._silence) if long else now
        if long:
            self._silence -= end - self._last
        for instant in range(self._last + self._period, end, self._period):
            command = self.controller.command(instant)
            self._add(command, False)
            self._failsafes.add(command, self.controller.command)

    def end_at(self, declared: tuple[int, int], cut: Cut) -> tuple[int, int]:
        """Ask for commands in the silence after the last event, to the end of the recording.

        Args:
            declared: log times of the first message and the last, of any topic, ns.
            cut: part of the recording that was replayed.

        Returns:
            Arrivals between which the recording went on, ns.

        """
        first, last = self._start or 0, self._end or 0
        if cut.clock == "log":
            # A declared time that is far from all events is broken, and where the user cut the
            # recording, its own ends do not count.
            if not cut.start and 0 < first - declared[0] < _SILENCE:
                first = declared[0]
            if cut.duration is None and 0 < declared[1] - last < _SILENCE:
                last = declared[1]
        asked = len(self._times)
        self.query_until(last)
        if len(self._times) > asked:
            self._end = self._times[-1]
        return first, last

    def enter(self, event: Event) -> Command:
        """Give an event to the controller, and return the command right after it."""
        health = self.controller.health.channels.get(event.channel)
        rejected = health.rejected if health else 0
        self.controller.on_event(event)
        accepted = not health or health.rejected == rejected
        if health and not accepted:
            self._rejections[event.channel].add(health.last_rejection)
        command = self.controller.command(event.arrival)
        self._channel_times[event.channel].add(event, accepted)
        self._add(command, True)
        self._failsafes.add(command)
        self._warnings.add(event.arrival, self.controller.health.channels)
        self._digest.update(struct.pack("<q4d", command.stamp, *command.vector))
        if self._start is None:
            self._start = event.arrival
        self._end = self._last = event.arrival
        return command

    def compare_with(self, recorded: Recorded) -> None:
        """Ask for a command at the time of a recorded one, and keep both."""
        times, theirs, ours = self._recorded
        times.append(recorded.arrival)
        theirs.extend(recorded.vector)
        ours.extend(self.controller.command(recorded.arrival).vector)

    def reconfigure(self, change: Reconfigured) -> None:
        """Change the settings as the recorded flight did."""
        when = ""
        if self._start is not None:
            when = f" from {(change.arrival - self._start) / SECOND:.3f} s on"
        self._changes.append(f"settings as recorded{when}: {differences(change.safety)}")
        settings = limited(change.safety, self._limits)
        if settings == self._settings:
            return
        if self._start is None:
            self.controller = Controller(self._policy, settings)
        else:
            self.controller.reconfigure(settings, change.arrival)
            self._last = change.arrival
        self._settings = settings

    def result(
        self,
        topics: Topics,
        decoder: EventDecoder,
        damage: Damage,
        span: tuple[int, int],
        begin: float,
    ) -> Replay:
        """Sum up the replay, which began at `begin` by `time.perf_counter`.

        `span` is that of the recording, see `Replay`.
        """
        channels = self._statistics(decoder, span)
        self._warnings.close(self._end or 0)
        return Replay(
            topics=topics,
            start=self._start or 0,
            end=self._end or 0,
            span=span,
            times=np.frombuffer(self._times, np.int64),
            commands=np.frombuffer(self._vectors, np.float64).reshape(-1, 4),
            modes=np.frombuffer(self._modes, np.uint8),
            at_event=np.frombuffer(self._at_event, np.bool_),
            digest=self._digest.digest(),
            failsafes=self._failsafes.entries,
            warnings=self._warnings.entries,
            channel_times={channel: self._channel_times[channel] for channel in channels},
            channels=channels,
            damage=damage,
            notes=[
                *self._changes,
                *_notes(topics, self._policy, channels, decoder),
                *_counted("rejected", self._rejections),
            ],
            policy_faults=self.controller.health.policy_faults,
            slew_limited=self.controller.health.limited.slew_share,
            covers=decoder.covers,
            comparison=None if topics.command is None else self._comparison(),
            wall=time.perf_counter() - begin,
            decode=decoder.seconds,
        )

    def _comparison(self) -> Comparison:
        times, theirs, ours = self._recorded
        return compare(
            np.frombuffer(times, np.int64),
            np.frombuffer(theirs, np.float64).reshape(-1, 4),
            np.frombuffer(ours, np.float64).reshape(-1, 4),
        )

    def _statistics(
        self, decoder: EventDecoder, span: tuple[int, int]
    ) -> dict[Channel, ChannelStatistics]:
        return {
            channel: self._channel_times[channel].statistics(
                self._start or 0,
                span,
                self._patience(channel),
                _reasons(self._rejections[channel]),
                health.late,
                _reasons(decoder.refused[channel]),
            )
            for channel, health in self.controller.health.channels.items()
        }

    def _patience(self, channel: Channel) -> float:
        """Seconds of silence after which a channel is stale; infinity where it may be silent."""
        ages = self._settings.staleness.get(channel) or self._policy.staleness.get(channel)
        return math.inf if ages is None else ages.hover

    def _add(self, command: Command, at_event: bool) -> None:
        self._times.append(command.stamp)
        self._vectors.extend(command.vector)
        self._modes.append(MODES.index(command.mode))
        self._at_event.append(at_event)


def compare_replays(reference: Replay, other: Replay) -> Comparison:
    """Compare two replays of one recording at the commands of `reference`."""
    commands = zero_order_hold(other.times, other.commands, reference.times)
    return compare(reference.times, reference.commands, commands)


def _in_batches(items: Iterator[Item]) -> Iterator[Item]:
    """Read some items ahead, so that the processor's caches hold the reader or the controller.

    Taking turns for each event took a fifth more time (measured, without images).
    """
    while batch := list(islice(items, _BATCH)):
        yield from batch


def _reasons(refused: Refusals) -> dict[str, int]:
    """Count refusals by the text of the first of their kind."""
    return {refused.first[kind]: count for kind, count in refused.reasons.items()}


def _counted(what: str, channels: Mapping[Channel, Refusals]) -> list[str]:
    """Say how many of each channel were refused or rejected, for each reason."""
    return [
        f"{channel.value}: {count} {what}: {reason}"
        for channel, refused in channels.items()
        for reason, count in _reasons(refused).items()
    ]


def _notes(
    topics: Topics,
    policy: Policy,
    statistics: dict[Channel, ChannelStatistics],
    decoder: EventDecoder,
) -> list[str]:
    notes = []
    for channel in sorted(policy.needed, key=lambda channel: channel.value):
        if topics.channels.get(channel) is None:
            notes.append(
                f"no topic of the {channel.value}, which the model needs, so it hovers; where the "
                f"recording has one, {option_of(channel.value)} TOPIC chooses it"
            )
        elif not statistics[channel].events:
            notes.append(f"no event of the {channel.value}, which the model needs, so it hovers")
    for channel, figures in statistics.items():
        if figures.events and figures.dropped_share >= _MANY:
            notes.append(
                f"{channel.value}: about {figures.dropped} of "
                f"{figures.dropped + figures.events} measurements are missing; "
                f"the longest silence lasted {figures.longest_gap:.3f} s"
            )
    notes += _counted("messages refused", decoder.refused)
    adapter = decoder.adapter
    if topics.channels.get(Channel.CAMERA) is not None and adapter is not None:
        if adapter.calibrated and (adapter.rectified or adapter.covers < 0.99):
            notes.append(f"camera: {adapter.summary}")
        if not adapter.calibrated and not adapter.warnings:
            notes.append(
                "no calibration of the camera: images are used as if the model's camera took them"
            )
        notes.extend(f"camera: {warning}" for warning in decoder.camera_warnings)
    return notes
