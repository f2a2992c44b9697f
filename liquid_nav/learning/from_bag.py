"""Recorded flights, a human's or an autopilot's, as episodes to learn from.

The events are those that a controller would have taken in, with their stamps and arrivals, by the
code that replays them. The label of an event is the recorded command in force at it: the one sent
for it, that is the first after it with the same time, or else the newest one before it.

A recording says nothing of where a target was: `Episode.sight` is NaN, which the loss leaves out,
and `Episode.seen` is True, so that mirrored flights have mirrored labels throughout.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from liquid_nav.bags.bag import Recording
from liquid_nav.bags.records import Damage
from liquid_nav.errors import ConfigError, ReplayError
from liquid_nav.events import SECOND, Channel, Event
from liquid_nav.files import made_directories
from liquid_nav.learning.episodes import Episode, EpisodeBuilder
from liquid_nav.onboard import PolicyCamera, RawCommand
from liquid_nav.onboard.encoders import CameraEncoder, Encoder, ImuEncoder
from liquid_nav.replay.calibration import find_camera_info, find_imu_rotation
from liquid_nav.replay.decoder import EventDecoder
from liquid_nav.replay.timeline import Cut, Item, Recorded, timeline
from liquid_nav.replay.topics import FLAGS, Topics, find
from liquid_nav.safety.screening import defect

RECORDED = "recorded"
"""`Episode.outcome` of a flight that nobody judged."""

UNKNOWN_SIGHT = (np.nan, np.nan, np.nan, np.nan)

CHANNELS = (Channel.CAMERA, Channel.IMU)
"""Channels of which episodes are made."""

_NO_BODY = ("map", "odom", "world", "earth", "local_origin")
"""Frames in which a recorded command is no velocity of the body."""


@dataclass(frozen=True)
class Pieces:
    """How a flight is cut into episodes.

    Attributes:
        hold: s for which a command is in force; a longer silence of the commands ends an episode.
        longest: s after which one ends, which bounds the memory.
        shortest: s below which one is left out.

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
    """What became of a recording.

    Attributes:
        episodes, events, frames: that were kept.
        unlabelled: events that no command was in force at.
        refused: messages and events that no controller could have used.
        short: events of pieces too short, or without a frame.
        damage: what the recording lost.
        notes: in words, what was assumed.

    """

    episodes: int = 0
    events: int = 0
    frames: int = 0
    unlabelled: int = 0
    refused: int = 0
    short: int = 0
    damage: Damage = field(default_factory=Damage)
    notes: list[str] = field(default_factory=list)


def convert(flight: Path, out: Path, camera: PolicyCamera, chosen: Topics, pieces: Pieces) -> Tally:
    """Write the episodes of one recorded flight to `out`, ``STEM_000.npz`` and so on.

    They are whole, and all there or none.

    Args:
        flight: the recording.
        out: directory, which is there.
        camera: the model's, which images are brought to.
        chosen: topics; None leaves them to `liquid_nav.replay.topics.find`.
        pieces: how it is cut.

    Raises:
        ReplayError: when it cannot be read, when camera, IMU or commands are not in it or which
            they are is not clear, when commands are not of the body, or when no episode comes out.
        OSError: when a file cannot be written.

    """
    tally = Tally()
    with Recording(flight) as recording:
        topics = find(recording.topics, chosen, comparing=True, reads=CHANNELS)
        for role in (*(channel.value for channel in CHANNELS), "command"):
            if topics.roles[role] is None:
                flag = FLAGS.get(role, f"--{role}")
                raise ReplayError(
                    f"{flight}: no topic of the {role} to learn from; choose one by {flag}"
                )
        _check_frame(recording, topics, flight)
        info = find_camera_info(recording, topics)
        rotation, why = find_imu_rotation(recording, topics)
        tally.notes.append(why)
        decoder = EventDecoder(topics, camera, info, rotation)
        if decoder.covers is None:
            tally.notes.append("no calibration of the camera: images are taken for the model's")
        items = timeline(recording, topics, decoder, Cut(), tally.damage)
        written: list[Path] = []
        encoders = (CameraEncoder(camera=camera), ImuEncoder())
        try:
            for episode in _episodes(items, pieces, tally, encoders):
                written.append(out / f"{flight.stem}_{len(written):03d}.npz")
                episode.save(written[-1])
                tally.events += len(episode)
                tally.frames += len(episode.sight)
        except BaseException:
            for path in written:
                path.unlink(missing_ok=True)
            raise
        tally.episodes = len(written)
        tally.refused += sum(decoder.refused[channel].count for channel in CHANNELS)
    if not tally.episodes:
        raise ReplayError(
            f"{flight} gives no episode: {tally.unlabelled} events without a command, "
            f"{tally.refused} refused, {tally.short} in pieces that are too short or hold no frame"
        )
    return tally


