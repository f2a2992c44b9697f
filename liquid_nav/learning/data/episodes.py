"""Recorded flights as training data: event sequences with expert labels, whole files on disk."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from liquid_nav.errors import ConfigError, LiquidNavError
from liquid_nav.events import SECOND, CameraFrame, Channel, Event
from liquid_nav.files import whole_file
from liquid_nav.onboard import RawCommand
from liquid_nav.onboard.encoders import CAMERA_AND_IMU, Encoder, Measurement

SECTORS = 16
"""Upright strips of a frame, of equal width, whose free space `Episode.sight` holds."""

SIGHT = 4 + SECTORS
"""Number of values that describe what a frame shows, see `Episode.sight`."""

Sight = Sequence[float]
"""What a frame shows: `SIGHT` values, see `Episode.sight`."""


class EpisodeError(LiquidNavError):
    """An episode file that cannot be read; it says which."""


@dataclass(frozen=True, eq=False)
class Episode:
    """One flight of T events, F of them camera frames, in order of arrival.

    Attributes:
        channels: the C channels of the events; an event's channel is its index in here.
        channel: int8 (T,), the channel of each event.
        dt: float32 (T,), seconds since the event before (0 for the first).
        age: float32 (T,), seconds from stamp to arrival.
        label: float32 (T, 4), the expert's command right after each event, m/s and rad/s.
        seen: bool (T,), whether what there is to fly to has been in view up to the event.
        measured: per channel, what its encoder measured, a row for each of its events in their
            order, see `Encoder.measure`.
        sight: float32 (F, SIGHT), truth at exposure: target or next gate visible (0 or 1), its
            azimuth (left) and elevation (up) in the camera's frame in radians, and its inverse
            range in 1/m; then, for `SECTORS` upright strips of the frame from left to right, the
            inverse of the free distance at the height of the camera in 1/m, 0 where nothing is
            near. NaN where it is not known.
        outcome: how the flight ended, a string, shape ().

    """

    channels: tuple[Channel, ...]
    channel: NDArray[np.int8]
    dt: NDArray[np.float32]
    age: NDArray[np.float32]
    label: NDArray[np.float32]
    seen: NDArray[np.bool_]
    measured: Mapping[Channel, NDArray[Any]]
    sight: NDArray[np.float32]
    outcome: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.channel)

    def only(self, channels: Collection[Channel]) -> "Episode":
        """Give the episode as it would be if events of other channels had never come.

        Raises:
            ConfigError: when the episode does not hold one of these channels, or no event of any.

        """
        for channel in channels:
            if channel not in self.measured:
                raise ConfigError(f"the episode has no {channel}, which the model reads")
        kept = tuple(channel for channel in self.channels if channel in channels)
        if kept == self.channels:
            return self
        places = [self.channels.index(channel) for channel in kept]
        rows = np.isin(self.channel, places)
        if not rows.any():
            raise ConfigError(f"the episode has no event of {', '.join(kept)}")
        number = np.zeros(len(self.channels), np.int8)
        number[places] = np.arange(len(kept))
        # The time since the event before spans the events that are left out.
        time = np.cumsum(self.dt, dtype=np.float64)[rows]
        return replace(
            self,
            channels=kept,
            channel=number[self.channel[rows]],
            dt=np.diff(time, prepend=time[0]).astype(np.float32),
            age=self.age[rows],
            label=self.label[rows],
            seen=self.seen[rows],
            measured={channel: self.measured[channel] for channel in kept},
            sight=self.sight if Channel.CAMERA in kept else self.sight[:0],
        )

    def save(self, path: Path) -> None:
        """Write to `path` (.npz), whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = {name: getattr(self, name) for name in _PER_EVENT}
        arrays |= {_MEASURED + channel: rows for channel, rows in self.measured.items()}
        with whole_file(path) as staging, staging.open("wb") as file:
            np.savez(file, channels=np.array(self.channels), **arrays)

    @classmethod
    def load(cls, path: Path) -> "Episode":
        """Read what `save` wrote, today or when there were camera and IMU only.

        Raises:
            EpisodeError: when the file is missing, damaged, too large for an episode or not one.

        """
        try:
            arrays = _read_arrays(path)
            channels = tuple(map(Channel, arrays["channels"].tolist()))
            measured = {channel: arrays[_MEASURED + channel] for channel in channels}
            rest = {name: arrays[name] for name in _PER_EVENT}
            if rest["sight"].ndim == 2 and rest["sight"].shape[1] == 4:
                # From when there was no free space yet.
                unknown = np.full((len(rest["sight"]), SECTORS), np.nan, np.float32)
                rest["sight"] = np.hstack((rest["sight"], unknown))
            episode = cls(channels=channels, measured=measured, **rest)
            defect = _defect(episode)
        except Exception as error:  # whatever numpy and zipfile make of a damaged file
            words = str(error) or repr(error)
            raise EpisodeError(f"{path} is not a whole episode: {words}") from error
        if defect:
            raise EpisodeError(f"{path} is not a whole episode: {defect}")
        return episode


