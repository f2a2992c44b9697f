"""Episodes from recorded flights, which a human or an autopilot flew.

The events are those that a controller would have taken in, with their stamps and arrivals; the code
that replays recordings finds them. The label of an event is the recorded command in force at its
time: the command that was sent for it (the first one after it that has the same time), or else the
newest one before it.

A recording does not tell where a target was. So `Episode.sight` is NaN, which the loss leaves out,
and `Episode.seen` is True, so that the labels of a mirrored flight are mirrored throughout.
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
"""`Episode.outcome` of a recorded flight: whether it succeeded is not known."""

UNKNOWN_SIGHT = (np.nan, np.nan, np.nan, np.nan)

CHANNELS = (Channel.CAMERA, Channel.IMU)
"""Channels that episodes are made of."""

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
        short: events of pieces that are too short or hold no frame.
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


def convert(flight: Path, out: Path, camera: PolicyCamera, chosen: Topics, pieces: Pieces) -> Tally:
    """Write the episodes of one recorded flight to `out`, ``STEM_000.npz`` and so on.

    Either all of them are written or none.

    Args:
        flight: the recording.
        out: an existing directory.
        camera: the model's camera; images are resampled to it.
        chosen: topics to use; `liquid_nav.replay.topics.find` looks for those that are None.
        pieces: rules by which the flight is cut into episodes.

    Returns:
        What became of the messages.

    Raises:
        ReplayError: when the recording cannot be read, when the topics of camera, IMU or commands
            are missing or ambiguous, when the commands are not velocities of the body, or when the
            flight gives no episode.
        OSError: when a file cannot be written.

    """
    tally = Tally()
    with Recording(flight) as recording:
        topics = find(recording.topics, chosen, comparing=True, reads=CHANNELS)
        for role in (*(channel.value for channel in CHANNELS), "command"):
            if topics.roles[role] is None:
                flag = FLAGS.get(role, f"--{role}")
                raise ReplayError(
                    f"{flight} has no topic of the {role} to learn from; choose one with {flag}"
                )
        _check_frame(recording, topics, flight)
        info = find_camera_info(recording, topics)
        rotation, why = find_imu_rotation(recording, topics)
        tally.notes.append(why)
        decoder = EventDecoder(topics, camera, info, rotation)
        if decoder.covers is None:
            tally.notes.append("no calibration of the camera: it is taken to be the model's camera")
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
    """Convert recorded flights, and report on each.

    Raises:
        ConfigError: when no flight is given, two have the same name, or `out` already holds
            episodes of one.
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
            tally = convert(flight, out, camera, chosen, pieces)
            say(
                f"{flight}: {tally.episodes} episodes, {tally.events} events, {tally.frames} "
                f"frames; left out: {tally.unlabelled} without a command, {tally.refused} refused, "
                f"{tally.short} in short pieces, {tally.damage.lost} lost in the recording"
            )
            for note in (*tally.notes, *tally.damage.notes):
                say(f"  {note}")


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
    items: Iterator[Item], pieces: Pieces, tally: Tally, encoders: Sequence[Encoder]
) -> Iterator[Episode]:
    """Cut a flight into episodes in which every event has a label."""
    piece = _Piece(encoders)
    for event, label in _labelled(items, pieces.hold, tally):
        if label is None:
            tally.unlabelled += 1
            yield from piece.finish(pieces, tally)
            continue
        # A clock that jumps back means that another flight begins.
        if piece.events and not 0 <= event.arrival - piece.begin < pieces.longest * SECOND:
            yield from piece.finish(pieces, tally)
        piece.add(event, label)
    yield from piece.finish(pieces, tally)


def _labelled(
    items: Iterator[Item], hold: float, tally: Tally
) -> Iterator[tuple[Event, RawCommand | None]]:
    """Pair each measurement with the command in force at its time, or None."""
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
    """Collects the events of one episode."""

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
        """Give the episode unless it is too short or holds no frame, and begin the next one."""
        if self._frames and self._end - self.begin >= pieces.shortest * SECOND:
            yield self._builder.build(RECORDED)
        else:
            tally.short += self.events
        self._reset()

    def _reset(self) -> None:
        self.events, self._frames, self.begin, self._end = 0, 0, 0, 0
        self._builder = EpisodeBuilder(self._encoders)
