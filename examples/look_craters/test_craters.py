"""Flights over craters by name, in the simulator and on the command line."""

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.scenes.appearance import FAMILIES, sample_appearance
from plugin_support import plugged


@pytest.fixture(autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with plugged("look_craters", tmp_path_factory.mktemp("site")):
        yield


def test_it_is_found_by_name_and_grey_under_a_black_sky() -> None:
    assert [*FAMILIES][-1] == WorldConfig(appearance="craters").appearance == "craters"
    for seed in range(10):
        look = sample_appearance(np.random.default_rng(seed), "craters")
        assert look.sky_horizon == look.sky_zenith == (0.0, 0.0, 0.0)
        colours = look.ground.reshape(-1, 3).astype(int)
        assert np.max(colours.max(axis=1) - colours.min(axis=1)) <= 0.12 * 255


def test_its_pattern_has_no_seam() -> None:
    from craters import craters

    levels = craters(64, 2, np.random.default_rng(0))
    assert set(np.unique(levels)) == {0.3, 0.6, 1.0}
    steps = np.abs(np.diff(np.hstack((levels, levels[:, :1])), axis=1)).mean(axis=0)
    assert steps[-1] <= steps[:-1].max()


def test_it_is_flown_on_the_command_line() -> None:
    words = "fly --task target --pilot expert --appearance craters --episodes 1 --seed 7"
    command = [sys.executable, "-m", "liquid_nav.cli.main", *words.split()]
    flown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert flown.returncode == 0, flown.stderr
    assert "success 1/1" in flown.stdout
