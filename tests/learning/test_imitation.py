"""The expert solves its task, and training is seeded, resumable and learns."""

from dataclasses import fields, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from rich.console import Console

from liquid_nav.command import Command
from liquid_nav.errors import ConfigError
from liquid_nav.events import SECOND, CameraFrame, Channel
from liquid_nav.learning.config import TrainingConfig
from liquid_nav.learning.data.episodes import EpisodeError
from liquid_nav.learning.experts.target import SEARCH_YAW_RATE, TargetExpert
from liquid_nav.learning.flying import rollout
from liquid_nav.learning.flying.rollout import Bursts, record, sight
from liquid_nav.learning.imitation import train
from liquid_nav.learning.learner import Learner
from liquid_nav.onboard import read_manifest
from liquid_nav.policy import load_network
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.tasks.base import Task
from liquid_nav_sim.tasks.follow import FollowTask
from liquid_nav_sim.tasks.forest import ForestTask
from liquid_nav_sim.tasks.gates import GatesTask
from liquid_nav_sim.tasks.target import TargetTask
from liquid_nav_sim.world import Outcome, World
from support import small_network

QUIET = Console(quiet=True)
SHORT = WorldConfig(task=TargetTask(time_limit=1.5))
SMALL = TrainingConfig(
    demonstrations=3,
    rounds=1,
    episodes=2,
    first_steps=6,
    steps=3,
    last_steps=3,
    validation=1,
    lanes=2,
    length=64,
    workers=0,
)


@pytest.fixture(scope="module")
def world():
    made = World()
    yield made
    made.close()


def expert_flight(world: World, seed: int) -> tuple[Outcome, list[tuple[float, ...]], list[bool]]:
    world.reset(seed)
    expert = TargetExpert(world)
    commands, seen = [], []
    while (event := world.next_event()) is not None:
        expert.on_event(event)
        commands.append(expert.command())
        seen.append(expert.seen)
        world.command(Command(event.arrival, *commands[-1]))
    assert world.outcome is not None
    return world.outcome, commands, seen


def test_the_expert_solves_the_task(world: World) -> None:
    outcomes = [expert_flight(world, seed)[0] for seed in range(300, 320)]
    assert outcomes.count(Outcome.SUCCESS) == len(outcomes)


def test_the_expert_does_not_know_what_was_never_in_view(world: World) -> None:
    searches = 0
    for seed in range(300, 312):
        _, commands, seen = expert_flight(world, seed)
        blind = [command for command, known in zip(commands, seen, strict=True) if not known]
        assert set(blind) <= {(0.0, 0.0, 0.0, SEARCH_YAW_RATE)}
        assert seen == sorted(seen)
        searches += len(blind) > 40
    assert searches >= 1


