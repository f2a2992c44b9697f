"""Episodes from recorded flights, which a human or an autopilot flew.

The events are those of the channels that a model reads, as a controller would have taken them in,
with their stamps and arrivals; the code that replays recordings finds them. The label of an event
is the recorded command in force at its time: the command that was sent for it (the first one after
it that has the same time), or else the newest one before it.

A measurement that holds until the next one, such as a goal, is repeated at the beginning of each
episode.

A recording does not tell where a target was. So `Episode.sight` is NaN, which the loss leaves out,
and `Episode.seen` is True, so that the labels of a mirrored flight are mirrored throughout.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from liquid_nav.bags.bag import Recording
from liquid_nav.bags.records import Damage
from liquid_nav.controller import CLOCK_TOLERANCE
from liquid_nav.errors import ConfigError, ReplayError
from liquid_nav.events import SECOND, Channel, Event
from liquid_nav.files import made_directories
from liquid_nav.learning.data.episodes import SIGHT, Episode, EpisodeBuilder
from liquid_nav.messages.plug import channel_types
from liquid_nav.onboard import PolicyConfig, RawCommand
from liquid_nav.onboard.encoders import Encoder
from liquid_nav.replay.calibration import find_camera_info, find_imu_rotation
from liquid_nav.replay.decoder import EventDecoder
from liquid_nav.replay.timeline import Cut, Item, Recorded, timeline
from liquid_nav.replay.topics import NONE, OPTIONS, Topics, find
from liquid_nav.safety.screening import defect

RECORDED = "recorded"
"""`Episode.outcome` of a recorded flight: whether it succeeded is not known."""

UNKNOWN_SIGHT = (np.nan,) * SIGHT

_WITH_OPTION = ("camera", "imu", "goal", "range", "odometry", "command")
"""What a topic can be chosen for on the command line."""

_WORLD_FRAMES = ("map", "odom", "world", "earth", "local_origin")
"""Beginnings of frame names that are not the body's."""


@dataclass(frozen=True)
class Pieces:
    """Rules by which a flight is cut into episodes.

    Attributes:
        hold: seconds for which a command stays in force; when no newer one comes, the episode ends.
        longest: seconds after which an episode ends, which bounds the memory it takes.
        shortest: seconds; episodes shorter than this are left out.

    Raises:
        ConfigError: on a value that is not positive and finite.

    """

    hold: float = 0.5
    longest: float = 120.0
    shortest: float = 1.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 < value < np.inf:
                raise ConfigError(f"{name} must be positive and finite, got {value}")


@dataclass
class Tally:
    """Counts of what became of the messages of a recording.

    Attributes:
        episodes, events, frames: what was written.
        unlabelled: events at which no command was in force.
        refused: messages and events that a controller would have rejected.
        short: events of pieces that are too short, or hold no frame although the camera is read.
        damage: what the recording had lost.
        notes: assumptions that were made, in words.

    """

    episodes: int = 0
    events: int = 0
    frames: int = 0
    unlabelled: int = 0
    refused: int = 0
    short: int = 0
    damage: Damage = field(default_factory=Damage)
    notes: list[str] = field(default_factory=list)


