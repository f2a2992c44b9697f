"""The colour servo of the task `target`."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from liquid_nav.command import Command, Mode
from liquid_nav.evaluation.classical import classical_pilot
from liquid_nav.evaluation.flight import fly
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.tasks.target import TargetTask
from liquid_nav_sim.world import Outcome, World

Hover = Callable[..., Command]


def scene(light: NDArray[np.float64] | float = 1.0, target: slice | None = None) -> Callable:
    """Frames of a grey ground under a blue sky, with a red target in some columns."""

    def frame(number: int) -> NDArray[np.uint8]:
        image = np.random.default_rng(number).normal(0, 2, (48, 64, 3))
        image[:24] += (150, 170, 200)
        image[24:] += (110, 120, 90)
        if target is not None:
            image[20:23, target] = (190, 25, 20)
        return np.clip(light * image, 0, 255).astype(np.uint8)

    return frame


def test_it_turns_to_the_left_while_it_sees_no_target(hover: Hover) -> None:
    command = hover(classical_pilot("target"), scene())
    assert command.mode is Mode.NOMINAL
    assert command.vector[:3] == (0, 0, 0)
    assert command.yaw_rate > 0.5


@pytest.mark.parametrize("light", [1.0, 0.25, np.array([1.2, 1.0, 0.8]), np.array([0.8, 1.0, 1.2])])
@pytest.mark.parametrize(("columns", "side"), [(slice(8, 11), 1), (slice(53, 56), -1)])
def test_it_turns_to_the_target_in_any_light(
    light: NDArray[np.float64] | float, columns: slice, side: int, hover: Hover
) -> None:
    command = hover(classical_pilot("target"), scene(light, columns))
    assert side * command.yaw_rate > 0.5
    assert command.vx > 0


def test_it_climbs_to_a_target_above_it(hover: Hover) -> None:
    command = hover(classical_pilot("target"), scene(target=slice(30, 34)))
    assert command.vz == pytest.approx(command.vx * (23.5 - 21) / 32, rel=0.1)


def test_a_wider_lens_means_a_larger_bearing(hover: Hover) -> None:
    narrow, wide = (
        hover(classical_pilot("target", fov), scene(target=slice(40, 44))).yaw_rate
        for fov in (math.radians(40), math.radians(90))
    )
    assert wide < 2 * narrow < 0


def test_it_keeps_the_direction_of_a_target_while_the_vehicle_turns(hover: Hover) -> None:
    shown = scene(target=slice(30, 34))
    command = hover(
        classical_pilot("target"), lambda n: (shown if n < 20 else scene())(n), yaw_rate=0.5
    )
    assert command.vx > 0.5
    assert command.yaw_rate < -0.15


def test_it_reaches_the_target_of_the_simulator() -> None:
    world = World(WorldConfig(task=TargetTask(difficulty=0.2)))
    outcomes = [fly(world, classical_pilot("target"), seed).outcome for seed in (81000, 81001)]
    assert outcomes == [Outcome.SUCCESS] * 2
