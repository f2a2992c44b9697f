"""Event sequences through the network: batches of episode pieces, unrolled as flight would."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from liquid_nav.errors import ConfigError
from liquid_nav.events import Channel
from liquid_nav.learning.data.episodes import Episode
from liquid_nav.learning.data.images import ImageChange
from liquid_nav.learning.data.silence import with_silences
from liquid_nav.onboard.encoders import CAMERA_AND_IMU, Encoder
from liquid_nav.policy import PolicyNetwork


@dataclass(frozen=True, eq=False)
class Batch:
    """Pieces of B episodes, K events each; F camera frames in all.

    Attributes:
        fresh: bool (B,), True where a new episode begins.
        valid: bool (B, K), False where the episode is already over.
        present: bool (B, K), False where the features of an event are zeros: an optional channel
            has expired.
        channel: int64 (B, K), index of the encoder that reads each event; -1 where not valid.
        dt, age: float32 (B, K), seconds.
        label: float32 (B, K, 4), m/s and rad/s.
        measured: for each encoder, what it measured, a row for each of its events, piece by piece.
        sight: float32 (F, SIGHT), see `Episode.sight`.

    """

    fresh: Tensor
    valid: Tensor
    present: Tensor
    channel: Tensor
    dt: Tensor
    age: Tensor
    label: Tensor
    measured: tuple[Tensor, ...]
    sight: Tensor

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        moved["measured"] = tuple(some.to(device) for some in self.measured)
        return Batch(**{n: v.to(device) if n != "measured" else v for n, v in moved.items()})


def unroll(
    network: PolicyNetwork, batch: Batch, state: Tensor, latch: Tensor, fast: bool = False
) -> tuple[Tensor, dict[str, Tensor], Tensor, Tensor]:
    """Run a batch through the network with the numbers that flight gives, event by event.

    Args:
        network: the policy network; `Batch.channel` counts its encoders.
        batch: the events.
        state, latch: (B, N) and (B, L), what the piece before left.
        fast: whether frames are encoded in bfloat16.

    Returns:
        commands (B, K, 4) right after each event, the encoded measurements by channel, a row for
        each event of that channel, and the state and latch after the last event.

    """
    pieces, length = batch.channel.shape
    rows = torch.arange(pieces, device=latch.device).unsqueeze(1).expand(pieces, length)
    encoded, latches, begin = {}, [], 0
    for index, (channel, encoder) in enumerate(network.encoders.items()):
        own = batch.channel == index
        bfloat16 = fast and channel == Channel.CAMERA.value
        with torch.autocast(latch.device.type, torch.bfloat16, enabled=bfloat16):
            features = encoder(batch.measured[index], batch.age[own]).to(latch.dtype)
        features = features * batch.present[own].unsqueeze(1)
        # Row of the newest measurement: that in the latch of before, or one of the piece.
        numbers = (own.flatten().cumsum(0) - 1).view(pieces, length)
        newest = torch.where(own, numbers, -1).cummax(1).values
        chosen = torch.where(newest < 0, rows, newest + pieces)
        held = latch[:, begin : begin + features.shape[1]]
        latches.append(torch.nn.functional.embedding(chosen, torch.cat((held, features), dim=0)))
        encoded[channel] = features
        begin += features.shape[1]
    after = torch.cat(latches, dim=2)
    inputs = torch.cat((latch.unsqueeze(1), after[:, :-1]), dim=1)
    states, state = network.core(inputs, batch.dt, state)
    return network(states, after), encoded, state, after[:, -1]


class _Piece(NamedTuple):
    """Piece of one episode, padded to K events; fields as in `Batch`, without B."""

    fresh: NDArray[Any]
    valid: NDArray[Any]
    present: NDArray[Any]
    channel: NDArray[Any]
    dt: NDArray[Any]
    age: NDArray[Any]
    label: NDArray[Any]
    measured: list[NDArray[Any]]
    sight: NDArray[Any]


class PieceStream:
    """Cuts episodes into pieces so that each of B lanes reads whole episodes from their start.

    The liquid state is carried from piece to piece, so memory longer than a piece is trained in
    the states that flight really reaches.

    Args:
        episodes: the data.
        lanes: B, the batch size.
        length: K, events in a piece.
        rng: order of episodes, mirroring and changes of the images.
        augment: mirror half of the episodes left to right, and change the images of each.
        encoders: of the network, in its order; events of other channels are left out.
        optional: channels that fall silent in some of the flights, if `augment` is set, and expire.

    Raises:
        ConfigError: when there is no episode, or one does not hold a channel that the network
            reads.

    """

    def __init__(
        self,
        episodes: Sequence[Episode],
        lanes: int,
        length: int,
        rng: np.random.Generator,
        augment: bool = True,
        encoders: Sequence[Encoder] = CAMERA_AND_IMU,
        optional: Collection[str] = (),
    ) -> None:
        if not episodes:
            raise ConfigError("there is no episode to learn from")
        channels = [encoder.channel for encoder in encoders]
        self._episodes = [episode.only(channels) for episode in episodes]
        self._lanes = lanes
        self._length = length
        self._rng = rng
        self._augment = augment
        self._encoders = encoders
        self._optional = [encoder for encoder in encoders if encoder.channel in optional]

    def batches_per_epoch(self) -> int:
        """Give about how many batches one pass over the data makes."""
        pieces = sum(-(-len(episode) // self._length) for episode in self._episodes)
        return max(1, pieces // self._lanes)

    def __iter__(self) -> Iterator[Batch]:
        """Give batches for ever."""
        lanes = [self._lane() for _ in range(self._lanes)]
        while True:
            yield _stack([next(lane) for lane in lanes])

    def _lane(self) -> Iterator[_Piece]:
        while True:
            episode, present = with_silences(
                self._episodes[int(self._rng.integers(len(self._episodes)))],
                self._optional,
                self._rng if self._augment else None,
            )
            mirrored = self._augment and self._rng.random() < 0.5
            change = ImageChange.drawn(self._rng).filter(self._rng)
            ids = {encoder.channel: index for index, encoder in enumerate(self._encoders)}
            channel = np.array([ids[name] for name in episode.channels])[episode.channel]
            used = [0] * len(self._encoders)
            for begin in range(0, len(episode), self._length):
                piece = slice(begin, begin + self._length)
                measured, sight = [], episode.sight[:0]
                for index, encoder in enumerate(self._encoders):
                    rows = slice(used[index], used[index] + int((channel[piece] == index).sum()))
                    used[index] = rows.stop
                    some = episode.measured[encoder.channel][rows]
                    if mirrored:
                        some = encoder.mirrored(some)
                    if encoder.channel == Channel.CAMERA:
                        sight = episode.sight[rows]
                        some = change(some) if self._augment else some
                    measured.append(some)
                label = episode.label[piece]
                if mirrored:
                    label, sight = _mirrored(label, episode.seen[piece], sight)
                yield _Piece(
                    fresh=np.array(begin == 0),
                    valid=_padded(np.ones(len(label), bool), self._length),
                    present=_padded(present[piece], self._length),
                    channel=_padded(channel[piece] + 1, self._length) - 1,
                    dt=_padded(episode.dt[piece], self._length),
                    age=_padded(episode.age[piece], self._length),
                    label=_padded(label, self._length),
                    measured=measured,
                    sight=sight,
                )


def _mirrored(
    label: NDArray[Any], seen: NDArray[np.bool_], sight: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Swap left and right in labels and sight, but not in the search before the first sight.

    That search turns to the left in every flight.
    """
    swapped = label * np.array([1, -1, 1, -1], np.float32)
    label = np.where(seen[:, None], swapped, label)
    aim, free = sight[:, :4], sight[:, 4:]
    return label, np.hstack((aim * np.array([1, -1, 1, 1], np.float32), free[:, ::-1]))


def _padded(array: NDArray[Any], length: int) -> NDArray[Any]:
    """Append zeros up to a length."""
    return np.pad(array, [(0, length - len(array))] + [(0, 0)] * (array.ndim - 1))


def _stack(pieces: Sequence[_Piece]) -> Batch:
    def stacked(name: str) -> Tensor:
        return torch.from_numpy(np.stack([getattr(piece, name) for piece in pieces]))

    def joined(rows: Sequence[NDArray[Any]]) -> Tensor:
        return torch.from_numpy(np.concatenate(rows))

    return Batch(
        **{
            name: stacked(name)
            for name in ("fresh", "valid", "present", "channel", "dt", "age", "label")
        },
        measured=tuple(map(joined, zip(*(piece.measured for piece in pieces), strict=True))),
        sight=joined([piece.sight for piece in pieces]),
    )
