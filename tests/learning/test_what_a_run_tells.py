"""What a training run tells is true: who flew, what is not known, what a cut run does."""

import contextlib
import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from liquid_nav.errors import ConfigError
from liquid_nav.learning import imitation
from liquid_nav.learning.config import TrainingConfig
from liquid_nav.learning.episodes import EpisodeError
from liquid_nav.learning.imitation import train
from liquid_nav.onboard import read_manifest
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.tasks.target import TargetTask
from support import small_network

SHORT = WorldConfig(task=TargetTask(time_limit=1.0))
SMALL = TrainingConfig(
    demonstrations=2,
    rounds=2,
    episodes=2,
    first_epochs=2,
    epochs=1,
    last_epochs=1,
    lanes=2,
    length=64,
    workers=1,
)


def run(out: Path, config: TrainingConfig = SMALL) -> list[str]:
    """Train, and give the lines that are printed."""
    text = io.StringIO()
    with contextlib.suppress(KeyboardInterrupt):
        train(out, config, small_network()[0], SHORT, Console(file=text, width=200))
    return [line for line in text.getvalue().splitlines() if "━" not in line and line.strip()]


def rows(out: Path) -> dict[str, list[int]]:
    """Steps of every row in the log, by name, in the order of the files."""
    found: dict[str, list[int]] = {}
    for path in sorted((out / "tensorboard").iterdir()):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                found.setdefault(value.tag, []).append(event.step)
    return found


def cut_in(monkeypatch: pytest.MonkeyPatch, round_: int, step: int) -> None:
    """Interrupt the training of a round after some steps."""
    loss, seen = imitation.command_loss, []
    learn = imitation._Trainer._train

    def training(self: imitation._Trainer, number: int, *arguments: object, **options: object):
        seen.append(number)
        learn(self, number, *arguments, **options)

    def counted(*arguments: object) -> object:
        if seen[-1] == round_:
            seen.append(round_)
            if seen.count(round_) > step:
                raise KeyboardInterrupt
        return loss(*arguments)

    monkeypatch.setattr(imitation._Trainer, "_train", training)
    monkeypatch.setattr(imitation, "command_loss", counted)


def test_success_is_that_of_the_policy_that_flew(tmp_path: Path) -> None:
    lines = run(tmp_path)
    assert [
        line.partition(" in all; ")[2].partition(":")[0] for line in lines if " in all" in line
    ] == [
        "flights of the expert",
        "flights of the policy of round 0",
        "flights of the policy of round 1",
    ]
    assert lines[-1].startswith(
        f"{tmp_path}/model holds the policy of round 2, which has not flown yet: liquid-nav fly"
    )
    told = read_manifest(tmp_path / "model").training
    assert told["flown_by"] == ["expert", "policy of round 0", "policy of round 1"]
    assert len(told["outcomes_by_round"]) == 3
    logged = rows(tmp_path)
    assert logged["flights/success_of_expert"] == [0]
    assert logged["flights/success_of_policy"] == [0, 1]


def test_a_resumed_run_repeats_nothing_and_says_what_starts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(tmp_path / "whole")
    cut_in(monkeypatch, round_=1, step=3)
    first = run(tmp_path / "cut")
    monkeypatch.undo()
    partly = rows(tmp_path / "cut")
    assert len(partly["loss/imitation"]) > len(set(range(3)))
    second = run(tmp_path / "cut")
    assert second[:2] == [
        f"continuing {tmp_path}/cut after round 0",
        "round 1 was interrupted and starts again; 2 of its 2 flights are there",
    ]
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")
    steps = rows(tmp_path / "cut")["loss/imitation"]
    assert steps == list(range(1, len(steps) + 1))
    told = [line.replace("/cut", "/whole") for line in (*first, *second[2:])]
    assert [line for line in whole if told.count(line) != 1 and "round 1: " not in line] == []
    again = run(tmp_path / "cut")
    assert again == [f"continuing {tmp_path}/cut after round 2", second[-1]]
    assert rows(tmp_path / "cut")["loss/imitation"] == steps


def test_a_cut_of_the_first_round_is_told_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_in(monkeypatch, round_=0, step=1)
    run(tmp_path)
    monkeypatch.undo()
    assert run(tmp_path)[0] == (
        "round 0 was interrupted and starts again; 2 of its 2 flights are there"
    )


def test_flights_of_a_policy_that_is_gone_are_not_flown_by_another(tmp_path: Path) -> None:
    run(tmp_path)
    next((tmp_path / "data/round0").iterdir()).unlink()
    run(tmp_path)
    assert len(list((tmp_path / "data/round0").iterdir())) == 2
    lost = next((tmp_path / "data/round1").iterdir())
    lost.unlink()
    with pytest.raises(EpisodeError, match=f"{lost.name} is missing, and cannot be flown again"):
        run(tmp_path)


def test_other_settings_are_named(tmp_path: Path) -> None:
    run(tmp_path, replace(SMALL, rounds=0))
    with pytest.raises(ConfigError, match=r"training\.seed is 0 there and 9 here"):
        run(tmp_path, replace(SMALL, rounds=0, seed=9))
    run(tmp_path, replace(SMALL, rounds=0, workers=2))


def test_a_training_that_diverges_ends_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"training diverged in round 0.*a lower --learning-rate"):
        run(tmp_path, replace(SMALL, learning_rate=1e30))
