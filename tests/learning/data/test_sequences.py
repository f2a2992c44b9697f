"""Training sees the numbers that flight gives, and its data survives the disk."""

from pathlib import Path

import numpy as np
import pytest
import torch

from liquid_nav.events import CameraFrame, Channel, Event, ImuSample, RangeSample
from liquid_nav.learning.data.episodes import (
    SECTORS,
    SIGHT,
    Episode,
    EpisodeBuilder,
    EpisodeError,
)
from liquid_nav.learning.data.losses import command_loss, sight_loss
from liquid_nav.learning.data.sequences import PieceStream, unroll
from liquid_nav.policy import make_policy
from support import frame, sample, small_network


def log(seed: int, count: int) -> list[Event]:
    """Frames and samples with gaps, in order of arrival."""
    rng = np.random.default_rng(seed)
    now, made = 0.0, []
    for k in range(count):
        now += float(rng.choice([0.0, 0.005, 0.03, 0.4]))
        latency = min(now, float(rng.uniform(0, 0.05)))
        make = frame if rng.random() < 0.3 else sample
        made.append(make(now - latency, latency, 100 * seed + k))
    return made


def episode(events: list[Event], seed: int = 0) -> Episode:
    rng = np.random.default_rng(seed)
    builder = EpisodeBuilder()
    for k, event in enumerate(events):
        sight = tuple(rng.normal(size=SIGHT)) if isinstance(event, CameraFrame) else None
        builder.add(event, tuple(rng.normal(size=4)), k > len(events) // 2, sight)
    return builder.build("success")


def assert_same(one: Episode, other: Episode) -> None:
    assert one.channels == other.channels
    for channel in one.channels:
        np.testing.assert_array_equal(one.measured[channel], other.measured[channel])
    for name in ("channel", "dt", "age", "label", "seen", "sight", "outcome"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_events_that_are_not_learned_from_take_no_time_away() -> None:
    label = (0.0,) * 4
    plain, mixed = EpisodeBuilder(), EpisodeBuilder()
    for builder in (plain, mixed):
        for k, event in enumerate(log(1, 20)):
            if builder is mixed:
                builder.add(RangeSample(event.stamp, event.arrival - k % 3, 1.0), label, True)
            sight = (0.0,) * SIGHT if isinstance(event, CameraFrame) else None
            builder.add(event, label, True, sight)
    one, other = plain.build("success"), mixed.build("success")
    assert one.dt.tolist() == other.dt.tolist()
    assert len(one.dt) == 20


@pytest.mark.parametrize("cell", ["liquid_flow", "ltc"])
def test_unrolling_gives_the_numbers_of_flight(cell: str) -> None:
    config, network = small_network(cell)
    policy = make_policy(config, network)
    flights = [log(1, 47), log(2, 60)]
    expected = []
    for events in flights:
        memory, raws, last = policy.initial(), [], None
        for event in events:
            elapsed = 0 if last is None else event.arrival - last
            last = event.arrival
            memory, raw = policy.on_event(memory, event, elapsed, event.latency)
            raws.append(raw)
        expected.append(np.array(raws))
    # Three pieces: the second flight's state has to survive two cuts, the first flight's ends.
    streams = [
        iter(PieceStream([episode(events)], 1, 20, np.random.default_rng(0), augment=False))
        for events in flights
    ]
    for stream, raws in zip(streams, expected, strict=True):
        state, latch = network.initial(1)
        got = []
        for _ in range(3):
            batch = next(stream)
            with torch.no_grad():
                commands, _, state, latch = unroll(network, batch, state, latch)
            got.append(commands[batch.valid].numpy())
        np.testing.assert_allclose(np.concatenate(got), raws, atol=2e-5)


def test_lanes_do_not_mix() -> None:
    _, network = small_network()
    episodes = [episode(log(1, 40)), episode(log(2, 40))]
    single = [
        next(iter(PieceStream([e], 1, 40, np.random.default_rng(0), augment=False)))
        for e in episodes
    ]
    stream = PieceStream(episodes, 8, 40, np.random.default_rng(3), augment=False)
    both = next(iter(stream))
    with torch.no_grad():
        alone = [unroll(network, batch, *network.initial(1))[0][0] for batch in single]
        together = unroll(network, both, *network.initial(8))[0]
    matches = [min(float((lane - one).abs().max()) for one in alone) for lane in together]
    assert max(matches) < 1e-5
    assert float((alone[0] - alone[1]).abs().max()) > 1e-2


def test_every_piece_of_an_episode_comes_once_and_in_order() -> None:
    whole = episode(log(5, 95))
    stream = iter(PieceStream([whole], 1, 30, np.random.default_rng(0), augment=False))
    pieces = [next(stream) for _ in range(5)]
    assert [bool(piece.fresh[0]) for piece in pieces] == [True, False, False, False, True]
    labels = torch.cat([piece.label[piece.valid] for piece in pieces[:4]])
    np.testing.assert_array_equal(labels, whole.label)
    for index, channel in enumerate(whole.channels):
        rows = torch.cat([piece.measured[index] for piece in pieces[:4]])
        np.testing.assert_array_equal(rows, whole.measured[channel])


def test_mirroring_is_a_reflection_that_keeps_the_search() -> None:
    whole = episode(log(6, 64))
    frames, samples = whole.measured[Channel.CAMERA], whole.measured[Channel.IMU]
    for seed in range(20):
        rng = np.random.default_rng(seed)
        stream = PieceStream([whole], 1, 64, rng)
        batch = next(iter(stream))
        if not torch.equal(batch.measured[1], torch.from_numpy(samples)):
            break
    else:
        pytest.fail("never mirrored in 20 draws")
    # Roll and yaw rates, and the sideways force, change sign under y -> -y.
    np.testing.assert_array_equal(batch.measured[1], samples * [-1, 1, -1, 1, -1, 1])
    seen = whole.seen
    np.testing.assert_array_equal(batch.label[0][~seen], whole.label[~seen])
    np.testing.assert_array_equal(batch.label[0][seen], (whole.label * [1, -1, 1, -1])[seen])
    np.testing.assert_array_equal(batch.sight[:, :4], whole.sight[:, :4] * [1, -1, 1, 1])
    np.testing.assert_array_equal(batch.sight[:, 4:].flip(1), whole.sight[:, 4:])
    dark = batch.measured[0].numpy().astype(float).mean((1, 2)) / frames.mean((1, 2))
    assert np.ptp(dark, axis=0).max() < 0.05  # one light for the whole piece


def test_losses_ignore_what_is_not_there() -> None:
    whole = episode(log(7, 25))
    batch = next(iter(PieceStream([whole], 1, 40, np.random.default_rng(0), augment=False)))
    commands = batch.label.clone()
    commands[~batch.valid] += 100.0
    assert command_loss(commands, batch) == 0.0
    commands[0, 0, 0] += 1.0
    assert command_loss(commands, batch) == pytest.approx((1.0 - 0.1) / (25 * 4))
    free = torch.rand(2, SECTORS)
    sight = torch.cat((torch.tensor([[0.0, 5.0, 5.0, 5.0], [1.0, 0.1, 0.2, 0.3]]), free), dim=1)
    guess = torch.cat((torch.tensor([[-50.0, 0.0, 0.0, 0.0], [50.0, 0.1, 0.2, 0.3]]), free), dim=1)
    assert sight_loss(guess, sight) == pytest.approx(0.0, abs=1e-6)
    for part in (slice(0, 4), slice(4, None)):
        wrong = guess.clone()
        wrong[:, part] += 1.0
        assert sight_loss(wrong, sight) > 0.5


def test_an_episode_survives_the_disk_whole(tmp_path: Path) -> None:
    whole = episode(log(8, 30))
    path = tmp_path / "round0" / "1.npz"
    whole.save(path)
    again = Episode.load(path)
    assert_same(again, whole)
    assert [entry.name for entry in path.parent.iterdir()] == ["1.npz"]
    data = path.read_bytes()
    for keep in (0, 10, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:keep])
        with pytest.raises(EpisodeError, match=r"1\.npz"):
            Episode.load(path)
    with pytest.raises(EpisodeError):
        Episode.load(tmp_path / "none.npz")


def test_only_what_the_policy_reads_becomes_a_row() -> None:
    events = log(9, 12)
    built = episode(events)
    assert len(built) == 12
    frames = [event for event in events if isinstance(event, CameraFrame)]
    samples = [event for event in events if isinstance(event, ImuSample)]
    assert [built.channels[k] for k in built.channel] == [event.channel for event in events]
    np.testing.assert_array_equal(built.measured[Channel.CAMERA], [f.image for f in frames])
    expected = [[*s.angular_velocity, *s.specific_force] for s in samples]
    np.testing.assert_allclose(built.measured[Channel.IMU], expected, rtol=1e-6)


def test_an_episode_of_an_older_version_is_read(tmp_path: Path) -> None:
    """One that had a column of six numbers for the IMU, zero at frames."""
    whole = episode(log(9, 12))
    is_frame = whole.channel == 0
    imu = np.zeros((12, 6), np.float32)
    imu[~is_frame] = whole.measured[Channel.IMU]
    names = ("dt", "age", "label", "seen", "sight", "outcome")
    same = {name: getattr(whole, name) for name in names}
    frames = whole.measured[Channel.CAMERA]
    np.savez(tmp_path / "old.npz", camera=is_frame, imu=imu, frames=frames, **same)
    assert_same(Episode.load(tmp_path / "old.npz"), whole)
