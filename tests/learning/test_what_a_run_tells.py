"""What a training run tells is true: who flew, what is not known, what a cut run does."""

import contextlib
import io
import itertools
import json
import math
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from liquid_nav.errors import ConfigError
from liquid_nav.learning import learner
from liquid_nav.learning.config import TrainingConfig
from liquid_nav.learning.data.episodes import EpisodeError
from liquid_nav.learning.flying import flights
from liquid_nav.learning.flying.flights import Job
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
    first_steps=4,
    steps=4,
    last_steps=4,
    validation=1,
    lanes=2,
    length=64,
    workers=0,
)


def run(out: Path, config: TrainingConfig = SMALL) -> list[str]:
    """Train, and give the lines that are printed."""
    text = io.StringIO()
    with contextlib.suppress(KeyboardInterrupt):
        train(out, config, small_network()[0], SHORT, Console(file=text, width=200))
    return [line for line in text.getvalue().splitlines() if "━" not in line and line.strip()]


def untimed(lines: Iterable[str]) -> list[str]:
    """Give lines without the minutes that they tell."""
    return [re.sub(r"[\d.]+ minutes", "MINUTES", line) for line in lines]


def logged(out: Path) -> dict[str, list[tuple[int, float]]]:
    """Step and value of every row in the log, by name, in the order of the files."""
    found: dict[str, list[tuple[int, float]]] = {}
    for path in sorted((out / "tensorboard").iterdir()):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                number = float(value.tensor.float_val[0])
                found.setdefault(value.tag, []).append((event.step, number))
    return found


def rows(out: Path) -> dict[str, list[int]]:
    """Steps of every row in the log, by name, in the order of the files."""
    return {name: [step for step, _ in found] for name, found in logged(out).items()}


