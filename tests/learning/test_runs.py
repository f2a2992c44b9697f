"""A training run survives a kill at any instant: no model is lost, and none is wrong."""

import itertools
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from killed import Killed, killed_at
from learning.killing import CONFIG, train_until
from liquid_nav.errors import BundleError, ConfigError
from liquid_nav.learning.data.episodes import Episode
from liquid_nav.learning.imitation import train
from liquid_nav.learning.runs import Run, locked
from liquid_nav.onboard import Manifest
from liquid_nav.policy import PolicyNetwork, load_network
from support import small_network

SETTINGS = {"task": "target"}


def keep(run: Run, round_: int) -> None:
    """Keep and publish a round whose weights, manifest and state all tell its number."""
    config, network = small_network()
    with torch.no_grad():
        network.head.bias.fill_(round_)
    manifest = Manifest("target", config, {"round": round_}, {})
    run.keep(round_, network, manifest, {"round": round_})
    run.publish(round_, ())


def number(network: PolicyNetwork) -> int:
    (value,) = set(network.head.bias.tolist())
    return int(value)


def check_bundle(path: Path, kept: set[int]) -> None:
    """The bundle is whole, it is one of those that were kept, and its manifest is its own."""
    network, manifest = load_network(path)
    assert number(network) in kept
    assert manifest.training["round"] == number(network)


@pytest.mark.parametrize("before", [0, 1], ids=["the first round", "a later round"])
def test_a_kill_between_any_two_changes_loses_no_round(tmp_path: Path, before: int) -> None:
    begun = tmp_path / "begun"
    run = Run(begun, SETTINGS)
    for round_ in range(before):
        keep(run, round_)
    cuts = 0
    for call in itertools.count(1):
        path = tmp_path / f"cut{call}"
        shutil.copytree(begun, path, symlinks=True)
        run = Run(path, SETTINGS)
        try:
            with killed_at(call):
                keep(run, before)
        except Killed:
            cuts += 1
        else:
            break
        if before or run.bundle.exists():
            check_bundle(run.bundle, {before - 1, before} - {-1})
        run = Run(path, SETTINGS)
        kept = run.newest()
        if before or kept is not None:
            assert kept is not None
            assert kept.state["round"] == number(kept.network)
            # As a run does that is continued.
            run.publish(number(kept.network), ())
            check_bundle(run.bundle, {number(kept.network)})
        keep(run, before + 1)
        check_bundle(run.bundle, {before + 1})
        assert [p.name for p in (path / "rounds").iterdir()] == [f"{before + 1:03d}"]
        assert list(path.rglob(".*")) == []
    assert cuts > 10


def test_the_best_is_published_and_what_is_needed_is_kept(tmp_path: Path) -> None:
    run = Run(tmp_path, SETTINGS)
    config, network = small_network()
    for round_ in range(4):
        run.keep(round_, network, Manifest("target", config, {}, {}), {})
        run.publish(min(round_, 1), {round_, round_ - 1})
    assert run.bundle.resolve() == run.model(1).resolve()
    assert sorted(path.name for path in (tmp_path / "rounds").iterdir()) == ["001", "002", "003"]
    run.publish(3, ())
    assert run.bundle.resolve() == run.model(3).resolve()
    assert [path.name for path in (tmp_path / "rounds").iterdir()] == ["003"]


def test_a_round_that_cannot_be_written_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path, SETTINGS)
    keep(run, 0)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space"):
        keep(run, 1)
    monkeypatch.undo()
    kept = run.newest()
    assert kept is not None
    assert kept.state["round"] == number(kept.network) == 0
    assert [p.name for p in (tmp_path / "rounds").iterdir()] == ["000"]


def test_a_damaged_round_is_one_clear_error(tmp_path: Path) -> None:
    keep(Run(tmp_path / "a", SETTINGS), 0)
    keep(Run(tmp_path / "b", SETTINGS), 1)
    state = tmp_path / "a/rounds/000/state.pt"
    shutil.copy(tmp_path / "b/rounds/001/state.pt", state)
    with pytest.raises(ConfigError, match=r"state\.pt does not belong to the bundle"):
        Run(tmp_path / "a", SETTINGS).newest()
    for content in (b"", state.read_bytes()[:500], b"PK" * 100):
        state.write_bytes(content)
        with pytest.raises(ConfigError, match=r"state\.pt is damaged; delete .*rounds/000"):
            Run(tmp_path / "a", SETTINGS).newest()


def test_a_run_of_an_older_version_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"old")
    with pytest.raises(ConfigError, match="older version"):
        Run(tmp_path, SETTINGS)
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(where=st.floats(0, 1), patch=st.binary(min_size=1, max_size=20))
def test_no_damage_of_the_training_state_goes_unseen(
    tmp_path_factory: pytest.TempPathFactory, where: float, patch: bytes
) -> None:
    path = tmp_path_factory.mktemp("run")
    keep(Run(path, SETTINGS), 0)
    state = path / "rounds/000/state.pt"
    whole = state.read_bytes()
    begin = int(where * len(whole))
    state.write_bytes(whole[:begin] + patch + whole[begin + len(patch) :])
    if state.read_bytes() != whole:
        with pytest.raises(ConfigError, match=r"state\.pt (is damaged|does not belong)"):
            Run(path, SETTINGS).newest()


