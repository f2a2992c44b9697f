"""A disk that fills up: the error names the file, and nothing unfinished is left."""

import subprocess
import sys
from pathlib import Path

import pytest

from liquid_nav.command import Command
from liquid_nav.onboard import Manifest
from liquid_nav.policy import load_network, save_bundle
from liquid_nav.recording.recorder import FlightRecorder
from replay.replay_support import events
from support import small_network

CHILD = """
import resource, sys
from dataclasses import replace
from pathlib import Path
from rich.console import Console
sys.path[:0] = {paths!r}

def bundle(path):
    from liquid_nav.onboard import Manifest
    from liquid_nav.policy import save_bundle
    config, network = small_network(seed=1)
    return lambda: save_bundle(path / "model", network, Manifest("new", config, {{}}, {{}}))

def training(path, workers=0):
    from learning.killing import CONFIG
    from liquid_nav.learning.imitation import train
    from liquid_nav_sim.config import WorldConfig
    from liquid_nav_sim.tasks.target import TargetTask
    world = WorldConfig(task=TargetTask(time_limit=1.0))
    config = replace(CONFIG, rounds=0, workers=workers)
    return lambda: train(path / "run", config, small_network()[0], world, Console(quiet=True))

def two_workers(path):
    return training(path, 2)

def dataset(path):
    from liquid_nav.cli.main import main
    flight, out = str(path / "flight.mcap"), str(path / "out")
    return lambda: sys.exit(main(["dataset", "from-bag", flight, "--out", out]))

if __name__ == "__main__":
    import torch
    from support import small_network
    torch.set_num_threads(1)
    # What is imported later writes its byte code to disk.
    sys.dont_write_bytecode = True
    run = globals()[sys.argv[1]](Path(sys.argv[2]))
    if len(sys.argv) > 3:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
    try:
        run()
    except Exception as error:
        from liquid_nav.errors import LiquidNavError
        assert isinstance(error, (OSError, LiquidNavError)), error
        print(error)
        sys.exit(2)
"""


def run(folder: Path, what: str, path: Path, *limit: int) -> tuple[int, str]:
    script = folder / "child.py"
    script.write_text(CHILD.format(paths=[entry for entry in sys.path if "tests" in entry]))
    command = [sys.executable, "-W", "ignore", str(script), what, str(path), *map(str, limit)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def hidden(path: Path) -> list[str]:
    return [file.name for file in path.rglob(".*")]


@pytest.mark.parametrize("limit", [10, 5_000, 20_000])
def test_a_bundle(tmp_path: Path, limit: int) -> None:
    path = tmp_path / "disk"
    config, network = small_network()
    save_bundle(path / "model", network, Manifest("old", config, {}, {}))
    code, words = run(tmp_path, "bundle", path, limit)
    assert code == 2
    assert f"cannot write a model bundle at {path}/model: " in words
    assert "File too large" in words
    assert load_network(path / "model")[1].task == "old"
    assert [entry.name for entry in path.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("what", "limit", "file"),
    [
        ("training", 10, "settings.json"),
        ("training", 20_000, "data/round0/0.npz"),
        ("two_workers", 20_000, "data/round0/"),
    ],
)
def test_flights_of_a_training(tmp_path: Path, what: str, limit: int, file: str) -> None:
    path = tmp_path / "disk"
    path.mkdir()
    code, words = run(tmp_path, what, path, limit)
    assert code == 2
    assert f"File too large: '{path}/run/{file}" in words
    assert hidden(path) == []


@pytest.mark.parametrize(("limit", "file"), [(1_000, "tensorboard/events"), (40_000, "rounds/")])
def test_a_round_of_a_training(tmp_path: Path, limit: int, file: str) -> None:
    path = tmp_path / "disk"
    path.mkdir()
    run(tmp_path, "training", path, 2_000_000)
    for kept in ("model", "tensorboard", "rounds"):
        subprocess.run(["rm", "-r", str(path / "run" / kept)], check=True)
    code, words = run(tmp_path, "training", path, limit)
    assert code == 2
    assert "File too large" in words
    assert f"{path}/run/{file}" in words
    assert hidden(path) == []
    assert run(tmp_path, "training", path, 2_000_000)[0] == 0
    load_network(path / "run/model")


def test_a_dataset(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.mkdir()
    with FlightRecorder(path / "flight.mcap", small_network()[0].camera) as recorder:
        for event in events(2.0):
            recorder.event(event)
            recorder.command(Command(event.arrival, 0.5))
    code, words = run(tmp_path, "dataset", path, 20_000)
    assert code == 2
    assert "out/flight_000.npz: File too large" in words
    assert [entry.name for entry in path.iterdir()] == ["flight.mcap"]
