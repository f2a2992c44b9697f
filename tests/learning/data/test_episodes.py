"""Episodes reduced to the channels that a model reads, and files that are none."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liquid_nav.errors import ConfigError
from liquid_nav.events import SECOND, Channel, Event, Goal, Odometry, RangeSample
from liquid_nav.learning.data import episodes
from liquid_nav.learning.data.episodes import (
    SIGHT,
    Episode,
    EpisodeBuilder,
    EpisodeError,
    load_folder,
    rates,
)
from liquid_nav.learning.data.losses import command_loss, sight_loss
from liquid_nav.learning.data.sequences import PieceStream, unroll
from liquid_nav.onboard import PolicyConfig
from liquid_nav.onboard.encoders import CAMERA_AND_IMU, Encoder
from support import frame, sample, small_network

FIVE = PolicyConfig.of_channels(("camera", "imu", "goal", "range", "odometry")).encoders
KINDS: tuple[Event, ...] = (
    frame(0.0),
    sample(0.0),
    Goal(0, 0, np.ones(3)),
    RangeSample(0, 0, 2.0),
    Odometry(0, 0, np.ones(3), np.array([0.0, 0.0, 0.0, 1.0]), np.zeros(3), np.ones(3)),
)

# For each event: its kind, the time since the one before and its latency, both in microseconds.
STEPS = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 500_000), st.integers(0, 100_000)),
    min_size=1,
    max_size=60,
)


def episode(steps: Sequence[tuple[int, int, int]], encoders: Sequence[Encoder]) -> Episode:
    """The episode that a builder with these encoders makes of the events."""
    builder, now = EpisodeBuilder(encoders), SECOND
    for number, (kind, gap, latency) in enumerate(steps):
        now += gap * 1000
        event = replace(KINDS[kind], stamp=now - latency * 1000, arrival=now)
        sight = (float(number), *[0.0] * (SIGHT - 1)) if event.channel == Channel.CAMERA else None
        builder.add(event, (float(number), 0.0, 0.0, 0.0), number > 5, sight)
    return builder.build("success")


@given(steps=STEPS, order=st.permutations(FIVE))
def test_fewer_channels_are_the_episode_that_would_have_been_recorded_of_them(
    steps: list[tuple[int, int, int]], order: list[Encoder]
) -> None:
    steps = [(1, 0, 0), *steps]
    chosen = [encoder for encoder in order if encoder in CAMERA_AND_IMU]
    expected = episode(steps, chosen)
    reduced = episode(steps, order).only((Channel.CAMERA, Channel.IMU))
    assert reduced.channels == expected.channels
    np.testing.assert_allclose(reduced.dt, expected.dt, rtol=1e-6, atol=0)
    for name in ("channel", "age", "label", "seen", "sight", "outcome"):
        one, other = getattr(reduced, name), getattr(expected, name)
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    assert reduced.measured.keys() == expected.measured.keys()
    for channel, rows in expected.measured.items():
        np.testing.assert_array_equal(reduced.measured[channel], rows)


def test_training_leaves_out_what_the_model_does_not_read(tmp_path: Path) -> None:
    steps = [(kind, 10_000, 0) for kind in (2, 1, 4, 0, 3, 1, 1, 4, 0)]
    episode(steps, FIVE).save(tmp_path / "a.npz")
    (loaded,) = load_folder(tmp_path, CAMERA_AND_IMU)
    assert (len(loaded), loaded.dt.sum()) == (5, pytest.approx(0.07))
    stream = PieceStream([episode(steps, FIVE)], 1, 5, np.random.default_rng(0), augment=False)
    batch = next(iter(stream))
    np.testing.assert_allclose(batch.dt[0], [0.0, 0.02, 0.02, 0.01, 0.02], rtol=1e-6)
    assert batch.channel[0].tolist() == [1, 0, 1, 1, 0]


def test_an_episode_without_what_the_model_reads_is_one_clear_error() -> None:
    few = episode([(0, 0, 0), (1, 0, 0)], CAMERA_AND_IMU)
    with pytest.raises(ConfigError, match="has no goal, which the model reads"):
        PieceStream([few], 1, 5, np.random.default_rng(0), encoders=FIVE)
    with pytest.raises(ConfigError, match="has no event of goal"):
        episode([(0, 0, 0)], FIVE).only((Channel.GOAL,))


def test_the_rates_of_the_channels_are_those_over_all_flights() -> None:
    builder = EpisodeBuilder(CAMERA_AND_IMU)
    for index in range(201):  # 2 s at 100 Hz, and every tenth a frame.
        now = index / 100
        builder.add(sample(now), (0.0,) * 4, True)
        if index % 10 == 0:
            builder.add(frame(now), (0.0,) * 4, True, (0.0,) * SIGHT)
    flight = builder.build("success")
    assert rates([flight, flight]) == {"camera": [10.5, 10.5], "imu": [100.5, 100.5]}
    assert rates([]) == {}


def test_a_flight_without_any_event_is_one_clear_error() -> None:
    with pytest.raises(EpisodeError, match="no event of camera, imu"):
        EpisodeBuilder().build("success")
    with pytest.raises(ConfigError, match="no episode to learn from"):
        PieceStream([], 1, 5, np.random.default_rng(0))


def test_an_episode_without_frames_is_learnt_from() -> None:
    blind = episode([(1, 5_000, 0)] * 9, CAMERA_AND_IMU)
    _, network = small_network()
    batch = next(iter(PieceStream([blind], 2, 5, np.random.default_rng(0))))
    commands, encoded, *_ = unroll(network, batch, *network.initial(2))
    assert encoded[Channel.CAMERA].shape == (0, 8)
    (
        command_loss(commands, batch) + sight_loss(encoded[Channel.CAMERA][:, :4], batch.sight)
    ).backward()
    assert network.head.weight.grad is not None


CHANGES: dict[str, dict[str, Any]] = {
    "negative dt": {"dt": lambda a: -a - 61},
    "dt not finite": {"dt": lambda a: a * np.nan},
    "dt too short": {"dt": lambda a: a[:-1]},
    "dt in words": {"dt": lambda a: a.astype(str)},
    "labels of three": {"label": lambda a: a[:, :3]},
    "infinite labels": {"label": lambda a: a + np.inf},
    "a frame too few": {"measured.camera": lambda a: a[1:]},
    "complex samples": {"measured.imu": lambda a: a * 1j},
    "samples of NaN": {"measured.imu": lambda a: a * np.nan},
    "sight of other frames": {"sight": lambda a: a[1:]},
    "unknown channel": {"channel": lambda a: a + 1},
    "no events": {
        name: lambda a: a[:0]
        for name in (
            "channel",
            "dt",
            "age",
            "label",
            "seen",
            "sight",
            "measured.camera",
            "measured.imu",
        )
    },
    "an object": {"outcome": lambda a: np.array([{}], dtype=object)},
    "a channel twice": {"channels": lambda a: np.array(["camera", "camera"])},
    "no channel of that name": {"channels": lambda a: np.array(["camera", "7 of 9"])},
    "channels are numbers": {"channels": lambda a: np.array([1, 2])},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_file_that_is_not_an_episode_is_one_clear_error(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    path = tmp_path / "a.npz"
    episode([(1, 5_000, 10), (0, 5_000, 10)] * 3, CAMERA_AND_IMU).save(path)
    with np.load(path) as archive:
        arrays = dict(archive)
    for name, changed in change.items():
        arrays[name] = changed(arrays[name])
    np.savez(path, allow_pickle=True, **arrays)
    with pytest.raises(EpisodeError, match=r"a\.npz is not a whole episode"):
        load_folder(tmp_path, CAMERA_AND_IMU)


def test_an_episode_that_unpacks_to_more_than_there_is_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb.npz"
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        archive.writestr("channels.npy", bytes(2**24))
    monkeypatch.setattr(episodes, "LARGEST", 2**23)
    assert path.stat().st_size < 2**15
    with pytest.raises(EpisodeError, match="it unpacks to 16777216 bytes"):
        Episode.load(path)


def test_a_pipe_and_a_folder_in_place_of_an_episode_are_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npz")
    (tmp_path / "folder.npz").mkdir()
    for name in ("pipe.npz", "folder.npz", "nothing.npz"):
        with pytest.raises(
            EpisodeError, match=f"{name} is not a whole episode: there is no such file"
        ):
            Episode.load(tmp_path / name)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("episodes") / "whole.npz"
    episode([(1, 5_000, 10), (0, 5_000, 10)] * 3, CAMERA_AND_IMU).save(path)
    return path.read_bytes()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    where=st.floats(0, 1),
    patch=st.binary(min_size=1, max_size=40),
    keep=st.floats(0, 1) | st.just(1.0),
)
def test_no_damage_is_a_traceback(
    whole: bytes, tmp_path: Path, where: float, patch: bytes, keep: float
) -> None:
    data = bytearray(whole)
    begin = int(where * len(data))
    data[begin : begin + len(patch)] = patch
    path = tmp_path / "a.npz"
    path.write_bytes(data[: int(keep * len(data))])
    try:
        load_folder(tmp_path, CAMERA_AND_IMU)
    except (EpisodeError, ConfigError) as error:
        words = str(error)
    else:
        words = "a.npz is still whole"
    assert "a.npz" in words
