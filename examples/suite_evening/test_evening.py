"""The suite is found by its name, and `liquid-nav eval` flies it."""

import json
from pathlib import Path

import pytest

from liquid_nav.cli.main import main
from plugin_support import plugged


def test_the_suite_is_flown_by_its_name(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["eval", "target", "--suite", "evening", "--pilots", "expert", "--episodes", "1"]
    options = ["--probes", "0", "--difficulty", "0", "--seed", "3", "--renderer", "raycast"]
    (tmp_path / "plug").mkdir()
    with plugged("suite_evening", tmp_path / "plug"):
        assert main([*arguments, *options, "--workers", "1", "--out", "study"]) == 0
    assert "eight o'clock, windy" in capfd.readouterr().out
    cells = json.loads(Path("study/result.json").read_text())["suites"]["evening"]
    assert [cell["pilots"]["expert"]["flights"] for cell in cells.values()] == [1, 1, 1, 1]