def test_labels_stay_clean_while_bursts_push(world: World) -> None:
    rng = np.random.default_rng(0)
    pushed = record(world, 7, None, Bursts(rate=2.0, rng=rng))
    calm = record(world, 7, None, Bursts(rate=0.0, rng=rng))
    again = record(world, 7, None, Bursts(rate=0.0, rng=rng))
    for name in ("dt", "label", "sight"):
        np.testing.assert_array_equal(getattr(calm, name), getattr(again, name))
    for channel in (Channel.CAMERA, Channel.IMU):
        np.testing.assert_array_equal(calm.measured[channel], again.measured[channel])
    assert str(calm.outcome) == "success"
    count = min(len(pushed), len(calm))
    shaken, still = (flight.measured[Channel.IMU][: count // 2] for flight in (pushed, calm))
    assert np.abs(shaken - still).max() > 0.5
    # A burst adds to what is flown, never to the label: labels do not jump with it.
    jumps = np.abs(np.diff(pushed.label[pushed.seen], axis=0)).max(axis=0)
    assert np.all(jumps < (0.5, 0.5, 0.3, 0.6))


def test_a_flight_of_training_ends_as_a_timeout_when_it_takes_too_long(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollout, "LONGEST", SECOND)
    cut = record(world, 7, None, Bursts(rate=0.0, rng=np.random.default_rng(0)))
    assert str(cut.outcome) == "timeout"
    assert 0.9 < cut.dt.sum() <= 1.0


def test_sight_is_where_the_target_appears(world: World) -> None:
    """The label's azimuth and elevation point at the pixels that show the target."""
    checked = 0
    for seed in range(300, 306):
        world.reset(seed)
        expert = TargetExpert(world)
        model = world.config.sensor("camera").model
        while (event := world.next_event()) is not None:
            expert.on_event(event)
            world.command(Command(event.arrival, *expert.command()))
            if isinstance(event, CameraFrame):
                view = world.view(event)
                visible, azimuth, elevation, inverse_range, *_ = sight(world, view)
                assert bool(visible) == (view.target_pixels > 0)
                if view.target_pixels > 20:
                    image = event.image.astype(int)
                    red = image[..., 0] - image[..., 1:].max(2)
                    rows, columns = np.nonzero(red > 0.4 * red.max())
                    inside = rows.min() > 0 < columns.min() and rows.max() < 47
                    if not inside or columns.max() == 63 or len(rows) < 0.8 * view.target_pixels:
                        continue
                    u = (columns.mean() - model.matrix[0, 2]) / model.matrix[0, 0]
                    v = (rows.mean() - model.matrix[1, 2]) / model.matrix[1, 1]
                    assert azimuth == pytest.approx(-np.arctan(u), abs=0.08)
                    assert np.tan(elevation) == pytest.approx(-v * np.cos(azimuth), abs=0.1)
                    assert (
                        0.4
                        < inverse_range * (0.65 * model.matrix[0, 0]) / np.sqrt(view.target_pixels)
                        < 2.2
                    )
                    checked += 1
    assert checked > 100


def weights(bundle: Path) -> dict[str, torch.Tensor]:
    return load_network(bundle)[0].state_dict()


def test_training_is_seeded_and_a_cut_run_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = small_network()[0]
    whole = train(tmp_path / "whole", SMALL, policy, SHORT, QUIET)
    story = read_manifest(whole).training
    assert (story["finished_rounds"], story["flights"]) == (2, 5)
    assert [sum(round_.values()) for round_ in story["outcomes_by_round"]] == [3, 2]

    learn = Learner.train

    def cut(self: Learner, *arguments: object) -> float:
        if self.steps > 0:
            raise KeyboardInterrupt
        return learn(self, *arguments)

    monkeypatch.setattr(Learner, "train", cut)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", SMALL, policy, SHORT, QUIET)
    monkeypatch.undo()
    half = weights(tmp_path / "cut" / "model")
    resumed = weights(train(tmp_path / "cut", SMALL, policy, SHORT, QUIET))
    finished = weights(train(tmp_path / "whole", SMALL, policy, SHORT, QUIET))
    for name, expected in weights(whole).items():
        assert torch.equal(expected, resumed[name])
        assert torch.equal(expected, finished[name])
    assert any(not torch.equal(half[name], resumed[name]) for name in half)


@pytest.mark.parametrize(
    "task",
    [
        ForestTask(difficulty=0.0, time_limit=1.5),
        GatesTask(difficulty=0.0, time_limit=1.5),
        FollowTask(difficulty=0.0, time_limit=1.5, hold=1.0),
    ],
)
def test_every_task_can_be_learnt(tmp_path: Path, task: Task) -> None:
    config = replace(SMALL, demonstrations=2, episodes=1)
    bundle = train(tmp_path / "run", config, small_network()[0], WorldConfig(task=task), QUIET)
    manifest = read_manifest(bundle)
    assert manifest.task == task.name
    assert manifest.training["task"] == {"name": task.name, "difficulty": 0.0}
    for channel, low, high in ((Channel.IMU, 40, 1010), (Channel.CAMERA, 3, 46)):
        slowest, fastest = manifest.rates[channel]
        assert low < slowest <= fastest < high
    with pytest.raises(ConfigError, match="other settings"):
        train(tmp_path / "run", config, small_network()[0], SHORT, QUIET)


def test_training_starts_from_the_weights_of_a_bundle(tmp_path: Path) -> None:
    policy = small_network()[0]
    config = replace(SMALL, rounds=0, demonstrations=1, last_steps=1)
    first = train(tmp_path / "first", config, policy, SHORT, QUIET)
    gentle = replace(config, learning_rate=1e-9)
    second = train(tmp_path / "second", gentle, policy, SHORT, QUIET, start=first)
    begun = weights(first)
    for name, learnt in weights(second).items():
        torch.testing.assert_close(learnt, begun[name], rtol=0, atol=1e-6)
    story = read_manifest(second).training["start"]
    assert story["training"] == read_manifest(first).training
    assert len(story["weights_sha256"]) == 64
    with pytest.raises(ConfigError, match="another architecture"):
        train(tmp_path / "third", config, replace(policy, units=9), SHORT, QUIET, start=first)
    assert not (tmp_path / "third").exists()


def test_a_run_directory_is_not_mixed_up(tmp_path: Path) -> None:
    policy = small_network()[0]
    config = replace(SMALL, rounds=0, demonstrations=1, last_steps=1)
    train(tmp_path, config, policy, SHORT, QUIET)
    with pytest.raises(ConfigError, match="other settings"):
        train(tmp_path, replace(config, seed=9), policy, SHORT, QUIET)
    data = next((tmp_path / "data" / "round0").iterdir())
    data.write_bytes(data.read_bytes()[:1000])
    with pytest.raises(EpisodeError, match=data.name):
        train(tmp_path, config, policy, SHORT, QUIET)


def test_photographs_of_a_folder_become_grounds(tmp_path: Path) -> None:
    pictures, run = tmp_path / "pictures", tmp_path / "run"
    pictures.mkdir()
    config = replace(SMALL, rounds=0, demonstrations=1, last_steps=1)
    policy = small_network()[0]
    with pytest.raises(SimulationError, match="pictures"):
        train(run, config, policy, SHORT, QUIET, photographs=pictures)
    assert not run.exists()
    cv2.imwrite(str(pictures / "meadow.png"), np.full((200, 200, 3), (20, 200, 40), np.uint8))
    train(run, config, policy, SHORT, QUIET, photographs=pictures)
    with pytest.raises(ConfigError, match="other settings"):
        train(run, config, policy, SHORT, QUIET)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="device cuda: torch finds no GPU here"):
        train(tmp_path, replace(SMALL, device="cuda"), small_network()[0], SHORT, QUIET)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [{"lanes": 0}, {"rounds": -1}, {"rounds": 60}, {"learning_rate": 0.0}, {"episodes": 5000}],
)
def test_settings_out_of_range_are_refused(change) -> None:
    with pytest.raises(ConfigError):
        replace(SMALL, **change)


@pytest.mark.parametrize("name", [field.name for field in fields(TrainingConfig)])
@pytest.mark.parametrize(
    "bad", [None, "3", True, [], float("nan"), float("inf"), -1, 10**400, 1j], ids=str
)
def test_settings_of_any_type_are_refused_by_name(name: str, bad: object) -> None:
    with pytest.raises(ConfigError, match=f"training {name} must be"):
        TrainingConfig(**{name: bad})
