"""Episodes reduced to the channels that a model reads."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liquid_nav.errors import ConfigError
from liquid_nav.events import SECOND, Channel, Event, Goal, Odometry, RangeSample
from liquid_nav.learning.episodes import Episode, EpisodeBuilder, load_folder, rates
from liquid_nav.learning.sequences import PieceStream
from liquid_nav.onboard import PolicyConfig
from liquid_nav.onboard.encoders import CAMERA_AND_IMU, Encoder
from support import frame, sample

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
        sight = (float(number), 0.0, 0.0, 0.0) if event.channel == Channel.CAMERA else None
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
            builder.add(frame(now), (0.0,) * 4, True, (0.0,) * 4)
    flight = builder.build("success")
    assert rates([flight, flight]) == {"camera": 10.5, "imu": 100.5}
    assert rates([]) == {}
