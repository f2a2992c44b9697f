"""Flights on a cluster: a ray cluster of two processes on this machine."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from learning.waiting import wait_for
from liquid_nav.cli.main import main
from liquid_nav.errors import BundleError, ConfigError
from liquid_nav.evaluation.study.study import Study, cells_of
from liquid_nav.learning.config import TrainingConfig
from liquid_nav.learning.flying.flights import Job
from liquid_nav.learning.flying.workers import Flights, WorkerError
from liquid_nav.learning.imitation import train
from liquid_nav.onboard import Manifest
from liquid_nav.onboard.encoders import CAMERA_AND_IMU
from liquid_nav.policy import load_network, save_bundle
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.tasks.target import TargetTask
from support import small_network

pytest.importorskip("ray", reason="ray is not installed: pip install liquid_nav[cluster]")

from liquid_nav.learning.flying.cluster import LOCAL, RayFleet, fly_remotely

# Ray's own.
pytestmark = pytest.mark.filterwarnings("ignore")

SHORT = WorldConfig(task=TargetTask(time_limit=0.5))


@pytest.fixture(scope="module")
def fleet() -> Iterator[RayFleet]:
    with RayFleet(LOCAL, 2) as made:
        yield made


def jobs(folder: Path, count: int, bundle: Path | None = None, seconds: float = 0.5) -> list[Job]:
    world = WorldConfig(task=TargetTask(time_limit=seconds))
    return [
        Job(world, CAMERA_AND_IMU, bundle, seed, folder / f"{seed}.npz") for seed in range(count)
    ]


def flying() -> list[int]:
    """Processes of the cluster that fly at this moment."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if entry.read_text().startswith("ray::fly_remotely"):
                found.append(int(entry.parent.name))
    return found


def test_flights_of_a_cluster_are_those_of_this_machine(tmp_path: Path, fleet: RayFleet) -> None:
    config, network = small_network()
    bundle = tmp_path / "model"
    save_bundle(bundle, network, Manifest("target", config, {}, {}))
    asked = [
        *jobs(tmp_path / "there/expert", 2),
        *jobs(tmp_path / "there/policy", 2, bundle),
        *(job._replace(judges=True) for job in jobs(tmp_path / "there/judged", 1, bundle)),
    ]
    assert {job.path for job in fleet.record(asked)} == {job.path for job in asked}
    for job in asked:
        here = job._replace(path=tmp_path / "here" / job.path.name)
        here.fly()
        assert here.path.read_bytes() == job.path.read_bytes()


def test_a_study_is_flown_on_a_cluster_as_on_this_machine(tmp_path: Path, fleet: RayFleet) -> None:
    world = replace(WorldConfig(task=TargetTask(time_limit=1.0)), renderer="raycast")
    cells = cells_of(("nominal",), world)
    study = Study(tmp_path / "there", None, cells, ["expert"], range(2), 1)
    asked = study.missing()
    assert len(list(fleet.record(asked))) == len(asked) > 2
    for job in asked:
        here = job.moved(tmp_path / "here" / job.path.relative_to(study.folder), None)
        here.fly()
        assert here.path.read_bytes() == job.path.read_bytes()


def test_a_worker_that_is_killed_is_one_line_and_no_flight_is_lost(
    tmp_path: Path, fleet: RayFleet, caplog: pytest.LogCaptureFixture
) -> None:
    flights = Flights(jobs(tmp_path, 4, seconds=5.0), fleet)
    wait_for(flying)
    os.kill(flying()[0], signal.SIGKILL)
    assert len(list(flights)) == 4
    ours = "liquid_nav.learning.flying.cluster"
    (line,) = [record.getMessage() for record in caplog.records if record.name == ours]
    assert line.startswith("the flight of seed ")
    assert line.endswith("; it is flown again")
    assert "\n" not in line
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{k}.npz" for k in range(4)]


def test_a_flight_whose_process_always_dies_is_one_clear_error(
    tmp_path: Path, fleet: RayFleet
) -> None:
    @dataclass
    class Deadly:
        path: Path
        seed: int = 7
        bundle: None = None

        def moved(self, path: Path, bundle: object) -> "Deadly":
            return self

        def fly(self) -> None:
            os._exit(3)

    with pytest.raises(WorkerError, match=r"flight of seed 7 was lost .*, as was its first"):
        list(fleet.record([Deadly(tmp_path / "7.npz")]))
    assert list(tmp_path.iterdir()) == []


def test_what_a_flight_raises_is_raised_here(tmp_path: Path, fleet: RayFleet) -> None:
    @dataclass
    class Wrong:
        path: Path
        error: Exception
        seed: int = 7
        bundle: None = None

        def moved(self, path: Path, bundle: object) -> "Wrong":
            return self

        def fly(self) -> None:
            raise self.error

    with pytest.raises(BundleError, match="no model bundle at"):
        list(fleet.record(jobs(tmp_path, 2, tmp_path / "nothing")))
    with pytest.raises(ConfigError, match="odd"):
        list(fleet.record([Wrong(tmp_path / "7.npz", ConfigError("odd"))]))
    with pytest.raises(RuntimeError, match=r"the flight of seed 7 failed: Traceback(.|\n)*odd"):
        list(fleet.record([Wrong(tmp_path / "7.npz", KeyError("odd"))]))


def test_flights_that_are_given_up_end(tmp_path: Path, fleet: RayFleet) -> None:
    flights = Flights(jobs(tmp_path, 50, seconds=20.0), fleet, beside=True)
    wait_for(flying)
    flights.close()
    wait_for(lambda: not flying())
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    stop = threading.Event()
    stop.set()
    assert list(fleet.record(jobs(tmp_path, 2), stop)) == []


def test_another_version_on_the_cluster_is_refused(tmp_path: Path) -> None:
    refused = fly_remotely(jobs(tmp_path, 1)[0], None, "0.0.1")
    assert isinstance(refused, ConfigError)
    assert "this one 0.0.1: install the same version on both" in str(refused)


def test_training_on_a_cluster_gives_the_weights_of_this_machine(
    tmp_path: Path, fleet: RayFleet
) -> None:
    few = {"demonstrations": 2, "rounds": 2, "episodes": 2, "validation": 1}
    steps = {"first_steps": 3, "steps": 3, "last_steps": 3, "lanes": 2, "length": 64}
    config, quiet = TrainingConfig(**few, **steps, workers=0), Console(quiet=True)
    policy = small_network()[0]
    here = train(tmp_path / "here", config, policy, SHORT, quiet)
    there = train(tmp_path / "there", replace(config, workers=2), policy, SHORT, quiet, fleet=fleet)
    one, other = load_network(here)[0].state_dict(), load_network(there)[0].state_dict()
    for name, expected in one.items():
        assert torch.equal(expected, other[name]), name


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:1", "there is no ray cluster at 127.0.0.1:1: "),
        ("somewhere", "a ray cluster is HOST:PORT, auto or local, got 'somewhere'"),
        ("somewhere:99999", "a ray cluster is HOST:PORT, auto or local, got"),
        (":6379", "a ray cluster is HOST:PORT, auto or local, got"),
    ],
)
def test_an_address_without_a_cluster_is_one_line(
    tmp_path: Path, address: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "target", "--out", str(tmp_path / "run"), "--cluster", address]) == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith(f"liquid-nav: error: {said}")
    assert complaint.count("\n") == 1
    assert not (tmp_path / "run").exists()
