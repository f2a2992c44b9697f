"""``liquid-nav replay``: what it prints and writes, and what it says when it is given rubbish."""

import json
import re
import subprocess
import sys
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
        (["--rate", "nan"], "rate must be"),
        (["--rate", "1e-320"], "rate must be"),
        (["--rate", "0"], "--rate must be above 0 Hz"),
        (["--start", "nan"], "start must be"),
        (["--duration", "inf"], "duration must be"),
        (["--reorder", "nan"], "--reorder must be from 0 to 60 s, got nan"),
        (["--reorder", "inf"], "--reorder must be from 0 to 60 s, got inf"),
        (["--reorder", "-1"], "--reorder must be from 0 to 60 s, got -1"),
        (["--delay", "camera=1e300"], "--delay camera must be from 0"),
        (["--delay", "camera=-1"], "--delay camera must be from 0"),
        (["--delay", "camera=nan"], "--delay takes NAME=NUMBER"),
        (["--limits", "vx=nan"], "--limits takes NAME=NUMBER"),
        (["--limits", "vx=0"], "command limit vx must be positive"),
        (["--imu-rotation", "nan", "0", "0", "1"], "unit quaternion"),
        (["--out", ""], "--out is empty"),
        (["--out="], "--out is empty"),
        (["--view-file", ""], "--view-file is empty"),
        (["--config", ""], "--config is empty"),
        (["--model", ""], "--model is empty"),
        (["--view-file", "nowhere/flight.rrd"], "the folder nowhere is not there"),
        (["--view-file", "model"], "not a regular file"),
        (["--drop", "sonar"], "there is no channel 'sonar'"),
        (["--drop", "odometry"], "there is no topic of the odometry"),
        (["--delay", "goal=1"], "there is no topic of the goal"),
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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("# nothing but a comment\n", "is empty"),
        ("{}", "is empty"),
        ("- a list", "must be a mapping"),
        ("speed: 3", "must be a mapping"),
        ("topics: {camera: }", "a topic must be a name, got None"),
        ("limits: {vx: .nan}", "finite number"),
        ("limits: {vx: .inf}", "finite number"),
        ("limits: {vx: true}", "finite number"),
        ("imu_rotation: [0, 0, .nan, 1]", "finite number"),
        ("imu_rotation: [0, 0, 1]", "rest.yaml"),
        ("camera_model: {width: 64.5, height: 48, k: [1], d: []}", "rest.yaml"),
        (
            "camera_model: {width: 64.5, height: 48, k: [9, 0, 9, 0, 9, 9, 0, 0, 1], d: []}",
            "whole number",
        ),
        (
            "camera_model: {width: 64, height: 48, k: [.nan, 0, 9, 0, 9, 9, 0, 0, 1], d: []}",
            "finite number",
        ),
    ],
)
def test_a_wrong_file_is_one_line(
    flight: list[str], text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("rest.yaml").write_text(text)
    assert main([*flight, "--config", "rest.yaml"]) == 2
    complaint = capsys.readouterr().err
    assert "rest.yaml" in complaint
    assert said in complaint
    assert complaint.count("\n") == 1


@pytest.mark.parametrize("limit", [1, 2_000, 30_000])
def test_on_a_full_disk_a_replay_leaves_nothing(flight: list[str], limit: int) -> None:
    """Whichever of its files no longer fits, none of them is there, and the line names it."""
    Path("out").mkdir()
    Path("out/replay.json").write_text("of an older replay")
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    script = (
        "import resource, sys; from liquid_nav.cli.main import main; "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); "
        "sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", script, *flight, "--out", "out"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 2
    assert run.stderr.startswith("liquid-nav: error: ")
    assert run.stderr.count("\n") == 1
    assert re.search(
        r"(replay.mcap|replay.json|report.html|flight.mp4): File too large", run.stderr
    )
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


def test_a_full_standard_output_is_named(flight: list[str]) -> None:
    command = [sys.executable, "-m", "liquid_nav.cli.main", *flight, "--out", "out"]
    with open("/dev/full", "w") as full:
        run = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert run.returncode == 2
    assert run.stderr == "liquid-nav: error: standard output: No space left on device\n"
    assert not Path("out").exists()


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
