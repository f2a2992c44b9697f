"""Flights for training in several processes: deaths, errors and Ctrl-C in them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from learning.waiting import wait_for
from liquid_nav.errors import BundleError
from liquid_nav.learning.data.episodes import Episode
from liquid_nav.learning.flying import workers
from liquid_nav.learning.flying.flights import Job
from liquid_nav.learning.flying.workers import Flights, LocalFleet, WorkerError
from liquid_nav.onboard.encoders import CAMERA_AND_IMU
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.tasks.target import TargetTask

SHORT = WorldConfig(task=TargetTask(time_limit=0.5))


def jobs(folder: Path, count: int, bundle: Path | None = None) -> list[Job]:
    return [
        Job(SHORT, CAMERA_AND_IMU, bundle, seed, folder / f"{seed}.npz") for seed in range(count)
    ]


def team_of(parent: int) -> list[int]:
    """Processes that a process has started for flights."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = entry.read_text().rpartition(")")
            command = entry.with_name("cmdline").read_text()
        except OSError:
            continue
        if int(rest.split()[1]) == parent and "spawn_main" in command:
            found.append(int(name.split()[0]))
    return found


def kill_one() -> None:
    os.kill(team_of(os.getpid())[0], signal.SIGKILL)


def test_a_worker_that_dies_is_replaced_and_no_flight_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    flights = LocalFleet(2).record(jobs(tmp_path, 4))
    next(flights)
    kill_one()
    assert sum(1 for _ in flights) == 3
    assert "died by signal 9; a new one takes its place" in caplog.text
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{k}.npz" for k in range(4)]
    for path in tmp_path.iterdir():
        assert len(Episode.load(path)) > 0
    assert team_of(os.getpid()) == []


def test_a_flight_whose_process_always_dies_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With workers that end as soon as they start, as in a script without a main guard."""
    monkeypatch.setattr(workers, "_work", os._exit)
    begin = time.monotonic()
    with pytest.raises(WorkerError, match=r"flew seed \d died with exit code 1"):
        list(LocalFleet(2).record(jobs(tmp_path, 3)))
    assert time.monotonic() - begin < 60
    assert team_of(os.getpid()) == []


def test_what_a_flight_raises_is_raised_here(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no model bundle at"):
        list(LocalFleet(2).record(jobs(tmp_path, 2, tmp_path / "nothing")))
    assert team_of(os.getpid()) == []


def test_flights_that_are_given_up_leave_nothing_behind(tmp_path: Path) -> None:
    flights = LocalFleet(2).record(jobs(tmp_path, 3))
    next(flights)
    assert len(team_of(os.getpid())) == 2
    flights.close()
    assert team_of(os.getpid()) == []
    assert [path.suffix for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_flights_go_on_while_this_process_does_something_else(tmp_path: Path) -> None:
    flights = Flights(jobs(tmp_path, 3), LocalFleet(2))
    assert len(flights) == 3
    wait_for(lambda: len(list(tmp_path.glob("[0-9].npz"))) == 3)
    assert list(flights) == [None] * 3
    flights.close()
    assert team_of(os.getpid()) == []


def test_more_processes_fly_once_this_one_has_nothing_else_to_do(tmp_path: Path) -> None:
    flights = Flights(jobs(tmp_path, 100), LocalFleet(2), beside=True)
    wait_for(lambda: list(tmp_path.glob("[0-9].npz")))
    assert len(team_of(os.getpid())) == 1
    next(iter(flights))
    wait_for(lambda: len(team_of(os.getpid())) == 2)
    flights.close()


def test_without_processes_flights_wait_until_they_are_waited_for(tmp_path: Path) -> None:
    flights = Flights(jobs(tmp_path, 1), None)
    assert list(tmp_path.iterdir()) == []
    assert list(flights) == [None]
    assert [path.name for path in tmp_path.iterdir()] == ["0.npz"]
    flights.close()


def test_flights_in_the_background_that_are_given_up_leave_nothing_behind(tmp_path: Path) -> None:
    flights = Flights(jobs(tmp_path, 100), LocalFleet(2), beside=True)
    wait_for(lambda: list(tmp_path.glob("[0-9].npz")))
    flights.close()
    assert team_of(os.getpid()) == []
    assert 1 <= len(list(tmp_path.iterdir())) < 100
    assert [path.suffix for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_what_a_flight_in_the_background_raises_is_raised_to_who_waits(tmp_path: Path) -> None:
    flights = Flights(jobs(tmp_path, 2, tmp_path / "nothing"), LocalFleet(1))
    with pytest.raises(BundleError, match="no model bundle at"):
        list(flights)
    flights.close()
    assert team_of(os.getpid()) == []


Train = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def train() -> Iterator[Train]:
    """Starts a training in a process group of its own, which a terminal's Ctrl-C would reach."""
    begun = []

    def start(out: Path, *options: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "liquid_nav.cli", "train", "target", "--out", str(out)]
        command += ["--demonstrations", "40", "--rounds", "0", "--workers", "2", *options]
        begun.append(
            subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
                # The tests themselves may run in the background of a shell, which ignores Ctrl-C.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
        )
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("flown", [False, True], ids=["while they import", "in flight"])
def test_ctrl_c_ends_training_and_its_workers_with_one_line(
    tmp_path: Path, train: Train, flown: bool
) -> None:
    process = train(tmp_path)
    wait_for(lambda: len(team_of(process.pid)) == 2)
    if flown:
        wait_for(lambda: list(tmp_path.glob("data/round0/*.npz")))
    team = team_of(process.pid)
    os.killpg(process.pid, signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert complaint.strip() == ("liquid-nav: interrupted; the same command continues the training")
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in team))
    assert list(tmp_path.rglob(".*")) == []


def test_ctrl_c_while_flights_and_training_overlap(tmp_path: Path, train: Train) -> None:
    process = train(tmp_path, "--demonstrations", "1", "--rounds", "1", "--first-steps", "100000")
    wait_for(lambda: list(tmp_path.glob("data/round1/*.npz")))
    team = team_of(process.pid)
    assert len(team) == 1
    os.killpg(process.pid, signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert complaint.strip() == ("liquid-nav: interrupted; the same command continues the training")
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in team))
    assert list(tmp_path.rglob(".*")) == []


def test_workers_end_when_the_training_is_killed(tmp_path: Path, train: Train) -> None:
    process = train(tmp_path)
    wait_for(lambda: list(tmp_path.glob("data/round0/*.npz")))
    team = team_of(process.pid)
    assert len(team) == 2
    process.kill()
    process.communicate(timeout=60)
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in team))
