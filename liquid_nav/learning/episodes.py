"""Recorded flights as training data: event sequences with expert labels, whole files on disk."""

from dataclasses import dataclass, fields
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from liquid_nav.errors import ConfigError, LiquidNavError
from liquid_nav.events import SECOND, CameraFrame, Event, ImuSample
from liquid_nav.files import whole_file
from liquid_nav.onboard import PolicyCamera, RawCommand


class EpisodeError(LiquidNavError):
    """An episode file that cannot be read; it says which."""


@dataclass(frozen=True, eq=False)
class Episode:
    """One flight of T events, F of them camera frames, in order of arrival.

    Attributes:
        camera: bool (T,), True for a camera frame, False for an IMU sample.
        dt: float32 (T,), seconds since the event before (0 for the first).
        age: float32 (T,), seconds from stamp to arrival.
        imu: float32 (T, 6), angular velocity rad/s and specific force m/s^2; 0 at frames.
        label: float32 (T, 4), the expert's command right after each event, m/s and rad/s.
        seen: bool (T,), whether what there is to fly to has been in view up to the event.
        frames: uint8 (F, H, W, 3) RGB.
        sight: float32 (F, 4), truth at exposure: target or next gate visible (0 or 1), its azimuth
            (left) and elevation (up) in the camera's frame in radians, and its inverse range in
            1/m; NaN where nobody knows.
        outcome: how the flight ended, a string, shape ().

    """

    camera: NDArray[np.bool_]
    dt: NDArray[np.float32]
    age: NDArray[np.float32]
    imu: NDArray[np.float32]
    label: NDArray[np.float32]
    seen: NDArray[np.bool_]
    frames: NDArray[np.uint8]
    sight: NDArray[np.float32]
    outcome: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.camera)

    def save(self, path: Path) -> None:
        """Write to `path` (.npz), whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as staging, staging.open("wb") as file:
            np.savez(file, **{f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def load(cls, path: Path) -> "Episode":
        """Read what `save` wrote.

        Raises:
            EpisodeError: when the file is missing, damaged or not an episode.

        """
        try:
            # numpy leaves a file open that it opened itself and cannot read.
            with path.open("rb") as file, np.load(file) as archive:
                return cls(**{f.name: archive[f.name] for f in fields(cls)})
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise EpisodeError(f"{path} is not a whole episode: {error}") from error


def load_folder(folder: Path, camera: PolicyCamera) -> list[Episode]:
    """Every episode in a folder, by name.

    Raises:
        ConfigError: when there is none, or one is of another camera.
        EpisodeError: when a file is damaged.

    """
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        raise ConfigError(f"{folder} holds no episodes")
    episodes = [Episode.load(path) for path in paths]
    for path, episode in zip(paths, episodes, strict=True):
        if episode.frames.shape[1:3] != (camera.height, camera.width):
            _, height, width, _ = episode.frames.shape
            raise ConfigError(
                f"{path} has frames of {width}x{height}, the model sees "
                f"{camera.width}x{camera.height}"
            )
    return episodes


class EpisodeBuilder:
    """Collects the events of one flight."""

    def __init__(self) -> None:
        self._rows: list[tuple[bool, float, float, NDArray[np.float64], RawCommand, bool]] = []
        self._frames: list[NDArray[np.uint8]] = []
        self._sight: list[tuple[float, float, float, float]] = []
        self._time: int | None = None

    def add(
        self,
        event: Event,
        label: RawCommand,
        seen: bool,
        sight: tuple[float, float, float, float] | None = None,
    ) -> None:
        """Append an event; a frame comes with its `sight` (see `Episode`).

        Events that are neither frames nor inertial samples are left out.
        """
        imu = np.zeros(6)
        if isinstance(event, ImuSample):
            imu = np.concatenate((event.angular_velocity, event.specific_force))
        elif isinstance(event, CameraFrame):
            assert sight is not None
            self._frames.append(event.image)
            self._sight.append(sight)
        else:
            return
        elapsed = 0 if self._time is None else event.arrival - self._time
        self._time = event.arrival
        is_frame = isinstance(event, CameraFrame)
        self._rows.append((is_frame, elapsed / SECOND, event.latency / SECOND, imu, label, seen))

    def build(self, outcome: str) -> Episode:
        """Make the episode of a flight that ended in `outcome`."""
        camera, dt, age, imu, label, seen = zip(*self._rows, strict=True)
        return Episode(
            np.array(camera),
            np.array(dt, np.float32),
            np.array(age, np.float32),
            np.array(imu, np.float32),
            np.array(label, np.float32),
            np.array(seen),
            np.stack(self._frames),
            np.array(self._sight, np.float32),
            np.array(outcome),
        )
