"""``liquid-nav replay``: what it prints and writes, and what it says when it is given rubbish."""

import json
from pathlib import Path

import pytest

from liquid_nav.bags.bag import Recording
from liquid_nav.cli.main import main
from liquid_nav.onboard import Manifest, Policy
from liquid_nav.policy import save_bundle
from replay.replay_support import events, record
from support import small_network


@pytest.fixture
def flight(tmp_path: Path, flow_policy: Policy, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Command line that replays a small flight with the model that flew it."""
    config, network = small_network()
    save_bundle(tmp_path / "model", network, Manifest("target", config, {}, {}))
    record(tmp_path / "flight.mcap", flow_policy, events(0.5))
    monkeypatch.chdir(tmp_path)
    return ["replay", "flight.mcap", "--model", "model"]


def test_a_replay_is_shown_and_written(
    flight: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*flight, "--compare", "--out", "out"]) == 0
    printed, complaint = capsys.readouterr()
    assert complaint == ""
    assert "beside recorded commands" in printed
    assert "identical" in printed
    assert "messages lost: 0" in printed
    result = json.loads(Path("out/replay.json").read_text())["replay"]
    assert result["comparison"]["identical"] is True
    assert result["lost"] == 0
    with Recording(Path("out/replay.mcap")) as recording:
        assert "/liquid_nav/state" in recording.topics
    files = sorted(p.name for p in Path("out").iterdir())
    assert files == ["replay.json", "replay.mcap", "report.html"]


def test_what_if(flight: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    changes = ["--drop", "imu", "--delay", "camera=0.05", "--limits", "vx=0.5", "--other", "model"]
    assert main([*flight, *changes]) == 0
    printed = capsys.readouterr().out
    assert "what if:" in printed
    assert "imu: nothing received yet" in printed
    assert "beside the replay as it was" in printed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--camera", "/none"], "there is no topic /none"),
        (["--camera", "/imu/data_raw"], "cannot be the camera"),
        (["--camera", "none", "--imu", "none"], "holds nothing that a controller takes in"),
        (["--start", "-1"], "start must be"),
        (["--duration", "nan"], "duration must be"),
        (["--rate", "1e9"], "rate must be"),
        (["--drop", "sonar"], "there is no channel 'sonar'"),
        (["--delay", "camera"], "--delay takes NAME=NUMBER"),
        (["--limits", "warp=9"], "unknown limit 'warp'"),
        (["--imu-rotation", "1", "1", "0", "0"], "unit quaternion"),
        (["--config", "missing.yaml"], "missing.yaml"),
        (["--out", "flight.mcap"], "is not a directory"),
        (["--compare", "--cmd", "none"], "--compare needs recorded commands"),
    ],
)
def test_bad_input_is_one_line(
    flight: list[str], arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*flight, *arguments]) == 2
    printed, complaint = capsys.readouterr()
    assert printed == ""
    assert said in complaint
    assert complaint.count("\n") == 1
    assert sorted(p.name for p in Path().iterdir()) == ["flight.mcap", "model"]


def test_an_unknown_clock_is_refused(flight: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*flight, "--clock", "sun"]) == 2
    complaint = capsys.readouterr().err
    assert "'sun'" in complaint
    assert "'log', 'stamp'" in " ".join(complaint.replace("│", "").split())


def test_a_yaml_file_says_the_rest(flight: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("rest.yaml").write_text(
        "topics: {camera: none}\nimu_rotation: [0, 0, 1, 0]\nlimits: {vx: 1.0}\n"
    )
    assert main([*flight, "--config", "rest.yaml"]) == 0
    printed = capsys.readouterr().out
    assert "no topic of the camera" in printed
    assert "the IMU is turned as was given" in printed
    Path("rest.yaml").write_text("speed: 3\n")
    assert main([*flight, "--config", "rest.yaml"]) == 2
