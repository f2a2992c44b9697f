"""Events of every channel through a recording: what comes back is the same, bit for bit."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_nav.bags.bag import Recording
from liquid_nav.bags.records import Damage
from liquid_nav.events import (
    SECOND,
    CameraFrame,
    Channel,
    Event,
    Goal,
    ImuSample,
    Odometry,
    OperatorStop,
    RangeSample,
    bits,
)
from liquid_nav.messages.camera import CameraAdapter
from liquid_nav.messages.plug import (
    SensorSetup,
    channel_types,
    message_of,
    writable_message,
)
from liquid_nav.onboard import PolicyCamera
from liquid_nav.recording.recorder import FlightRecorder
from liquid_nav.recording.writer import message
from liquid_nav.replay.calibration import find_camera_info
from liquid_nav.replay.decoder import EventDecoder
from liquid_nav.replay.timeline import Cut, timeline
from liquid_nav.replay.topics import Topics, find

CAMERA = PolicyCamera(32, 24)
numbers = st.floats(allow_nan=False, width=64)
vectors = st.tuples(numbers, numbers, numbers)
# A force of zero is that of a dead sensor.
forces = vectors.filter(any)
seeds = st.integers(0, 2**32 - 1)


def image(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (24, 32, 3), dtype=np.uint8)


def unit(seed: int) -> np.ndarray:
    quaternion = np.random.default_rng(seed).normal(size=4)
    return quaternion / np.linalg.norm(quaternion)


def at(make: Callable[..., Event], *values: Any) -> st.SearchStrategy[Event]:
    """Events within the age that a message may have."""
    return st.builds(
        lambda stamp, latency, *rest: make(stamp, stamp + latency, *rest),
        st.integers(SECOND, 50 * SECOND),
        st.integers(0, SECOND),
        *values,
    )


KINDS = {
    Channel.CAMERA: at(CameraFrame, seeds.map(image)),
    Channel.IMU: at(ImuSample, vectors, forces),
    Channel.GOAL: at(Goal, vectors),
    Channel.RANGE: at(RangeSample, st.floats()),
    Channel.ODOMETRY: at(Odometry, vectors, seeds.map(unit), vectors, vectors),
    Channel.OPERATOR: st.builds(
        lambda now, engaged: OperatorStop(now, now, engaged),
        st.integers(SECOND, 50 * SECOND),
        st.booleans(),
    ),
}


def facts(event: Event) -> tuple[Any, ...]:
    return event.channel, event.stamp, event.arrival, bits(event)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.one_of(*KINDS.values()), min_size=1, max_size=20))
def test_every_event_comes_back_from_a_recording(flight: list[Event]) -> None:
    flight.sort(key=lambda event: event.arrival)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "flight.mcap"
        with FlightRecorder(path, CAMERA) as recorder:
            for event in flight:
                recorder.event(event)
            # So that a flight of the operator's stops alone is one.
            end = flight[-1].arrival
            recorder.event(ImuSample(end, end, (0, 0, 0), (0, 0, 9.8)))
        with Recording(path) as recording:
            topics = find(recording.topics, Topics(), comparing=False, reads=tuple(KINDS))
            decoder = EventDecoder(topics, CAMERA, find_camera_info(recording, topics), None)
            items = list(timeline(recording, topics, decoder, Cut(), Damage()))
    assert [facts(event) for event in items[:-1] if isinstance(event, Event)] == [
        facts(event) for event in flight
    ]


@pytest.mark.parametrize("channel", KINDS)
def test_every_channel_has_a_message_that_decodes_what_it_encodes(channel: Channel) -> None:
    kind = writable_message(channel)
    assert kind is not None
    assert kind.type in channel_types()[channel]
    setup = SensorSetup(CameraAdapter(CAMERA))

    @settings(deadline=None, max_examples=30)
    @given(KINDS[channel])
    def round_trip(event: Event) -> None:
        content = message(kind.type, **kind.encode(event))
        assert facts(kind.decode(content, event.arrival, setup)) == facts(event)

    round_trip()


def test_a_type_that_does_not_carry_a_channel_is_refused_with_those_that_do() -> None:
    types = "sensor_msgs/msg/Imu or px4_msgs/msg/SensorCombined"
    with pytest.raises(Exception, match=f"'std_msgs/msg/Bool' carries no imu, which is {types}"):
        message_of(Channel.IMU, "std_msgs/msg/Bool")


def test_an_event_without_a_message_is_left_out_of_a_recording(tmp_path: Path) -> None:
    class Smell(Event):
        channel = Channel("smell")

    with FlightRecorder(tmp_path / "flight.mcap", CAMERA) as recorder:
        recorder.event(Smell(0, 1))
        recorder.event(Goal(0, 1, (1, 2, 3)))
    with Recording(tmp_path / "flight.mcap") as recording:
        topics = {m.topic.name for m in recording.messages(set(recording.topics))}
    assert topics == {"/goal_pose"}


def test_a_field_that_a_message_does_not_have_is_an_error() -> None:
    with pytest.raises(TypeError, match="rang"):
        message("sensor_msgs/msg/Range", rang=1.0)