LARGEST = 4 * 2**30
"""Bytes that an episode may take in memory: a small file can unpack to more than there is."""

_PER_EVENT = ("channel", "dt", "age", "label", "seen", "sight", "outcome")
_MEASURED = "measured."


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of an episode's file; of a damaged one numpy and zipfile raise anything."""
    if not path.is_file():
        raise ValueError("there is no such file")
    with ZipFile(path) as members:
        unpacked = sum(member.file_size for member in members.infolist())
    if unpacked > LARGEST:
        raise ValueError(f"it unpacks to {unpacked} bytes, an episode has {LARGEST} at most")
    # numpy leaves a file open that it opened itself and cannot read.
    with path.open("rb") as file, np.load(file) as archive:
        return dict(archive) if "channels" in archive else _from_columns(archive)


def _defect(episode: Episode) -> str:
    """Tell why training cannot use an episode; empty if it can."""
    count, channels = len(episode.channel), episode.channels
    if not count:
        return "it has no event"
    if len(set(channels)) < len(channels):
        return "two of its channels are the same"
    frames = len(episode.measured.get(Channel.CAMERA, ()))
    shapes = dict.fromkeys(("channel", "dt", "age", "seen"), (count,))
    for name, shape in {**shapes, "label": (count, 4), "sight": (frames, SIGHT)}.items():
        array = getattr(episode, name)
        if array.shape != shape or array.dtype.kind not in "bif":
            return f"{name} must be numbers of shape {shape}, got {array.dtype} {array.shape}"
    for name in ("dt", "age", "label"):
        array = getattr(episode, name)
        lowest = -np.inf if name == "label" else 0.0
        if not (np.isfinite(array).all() and array.min() >= lowest):
            return f"{name} has values that are not finite, or negative times"
    for index, channel in enumerate(channels):
        rows, expected = episode.measured[channel], int((episode.channel == index).sum())
        if rows.dtype.kind not in "uif" or len(rows) != expected or np.isnan(rows).any():
            return f"it must have {expected} measurements of the {channel}, numbers and no NaN"
    if not np.isin(episode.channel, range(len(channels))).all():
        return "it has events of no channel"
    return ""