def test_a_damaged_bundle_of_a_round_says_how_to_go_on(tmp_path: Path) -> None:
    keep(Run(tmp_path, SETTINGS), 0)
    weights = tmp_path / "rounds/000/model/weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(BundleError, match=r"weights\.safetensors .*; delete .*rounds/000 to train"):
        Run(tmp_path, SETTINGS).newest()
    shutil.rmtree(tmp_path / "rounds/000")
    assert Run(tmp_path, SETTINGS).newest() is None


def test_a_state_of_a_gpu_is_read_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
    config, network = small_network()
    run = Run(tmp_path, SETTINGS)
    run.keep(0, network, Manifest("target", config, {}, {}), {"moment": torch.ones(3)})
    monkeypatch.undo()
    kept = run.newest()
    assert kept is not None
    assert kept.state["moment"].tolist() == [1.0, 1.0, 1.0]


def test_a_training_state_that_is_a_program_is_not_run(tmp_path: Path) -> None:
    class Program:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[str, ...]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    keep(Run(tmp_path, SETTINGS), 0)
    torch.save({"round": Program()}, tmp_path / "rounds/000/state.pt")
    with pytest.raises(ConfigError, match=r"state\.pt is damaged"):
        Run(tmp_path, SETTINGS).newest()
    assert not (tmp_path / "ran").exists()


def test_other_settings_are_refused_and_named(tmp_path: Path) -> None:
    begun = {"task": "target", "training": {"seed": 0, "lanes": 16, "workers": 2}}
    Run(tmp_path, begun)
    moved = {"workers": 8, "device": "cuda"}
    Run(tmp_path, {**begun, "training": {**begun["training"], **moved}})
    asked = {"task": "gates", "training": {"seed": 9, "lanes": 16, "workers": 2}, "start": {"x": 1}}
    with pytest.raises(ConfigError, match=r"other settings, see .*settings\.json") as raised:
        Run(tmp_path, asked)
    assert (
        "task is 'target' there and 'gates' here; training.seed is 0 there and 9 here; "
        "start is None there and {'x': 1} here. Give the same ones to continue"
    ) in str(raised.value)
    with pytest.raises(ConfigError, match=r"a is None there and 1 here; .* and 1 more\. Give"):
        Run(tmp_path, {**begun, **dict.fromkeys("abcdef", 1)})


@pytest.mark.parametrize("content", [b"", b"[]", b"5", b"\xff", b"[" * 100_000, b'{"task": '])
def test_settings_that_are_none_are_one_clear_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "settings.json").write_bytes(content)
    with pytest.raises(ConfigError, match=r"settings\.json"):
        Run(tmp_path, SETTINGS)


HOLDER = """
import sys
from pathlib import Path
from liquid_nav.learning.runs import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_one_process_at_a_time_trains_in_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "run"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(ConfigError, match=f"another process is training in {path}"):
            train(path, CONFIG, small_network()[0], console=Console(quiet=True))
        assert list(path.iterdir()) == []
        holder.kill()
    with locked(path):
        assert list(path.iterdir()) == []


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_weights(tmp_path: Path) -> None:
    """Also when other processes fly in the background, or did so before a kill."""
    # The server imports once what takes long, so that each process starts at once.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["liquid_nav.learning.imitation", "torch._dynamo"])
    passed = context.Value("i", 0)

    def run(name: str, instant: int | None, workers: int = 0) -> int | None:
        """Train in a process of its own and give its exit code."""
        arguments = (instant, tmp_path / name, passed, workers)
        process = context.Process(target=train_until, args=arguments)
        process.start()
        process.join()
        return process.exitcode

    assert run("whole", None) == 0
    instants = passed.value
    assert instants > 100
    kills = 0
    drawn = np.random.default_rng(0).integers(1, instants // 2, size=6)
    for instant, workers in zip(drawn, (0, 0, 1, 0, 1, 0), strict=True):
        kills += run("killed", int(instant), workers) == -signal.SIGKILL
    assert kills >= 3
    assert run("killed", None) == 0
    last = f"rounds/{CONFIG.rounds:03d}/model"
    for bundle in (last, "model"):
        whole, killed = (load_network(tmp_path / n / bundle)[0] for n in ("whole", "killed"))
        for name, expected in whole.state_dict().items():
            assert torch.equal(expected, killed.state_dict()[name]), name
    assert flown(tmp_path / "whole") == flown(tmp_path / "killed")


def flown(run: Path) -> dict[str, bytes]:
    """Give what a run has flown: outcomes of its judging flights, and labels of the others."""
    found = {str(path.relative_to(run)): path.read_bytes() for path in run.glob("validation/*/*/*")}
    for path in run.glob("data/*/*"):
        found[str(path.relative_to(run))] = Episode.load(path).label.tobytes()
    assert len(found) == 16
    return found