def convert_all(
    flights: tuple[Path, ...],
    out: Path,
    camera: PolicyCamera,
    chosen: Topics,
    pieces: Pieces,
    say: Callable[[str], None],
) -> None:
    """Convert recorded flights, and say of each what came of it.

    Raises:
        ConfigError: when there is none, two have one name, or `out` holds episodes of one already.
        ReplayError, OSError: see `convert`.

    """
    stems = [flight.stem for flight in flights]
    if not flights:
        raise ConfigError("give at least one recorded flight")
    for stem in stems:
        if stems.count(stem) > 1:
            raise ConfigError(f"two flights are called {stem}, so would be their episodes")
        if out.is_dir() and any(out.glob(f"{stem}_[0-9][0-9][0-9].npz")):
            raise ConfigError(f"{out} holds episodes of {stem} already")
    with made_directories(out):
        for flight in flights:
            tally = convert(flight, out, camera, chosen, pieces)
            say(
                f"{flight}: {tally.episodes} episodes, {tally.events} events, {tally.frames} "
                f"frames; left out: {tally.unlabelled} without a command, {tally.refused} refused, "
                f"{tally.short} in short pieces, {tally.damage.lost} lost in the recording"
            )
            for note in (*tally.notes, *tally.damage.notes):
                say(f"  {note}")


def _check_frame(recording: Recording, topics: Topics, flight: Path) -> None:
    """Refuse commands that say themselves that they are not the body's."""
    assert topics.command is not None
    first = next(recording.messages({topics.command}), None)
    frame = getattr(getattr(first and first.content, "header", None), "frame_id", "")
    if str(frame).strip("/").startswith(_NO_BODY):
        raise ReplayError(
            f"{flight}: commands on {topics.command} are in {frame!r}, and not in the body's frame"
        )


def _episodes(
    items: Iterator[Item], pieces: Pieces, tally: Tally, encoders: Sequence[Encoder]
) -> Iterator[Episode]:
    """Cut a flight into episodes; every event in them has a label."""
    piece = _Piece(encoders)
    for event, label in _labelled(items, pieces.hold, tally):
        if label is None:
            tally.unlabelled += 1
            yield from piece.finish(pieces, tally)
            continue
        # A clock that went back begins another flight.
        if piece.events and not 0 <= event.arrival - piece.begin < pieces.longest * SECOND:
            yield from piece.finish(pieces, tally)
        piece.add(event, label)
    yield from piece.finish(pieces, tally)


def _labelled(
    items: Iterator[Item], hold: float, tally: Tally
) -> Iterator[tuple[Event, RawCommand | None]]:
    """Measurements, each with the command in force at it, or None."""
    newest: Recorded | None = None
    waiting: Event | None = None

    def label(event: Event) -> RawCommand | None:
        if newest is None or not 0 <= event.arrival - newest.arrival <= hold * SECOND:
            return None
        return newest.vector

    for item in items:
        if isinstance(item, Recorded):
            if not np.isfinite(item.vector).all():
                continue
            if waiting is not None and item.arrival != waiting.arrival:
                yield waiting, label(waiting)
                waiting = None
            newest = item
            if waiting is not None:
                yield waiting, label(waiting)
                waiting = None
        elif isinstance(item, Event) and item.channel in CHANNELS:
            if waiting is not None:
                yield waiting, label(waiting)
                waiting = None
            if defect(item):
                tally.refused += 1
            else:
                waiting = item
    if waiting is not None:
        yield waiting, label(waiting)


class _Piece:
    """The episode that is being collected."""

    def __init__(self, encoders: Sequence[Encoder]) -> None:
        self._encoders = encoders
        self._reset()

    def add(self, event: Event, label: RawCommand) -> None:
        if not self.events:
            self.begin = event.arrival
        self.events += 1
        self._frames += event.channel == Channel.CAMERA
        self._end = event.arrival
        sight = UNKNOWN_SIGHT if event.channel == Channel.CAMERA else None
        self._builder.add(event, label, True, sight)

    def finish(self, pieces: Pieces, tally: Tally) -> Iterator[Episode]:
        """Give the episode, if it is one, and begin another."""
        if self._frames and self._end - self.begin >= pieces.shortest * SECOND:
            yield self._builder.build(RECORDED)
        else:
            tally.short += self.events
        self._reset()

    def _reset(self) -> None:
        self.events, self._frames, self.begin, self._end = 0, 0, 0, 0
        self._builder = EpisodeBuilder(self._encoders)
