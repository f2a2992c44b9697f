"""A recorded flight through the controller: same events, same order, no clock but theirs."""

import hashlib
import struct
import time
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liquid_nav.bags.bag import Recording
from liquid_nav.bags.records import Damage
from liquid_nav.command import Command, Mode
from liquid_nav.controller import Controller
from liquid_nav.errors import ConfigError
from liquid_nav.events import SECOND, TAKEN_IN, Channel, Event
from liquid_nav.onboard import Policy, PolicyCamera
from liquid_nav.recording.settings import Reconfigured, differences, limited
from liquid_nav.replay.compare import Comparison, compare, held
from liquid_nav.replay.failsafes import Failsafe, FailsafeLog
from liquid_nav.replay.intake import Intake, Refusals
from liquid_nav.replay.statistics import ChannelStatistics, ChannelTimes
from liquid_nav.replay.timeline import Cut, Item, Recorded, timeline
from liquid_nav.replay.topics import Topics
from liquid_nav.safety.layer import SafetyConfig

_AHEAD = 256
"""Items read at once."""

MODES = tuple(Mode)
"""Modes by the number that `Replay.modes` holds."""

Watch = Callable[[Event, Command, Controller], None]


@dataclass(eq=False)
class Replay:
    """What a controller made of a recording.

    Attributes:
        topics: which topic was what.
        start, end: arrivals of the first and last event, ns; both 0 without events.
        times: instants of the commands, ns, shape (N,).
        commands: (vx, vy, vz, yaw_rate) at them, m/s and rad/s, shape (N, 4).
        modes: index into `MODES` of each, uint8 (N,).
        at_event: whether each came right after an event, bool (N,); else it was asked for in a
            silence.
        digest: SHA-256 over the commands at events, as `evaluation.flight.Flight.digest`.
        failsafes: every time in a failsafe.
        times_of: stamps and arrivals per channel.
        channels: figures per channel.
        damage: what the recording lost.
        notes: what a reader of these figures must know, in words.
        policy_faults: outputs of the policy that were not finite.
        covers: fraction of the model's view that the camera sees, None without calibration.
        comparison: beside the recorded commands, None where that was not asked for.
        wall: seconds that it took, reading and `watch` included.
        decode: of these, seconds for decoding and adapting images.

    """

    topics: Topics
    start: int
    end: int
    times: NDArray[np.int64]
    commands: NDArray[np.float64]
    modes: NDArray[np.uint8]
    at_event: NDArray[np.bool_]
    digest: bytes
    failsafes: list[Failsafe]
    times_of: dict[Channel, ChannelTimes]
    channels: dict[Channel, ChannelStatistics]
    damage: Damage
    notes: list[str]
    policy_faults: int
    covers: float | None
    comparison: Comparison | None
    wall: float
    decode: float

    @property
    def duration(self) -> float:
        """Seconds from the first event to the last."""
        return (self.end - self.start) / SECOND

    @property
    def events(self) -> int:
        """Events that were replayed."""
        return sum(figures.events for figures in self.channels.values())


@dataclass
class _Counts:
    rejected: int = 0
    last_rejection: str = ""
    late: int = 0


