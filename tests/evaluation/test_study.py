"""A study: its flights on disk, what is flown again, and its figures."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from liquid_nav.command import Command
from liquid_nav.errors import ConfigError
from liquid_nav.evaluation.study.job import FlightJob
from liquid_nav.evaluation.study.measures import CommandChange, path_efficiency
from liquid_nav.evaluation.study.probes import (
    RATE,
    HeldSceneJob,
    StepJob,
    adaptation_latency,
    mean_response,
)
from liquid_nav.evaluation.study.study import Study, StudySettings
from liquid_nav.evaluation.study.summary import cell_figures, to_dict
from liquid_nav.evaluation.suites.cell import Cell
from liquid_nav.events import SECOND
from liquid_nav.learning.data.images import ImageChange
from liquid_nav.onboard import Manifest
from liquid_nav.policy import save_bundle
from liquid_nav_sim.air.wind import WindModel
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.faults.kinds import Fault
from liquid_nav_sim.tasks.follow import FollowTask
from liquid_nav_sim.tasks.target import TargetTask
from support import small_network

SHORT = WorldConfig(task=TargetTask(time_limit=0.4), renderer="raycast")
SETTINGS = StudySettings("target", None, 0.5, 1.0, "raycast", [])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config, network = small_network()
    with torch.no_grad():
        network.head.weight.mul_(0.1)
    path = tmp_path_factory.mktemp("models") / "bundle"
    save_bundle(path, network, Manifest("target", config, {}, {}))
    return path


def study(folder: Path, bundle: Path | None = None, **cells: Cell) -> Study:
    pilots = ("expert",) if bundle is None else ("policy", "expert")
    chosen = list(cells.values()) or [Cell("short", SHORT)]
    return Study(folder, bundle, {"suite": chosen}, pilots, range(3))


def test_a_flight_is_flown_once_and_kept_as_a_line(tmp_path: Path) -> None:
    short = study(tmp_path)
    short.open(SETTINGS)
    jobs = short.missing()
    assert [job.seed for job in jobs] == [0, 1, 2]
    jobs[1].fly()
    assert [job.seed for job in short.missing()] == [0, 2]
    assert jobs[1].path.read_text().count("\n") == 1
    kept = short.results(jobs[1].cell, "expert")
    assert list(kept) == [1]
    assert kept[1]["outcome"] == "timeout"
    assert kept[1]["duration_s"] == pytest.approx(0.4)


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    short = study(tmp_path)
    job = short.missing()[0]
    job.path.parent.mkdir(parents=True)
    job.path.write_text("{")
    with pytest.raises(ConfigError, match=r"0\.json is damaged: .*; delete it to fly it again"):
        short.results(job.cell, "expert")


def test_the_same_flight_comes_twice_to_the_last_bit(tmp_path: Path, bundle: Path) -> None:
    job = FlightJob(Cell("noisy", SHORT, ImageChange(noise=9.0)), "policy", bundle, 4, tmp_path)
    plain = replace(job, cell=Cell("plain", SHORT))
    assert job.result() == job.result()
    assert job.result()["commands_sha256"] != plain.result()["commands_sha256"]


def test_cells_of_the_same_conditions_share_their_flights(tmp_path: Path, bundle: Path) -> None:
    cells = {
        "plain": Cell("plain", SHORT),
        "same": Cell("same", SHORT),
        "dark": Cell("dark", SHORT, ImageChange(brightness=0.3)),
    }
    jobs = study(tmp_path, bundle, **cells).missing()
    # The expert does not look through the camera.
    assert [(job.cell.name, job.pilot) for job in jobs if job.seed == 0] == [
        ("same", "policy"),
        ("dark", "expert"),
        ("dark", "policy"),
    ]


def test_a_study_with_other_settings_is_refused_by_their_names(tmp_path: Path) -> None:
    short = study(tmp_path)
    short.open(SETTINGS)
    short.open(SETTINGS)
    with pytest.raises(ConfigError, match=r"settings: difficulty is 0\.5 there and 1\.0 here"):
        short.open(replace(SETTINGS, difficulty=1.0))


def keep(study: Study, pilot: str, seed: int, outcome: str, **values: float) -> None:
    """Put a flight into a study that nobody has flown."""
    job = next(job for job in study.missing() if (job.pilot, job.seed) == (pilot, seed))
    job.path.parent.mkdir(parents=True, exist_ok=True)
    flight = {"duration_s": 3.0, "path_m": 6.0, "clearance_m": 1.0, "efficiency": 0.9}
    kept = {"outcome": outcome, "smoothness": 2.0, **flight, **values}
    job.path.write_text(json.dumps(kept))


def test_figures_count_outcomes_pair_flights_and_find_the_worst(
    tmp_path: Path, bundle: Path
) -> None:
    flown = study(tmp_path, bundle)
    keep(flown, "policy", 0, "success", duration_s=5.0)
    keep(flown, "policy", 1, "timeout", duration_s=20.0, efficiency=None)
    keep(flown, "policy", 2, "collision", duration_s=1.0, efficiency=None)
    keep(flown, "expert", 0, "success", duration_s=4.0)
    keep(flown, "expert", 1, "success", duration_s=6.0)
    cell = cell_figures(flown, "suite", flown.suites["suite"][0])
    policy, expert = cell.pilots["policy"], cell.pilots["expert"]
    assert (policy.flights, policy.success, policy.collision, policy.timeout) == (3, 1, 1, 1)
    assert (policy.worst_seed, policy.worst_outcome) == (2, "collision")
    assert (expert.worst_seed, expert.worst_outcome) == (1, "success")
    assert policy.time_to_success_s == 5.0
    assert expert.time_to_success_s == 5.0
    assert policy.efficiency == 0.9
    (test,) = cell.tests
    assert (test.pilots, test.flights) == (("policy", "expert"), 2)
    assert (test.first_only, test.second_only, test.p) == (0, 1, 1.0)
    kept = json.loads(json.dumps(to_dict([cell], {})))
    assert kept["schema"] == "liquid-nav-eval/1"
    assert kept["suites"]["suite"]["short"]["pilots"]["policy"]["wilson95"][1] < 0.8


def test_the_probes_have_folders_of_their_own(tmp_path: Path) -> None:
    probed = replace(study(tmp_path), probes=1)
    kinds = [(type(job), job.seed) for job in probed.missing()]
    assert kinds == [
        (FlightJob, 0),
        (FlightJob, 1),
        (FlightJob, 2),
        (HeldSceneJob, 0),
        (StepJob, 0),
    ]
    assert len({job.path for job in probed.missing()}) == 5


def test_a_held_scene_counts_what_vibration_does_to_the_command(
    tmp_path: Path, bundle: Path
) -> None:
    task = TargetTask(time_limit=6.0)
    shaken = (Fault("imu_accel_noise", 0, magnitude=5.0), Fault("imu_noise", 0, magnitude=0.5))
    still = replace(SHORT, task=task, wind=WindModel(steady=4.0, gust=2.0))
    cells = [Cell("still", still), Cell("shaken", replace(still, faults=shaken))]
    quiet, noisy = (
        HeldSceneJob(cell, "policy", bundle, 1, tmp_path).result()["variation"] for cell in cells
    )
    assert len(quiet) == 4
    assert sum(noisy) > 1.5 * sum(quiet) > 0
    # Neither the wind nor a moving target is part of a held scene: the expert sees nothing change.
    follow = replace(still, task=FollowTask(difficulty=1.0))
    variation = HeldSceneJob(Cell("follow", follow), "expert", None, 1, tmp_path).result()
    assert variation["variation"] == pytest.approx([0.0] * 4, abs=0.1)


def test_the_response_to_a_step_is_that_of_the_wind(tmp_path: Path) -> None:
    config = replace(SHORT, task=TargetTask(difficulty=1.0, time_limit=4.0))
    response = StepJob(Cell("step", config), "expert", None, 2, tmp_path).result()["response"]
    assert len(response) == pytest.approx(3.0 * RATE, abs=2)
    # The wind pushes the vehicle along, and then the autopilot fights it.
    assert max(response) == max(map(abs, response)) > 0.2
    assert 0.2 < np.argmax(response) / RATE < 1.5


def test_adaptation_latency_of_a_known_response() -> None:
    """A response that decays with a time constant of 0.5 s is below a tenth after 1.15 s."""
    times = np.arange(80) / RATE
    decay = np.exp(-times / 0.5)
    assert adaptation_latency(decay) == pytest.approx(0.5 * np.log(10), abs=1 / RATE)
    assert adaptation_latency(-2.0 * decay) == adaptation_latency(decay)
    # A relapse counts, and a response that ends in one is never regained.
    relapse = decay.copy()
    relapse[50] = 0.5
    assert adaptation_latency(relapse) == 51 / RATE
    assert adaptation_latency(decay[:10]) is None
    assert adaptation_latency(np.zeros(10)) is None
    assert adaptation_latency(np.zeros(0)) is None


def test_the_mean_response_ends_where_half_of_the_flights_are_over() -> None:
    mean = mean_response([[1.0, 3.0, 5.0], [3.0, 5.0], [2.0]])
    assert mean.tolist() == [2.0, 4.0]
    assert len(mean_response([])) == 0


def test_smoothness_and_variation_of_a_known_command() -> None:
    change = CommandChange()
    for k in range(101):
        change.note(Command(k * SECOND // 100, 0.03 * (k % 2), 0.04 * (k % 2), 0.0, -0.01 * k))
    assert change.seconds == pytest.approx(1.0)
    assert change.per_second == pytest.approx([3.0, 4.0, 0.0, 1.0])
    assert change.smoothness == pytest.approx(5.0)


def test_path_efficiency_counts_the_way_by_the_aims() -> None:
    start, gate = np.array([0.0, 0.0, 1.0]), np.array([3.0, 0.0, 1.0])
    straight = np.array([start, gate, [3.0, 4.0, 1.0]])
    assert path_efficiency(start, [gate], straight) == pytest.approx(1.0)
    detour = np.array([start, [3.0, -3.5, 1.0], gate, [3.0, 4.0, 1.0]])
    flown = np.hypot(3.0, 3.5) + 3.5 + 4.0
    assert path_efficiency(start, [gate], detour) == pytest.approx(7.0 / flown)
