"""Settings of the safety layer travel with a recording, and a replay takes them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rosbags.rosbag2 import StoragePlugin

from liquid_nav.bags.bag import Recording
from liquid_nav.command import CommandLimits
from liquid_nav.controller import Controller
from liquid_nav.errors import ConfigError
from liquid_nav.events import SECOND, Channel
from liquid_nav.onboard import Policy
from liquid_nav.recording.recorder import SETTINGS, FlightRecorder
from liquid_nav.recording.settings import Reconfigured, decode, differences, encode, limited
from liquid_nav.recording.writer import message
from liquid_nav.replay.run import Replay, replay
from liquid_nav.replay.timeline import Cut
from liquid_nav.replay.topics import NONE, Topics, find
from liquid_nav.safety.layer import Geofence, SafetyConfig, Staleness
from replay.replay_support import events, rewrite_bag

SLOW = SafetyConfig(
    limits=CommandLimits(vx=0.03, vy=0.02, vz=0.04, yaw_rate=0.05, acceleration=3.0),
    staleness={c: Staleness(0.7, 1 / 3 + 1) for c in (Channel.CAMERA, Channel.IMU)},
    recovery=0.01,
    landing_speed=0.04,
)
QUICK = replace(SLOW, limits=CommandLimits(vx=0.2, vy=0.3), recovery=0.2)


def flown(path: Path, policy: Policy, safety: SafetyConfig, change: int | None = None) -> None:
    """Record a flight with these settings, and from event number `change` on with `QUICK`."""
    controller = Controller(policy, safety)
    with FlightRecorder(path, policy.config.camera, safety=safety) as recorder:
        for number, event in enumerate(events(2.0)):
            if number == change:
                recorder.reconfigured(Reconfigured(event.arrival, QUICK))
                controller.reconfigure(QUICK, event.arrival)
            recorder.event(event)
            controller.on_event(event)
            recorder.command(controller.command(event.arrival))


def replayed(path: Path, policy: Policy, **options: object) -> Replay:
    with Recording(path) as recording:
        topics = find(recording.topics, Topics(), comparing=True)
        return replay(recording, topics, policy, **options)  # type: ignore[arg-type]


ages = st.floats(0.01, 60.0)
positive = st.floats(0.01, 100.0)


@st.composite
def settings(draw: st.DrawFn) -> SafetyConfig:
    limits = CommandLimits(*(draw(positive) for _ in range(6)))
    fence = None
    if draw(st.booleans()):
        low = [draw(st.floats(-100, 100)) for _ in range(3)]
        high = [x + draw(positive) for x in low]
        fence = Geofence((*low,), (*high,), draw(st.floats(0.001, 0.7)) * limits.acceleration)  # type: ignore[arg-type]
    channels = st.sampled_from([Channel.CAMERA, Channel.IMU, Channel.ODOMETRY])
    pairs = draw(st.dictionaries(channels, st.tuples(ages, ages)))
    return SafetyConfig(
        limits,
        {channel: Staleness(min(pair), max(pair)) for channel, pair in pairs.items()},
        draw(st.floats(0, 60)),
        limits.vz * draw(st.floats(0.01, 1.0)),
        fence,
        draw(st.dictionaries(channels, ages)),
        draw(st.booleans()),
    )


@given(settings())
def test_text_gives_back_the_same_settings(safety: SafetyConfig) -> None:
    assert decode(encode(safety)) == safety


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        '"settings"',
        '{"limits": 3}',
        '{"limits": {"warp": 9}}',
        '{"limits": {"vx": -1}}',
        '{"staleness": {"no name": {"hover": 1, "land": 2}}}',
        '{"staleness": {"camera": {"hover": 2, "land": 1}}}',
        '{"recovery": "long"}',
        '{"cross_checks": 1.0}',
        '{"geofence": {"low": [0, 0], "high": [1, 1], "deceleration": 1}}',
        '{"speed": 1}',
        '{"recovery": NaN}',
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        decode(text)


def test_what_is_not_default_is_said() -> None:
    assert differences(SafetyConfig()) == "all at their defaults"
    fence = Geofence((-1, -2, 0.5), (1, 2, 3))
    words = differences(SafetyConfig(limits=CommandLimits(vx=1.0), geofence=fence, frozen={}))
    assert "limits.vx 1.0" in words
    assert "geofence.low [-1, -2, 0.5]" in words
    assert "frozen.imu None" in words
    assert "limits.vy" not in words


def test_a_recording_of_before_there_was_a_channel_has_default_settings() -> None:
    before = {Channel.CAMERA: SafetyConfig().staleness[Channel.CAMERA]}
    assert differences(replace(SafetyConfig(), staleness=before)) == "all at their defaults"


def test_other_limits_go_over_the_settings() -> None:
    other = limited(SLOW, {"vx": 2.0, "vz": 0.01})
    assert other.limits == replace(SLOW.limits, vx=2.0, vz=0.01)
    assert other.landing_speed == 0.01
    assert other.staleness == SLOW.staleness
    with pytest.raises(ConfigError, match="unknown limit 'warp'"):
        limited(SLOW, {"warp": 9.0})


def as_it_is(path: Path) -> Path:
    return path


def as_db3(path: Path) -> Path:
    rewrite_bag(path, path.with_name("bag"), StoragePlugin.SQLITE3)
    return path.with_name("bag")


@pytest.mark.parametrize("rewrite", [as_it_is, as_db3])
@pytest.mark.parametrize("change", [None, 100])
def test_a_flight_with_other_settings_replays_to_the_same_commands(
    flow_policy: Policy, tmp_path: Path, change: int | None, rewrite: Callable[[Path], Path]
) -> None:
    flown(tmp_path / "f.mcap", flow_policy, SLOW, change)
    result = replayed(rewrite(tmp_path / "f.mcap"), flow_policy)
    assert result.comparison is not None
    assert result.comparison.identical
    assert np.abs(result.commands[-1]).max() > 0
    told = [note for note in result.notes if note.startswith("settings as recorded")]
    assert "limits.vx 0.03" in told[0]
    assert len(told) == (1 if change is None else 2)
    # It was the settings that made it so.
    with Recording(tmp_path / "f.mcap") as recording:
        topics = find(recording.topics, Topics(settings=NONE), comparing=True)
        by_default = replay(recording, topics, flow_policy)
    assert by_default.comparison is not None
    assert not by_default.comparison.identical


def test_a_part_is_replayed_with_the_settings_from_before_it(
    flow_policy: Policy, tmp_path: Path
) -> None:
    flown(tmp_path / "f.mcap", flow_policy, SafetyConfig(), change=50)
    part = replayed(tmp_path / "f.mcap", flow_policy, cut=Cut(start=1.0))
    assert part.duration == pytest.approx(1.0, abs=0.05)
    assert np.abs(part.commands[:, 0]).max() <= QUICK.limits.vx
    assert "limits.vx 0.2" in part.notes[1]


def test_settings_come_first_by_stamps_too(flow_policy: Policy, tmp_path: Path) -> None:
    flown(tmp_path / "f.mcap", flow_policy, SLOW)
    result = replayed(tmp_path / "f.mcap", flow_policy, cut=Cut(clock="stamp"))
    assert "limits.vx 0.03" in result.notes[0]
    assert np.abs(result.commands[:, 0]).max() == SLOW.limits.vx


def test_limits_that_are_asked_for_go_over_recorded_ones(
    flow_policy: Policy, tmp_path: Path
) -> None:
    flown(tmp_path / "f.mcap", flow_policy, SLOW, change=100)
    result = replayed(tmp_path / "f.mcap", flow_policy, limits={"vx": 0.01})
    assert np.abs(result.commands[:, 0]).max() == 0.01


def test_settings_that_are_none_are_counted_and_left_out(
    flow_policy: Policy, tmp_path: Path
) -> None:
    with FlightRecorder(tmp_path / "f.mcap", flow_policy.config.camera) as recorder:
        for event in events(0.2):
            recorder.event(event)
        wrong = message("std_msgs/msg/String", data='{"recovery": -1}')
        recorder.write(SETTINGS, wrong, SECOND)
    with Recording(tmp_path / "f.mcap") as recording:
        topics = find(recording.topics, Topics(), comparing=False)
        result = replay(recording, topics, flow_policy)
    assert result.damage.undecodable == {SETTINGS: 1}
    assert any("recovery must be in" in note for note in result.damage.notes)
    assert result.events > 40