@dataclass
class _Series:
    times: "array[int]" = field(default_factory=lambda: array("q"))
    vectors: "array[float]" = field(default_factory=lambda: array("d"))
    modes: "array[int]" = field(default_factory=lambda: array("B"))
    at_event: "array[int]" = field(default_factory=lambda: array("B"))

    def add(self, command: Command, at_event: bool) -> None:
        self.times.append(command.stamp)
        self.vectors.extend(command.vector)
        self.modes.append(MODES.index(command.mode))
        self.at_event.append(at_event)


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
    rate: float = 20.0,
    watch: Watch | None = None,
    progress: Callable[[int], None] | None = None,
) -> Replay:
    """Replay a recording, open loop: its measurements, new commands.

    Args:
        recording: the recording.
        topics: which topic is what, see `liquid_nav.replay.topics.find`; with a topic of commands,
            the controller is asked at the time of each of them, and they are compared.
        policy: what flies.
        safety: settings of the safety layer until the recording says others.
        limits: that hold in place of those in the settings, by name.
        cut: part of the recording, and changes to it.
        camera_info: calibration of the camera, see `find_camera_info`.
        imu_rotation: from the IMU's frame to body FLU, see `find_imu_rotation`.
        rate: Hz at which commands are asked for in silences; it changes no other command.
        watch: called after each event, with the command it led to.
        progress: called now and then with the arrival that was reached, ns.

    Raises:
        ReplayError: when the recording cannot be read at all; what is merely damaged is in
            `Replay.damage`.
        ConfigError: on a rate that is not from 0 (never) to 10000 Hz, or limits that make no
            sense with the settings.
        OSError: when the file cannot be read any more.

    """
    if not 0 <= rate <= 10_000:
        raise ConfigError(f"rate must be from 0 to 10000 Hz, got {rate}")
    begin = time.perf_counter()
    cut, damage = cut or Cut(), Damage()
    settings = limited(safety or SafetyConfig(), limits or {})
    controller, told = Controller(policy, settings), []
    intake = Intake(topics, policy.config.camera or PolicyCamera(), camera_info, imu_rotation)
    series, failsafes, digest = _Series(), FailsafeLog(), hashlib.sha256()
    channels = {channel: ChannelTimes() for channel in TAKEN_IN}
    counts = {channel: _Counts() for channel in TAKEN_IN}
    recorded: tuple[array[int], array[float], array[float]]
    recorded = (array("q"), array("d"), array("d"))
    period = round(SECOND / rate) if rate else None
    start = end = asked = None

    def query_until(now: int) -> None:
        """Ask for commands in the silence since the last one."""
        if period is None or asked is None:
            return
        # No more than an hour: a clock that leaps must not keep us for a year.
        for instant in range(asked + period, min(now, asked + 3600 * SECOND), period):
            command = controller.command(instant)
            series.add(command, False)
            failsafes.add(command, controller.command)

    for number, item in enumerate(_ahead(timeline(recording, topics, intake, cut, damage))):
        query_until(item.arrival)
        if isinstance(item, Recorded):
            recorded[0].append(item.arrival)
            recorded[1].extend(item.vector)
            recorded[2].extend(controller.command(item.arrival).vector)
            continue
        if isinstance(item, Reconfigured):
            told.append(_told(item, start))
            changed = limited(item.safety, limits or {})
            if changed != settings and start is None:
                controller = Controller(policy, changed)
            elif changed != settings:
                controller.reconfigure(changed, item.arrival)
                asked = item.arrival
            settings = changed
            continue
        _enter(controller, item, counts[item.channel])
        command = controller.command(item.arrival)
        channels[item.channel].add(item)
        series.add(command, True)
        failsafes.add(command)
        digest.update(struct.pack("<q4d", command.stamp, *command.vector))
        start = item.arrival if start is None else start
        end = asked = item.arrival
        if watch is not None:
            watch(item, command, controller)
        if progress is not None and number % 64 == 0:
            progress(end)
    start, end = start or 0, end or 0
    comparison = None
    if topics.command is not None:
        comparison = compare(
            np.frombuffer(recorded[0], np.int64),
            np.frombuffer(recorded[1], np.float64).reshape(-1, 4),
            np.frombuffer(recorded[2], np.float64).reshape(-1, 4),
        )
    figures = {
        channel: times.statistics(
            start,
            counts[channel].rejected,
            counts[channel].last_rejection,
            counts[channel].late,
            _worded(intake.refused[channel]),
        )
        for channel, times in channels.items()
    }
    return Replay(
        topics=topics,
        start=start,
        end=end,
        times=np.frombuffer(series.times, np.int64),
        commands=np.frombuffer(series.vectors, np.float64).reshape(-1, 4),
        modes=np.frombuffer(series.modes, np.uint8),
        at_event=np.frombuffer(series.at_event, np.bool_),
        digest=digest.digest(),
        failsafes=failsafes.entries,
        times_of=channels,
        channels=figures,
        damage=damage,
        notes=[*told, *_notes(topics, policy, figures, intake)],
        policy_faults=controller.health.policy_faults,
        covers=intake.covers,
        comparison=comparison,
        wall=time.perf_counter() - begin,
        decode=intake.seconds,
    )


def beside(reference: Replay, other: Replay) -> Comparison:
    """Compare two replays of one recording at the commands of `reference`."""
    return compare(
        reference.times, reference.commands, held(other.times, other.commands, reference.times)
    )


def _ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Read some items ahead: caches hold the reader or the controller, not both.

    By turns for each event they took a fifth more time (measured, images not counted).
    """
    while batch := list(islice(items, _AHEAD)):
        yield from batch


def _enter(controller: Controller, event: Event, counts: _Counts) -> None:
    before = controller.health.channels[event.channel]
    rejected, late = before.rejected, before.late
    controller.on_event(event)
    after = controller.health.channels[event.channel]
    if after.rejected > rejected:
        counts.rejected += 1
        counts.last_rejection = after.last_rejection
    counts.late += after.late > late


def _told(change: Reconfigured, start: int | None) -> str:
    when = "" if start is None else f" from {(change.arrival - start) / SECOND:.3f} s on"
    return f"settings as recorded{when}: {differences(change.safety)}"


def _worded(refused: Refusals) -> dict[str, int]:
    return {refused.first[kind]: count for kind, count in refused.reasons.items()}


def _notes(
    topics: Topics,
    policy: Policy,
    figures: dict[Channel, ChannelStatistics],
    intake: Intake,
) -> list[str]:
    notes = []
    for channel in sorted(policy.channels, key=lambda channel: channel.value):
        if getattr(topics, channel.value) is None:
            notes.append(f"no topic of the {channel.value}, which the model needs: it hovers")
        elif not figures[channel].events:
            notes.append(f"no event of the {channel.value}, which the model needs: it hovers")
    for channel, refused in intake.refused.items():
        for kind, count in refused.reasons.items():
            notes.append(f"{channel.value}: {count} messages refused: {refused.first[kind]}")
    if topics.camera is not None:
        if intake.covers is None:
            notes.append("no calibration of the camera: images are taken for the model's")
        elif intake.covers < 0.99:
            notes.append(f"the camera covers {intake.covers:.0%} of the model's view")
    return notes