def _from_columns(archive: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Arrays of an episode from when every event had an IMU column, 0 at frames."""
    is_frame = archive["camera"]
    names = ("dt", "age", "label", "seen", "sight", "outcome")
    return {
        **{name: archive[name] for name in names},
        "channels": np.array([Channel.CAMERA, Channel.IMU]),
        "channel": np.where(is_frame, 0, 1).astype(np.int8),
        _MEASURED + Channel.CAMERA: archive["frames"],
        _MEASURED + Channel.IMU: archive["imu"][~is_frame],
    }


def load_folder(folder: Path, encoders: Sequence[Encoder]) -> list[Episode]:
    """Load every episode in a folder, in the order of the names.

    Events of channels that none of the encoders reads are left out.

    Raises:
        ConfigError: when there is none, or one does not hold what these encoders measure.
        EpisodeError: when a file is damaged.

    """
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        raise ConfigError(f"{folder} holds no episodes")
    episodes = [Episode.load(path) for path in paths]
    channels = [encoder.channel for encoder in encoders]
    for index, (path, episode) in enumerate(zip(paths, episodes, strict=True)):
        for encoder in encoders:
            rows = episode.measured.get(encoder.channel)
            if rows is None:
                raise ConfigError(f"{path} has no {encoder.channel}, which the model reads")
            if rows.shape[1:] != encoder.shape:
                raise ConfigError(
                    f"{path} has measurements of the {encoder.channel} of shape {rows.shape[1:]}, "
                    f"the model reads {encoder.shape}"
                )
        try:
            episodes[index] = episode.only(channels)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error
    return episodes


def rates(episodes: Sequence[Episode]) -> dict[str, list[float]]:
    """Give the slowest and the fastest rate of each channel over episodes, Hz, to a tenth.

    Those are the 5th and the 95th percentile of the measurements per second of an episode.
    """
    found: dict[str, list[float]] = {}
    for episode in episodes:
        seconds = float(episode.dt.sum(dtype=np.float64))
        for channel, rows in episode.measured.items():
            if seconds > 0 and len(rows):
                found.setdefault(channel.value, []).append(len(rows) / seconds)
    return {
        name: np.percentile(values, (5, 95)).round(1).tolist() for name, values in found.items()
    }


class EpisodeBuilder:
    """Collects the events of one flight.

    Args:
        encoders: what measures them; events of other channels are left out.

    """

    def __init__(self, encoders: Sequence[Encoder] = CAMERA_AND_IMU) -> None:
        self._encoders = {encoder.channel: encoder for encoder in encoders}
        self._ids = {channel: index for index, channel in enumerate(self._encoders)}
        self._rows: list[tuple[int, float, float, RawCommand, bool]] = []
        self._measured: dict[Channel, list[Measurement]] = {c: [] for c in self._encoders}
        self._sight: list[Sight] = []
        self._time: int | None = None

    def add(self, event: Event, label: RawCommand, seen: bool, sight: Sight | None = None) -> None:
        """Append an event; a frame comes with its `sight` (see `Episode`)."""
        encoder = self._encoders.get(event.channel)
        if encoder is None:
            return
        self._measured[event.channel].append(encoder.measure(event))
        if isinstance(event, CameraFrame):
            assert sight is not None
            self._sight.append(sight)
        # As in the controller: an event behind the clock advances nothing and is older than it was.
        begin = event.arrival if self._time is None else self._time
        self._time = max(begin, event.arrival)
        elapsed, age = self._time - begin, self._time - event.stamp
        row = (self._ids[event.channel], elapsed / SECOND, age / SECOND, label, seen)
        self._rows.append(row)

    def build(self, outcome: str) -> Episode:
        """Make the episode of a flight that ended in `outcome`.

        Raises:
            EpisodeError: when no event came.

        """
        if not self._rows:
            names = ", ".join(self._encoders)
            raise EpisodeError(f"the flight gave no event of {names}: there is nothing to learn")
        channel, dt, age, label, seen = zip(*self._rows, strict=True)
        measured = {
            name: np.array(self._measured[name], encoder.dtype).reshape(-1, *encoder.shape)
            for name, encoder in self._encoders.items()
        }
        return Episode(
            channels=tuple(self._encoders),
            channel=np.array(channel, np.int8),
            dt=np.array(dt, np.float32),
            age=np.array(age, np.float32),
            label=np.array(label, np.float32),
            seen=np.array(seen),
            measured=measured,
            sight=np.array(self._sight, np.float32).reshape(-1, SIGHT),
            outcome=np.array(outcome),
        )
