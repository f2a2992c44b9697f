"""The distance servo of the task `follow`."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from liquid_nav.command import Command
from liquid_nav.evaluation.classical import classical_pilot
from liquid_nav.evaluation.flight import fly
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.tasks.follow import FollowTask
from liquid_nav_sim.world import Outcome, World

Hover = Callable[..., Command]


def ahead(side: int) -> Callable[[int], NDArray[np.uint8]]:
    """Frames of a red square in the middle, its sides as many pixels long."""

    def frame(number: int) -> NDArray[np.uint8]:
        image = np.random.default_rng(number).normal(120, 2, (48, 64, 3))
        first = 24 - side // 2, 32 - side // 2
        image[first[0] : first[0] + side, first[1] : first[1] + side] = (190, 25, 20)
        return np.clip(image, 0, 255).astype(np.uint8)

    return frame


@pytest.mark.parametrize(("side", "direction"), [(4, 1), (16, -1)])
def test_it_nears_a_small_target_and_backs_off_from_a_large_one(
    side: int, direction: int, hover: Hover
) -> None:
    command = hover(classical_pilot("follow"), ahead(side))
    assert direction * command.vx > 0.5
    assert abs(command.yaw_rate) < 0.2


def test_it_flies_faster_behind_a_target_that_stays_far(hover: Hover) -> None:
    pilot = classical_pilot("follow")
    soon, later = (hover(pilot, ahead(7), seconds).vx for seconds in (1.0, 3.0))
    assert later > soon + 0.1


def test_it_follows_the_target_of_the_simulator() -> None:
    world = World(WorldConfig(task=FollowTask(difficulty=0.3, hold=4.0, time_limit=15.0)))
    outcomes = [fly(world, classical_pilot("follow"), seed).outcome for seed in (81000, 81001)]
    assert outcomes == [Outcome.SUCCESS] * 2
