"""The pilot of the task `forest`: sees where trunks stand, and flies around them."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from liquid_nav.command import Command
from liquid_nav.evaluation.classical import classical_pilot
from liquid_nav.evaluation.classical.forest import HEIGHT, trunks
from liquid_nav.evaluation.flight import fly
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.tasks.forest import ForestTask
from liquid_nav_sim.world import Outcome, World

Hover = Callable[..., Command]

PIXEL = 2 / 64
"""Size of a pixel at distance 1, with a field of view of a right angle."""


def wood(
    *columns: slice, distance: float = 3.0, light: float = 1.0
) -> Callable[[int], NDArray[np.uint8]]:
    """Frames of trunks in some columns, all at one distance ahead."""

    def frame(number: int) -> NDArray[np.uint8]:
        image = np.random.default_rng(number).normal(0, 2, (48, 64, 3))
        image[:24] += (150, 170, 200)
        image[24:] += (100, 120, 90)
        foot = 24 + round(HEIGHT / distance / PIXEL)
        for trunk in columns:
            image[:foot, trunk] = (70, 50, 30)
        return np.clip(light * image, 0, 255).astype(np.uint8)

    return frame


def level_rays() -> NDArray[np.float64]:
    left, up = np.meshgrid(PIXEL * (31.5 - np.arange(64)), PIXEL * (23.5 - np.arange(48)))
    return np.stack((np.ones_like(left), left, up), axis=2)


@pytest.mark.parametrize("light", [1.0, 0.3])
@pytest.mark.parametrize("distance", [2.5, 4.0, 6.0])
def test_the_foot_of_a_trunk_tells_its_distance(distance: float, light: float) -> None:
    image = wood(slice(40, 44), distance=distance, light=light)(0)
    left, away = trunks(image, level_rays())
    assert left.tolist() == [PIXEL * (31.5 - column) for column in range(40, 44)]
    assert away == pytest.approx(distance * np.hypot(1, left), rel=0.15)


def test_ground_and_sky_are_no_trunks() -> None:
    left, away = trunks(wood()(0), level_rays())
    assert left.size == away.size == 0


def test_it_flies_straight_on_where_nothing_is_ahead(hover: Hover) -> None:
    command = hover(classical_pilot("forest"), wood())
    assert command.vx > 1.5
    assert abs(command.vy) < 0.2
    assert abs(command.yaw_rate) < 0.2


@pytest.mark.parametrize(("columns", "side"), [(slice(26, 34), -1), (slice(30, 38), 1)])
def test_it_passes_a_trunk_on_the_nearer_side(columns: slice, side: int, hover: Hover) -> None:
    command = hover(classical_pilot("forest"), wood(columns))
    assert side * command.vy > 0.1
    assert command.vx > 0


def test_it_goes_through_the_gap_of_a_wall(hover: Hover) -> None:
    command = hover(classical_pilot("forest"), wood(slice(0, 36), slice(60, 64), distance=4.0))
    assert math.atan2(command.vy, command.vx) < -0.25


def test_it_flies_on_without_colour(hover: Hover) -> None:
    coloured = wood(slice(0, 20))

    def grey(number: int) -> NDArray[np.uint8]:
        return np.repeat(coloured(number).mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)

    assert hover(classical_pilot("forest"), grey).vx > 1


def test_it_comes_through_the_forest_of_the_simulator() -> None:
    world = World(WorldConfig(task=ForestTask(difficulty=0.2)))
    outcomes = [fly(world, classical_pilot("forest"), seed).outcome for seed in (81000, 81001)]
    assert outcomes == [Outcome.SUCCESS] * 2
