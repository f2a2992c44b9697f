"""``liquid-nav eval``: what it leaves behind, that it goes on where it was, and what it refuses."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from liquid_nav.cli.main import main
from liquid_nav.onboard import Manifest
from liquid_nav.policy import save_bundle
from support import small_network

STUDY = ["--difficulty", "0", "--seed", "7", "--renderer", "raycast", "--out", "study"]


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An untrained policy that soon meets the ground, in the working directory."""
    config, network = small_network()
    with torch.no_grad():
        network.head.weight.mul_(0.2)
        network.head.bias.copy_(torch.tensor([0.3, 0.0, -1.5, 0.2]))
    save_bundle(tmp_path / "model", network, Manifest("target", config, {}, {}))
    monkeypatch.chdir(tmp_path)
    return Path("model")


def evaluated(*arguments: str) -> int:
    return main(["eval", "model", *STUDY, "--workers", "1", *arguments])


def test_a_study_is_a_table_figures_a_page_and_a_recording_that_replays(
    model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert evaluated("--suite", "nominal", "--episodes", "2", "--probes", "1") == 0
    out = capfd.readouterr().out
    assert re.search(r"nominal +0/2 0\.000-0\.658 +2/2 0\.342-1\.000 +0\.500", out)
    result = json.loads(Path("study/result.json").read_text())
    assert result["settings"]["finished"] is True
    cell = result["suites"]["nominal"]["nominal"]
    assert list(cell["pilots"]) == ["policy", "expert", "classical"]
    assert cell["pilots"]["policy"]["collision"] == 2
    assert len(cell["pilots"]["policy"]["coherence"]) == 4
    assert cell["tests"][0]["pilots"] == ["policy", "expert"]
    # The page opens the recording, and a replay of it gives the commands of the flight.
    page = Path("study/report.html").read_text()
    recording = Path("study") / cell["worst"]["recording"]
    assert f'href="{cell["worst"]["recording"]}"' in page
    assert f"liquid-nav replay {recording} --model {model.resolve()}" in page
    assert "http" not in page
    assert main(["replay", str(recording), "--model", "model", "--out", "again"]) == 0
    again = json.loads(Path("again/replay.json").read_text())
    seed = cell["pilots"]["policy"]["worst_seed"]
    (flown,) = Path("study/flights").glob(f"*/policy/{seed}.json")
    assert json.loads(flown.read_text())["commands_sha256"] in json.dumps(again)


def test_a_study_goes_on_where_it_was(model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    options = ["--pilots", "policy", "--probes", "0"]
    assert evaluated(*options, "--episodes", "1") == 0
    (first,) = Path("study/flights").glob("*/policy/*.json")
    flown_at = first.stat().st_mtime_ns
    assert evaluated(*options, "--episodes", "2") == 0
    assert first.stat().st_mtime_ns == flown_at
    assert len(list(Path("study/flights").glob("*/policy/*.json"))) == 2
    assert json.loads(Path("study/result.json").read_text())["settings"]["episodes"] == 2
    capfd.readouterr()
    assert evaluated(*options, "--difficulty", "1") == 2
    error = capfd.readouterr().err
    assert "other settings: difficulty is 0.0 there and 1.0 here" in error


def test_ctrl_c_keeps_what_was_flown(model: Path) -> None:
    arguments = ["eval", "model", *STUDY, "--episodes", "2000", "--workers", "2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "liquid_nav.cli.main", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # The tests themselves may run in the background of a shell, which ignores Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 240
    while not list(Path("study").glob("flights/*/policy/*.json")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    # As a terminal does: to the whole group.
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    result = json.loads(Path("study/result.json").read_text())
    assert result["settings"]["finished"] is False
    assert result["suites"]["nominal"]["nominal"]["pilots"]["policy"]["flights"] >= 1
    assert "nominal" in out
    assert Path("study/report.html").exists()
    assert list(Path("study").rglob(".*.part")) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--episodes", "0"], "--episodes must be at least 1, got 0"),
        (["--seed", "-1"], "--seed must not be negative, got -1"),
        (["--difficulty", "2"], "--difficulty must be in [0, 1], got 2.0"),
        (["--speed", "0"], "--speed must be positive and finite, got 0.0"),
        (["--workers", "0"], "--workers must be at least 1, got 0"),
        (["--episodes", "3", "--probes", "4"], "--probes must be from 0 to --episodes, got 4"),
    ],
)
def test_options_out_of_range_are_refused(
    arguments: list[str], said: str, model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", "model", *arguments]) == 2
    assert said in capfd.readouterr().err
    assert not Path("runs").exists()


def test_what_is_neither_a_bundle_nor_a_task_is_refused(
    model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", "nowhere"]) == 2
    assert "no model bundle at nowhere" in capfd.readouterr().err