def convert(
    flight: Path, out: Path, encoders: Sequence[Encoder], chosen: Topics, pieces: Pieces
) -> Tally:
    """Write the episodes of one recorded flight to `out`, ``STEM_000.npz`` and so on.

    Either all of them are written or none.

    Args:
        flight: the recording.
        out: an existing directory.
        encoders: of the model, one a channel; episodes hold what these measure, and images are
            resampled to the model's camera.
        chosen: topics to use; `liquid_nav.replay.topics.find` looks for those that are None.
        pieces: rules by which the flight is cut into episodes.

    Returns:
        What became of the messages.

    Raises:
        ConfigError: when there is no encoder, two are of one channel, no registered message carries
            a channel, or a topic is chosen of a channel that none of them reads.
        ReplayError: when the recording cannot be read, when the topic of a channel or of the
            commands is missing or ambiguous, when the commands are not velocities of the body, or
            when the flight gives no episode.
        OSError: when a file cannot be written.

    """
    tally, config = Tally(), PolicyConfig(tuple(encoders))
    with Recording(flight) as recording:
        topics = _topics(recording, chosen, config, flight)
        info = find_camera_info(recording, topics)
        rotation, why = find_imu_rotation(recording, topics)
        if Channel.IMU in config.by_channel:
            tally.notes.append(why)
        decoder = EventDecoder(topics, config.camera, info, rotation)
        if Channel.CAMERA in config.by_channel and decoder.covers is None:
            tally.notes.append("no calibration of the camera: it is taken to be the model's camera")
        items = timeline(recording, topics, decoder, Cut(), tally.damage)
        written: list[Path] = []
        try:
            for episode in _episodes(items, pieces, tally, config.by_channel):
                written.append(out / f"{flight.stem}_{len(written):03d}.npz")
                episode.save(written[-1])
                tally.events += len(episode)
                tally.frames += len(episode.sight)
        except BaseException:
            for path in written:
                path.unlink(missing_ok=True)
            raise
        tally.notes.extend(f"camera: {warning}" for warning in decoder.camera_warnings)
        tally.episodes = len(written)
        tally.refused += sum(refused.count for refused in decoder.refused.values())
    if not tally.episodes:
        frameless = " or hold no frame" if Channel.CAMERA in config.by_channel else ""
        raise ReplayError(
            f"{flight} gives no episode: {tally.unlabelled} events without a command, "
            f"{tally.refused} refused, {tally.short} in pieces that are too short{frameless}"
        )
    return tally


def convert_all(
    flights: tuple[Path, ...],
    out: Path,
    encoders: Sequence[Encoder],
    chosen: Topics,
    pieces: Pieces,
    say: Callable[[str], None],
) -> None:
    """Convert recorded flights, and report on each.

    Raises:
        ConfigError: when no flight is given, two have the same name, `out` already holds episodes
            of one, or as in `convert`.
        ReplayError, OSError: see `convert`.

    """
    stems = [flight.stem for flight in flights]
    if not flights:
        raise ConfigError("give at least one recorded flight")
    for stem in stems:
        if stems.count(stem) > 1:
            raise ConfigError(f"two flights are called {stem}: their files would clash")
        if out.is_dir() and any(out.glob(f"{stem}_[0-9][0-9][0-9].npz")):
            raise ConfigError(f"{out} already holds episodes of {stem}: choose another folder")
    with made_directories(out):
        for flight in flights:
            tally = convert(flight, out, encoders, chosen, pieces)
            say(
                f"{flight}: {tally.episodes} episodes, {tally.events} events, {tally.frames} "
                f"frames; left out: {tally.unlabelled} without a command, {tally.refused} refused, "
                f"{tally.short} in short pieces, {tally.damage.lost} lost in the recording"
            )
            for note in (*tally.notes, *tally.damage.notes):
                say(f"  {note}")


def _topics(recording: Recording, chosen: Topics, config: PolicyConfig, flight: Path) -> Topics:
    """Find the topic of each channel that the model reads, and of the commands."""
    types = channel_types()
    for channel in config.by_channel:
        if channel not in types:
            raise ConfigError(f"no registered message carries the channel {channel}")
    for channel, topic in chosen.channels.items():
        if topic not in (None, NONE) and channel not in config.by_channel:
            raise ConfigError(
                f"{topic} is chosen for the {channel}, which the model does not read; "
                f"it reads {', '.join(config.by_channel)}"
            )
    others = {channel: NONE for channel in types if channel not in config.by_channel}
    chosen = replace(chosen, channels={**chosen.channels, **others})
    topics = find(recording.topics, chosen, comparing=True, reads=config.by_channel)
    for role in (*config.by_channel, "command"):
        if topics.roles[role] is None:
            flag = OPTIONS[role] if role in _WITH_OPTION else ""
            advice = f"; choose one with {flag}" if flag else ""
            raise ReplayError(f"{flight} has no topic of the {role} to learn from{advice}")
    _check_frame(recording, topics, flight)
    return topics


def _check_frame(recording: Recording, topics: Topics, flight: Path) -> None:
    """Refuse commands whose header says that they are not in the body's frame."""
    assert topics.command is not None
    first = next(recording.messages({topics.command}), None)
    frame = getattr(getattr(first and first.content, "header", None), "frame_id", "")
    if str(frame).strip("/").startswith(_WORLD_FRAMES):
        raise ReplayError(
            f"{flight}: the commands on {topics.command} are in frame {frame!r}, not in the body's"
        )


