"""A climb is flown by its expert, on the command line and in Gymnasium, with a vehicle by name."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from liquid_nav.evaluation.classical import classical_pilot
from liquid_nav.evaluation.flight import fly
from liquid_nav.learning.experts import EXPERTS
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.tasks.registry import TASKS, make_task
from liquid_nav_sim.vehicle.files import QUAD_250, load_vehicle
from liquid_nav_sim.world import Outcome, World
from plugin_support import plugged


@pytest.fixture(autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with plugged("task_climb", tmp_path_factory.mktemp("site")):
        yield


def test_it_is_found_by_name() -> None:
    assert [*TASKS][-1] == [*EXPERTS][-1] == "climb"
    assert make_task("climb", 1.0).attempt(None).goal.tolist() == [0.0, 0.0, 9.0]  # type: ignore[arg-type]
    assert load_vehicle("heavy_250").mass == pytest.approx(1.1 * QUAD_250.mass)


def test_its_expert_flies_it_on_the_command_line() -> None:
    words = "fly --task climb --pilot expert --vehicle heavy_250 --episodes 2 --seed 7"
    command = [sys.executable, "-m", "liquid_nav.cli.main", *words.split()]
    flown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert flown.returncode == 0, flown.stderr
    assert "success 2/2" in flown.stdout


def test_its_classical_pilot_flies_it() -> None:
    world = World(WorldConfig(task=make_task("climb", 0.0)))
    assert fly(world, classical_pilot("climb"), 7).outcome is Outcome.SUCCESS


def test_it_is_an_environment() -> None:
    script = (
        "import gymnasium, numpy as np\n"
        "env = gymnasium.make('liquid_nav_sim.gym:liquid_nav/Climb-v0', observation='state')\n"
        "env.reset(seed=0)\n"
        "up = np.array([0, 0, 1, 0], np.float32)\n"
        "print(sum(env.step(up)[1] for _ in range(30)) > 0.3)\n"
    )
    flown = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert flown.stdout.split()[-1:] == ["True"], flown.stderr