def cut_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Interrupt a training that begins anew at an optimiser step, counted from 1."""
    loss, steps = learner.command_loss, itertools.count(1)

    def counted(*arguments: Any) -> Any:
        if next(steps) == step:
            raise KeyboardInterrupt
        return loss(*arguments)

    monkeypatch.setattr(learner, "command_loss", counted)


def test_success_is_that_of_the_policy_that_flew(tmp_path: Path) -> None:
    lines = run(tmp_path)
    assert [
        line.partition(" in all; ")[2].partition(":")[0] for line in lines if " in all" in line
    ] == [
        "flights of the expert",
        "flights of the expert",
        "flights of the policy of round 0",
    ]
    judged = [line.partition(" policy of ")[2] for line in lines if line.startswith("validation ")]
    assert [line.partition(",")[0] for line in judged] == ["round 0", "round 1", "round 2"]
    assert all(re.search(r": \d/1 under default conditions, \d/1 under", line) for line in judged)
    told = read_manifest(tmp_path / "rounds/002/model").training
    assert told["flown_by"] == ["expert", "expert", "policy of round 0"]
    assert len(told["outcomes_by_round"]) == 3
    assert [score is None for score in told["validation"]] == [False, False, True]
    found = rows(tmp_path)
    assert found["flights/success_of_expert"] == [0, 1]
    assert found["flights/success_of_policy"] == [0]
    assert found["validation/nominal"] == found["validation/drawn"] == [0, 1, 2]
    assert found["loss/imitation"] == list(range(1, 13))


def test_the_learning_rate_falls_to_zero_over_the_whole_run(tmp_path: Path) -> None:
    run(tmp_path)
    rates = [rate for _, rate in logged(tmp_path)["learning_rate"]]
    expected = [SMALL.learning_rate * math.cos(math.pi * k / 24) ** 2 for k in range(12)]
    assert rates == pytest.approx(expected, rel=1e-6)


def outcomes(judge: Any, successes: Sequence[int]) -> Any:
    """Let the judging flights of each round succeed so often, of two."""

    def fly(job: Job) -> None:
        judge(job)
        if job.judges:
            assert job.bundle is not None
            number = int(job.bundle.parent.name)
            kinds = ("nominal", "drawn")[: successes[number]]
            outcome = "success" if job.path.parent.name in kinds else "timeout"
            job.path.write_text(json.dumps({"outcome": outcome}))

    return fly


@pytest.mark.parametrize(
    ("successes", "best"),
    [((1, 2, 1, 0), 1), ((1, 1, 1, 1), 3), ((0, 0, 0, 2), 3), ((1, 0, 0, 0), 0)],
    ids=str,
)
def test_the_best_policy_is_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, successes: tuple[int, ...], best: int
) -> None:
    monkeypatch.setattr(flights, "fly", outcomes(flights.fly, successes))
    config = replace(SMALL, rounds=3, steps=1, last_steps=1)
    lines = run(tmp_path, config)
    assert lines[-1] == f"{tmp_path}/model holds the policy of round {best} of 3"
    assert (tmp_path / "model").readlink() == Path(f"rounds/{best:03d}/model")
    assert read_manifest(tmp_path / "model").training["finished_rounds"] == best + 1
    # What judged the best is lost: it is flown again, because the policy is still there.
    shutil.rmtree(tmp_path / f"validation/{best:03d}")
    assert run(tmp_path, config)[-1] == lines[-1]
    assert len(list(tmp_path.glob(f"validation/{best:03d}/*/*"))) == 2


def test_without_validation_the_last_policy_is_offered(tmp_path: Path) -> None:
    lines = run(tmp_path, replace(SMALL, validation=0))
    assert lines[-1] == f"{tmp_path}/model holds the policy of round 2 of 2"
    assert not any(line.startswith("validation") for line in lines)
    assert not any("validation" in name for name in rows(tmp_path))


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"outcome": "victory"}', b"\xff"])
def test_a_damaged_outcome_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    run(tmp_path, replace(SMALL, rounds=0))
    path = next(tmp_path.glob("validation/000/drawn/*.json"))
    path.write_bytes(content)
    with pytest.raises(EpisodeError, match=rf"{path} is damaged: .*; delete it, and it is flown"):
        run(tmp_path, replace(SMALL, rounds=0))
    path.unlink()
    run(tmp_path, replace(SMALL, rounds=0))
    assert path.exists()


def test_a_resumed_run_repeats_nothing_and_says_what_starts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(tmp_path / "whole")
    cut_at(monkeypatch, SMALL.first_steps + 4)
    first = run(tmp_path / "cut")
    monkeypatch.undo()
    partly = rows(tmp_path / "cut")
    assert len(partly["loss/imitation"]) == SMALL.first_steps + 3
    second = run(tmp_path / "cut")
    assert second[:2] == [
        f"continuing {tmp_path}/cut after round 0",
        "round 1 starts from its beginning; 2 of its 2 flights are there",
    ]
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")
    steps = rows(tmp_path / "cut")["loss/imitation"]
    assert steps == list(range(1, 13))
    told = untimed(line.replace("/cut", "/whole") for line in (*first, *second[2:]))
    # The flights of the round that was cut are told again.
    expected = [line for line in untimed(whole) if " events in all" not in line]
    assert [line for line in told if " events in all" not in line] == expected
    again = run(tmp_path / "cut")
    assert again[0] == f"continuing {tmp_path}/cut after round 2"
    assert untimed(again[1:]) == untimed(second[-2:])
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")
    assert rows(tmp_path / "cut")["loss/imitation"] == steps


def test_a_cut_of_the_first_round_is_told_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_at(monkeypatch, 2)
    run(tmp_path)
    monkeypatch.undo()
    assert run(tmp_path)[0] == ("round 0 starts from its beginning; 2 of its 2 flights are there")


def test_flights_of_a_policy_that_is_gone_are_not_flown_by_another(tmp_path: Path) -> None:
    run(tmp_path)
    for round_ in ("round0", "round1"):
        next((tmp_path / "data" / round_).iterdir()).unlink()
        run(tmp_path)
        assert len(list((tmp_path / "data" / round_).iterdir())) == 2
    lost = next((tmp_path / "data/round2").iterdir())
    lost.unlink()
    with pytest.raises(EpisodeError, match=f"{lost.name} is missing, and cannot be flown again"):
        run(tmp_path)


def test_other_settings_are_named(tmp_path: Path) -> None:
    run(tmp_path, replace(SMALL, rounds=0))
    with pytest.raises(ConfigError, match=r"training\.seed is 0 there and 9 here"):
        run(tmp_path, replace(SMALL, rounds=0, seed=9))
    run(tmp_path, replace(SMALL, rounds=0, workers=2))


def test_a_training_that_diverges_ends_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"diverged in optimiser step [1-4]: .*a lower --learning-rate"
    ):
        run(tmp_path, replace(SMALL, learning_rate=1e30))
