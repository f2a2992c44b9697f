"""Silences of a channel: found by its own period, also at both ends of the recording."""

from pathlib import Path

import numpy as np
import pytest

from liquid_nav.command import Mode
from liquid_nav.events import SECOND, CameraFrame, Channel, Event, ImuSample
from liquid_nav.messages.image import ImageMessage
from liquid_nav.messages.imu import ImuMessage
from liquid_nav.onboard import Policy
from liquid_nav.recording.writer import McapWriter, message
from liquid_nav.replay.report.charts import TimeAxis
from liquid_nav.replay.report.html import _age, write_page
from liquid_nav.replay.report.model import ReplayReport, run_report
from liquid_nav.replay.run import Replay
from liquid_nav.replay.statistics import ChannelStatistics, ChannelTimes
from replay.replay_support import record, replayed
from support import frame, sample

NONE: dict[str, int] = {}


def statistics(
    stamps: np.ndarray, span: tuple[float, float] | None = None, patience: float = 0.3
) -> ChannelStatistics:
    """Statistics of a channel with these stamps, s, whose events arrive 10 ms later."""
    times = ChannelTimes()
    image = np.zeros((1, 1, 3), np.uint8)
    for stamp in np.round(np.sort(stamps) * SECOND).astype(np.int64).tolist():
        times.add(CameraFrame(stamp, stamp + SECOND // 100, image))
    first, last = span or (float(stamps.min()), float(stamps.max()) + 0.01)
    start = round(first * SECOND)
    return times.statistics(start, (start, round(last * SECOND)), patience, NONE, 0, NONE)


GRID = 5 + np.arange(600) / 20
"""Stamps of 30 s at 20 Hz."""


@pytest.mark.parametrize(
    ("keep", "dropped"),
    [
        (np.arange(600) % 5 != 3, 120),
        (np.arange(600) % 3 != 1, 200),
        (np.arange(600) % 4 < 2, 298),
        (np.random.default_rng(1).random(600) < 0.7, None),
        (np.random.default_rng(2).random(600) < 0.4, None),
        (abs(np.arange(600) - 300) >= 200, 399),
    ],
    ids=["one in five", "one in three", "two in four", "30 %", "60 %", "20 s"],
)
@pytest.mark.parametrize("jitter", [0.0, 0.04])
def test_measurements_that_are_missing_between_others_are_counted(
    keep: np.ndarray, dropped: int | None, jitter: float
) -> None:
    late = jitter / 20 * np.random.default_rng(0).normal(size=600)
    figures = statistics((GRID + late)[keep])
    kept = np.flatnonzero(keep)
    expected = kept[-1] - kept[0] + 1 - len(kept) if dropped is None else dropped
    assert figures.dropped == pytest.approx(expected, abs=2)
    assert figures.interval == pytest.approx(0.05, rel=0.02)
    assert figures.gap_count == pytest.approx(np.count_nonzero(np.diff(kept) > 1), abs=2)


@pytest.mark.parametrize("jitter", [0.0, 0.05, 0.1, 0.2, 0.3])
def test_stamps_that_only_shake_are_no_gaps(jitter: float) -> None:
    shaken = GRID + jitter / 20 * np.random.default_rng(3).normal(size=600)
    figures = statistics(shaken)
    assert figures.dropped <= 3
    late = GRID.copy()
    late[::20] += 0.7 / 20
    assert statistics(late).gap_count == 0


def test_silence_at_the_ends_of_the_recording_counts() -> None:
    figures = statistics(GRID, span=(0.0, 100.0))
    assert figures.gaps == [(0.0, pytest.approx(5.0)), (pytest.approx(34.96), pytest.approx(65.04))]
    assert figures.dropped == pytest.approx(20 * 70, abs=2)
    assert statistics(GRID, span=(4.96, 35.0)).gaps == []
    # A channel that may be silent, as goals may.
    assert statistics(GRID, span=(0.0, 100.0), patience=np.inf).gaps == []


def test_a_single_measurement_and_then_nothing_is_a_gap() -> None:
    figures = statistics(np.array([1.0]), span=(0.9, 60.0))
    assert figures.gaps == [(pytest.approx(0.11), pytest.approx(58.99))]
    assert np.isnan(figures.interval)


def test_a_clock_that_leaps_drops_nothing() -> None:
    figures = statistics(np.concatenate((GRID, GRID + 1e6)))
    assert figures.gap_count == 1
    assert figures.dropped == 0


def flight(seconds: float, camera: tuple[float, float]) -> list[Event]:
    """IMU at 200 Hz, and frames at 20 Hz from and until two instants."""
    made: list[Event] = [sample(1 + k / 200, 0.001, seed=k) for k in range(round(200 * seconds))]
    first, last = (round(20 * t) for t in camera)
    made += [frame(1 + k / 20, 0.03, seed=k) for k in range(first, last)]
    return sorted(made, key=lambda event: event.arrival)


@pytest.fixture
def silent(flow_policy: Policy, tmp_path: Path) -> Replay:
    """A flight of 10 s whose camera sends from 2 s to 4 s."""
    record(tmp_path / "flight.mcap", flow_policy, flight(10, (2, 4)))
    return replayed(tmp_path / "flight.mcap", flow_policy)


def test_a_camera_that_is_silent_at_both_ends_is_told(silent: Replay, tmp_path: Path) -> None:
    figures = silent.channels[Channel.CAMERA]
    lengths = [length for _, length in figures.gaps]
    assert lengths == [pytest.approx(2.0, abs=0.01), pytest.approx(6.0, abs=0.06)]
    assert figures.dropped == pytest.approx(160, abs=2)
    assert silent.channels[Channel.IMU].gap_count == 0
    assert any("camera: about" in note for note in silent.notes)
    write_page(tmp_path / "page.html", ReplayReport("flight", "model", run_report(silent)))
    page = (tmp_path / "page.html").read_text()
    assert "camera: 2 gaps in what was recorded" in page
    assert "is whole" not in page


def test_the_age_grows_in_silence(silent: Replay) -> None:
    axis = TimeAxis(silent.span[0], silent.span[1])
    curve = _age(silent.channel_times[Channel.CAMERA], axis)
    # The last frame, of 3.95 s, is 6 s old at the end; what the cursor reads 3 s before is half.
    seconds = (curve.times - axis.start) / SECOND
    assert curve.values[-1] == pytest.approx(6050, abs=20)
    middle = int(np.searchsorted(seconds, 7.0))
    assert curve.values[middle] == pytest.approx(3050, abs=20)
    assert seconds[middle] == pytest.approx(7.0, abs=0.01)


def test_what_is_rejected_makes_nothing_younger(flow_policy: Policy, tmp_path: Path) -> None:
    """A camera that froze sends on, and its pictures are of old."""
    frozen = flight(10, (0, 3))
    held = [event for event in frozen if isinstance(event, CameraFrame)][-1]
    for k in range(60, 200):
        stamp = SECOND + k * SECOND // 20
        frozen.append(CameraFrame(stamp, stamp + 30_000_000, held.image))
    record(tmp_path / "flight.mcap", flow_policy, sorted(frozen, key=lambda e: e.arrival))
    result = replayed(tmp_path / "flight.mcap", flow_policy)
    curve = _age(result.channel_times[Channel.CAMERA], TimeAxis(*result.span))
    assert curve.values[-1] > 5000
    assert result.failsafes[-1].reason.startswith("camera: stale")


def test_a_recording_that_goes_on_without_sensors_goes_stale(
    flow_policy: Policy, tmp_path: Path
) -> None:
    with McapWriter(tmp_path / "flight.mcap") as writer:
        for event in flight(1, (0, 1)):
            _write(writer, event)
        said = message("std_msgs/msg/String", data="still recording")
        writer.write("/rosout", said, 6 * SECOND)
    result = replayed(tmp_path / "flight.mcap", flow_policy, comparing=False)
    assert result.failsafes[-1].mode is Mode.LAND
    assert "camera: stale" in result.failsafes[-1].reason
    assert "imu: stale" in result.failsafes[-1].reason
    assert result.duration == pytest.approx(5, abs=0.1)
    for channel in (Channel.CAMERA, Channel.IMU):
        assert result.channels[channel].longest_gap == pytest.approx(4, abs=0.1)


def _write(writer: McapWriter, event: Event) -> None:
    kind = ImuMessage() if isinstance(event, ImuSample) else ImageMessage()
    content = message(kind.type, **kind.encode(event))
    writer.write(kind.topic, content, event.arrival, event.stamp)