def _episodes(
    items: Iterator[Item], pieces: Pieces, tally: Tally, encoders: Mapping[Channel, Encoder]
) -> Iterator[Episode]:
    """Cut a flight into episodes in which every event has a label."""
    piece = _Piece(encoders)
    held: dict[Channel, Event] = {}
    newest: int | None = None
    for event, label in _labelled(items, pieces.hold, tally, encoders):
        if event is None:
            yield from piece.finish(pieces, tally)
            continue
        if newest is not None and newest - event.arrival > CLOCK_TOLERANCE:
            # The clock went back: another flight begins, in which nothing of this one holds.
            yield from piece.finish(pieces, tally)
            held.clear()
            newest = None
        newest = event.arrival if newest is None else max(newest, event.arrival)
        if encoders[event.channel].staleness is None:
            held[event.channel] = event
        if label is None:
            tally.unlabelled += 1
            yield from piece.finish(pieces, tally)
            continue
        if piece.events and event.arrival - piece.begin >= pieces.longest * SECOND:
            yield from piece.finish(pieces, tally)
        if not piece.events:
            for old in held.values():
                if old is not event and old.arrival <= event.arrival:
                    piece.add(_moved(old, event.arrival), label)
        piece.add(event, label)
    yield from piece.finish(pieces, tally)


def _moved(event: Event, arrival: int) -> Event:
    """Give the event as if it had arrived at `arrival` ns, with the same latency."""
    return replace(event, stamp=arrival - event.latency, arrival=arrival)


def _labelled(
    items: Iterator[Item], hold: float, tally: Tally, encoders: Mapping[Channel, Encoder]
) -> Iterator[tuple[Event | None, RawCommand | None]]:
    """Pair each measurement that the model reads with the command in force then, or None.

    A pair of two None tells that no command was in force for a while in which no measurement came.
    """
    newest: Recorded | None = None
    waiting: Event | None = None

    def label(event: Event) -> RawCommand | None:
        if newest is None:
            return None
        # An event may come a little late, see `CLOCK_TOLERANCE`.
        since = event.arrival - newest.arrival
        return newest.vector if -CLOCK_TOLERANCE <= since <= hold * SECOND else None

    for item in items:
        if isinstance(item, Recorded):
            if not np.isfinite(item.vector).all():
                continue
            if waiting is not None and item.arrival != waiting.arrival:
                yield waiting, label(waiting)
                waiting = None
            if newest is not None and item.arrival - newest.arrival > hold * SECOND:
                yield None, None
            newest = item
            if waiting is not None:
                yield waiting, label(waiting)
                waiting = None
        elif isinstance(item, Event) and item.channel in encoders:
            if waiting is not None:
                yield waiting, label(waiting)
                waiting = None
            if defect(item) or encoders[item.channel].objection(item):
                tally.refused += 1
            else:
                waiting = item
    if waiting is not None:
        yield waiting, label(waiting)


class _Piece:
    """Collects the events of one episode."""

    def __init__(self, encoders: Mapping[Channel, Encoder]) -> None:
        self._encoders = encoders
        self._reset()

    def add(self, event: Event, label: RawCommand) -> None:
        if not self.events:
            self.begin = self._end = event.arrival
        self.events += 1
        self._frames += event.channel == Channel.CAMERA
        self._end = max(self._end, event.arrival)
        sight = UNKNOWN_SIGHT if event.channel == Channel.CAMERA else None
        self._builder.add(event, label, True, sight)

    def finish(self, pieces: Pieces, tally: Tally) -> Iterator[Episode]:
        """Give the episode unless it is too short or lacks frames, and begin the next one."""
        complete = self._frames or Channel.CAMERA not in self._encoders
        if complete and self.events and self._end - self.begin >= pieces.shortest * SECOND:
            yield self._builder.build(RECORDED)
        else:
            tally.short += self.events
        self._reset()

    def _reset(self) -> None:
        self.events, self._frames, self.begin, self._end = 0, 0, 0, 0
        self._builder = EpisodeBuilder(tuple(self._encoders.values()))
