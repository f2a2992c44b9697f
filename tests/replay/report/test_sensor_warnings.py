"""What may be wrong with a sensor is in every form of the report, with the span and the cause."""

import json
from pathlib import Path

import numpy as np
import pytest

from liquid_nav.cli.main import main
from liquid_nav.controller import ChannelHealth
from liquid_nav.events import SECOND, Channel, Event, ImuSample
from liquid_nav.onboard import Manifest, Policy
from liquid_nav.policy import save_bundle
from liquid_nav.replay.warnings import WarningLog
from replay.replay_support import record
from support import frame, small_network


def standing(unit: float) -> list[Event]:
    """A vehicle on the ground for 4 s, its specific force in this unit, m/s^2."""
    rng = np.random.default_rng(0)
    made: list[Event] = [frame(1 + k / 20, 0.03, seed=k) for k in range(80)]
    for k in range(800):
        stamp = SECOND + k * SECOND // 200
        force = (np.array([0.0, 0.0, 9.81]) + 0.05 * rng.normal(size=3)) / unit
        made.append(ImuSample(stamp, stamp + SECOND // 1000, 0.002 * rng.normal(size=3), force))
    return sorted(made, key=lambda event: event.arrival)


def test_an_imu_in_g_is_told_in_every_form(
    flow_policy: Policy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    config, network = small_network()
    save_bundle(tmp_path / "model", network, Manifest("target", config, {}, {}))
    replay = ["replay", "flight.mcap", "--model", "model", "--out", "out"]
    record(tmp_path / "flight.mcap", flow_policy, standing(9.81))
    assert main(replay) == 0
    printed = capsys.readouterr().out
    warnings = json.loads(Path("out/replay.json").read_text())["replay"]["warnings"]
    (warning,) = (w for w in warnings if "looks like g" in w["text"])
    assert warning["channel"] == "imu"
    assert warning["open"]
    assert 0 < warning["start_s"] < warning["end_s"]
    assert warning["text"] in printed
    assert f"warning: imu, {warning['start_s']:.3f} s to the end" in printed
    assert warning["text"] in Path("out/report.html").read_text()
    record(tmp_path / "flight.mcap", flow_policy, standing(1.0))
    assert main(replay) == 0
    assert "warning:" not in capsys.readouterr().out
    assert "Warning:" not in Path("out/report.html").read_text()


def test_a_warning_that_comes_and_goes_is_one_entry() -> None:
    log, health = WarningLog(), ChannelHealth()
    channels = {Channel.IMU: health, Channel.CAMERA: ChannelHealth()}
    for now, texts in ((1, ()), (2, ("rate 12 Hz", "dead axis")), (3, ("rate 9 Hz",)), (4, ())):
        health.warnings = texts
        log.add(now, channels)
    health.warnings = ("rate 7 Hz",)
    log.add(5, channels)
    log.close(9)
    spans = [(w.text, w.start, w.end, w.open) for w in log.entries]
    assert spans == [("rate 12 Hz", 2, 9, True), ("dead axis", 2, 3, False)]
