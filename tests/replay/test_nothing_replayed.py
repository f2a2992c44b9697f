"""A replay of nothing is an error that names its cause and the option that mends it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from liquid_nav.cli.main import main
from liquid_nav.events import SECOND, CameraFrame, Event, ImuSample
from liquid_nav.messages.image import ImageMessage
from liquid_nav.messages.imu import ImuMessage
from liquid_nav.onboard import Manifest
from liquid_nav.policy import save_bundle
from liquid_nav.recording.writer import McapWriter, message
from replay.replay_support import events
from support import small_network

KINDS = {CameraFrame: ImageMessage(), ImuSample: ImuMessage()}

LATE = 1_700_000_000 * SECOND
"""Wall clock of a logger beside a simulation that began at zero."""


def write(path: Path, change: Callable[[Event], Event | None]) -> None:
    """Record half a second of camera and IMU without a calibration, each event changed."""
    with McapWriter(path) as writer:
        for kind in KINDS.values():
            writer.announce(kind.topic, kind.type)
        for event in events(0.5):
            changed = change(event)
            if changed is not None:
                kind = KINDS[type(changed)]
                content = message(kind.type, **kind.encode(changed))
                writer.write(kind.topic, content, changed.arrival, changed.stamp)


def by_wall_clock(event: Event) -> Event:
    return replace(event, arrival=event.arrival + LATE)


def only_camera_by_wall_clock(event: Event) -> Event:
    if isinstance(event, CameraFrame):
        return replace(event, stamp=event.stamp - 100 * SECOND)
    return event


def wide(event: Event) -> Event:
    if isinstance(event, CameraFrame):
        return replace(event, image=np.zeros((36, 64, 3), np.uint8))
    return event


def without_frames(event: Event) -> Event | None:
    return None if isinstance(event, CameraFrame) else event


def without_numbers(event: Event) -> Event:
    if isinstance(event, ImuSample):
        return replace(event, specific_force=np.full(3, np.nan))
    return event


def as_it_is(event: Event) -> Event:
    return event


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    config, network = small_network()
    save_bundle(tmp_path / "model", network, Manifest("target", config, {}, {}))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    # Nothing that was asked for is left half-made.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["flight.mcap", "model"]


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        (by_wall_clock, [], ["camera (/camera/image_raw)", "imu (", "s old", "--clock stamp"]),
        (only_camera_by_wall_clock, [], ["camera (/camera/image_raw)", "--clock stamp"]),
        (wide, [], ["another aspect ratio", "--camera-info TOPIC", "camera_model"]),
        (without_frames, [], ["camera (/camera/image_raw): no message", "--camera none"]),
        (without_numbers, [], ["imu (/imu/data_raw)", "not finite", "--imu none"]),
        (as_it_is, ["--start", "99"], ["--start 99 is at or beyond the end", "lasts 0.499 s"]),
        (as_it_is, ["--start", "0.49"], ["camera", "--start and --duration"]),
    ],
)
def test_nothing_replayed_is_an_error_with_its_remedy(
    folder: Path,
    change: Callable[[Event], Event | None],
    options: list[str],
    said: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(folder / "flight.mcap", change)
    arguments = ["replay", "flight.mcap", "--model", "model", "--out", "out", *options]
    assert main(arguments) == 2
    printed, complaint = capsys.readouterr()
    assert printed == ""
    assert complaint.count("\n") == 1
    for words in said:
        assert words in complaint


def test_the_remedies_mend_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replayed = ["replay", "flight.mcap", "--model", "model"]
    write(folder / "flight.mcap", by_wall_clock)
    assert main([*replayed, "--clock", "stamp"]) == 0
    write(folder / "flight.mcap", without_frames)
    assert main([*replayed, "--camera", "none"]) == 0
    assert "no topic of the camera" in capsys.readouterr().out
