"""Training sees an optional channel fall silent as flight does."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_nav.events import SECOND, Channel, Event, ImuSample, RangeSample
from liquid_nav.learning.data.episodes import Episode, EpisodeBuilder
from liquid_nav.learning.data.sequences import PieceStream, unroll
from liquid_nav.learning.data.silence import with_silences
from liquid_nav.onboard import PolicyConfig
from liquid_nav.onboard.inference import Inference
from liquid_nav.policy import PolicyNetwork, make_policy

CONFIG = replace(
    PolicyConfig.of_channels(["imu", "range"], optional=("range",)), units=6, direct=("range",)
)
ENCODERS = CONFIG.encoders


def flight(gaps: list[float], latencies: list[float]) -> list[Event]:
    """Inertial samples at 20 Hz, and ranges with gaps and latencies in seconds, as they arrive.

    Nothing expires at the instant of an event: the episode keeps times in single precision.
    """
    events: list[Event] = []
    now = 0.1003
    for gap, latency in zip(gaps, latencies, strict=True):
        now += gap
        stamp = round(now * SECOND)
        events.append(RangeSample(stamp, stamp + round(latency * SECOND), 1.0 + now % 3))
    end = max(event.arrival for event in events) + SECOND
    for k in range(0, end, SECOND // 20):
        turn = np.array([0.1 * np.sin(k / SECOND), 0.0, 0.2])
        events.append(ImuSample(k, k, turn, np.array([0.0, 0.1, 9.8])))
    return sorted(events, key=lambda event: event.arrival)


def episode(events: list[Event]) -> Episode:
    builder = EpisodeBuilder(ENCODERS)
    for event in events:
        builder.add(event, (0.0,) * 4, True)
    return builder.build("success")


@settings(max_examples=25, deadline=None)
@given(
    gaps=st.lists(st.sampled_from([0.031, 0.203, 0.507, 1.311]), min_size=1, max_size=12),
    data=st.data(),
)
def test_training_sees_the_numbers_of_flight_while_a_channel_expires(
    gaps: list[float], data: st.DataObject
) -> None:
    latency = st.sampled_from([0.0, 0.041, 0.493, 0.607])
    latencies = data.draw(st.lists(latency, min_size=len(gaps), max_size=len(gaps)))
    events = flight(gaps, latencies)
    torch.manual_seed(0)
    network = PolicyNetwork(CONFIG).eval()
    inference = Inference(make_policy(CONFIG, network))
    inference.configure({})
    expected = []
    for event in events:
        assert inference.on_event(event, event.arrival) == ""
        expected.append(inference.raw_at(event.arrival))
    heard, _ = with_silences(episode(events), [ENCODERS[1]], None)
    stream = PieceStream(
        [episode(events)],
        1,
        len(heard),
        np.random.default_rng(0),
        augment=False,
        encoders=ENCODERS,
        optional=CONFIG.optional,
    )
    batch = next(iter(stream))
    with torch.no_grad():
        commands = unroll(network, batch, *network.initial(1))[0][0]
    # The rows of events, without those of expiries between them.
    time = batch.dt[0].double().cumsum(0)
    got = []
    for event in events:
        at = (event.arrival - events[0].arrival) / SECOND
        near = commands[(time - at).abs() < 1e-5]
        got.append(near)
    for rows, raw in zip(got, expected, strict=True):
        distance = (rows - torch.tensor(raw)).abs().amax(1)
        assert float(distance.min()) < 1e-4


def test_a_channel_that_never_comes_leaves_zeros_in_the_latch() -> None:
    whole = episode(flight([0.1] * 30, [0.0] * 30))
    kinds = set()
    for seed in range(40):
        heard, present = with_silences(whole, [ENCODERS[1]], np.random.default_rng(seed))
        own = heard.channel == heard.channels.index(Channel.RANGE)
        assert len(heard.measured[Channel.RANGE]) == own.sum()
        assert (heard.dt >= 0).all()
        assert heard.dt.sum() == pytest.approx(whole.dt.sum(), abs=0.11)
        assert present[~own].all()
        kinds.add("never" if not own.any() else "ends" if own.sum() < 30 else "stays")
        if own.any():
            last = np.flatnonzero(own)[-1]
            assert not present[last]
            assert heard.age[last] == 0
    assert kinds == {"never", "ends", "stays"}
