"""Event sequences through the network: batches of episode pieces, unrolled as flight would."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from liquid_nav.learning.episodes import Episode
from liquid_nav.policy import PolicyNetwork


@dataclass(frozen=True, eq=False)
class Batch:
    """Pieces of B episodes, K events each; F frames in all.

    Attributes:
        fresh: bool (B,), True where a new episode begins.
        valid: bool (B, K), False where the episode is already over.
        camera: bool (B, K), True at frames, which `frames` holds row by row.
        dt, age: float32 (B, K), seconds.
        imu: float32 (B, K, 6).
        label: float32 (B, K, 4), m/s and rad/s.
        frames: uint8 (F, H, W, 3).
        sight: float32 (F, 4), see `Episode.sight`.

    """

    fresh: Tensor
    valid: Tensor
    camera: Tensor
    dt: Tensor
    age: Tensor
    imu: Tensor
    label: Tensor
    frames: Tensor
    sight: Tensor


def unroll(
    network: PolicyNetwork, batch: Batch, state: Tensor, latch: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Run a batch through the network with the numbers that flight gives, event by event.

    Args:
        network: the policy network.
        batch: the events.
        state, latch: (B, N) and (B, L), what the piece before left.

    Returns:
        commands (B, K, 4) right after each event, encoded frames (F, camera_features), and the
        state and latch after the last event.

    """
    pieces, length = batch.camera.shape
    features = network.camera_features
    frames = network.camera(batch.frames, batch.age[batch.camera])
    samples = network.imu(torch.cat((batch.imu, batch.age.unsqueeze(2)), dim=2).flatten(0, 1))
    # Row of the newest measurement of each channel: the latch of before, or one of the piece.
    positions = torch.arange(length).expand(pieces, length)
    rows = torch.arange(pieces).unsqueeze(1).expand(pieces, length)
    numbers = (batch.camera.flatten().cumsum(0) - 1).view(pieces, length)
    none = torch.full_like(positions, -1)
    newest_frame = torch.where(batch.camera, numbers, none).cummax(1).values
    newest_sample = torch.where(batch.camera, none, positions).cummax(1).values
    frame_rows = torch.where(newest_frame < 0, rows, newest_frame + pieces)
    sample_rows = torch.where(newest_sample < 0, rows, rows * length + newest_sample + pieces)
    seen = torch.nn.functional.embedding(
        frame_rows, torch.cat((latch[:, :features], frames), dim=0)
    )
    felt = torch.nn.functional.embedding(
        sample_rows, torch.cat((latch[:, features:], samples), dim=0)
    )
    latches = torch.cat((seen, felt), dim=2)
    inputs = torch.cat((latch.unsqueeze(1), latches[:, :-1]), dim=1)
    states, state = network.core(inputs, batch.dt, state)
    return network(states, latches), frames, state, latches[:, -1]


class PieceStream:
    """Cuts episodes into pieces so that each of B lanes reads whole episodes from their start.

    The liquid state is carried from piece to piece, so memory longer than a piece is trained in
    the states that flight really reaches.

    Args:
        episodes: the data.
        lanes: B, the batch size.
        length: K, events in a piece.
        rng: order of episodes, mirroring and light.
        augment: mirror half of the episodes left to right and vary the light.

    """

    def __init__(
        self,
        episodes: Sequence[Episode],
        lanes: int,
        length: int,
        rng: np.random.Generator,
        augment: bool = True,
    ) -> None:
        self._episodes = episodes
        self._lanes = lanes
        self._length = length
        self._rng = rng
        self._augment = augment

    def batches_per_epoch(self) -> int:
        """How many batches one pass over the data makes, about."""
        pieces = sum(-(-len(episode) // self._length) for episode in self._episodes)
        return max(1, pieces // self._lanes)

    def __iter__(self) -> Iterator[Batch]:
        """Give batches for ever."""
        lanes = [self._lane() for _ in range(self._lanes)]
        while True:
            yield _stack([next(lane) for lane in lanes])

    def _lane(self) -> Iterator[dict[str, NDArray[Any]]]:
        while True:
            episode = self._episodes[int(self._rng.integers(len(self._episodes)))]
            mirrored = self._augment and self._rng.random() < 0.5
            light = self._rng.uniform(0.65, 1.3) * self._rng.uniform(0.8, 1.25, 3)
            frame = 0
            for begin in range(0, len(episode), self._length):
                piece = slice(begin, begin + self._length)
                camera = episode.camera[piece]
                frames = slice(frame, frame + int(camera.sum()))
                frame = frames.stop
                arrays: dict[str, NDArray[Any]] = {
                    "camera": camera,
                    "dt": episode.dt[piece],
                    "age": episode.age[piece],
                    "imu": episode.imu[piece],
                    "label": episode.label[piece],
                    "frames": episode.frames[frames],
                    "sight": episode.sight[frames],
                }
                if mirrored:
                    _mirror(arrays, episode.seen[piece])
                if self._augment and len(arrays["frames"]):
                    arrays["frames"] = _relight(arrays["frames"], light)
                yield _pad(arrays, self._length) | {"fresh": np.array(begin == 0)}


def _relight(frames: NDArray[Any], light: NDArray[np.float64]) -> NDArray[Any]:
    """Scale the colours of frames (F, H, W, 3) by `light` (3,)."""
    table = np.minimum(np.arange(256)[:, None] * light, 255).astype(np.uint8)
    _, _, width, _ = frames.shape
    lit: NDArray[Any] = cv2.LUT(frames.reshape(-1, width, 3), table[None])
    return lit.reshape(frames.shape)


def _mirror(arrays: dict[str, NDArray[Any]], seen: NDArray[np.bool_]) -> None:
    """Turn left into right. The search before the first sight stays what it is: to the left."""
    arrays["frames"] = arrays["frames"][:, :, ::-1]
    arrays["imu"] = arrays["imu"] * np.array([-1, 1, -1, 1, -1, 1], np.float32)
    swapped = arrays["label"] * np.array([1, -1, 1, -1], np.float32)
    arrays["label"] = np.where(seen[:, None], swapped, arrays["label"])
    arrays["sight"] = arrays["sight"] * np.array([1, -1, 1, 1], np.float32)


def _pad(arrays: dict[str, NDArray[Any]], length: int) -> dict[str, NDArray[Any]]:
    valid = np.ones(len(arrays["camera"]), bool)
    padded = {"valid": valid} | arrays
    for name, array in padded.items():
        missing = length - len(array)
        if name not in ("frames", "sight") and missing:
            padded[name] = np.pad(array, [(0, missing)] + [(0, 0)] * (array.ndim - 1))
    return padded


def _stack(pieces: Sequence[dict[str, NDArray[Any]]]) -> Batch:
    def joined(name: str) -> Tensor:
        join = np.concatenate if name in ("frames", "sight") else np.stack
        return torch.from_numpy(join([piece[name] for piece in pieces]))

    return Batch(**{name: joined(name) for name in Batch.__dataclass_fields__})
