"""``liquid-nav replay --view``: what Rerun is shown, read back from the file that it would open."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rerun as rr
from numpy.typing import NDArray
from rerun.chunk import RrdReader

from liquid_nav.cli.main import main
from liquid_nav.events import SECOND, CameraFrame, Event, ImuSample
from liquid_nav.onboard import Manifest, Policy
from liquid_nav.policy import save_bundle
from liquid_nav.replay.compare import AXES
from liquid_nav.replay.report.rerun import (
    ACCELEROMETER,
    ARRIVAL,
    CAMERA,
    FAILSAFE,
    GYRO,
    STAMP,
    STATE,
    TIME_CONSTANTS,
    command_entity,
)
from replay.replay_support import events, record
from support import small_network

SILENT = [e for e in events(3.0) if not 2 * SECOND < e.stamp < 3 * SECOND]


@pytest.fixture
def flight(tmp_path: Path, flow_policy: Policy, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Command line that replays a flight with a silence in it."""
    config, network = small_network()
    save_bundle(tmp_path / "model", network, Manifest("target", config, {}, {}))
    record(tmp_path / "flight.mcap", flow_policy, SILENT)
    monkeypatch.chdir(tmp_path)
    return ["replay", "flight.mcap", "--model", "model"]


class Shown:
    """Columns of a file by entity: times in ns by timeline, and values of components."""

    def __init__(self, path: Path) -> None:
        self.entities: dict[str, dict[str, list[Any]]] = {}
        for chunk in RrdReader(path).stream():
            columns = self.entities.setdefault(chunk.entity_path.strip("/"), {})
            batch = chunk.to_record_batch()
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                if name in (ARRIVAL, STAMP):
                    values: list[Any] = column.cast("int64").to_pylist()
                elif ":" in name:
                    values = column.to_pylist()
                else:
                    continue
                columns.setdefault(name, []).extend(values)

    def times(self, entity: str, timeline: str = ARRIVAL) -> list[int]:
        return self.entities[entity][timeline]

    def scalars(self, entity: str) -> NDArray[np.float64]:
        return np.array(self.entities[entity]["Scalars:scalars"])


def of(kind: type[Event]) -> list[Any]:
    return [event for event in SILENT if isinstance(event, kind)]


def test_everything_is_shown_at_its_own_times(flight: list[str]) -> None:
    assert main([*flight, "--compare", "--view-file", "flight.rrd"]) == 0
    assert sorted(p.name for p in Path().iterdir()) == ["flight.mcap", "flight.rrd", "model"]
    shown = Shown(Path("flight.rrd"))
    for entity, kind in ((CAMERA, CameraFrame), (GYRO, ImuSample), (ACCELEROMETER, ImuSample)):
        assert shown.times(entity) == [event.arrival for event in of(kind)]
        assert shown.times(entity, STAMP) == [event.stamp for event in of(kind)]
    felt = np.array([event.angular_velocity for event in of(ImuSample)])
    np.testing.assert_array_equal(shown.scalars(GYRO), felt)
    pictures = shown.entities[CAMERA]["Image:buffer"]
    for (picture,), event in zip(pictures, of(CameraFrame), strict=True):
        assert bytes(picture) == event.image.tobytes()


def test_commands_lie_beside_the_recorded_ones(flight: list[str]) -> None:
    assert main([*flight, "--compare", "--view-file", "flight.rrd"]) == 0
    shown = Shown(Path("flight.rrd"))
    for axis in AXES:
        replayed, recorded = (command_entity(axis, w) for w in ("replayed", "recorded"))
        assert shown.times(replayed) == shown.times(recorded) == [e.arrival for e in SILENT]
        np.testing.assert_array_equal(shown.scalars(replayed), shown.scalars(recorded))
    assert np.abs(shown.scalars(command_entity("vx", "replayed"))).max() > 0


def test_the_liquid_state_is_shown_at_every_event(flight: list[str], flow_policy: Policy) -> None:
    assert main([*flight, "--view-file", "flight.rrd"]) == 0
    shown = Shown(Path("flight.rrd"))
    units = flow_policy.config.units
    assert shown.scalars(STATE).shape == shown.scalars(TIME_CONSTANTS).shape == (len(SILENT), units)
    assert shown.scalars(TIME_CONSTANTS).min() > 0
    assert np.ptp(shown.scalars(STATE), axis=0).max() > 0
    assert command_entity("vx", "recorded") not in shown.entities


def test_failsafes_are_a_log(flight: list[str]) -> None:
    assert main([*flight, "--view-file", "flight.rrd"]) == 0
    shown = Shown(Path("flight.rrd"))
    words = [word for (word,) in shown.entities[FAILSAFE]["TextLog:text"]]
    assert words[0] == "hover: camera: nothing received yet"
    assert words[1] == "nominal"
    assert any("recovering" in word or "stale" in word for word in words[2:])
    levels = [level for (level,) in shown.entities[FAILSAFE]["TextLog:level"]]
    assert levels[:2] == ["WARN", "INFO"]


def test_a_file_that_cannot_be_written_is_one_line(
    flight: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*flight, "--view-file", "no/such/folder.rrd"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_viewer_is_opened(flight: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[dict[str, Any]] = []

    def spawn(self: rr.RecordingStream, **options: Any) -> None:
        opened.append(options)

    monkeypatch.setattr(rr.RecordingStream, "spawn", spawn)
    assert main([*flight, "--view"]) == 0
    assert len(opened) == 1


def test_without_the_extra_it_says_what_to_install(
    flight: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    monkeypatch.delitem(sys.modules, "liquid_nav.replay.report.rerun")
    assert main([*flight, "--view"]) == 2
    printed, complaint = capsys.readouterr()
    assert printed == ""
    assert complaint.count("\n") == 1
    assert "liquid_nav[view]" in complaint
