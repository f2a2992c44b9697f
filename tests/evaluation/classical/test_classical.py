"""Classical pilots are found by name, take any frame, and never raise in flight."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from liquid_nav.command import Command, CommandLimits, Mode
from liquid_nav.errors import ConfigError
from liquid_nav.evaluation.classical import CLASSICAL_PILOTS, classical_pilot
from liquid_nav.events import Channel
from liquid_nav_sim.tasks.registry import TASKS

Hover = Callable[..., Command]

SIZES = ((1, 1), (1, 9), (9, 1), (2, 3), (16, 16), (48, 64), (90, 2000), (480, 640))


def noise(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, shape, np.uint8)


def test_an_unknown_task_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="no classical pilot 'dance'; choose one of target"):
        classical_pilot("dance")


def test_each_of_our_tasks_has_a_classical_pilot() -> None:
    assert set(CLASSICAL_PILOTS) >= set(TASKS)


@pytest.mark.parametrize("angle", [0.0, math.pi, -1.0, math.nan])
def test_an_impossible_field_of_view_is_refused(angle: float) -> None:
    with pytest.raises(ConfigError, match="horizontal_fov"):
        classical_pilot("target", horizontal_fov=angle)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("task", CLASSICAL_PILOTS)
def test_frames_of_any_size_and_content_give_commands_within_the_limits(
    task: str, size: tuple[int, int], hover: Hover
) -> None:
    pilot = classical_pilot(task)
    contents = (
        lambda number: np.full((*size, 3), 0, np.uint8),
        lambda number: np.full((*size, 3), 255, np.uint8),
        lambda number: np.full((*size, 3), (255, 0, 0), np.uint8),
        lambda number: noise(*size, 3) // (1 + number % 3),
        lambda number: np.full((*size, 3), 255 * (number % 2), np.uint8),
    )
    for content in contents:
        command = hover(pilot, content)
        assert pilot.health.policy_faults == 0, pilot.health.last_policy_fault
        for value, most in zip(command.vector, CommandLimits().magnitude, strict=True):
            assert abs(value) <= most


@pytest.mark.parametrize("task", ["target", "gates", "follow"])
def test_a_pilot_that_steers_by_colour_refuses_frames_without_colour(
    task: str, hover: Hover
) -> None:
    pilot = classical_pilot(task)
    grey = np.repeat(noise(48, 64, 1), 3, axis=2)
    command = hover(pilot, lambda number: np.roll(grey, number, axis=1))
    assert command.mode is Mode.HOVER
    rejection = pilot.health.channels[Channel.CAMERA].last_rejection
    assert rejection == "the frame has no colour, and this pilot steers by colour"


@pytest.mark.parametrize("task", CLASSICAL_PILOTS)
def test_a_second_flight_of_the_same_events_has_the_same_commands(task: str, hover: Hover) -> None:
    pilot = classical_pilot(task)
    frames = noise(30, 48, 64, 3)
    first = hover(pilot, lambda number: frames[number])
    hover(pilot, lambda number: frames[-1 - number])
    assert hover(pilot, lambda number: frames[number]) == first
