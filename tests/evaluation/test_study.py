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
from liquid_nav.evaluation.study.study import Study, StudySettings
from liquid_nav.evaluation.study.summary import cell_figures, to_dict
from liquid_nav.evaluation.suites.cell import Cell
from liquid_nav.events import SECOND
from liquid_nav.learning.images import ImageChange
from liquid_nav.onboard import Manifest
from liquid_nav.policy import save_bundle
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.tasks.target import TargetTask
from support import small_network

SHORT = WorldConfig(task=TargetTask(time_limit=0.4), renderer="raycast")
SETTINGS = StudySettings("target", None, 0.5, "raycast")


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
    kept = short.result(jobs[1].cell, "expert", 1)
    assert kept is not None
    assert kept["outcome"] == "timeout"
    assert kept["duration_s"] == pytest.approx(0.4)
    assert short.result(jobs[0].cell, "expert", 0) is None


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    short = study(tmp_path)
    job = short.missing()[0]
    job.path.parent.mkdir(parents=True)
    job.path.write_text("{")
    with pytest.raises(ConfigError, match=r"0\.json is damaged: .*; delete it to fly it again"):
        short.result(job.cell, "expert", 0)


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
    flight = {"duration_s": 3.0, "clearance_m": 1.0, "efficiency": 0.9, "smoothness": 2.0}
    job.path.write_text(json.dumps({"outcome": outcome, **flight, **values}))


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
    assert json.loads(json.dumps(to_dict([cell], {})))["suites"]["suite"]["short"]["tests"]


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
