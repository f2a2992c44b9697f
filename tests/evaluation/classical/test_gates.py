"""The pilot of the task `gates`: finds openings, and flies through them."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from liquid_nav.command import Command
from liquid_nav.evaluation.classical import classical_pilot
from liquid_nav.evaluation.classical.gates import NEAR, opening
from liquid_nav.evaluation.flight import fly
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.tasks.gates import GatesTask
from liquid_nav_sim.world import Outcome, World

Hover = Callable[..., Command]


def gate(
    left: int, right: int, paint: tuple[int, int, int] = (220, 110, 20), light: float = 1.0
) -> Callable[[int], NDArray[np.uint8]]:
    """Frames of a gate on a brown ground, whose opening is between two columns."""

    def frame(number: int) -> NDArray[np.uint8]:
        image = np.random.default_rng(number).normal(0, 2, (48, 64, 3))
        image[:24] += (150, 170, 200)
        image[24:] += (110, 100, 80)
        half = min((right - left) // 2, 20)
        top, bottom = 24 - half, 24 + half
        image[top - 2 : bottom + 2, left - 2 : right + 2] = paint
        image[top:bottom, left:right] = (140, 150, 160)
        return np.clip(light * image, 0, 255).astype(np.uint8)

    return frame


@pytest.mark.parametrize("light", [1.0, 0.25])
@pytest.mark.parametrize("paint", [(220, 110, 20), (180, 20, 200), (20, 200, 60)])
@pytest.mark.parametrize(("left", "side"), [(6, 1), (46, -1)])
def test_it_turns_to_a_gate_of_any_colour_in_any_light(
    light: float, paint: tuple[int, int, int], left: int, side: int, hover: Hover
) -> None:
    command = hover(classical_pilot("gates"), gate(left, left + 12, paint, light))
    assert side * command.yaw_rate > 0.5
    assert command.vx > 0


def test_the_nearer_of_two_gates_is_the_next(hover: Hover) -> None:
    far, near = gate(50, 56), gate(8, 24)

    def both(number: int) -> NDArray[np.uint8]:
        return np.hstack((near(number)[:, :32], far(number)[:, 32:]))

    assert hover(classical_pilot("gates"), both).yaw_rate > 0.5


def test_it_flies_straight_on_through_a_near_gate_and_then_looks_for_the_next(hover: Hover) -> None:
    wide = round(32 * NEAR) + 4
    near = gate(33 - wide // 2, 33 + wide // 2)

    def frames(number: int) -> NDArray[np.uint8]:
        return near(number) if number < 5 else gate(2, 8)(number)

    pilot = classical_pilot("gates")
    inside, after = (hover(pilot, frames, seconds) for seconds in (0.8, 3.0))
    assert inside.vx > 1
    assert abs(inside.yaw_rate) < 0.3
    assert after.yaw_rate > 0.5


def test_an_opening_is_what_a_frame_encloses() -> None:
    score = np.zeros((48, 64), np.float32)
    score[10:31, 20:41] = 1
    score[12:29, 22:39] = 0
    assert opening(score) == (22, 38, 12, 28)
    score[20, 38:] = score[28:, 20:] = 0  # the frame is broken: nothing is enclosed
    assert opening(score) is None


def test_it_flies_through_the_gates_of_the_simulator() -> None:
    world = World(WorldConfig(task=GatesTask(difficulty=0.2)))
    outcomes = [fly(world, classical_pilot("gates"), seed).outcome for seed in (81000, 81001)]
    assert outcomes == [Outcome.SUCCESS] * 2
