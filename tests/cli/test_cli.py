"""The command line: what it makes, and what it says when it is given rubbish."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import pytest
import torch

from liquid_nav import __version__
from liquid_nav.cli.main import main
from liquid_nav.onboard import Manifest
from liquid_nav.policy import save_bundle
from support import small_network

KEYS = {
    "episodes",
    "success",
    "collision",
    "timeout",
    "wilson95",
    "seed",
    "commands_sha256",
    "realtime_factor",
    "event_to_command_us",
    "flights",
}


@pytest.fixture(scope="module")
def made_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained policy that soon meets the ground, so that flights are short."""
    config, network = small_network()
    with torch.no_grad():
        network.head.weight.mul_(0.2)
        network.head.bias.copy_(torch.tensor([0.3, 0.0, -1.5, 0.2]))
    path = tmp_path_factory.mktemp("models") / "sinking"
    save_bundle(path, network, Manifest("target", config, {}, {}))
    return path


@pytest.fixture
def bundle(made_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the bundle as the only thing in the working directory."""
    target = tmp_path / "model"
    target.mkdir()
    for file in made_bundle.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    monkeypatch.chdir(tmp_path)
    return target


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "liquid_nav.cli.main", *map(str, arguments)]


def tree() -> dict[str, bytes]:
    """Everything below the working directory."""
    return {str(p): p.read_bytes() if p.is_file() else b"" for p in Path().rglob("*")}


def refused(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> str:
    """Run in-process, check that it is refused and leaves nothing, and give what it says."""
    before = tree()
    assert main(arguments) == 2
    printed, complaint = capfd.readouterr()
    assert printed == ""
    assert tree() == before, "something was left behind"
    return complaint


def refused_in_a_line(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> str:
    """Check as `refused` does, and that the error is one line."""
    complaint = refused(arguments, capfd)
    assert complaint.startswith("liquid-nav: error: ")
    assert complaint.count("\n") == 1
    assert complaint.endswith("\n")
    return complaint


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fly", "--difficulty", "1.5"], "--difficulty must be in [0, 1], got 1.5"),
        (["fly", "--speed", "0"], "--speed must be positive and finite, got 0.0"),
        (["train", "target", "--speed", "inf"], "--speed must be positive and finite, got inf"),
        (["fly", "--difficulty", "nan"], "--difficulty must be in [0, 1], got nan"),
        (["fly", "--pilot", "expert", "--model", "model"], "--model goes with --pilot policy"),
        (
            ["fly", "--task", "gates", "--model", "model"],
            "was trained for task 'target'",
        ),
        (
            ["fly", "--vehicle", "zeppelin"],
            "there is no vehicle 'zeppelin'",
        ),
        (["fly", "--vehicle", "no.toml", "--out", "new"], "vehicle no.toml: No such file"),
        (["fly", "--faults", "no.toml", "--out", "new"], "faults no.toml: No such file"),
        (["fly", "--appearance", "winter"], "appearances are train, varied, held-out"),
        (["fly", "--appearance", "varied:no"], "photographs in 'no': No such file"),
        (["fly", "--appearance", "train:no"], "'train' has no photographs"),
        (["fly", "--episodes", "-3"], "--episodes must be at least 1, got -3"),
        (["fly", "--episodes", "0"], "--episodes must be at least 1, got 0"),
        (["fly", "--seed", "-1"], "--seed must not be negative"),
        (["fly", "--video-episodes", "-1"], "--video-episodes must not be negative"),
        (["fly", "--out", "taken"], "--out taken exists and is not a directory"),
        (["fly", "--model", "nowhere", "--out", "a/b", "--json", "c/d"], "no model bundle"),
        (["fly", "--json", "model"], "--json model is a directory"),
        (["fly", "--model", "model", "--json", "no/x.json"], "the folder no is not there"),
        (["fly", "--model", "model", "--out", "a", "--json", "b/x"], "the folder b is not there"),
        (["fly", "--out", ""], "--out is empty"),
        (["fly", "--record="], "--record is empty"),
        (["train", "target", "--out", ""], "--out is empty"),
        (["fly", "--model", "model", "--wind", "nan"], "wind steady must be in [0, 50] m/s"),
        (["fly", "--faults", "empty.toml"], "faults empty.toml: it holds no [[fault]]"),
        (["fly", "--vehicle", "empty.toml"], "vehicle empty.toml: "),
        (["fly", "--model", "model", "--json", "pipe"], "not a regular file"),
        (["fly", "--out", "a", "--json", "a"], "needs a directory"),
        (["fly", "--out", "a/b", "--json", "a"], "needs a directory"),
        (["fly", "--out", "a", "--json", "a/flights.mp4"], "another file"),
        (["fly", "--out", "full"], "flights.png in it is a directory"),
        (["fly", "--model", "model", "--out", "taken/below"], "taken"),
        (["fly", "--model", "model", "--out", "new", "--json", "taken/x.json"], "taken"),
        (["fly", "--model", "model", "--out", "new/a", "--json", "/proc/x.json"], "/proc"),
        (["train", "forest", "--difficulty", "-1"], "--difficulty must be in [0, 1], got -1"),
        (["train", "target", "--out", "taken"], "--out taken exists and is not a directory"),
        (["train", "target", "--units", "0"], "at least 1"),
        (["train", "target", "--start", "nowhere"], "no model bundle at nowhere"),
        (["train", "target", "--learning-rate", "-1"], "learning_rate must be positive"),
        (["train", "target", "--first-steps", "0"], "first_steps must be at least 1"),
        (["train", "target", "--auxiliary", "nan"], "auxiliary"),
        (["train", "target", "--out", "begun"], "begun/settings.json cannot be read"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line(
    arguments: list[str], said: str, bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("taken").write_text("mine")
    Path("empty.toml").touch()
    Path("full/flights.png").mkdir(parents=True)
    Path("begun").mkdir()
    Path("begun/settings.json").write_text('{"cut')
    os.mkfifo("pipe")
    assert said in refused_in_a_line(arguments, capfd)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fly", "--task", "acrobatics"], ("--task", "'acrobatics'", "'target'", "'forest'")),
        (["fly", "--pilot", "robot"], ("--pilot", "'robot'", "'policy'", "'expert'")),
        (["fly", "--episodes", "many"], ("--episodes", "'many'")),
        (["fly", "--episodes"], ("--episodes", "Missing")),
        (["fly", "--epsiodes", "3"], ("--epsiodes", "Perhaps you meant", "--episodes")),
        (["fly", "surplus"], ("surplus",)),
        (["train"], ("Required", "{target,forest,")),
        (["train", "acrobatics"], ("'acrobatics'", "'target'", "'forest'")),
        (["train", "target", "--cell", "neuron"], ("--cell", "'neuron'", "'ltc'")),
        (["replay", "--compare"], ("Required", "FLIGHT")),
        (["dataset", "from-bag", "flight.mcap"], ("Required", "--out")),
        (["dataset", "to-bag"], ("to-bag", "from-bag")),
        (["swim"], ("swim", "dataset, check-vehicle, eval, fly, mission")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_parser_says_what_is_wrong(
    arguments: list[str],
    said: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    complaint = refused(arguments, capfd)
    for words in said:
        assert words in complaint
    assert "Traceback" not in complaint


def test_names_of_plugged_parts_are_accepted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("liquid_nav_sim.tasks.registry.TASKS", {"target": None, "slalom": None})
    assert "no model for task 'slalom'" in refused_in_a_line(["fly", "--task", "slalom"], capfd)
    assert main(["fly", "--help"]) == 0
    assert "{target,slalom}" in capfd.readouterr().out


def _cut(name: str, keep: Callable[[int], int]) -> Callable[[Path], None]:
    def damage(bundle: Path) -> None:
        content = (bundle / name).read_bytes()
        (bundle / name).write_bytes(content[: keep(len(content))])

    return damage


def _flip(name: str, place: float) -> Callable[[Path], None]:
    def damage(bundle: Path) -> None:
        content = bytearray((bundle / name).read_bytes())
        content[int(place * (len(content) - 1))] ^= 1
        (bundle / name).write_bytes(content)

    return damage


def _edit(**changes: object) -> Callable[[Path], None]:
    def damage(bundle: Path) -> None:
        content = json.loads((bundle / "manifest.json").read_text())
        (bundle / "manifest.json").write_text(json.dumps(content | changes))

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        *(
            pytest.param(_cut(name, keep), id=f"{name} cut to {label}")
            for name in ("manifest.json", "policy.pt", "weights.safetensors")
            for label, keep in (
                ("nothing", lambda size: 0),
                ("half", lambda size: size // 2),
                ("all but one byte", lambda size: size - 1 - (size < 4000)),
            )
        ),
        *(
            pytest.param(_flip(name, place), id=f"{name} bit at {place}")
            for name in ("manifest.json", "policy.pt", "weights.safetensors")
            for place in (0.0, 0.3, 0.99)
        ),
        pytest.param(_edit(evaluation={"success": 50}), id="manifest boasts"),
        pytest.param(_edit(task="other"), id="manifest names another task"),
        pytest.param(_edit(files={}), id="manifest vouches for nothing"),
        pytest.param(lambda bundle: (bundle / "policy.pt").unlink(), id="no policy.pt"),
        pytest.param(lambda bundle: (bundle / "manifest.json").unlink(), id="no manifest"),
    ],
)
def test_a_damaged_bundle_is_one_line(
    damage: Callable[[Path], None], bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    damage(bundle)
    arguments = ["fly", "--model", "model", "--out", "a/b", "--json", "c/d"]
    assert "model" in refused_in_a_line(arguments, capfd)


def test_a_missing_extra_is_one_line(
    bundle: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pybullet", None)
    said = refused_in_a_line(["fly", "--model", "model", "--out", "new"], capfd)
    assert "pip install liquid_nav[sim]" in said


def test_gui_without_a_display_is_one_line(
    bundle: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    arguments = ["fly", "--model", "model", "--gui", "--out", "new"]
    assert "display" in refused_in_a_line(arguments, capfd)


def test_a_real_process_is_brief_too(bundle: Path) -> None:
    _flip("policy.pt", 0.5)(bundle)
    before = tree()
    run = subprocess.run(
        command("fly", "--model", bundle, "--out", "new"), capture_output=True, text=True
    )
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("liquid-nav: error: ")
    assert run.stderr.count("\n") == 1
    assert tree() == before


def test_the_log_tells_what_evaluates_the_policy(bundle: Path) -> None:
    def log(level: str) -> str:
        run = subprocess.run(
            command("fly", "--model", bundle, "--episodes", 1, "--seed", 5),
            env=os.environ | {"LIQUID_NAV_LOG": level},
            capture_output=True,
            text=True,
        )
        assert run.returncode == (0 if level in ("info", "warning") else 2), run.stderr
        return run.stderr

    assert "the runtime native evaluates it" in log("info")
    assert log("warning") == ""
    assert "LIQUID_NAV_LOG must be one of debug, info, warning, error" in log("loud")


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert __version__ in capsys.readouterr().out
    assert main(["--help"]) == 0
    assert "train" in capsys.readouterr().out
    assert main(["fly", "--help"]) == 0
    assert "--video-episodes" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["--help"], ["dataset"], ["replay", "--help"]])
def test_help_needs_neither_the_simulator_nor_torch(arguments: list[str]) -> None:
    script = (
        "import sys\n"
        "from liquid_nav.cli.main import main\n"
        "assert main(sys.argv[1:]) == 0\n"
        "heavy = {'liquid_nav_sim', 'numpy', 'pybullet', 'torch'}.intersection(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    run = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("usage: liquid-nav ")
    assert "Example: liquid-nav " in run.stdout


def test_the_same_command_twice_flies_the_same_flights(bundle: Path) -> None:
    results = []
    for out in (["--out", "out", "--video-episodes", "1"], []):
        run = subprocess.run(
            command(
                "fly", "--model", bundle, "--episodes", 2, "--seed", 5, "--json", "r.json", *out
            ),
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stderr
        rows = [line.split() for line in run.stdout.splitlines()[1:3]]
        assert [row[:3] for row in rows] == [["1", "5", "collision"], ["2", "6", "collision"]]
        results.append(json.loads(Path("r.json").read_text()))
        Path("r.json").rename("result.json")
    assert sorted(os.listdir("out")) == ["flights.mp4", "flights.png", "result.json"]
    assert json.loads(Path("out/result.json").read_text()) == results[0]
    assert cv2.imread("out/flights.png") is not None
    assert frames("out/flights.mp4") > 15
    for result in results:
        assert result.keys() == KEYS
        assert (result["episodes"], result["collision"], result["seed"]) == (2, 2, 5)
        assert result["event_to_command_us"]["imu"]["p99"] > 0
    assert results[0]["commands_sha256"] == results[1]["commands_sha256"]


def test_a_flight_and_the_replay_of_its_recording_show_one_digest(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fly = ["fly", "--model", str(bundle), "--seed", "5", "--record", "out"]
    assert main([*fly, "--episodes", "2", "--json", "two.json"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:3]]
    flown = [f["commands_sha256"] for f in json.loads(Path("two.json").read_text())["flights"]]
    assert [row[-1] for row in rows] == [digest[:8] for digest in flown]
    for seed, digest in zip((5, 6), flown, strict=True):
        assert main(["replay", f"out/flight_{seed}.mcap", "--model", str(bundle)]) == 0
        assert capsys.readouterr().out.splitlines()[-1] == f"commands_sha256 {digest}"
    assert main([*fly, "--episodes", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"commands_sha256 {flown[0]}"


@pytest.mark.parametrize("limit", [1, 5_000, 50_000])
def test_on_a_full_disk_a_flight_leaves_nothing(bundle: Path, limit: int) -> None:
    before = tree()
    script = (
        "import resource, sys; from liquid_nav.cli.main import main; "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); "
        "sys.exit(main(sys.argv[1:]))"
    )
    fly = ["fly", "--model", str(bundle), "--episodes", "1", "--seed", "5"]
    for options in (["--out", "out"], ["--record", "out"], ["--out", "out", "--json", "out/r"]):
        command = [sys.executable, "-c", script, *fly, *options]
        run = subprocess.run(command, capture_output=True, text=True)
        assert run.returncode == 2
        assert re.search(r"out/fl(ights|ight_5)\.(mp4|png|mcap): File too large\n", run.stderr)
        assert tree() == before


def test_files_may_lie_in_a_folder_that_the_flight_makes(bundle: Path) -> None:
    fly = ["fly", "--model", str(bundle), "--episodes", "1", "--seed", "5"]
    files = ["--out", "a/b", "--video-episodes", "0", "--json", "a/r.json"]
    assert main([*fly, *files]) == 0
    assert json.loads(Path("a/r.json").read_text()) == json.loads(
        Path("a/b/result.json").read_text()
    )


@pytest.mark.parametrize("task", ["forest", "gates", "follow"])
def test_the_expert_shows_each_task(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    easy = ["--task", task, "--pilot", "expert", "--difficulty", "0", "--episodes", "1"]
    assert main(["fly", *easy, "--out", "out", "--video-episodes", "1"]) == 0
    assert "success 1/1" in capsys.readouterr().out
    assert sorted(os.listdir("out")) == ["flights.mp4", "flights.png", "result.json"]
    assert json.loads(Path("out/result.json").read_text())["success"] == 1
    assert frames("out/flights.mp4") > 60


def test_ctrl_c_leaves_whole_files(bundle: Path) -> None:
    process = subprocess.Popen(
        command(
            *("fly", "--model", bundle, "--episodes", 1000, "--video-episodes", 1000),
            *("--out", "out", "--json", "r.json"),
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(2)]
    process.send_signal(signal.SIGINT)
    printed, complaint = process.communicate(timeout=60)
    assert process.returncode == 130, complaint
    assert "Traceback" not in complaint
    assert "interrupted" in printed
    assert lines[1].split()[:2] == ["1", "100000"]
    result = json.loads(Path("out/result.json").read_text())
    assert result == json.loads(Path("r.json").read_text())
    assert 1 <= result["episodes"] < 1000
    assert sorted(os.listdir("out")) == ["flights.mp4", "flights.png", "result.json"]
    assert cv2.imread("out/flights.png") is not None
    assert frames("out/flights.mp4") > 30


def frames(path: str) -> int:
    """Decode a video to its end."""
    with av.open(path) as container:
        return sum(1 for _ in container.decode(video=0))
