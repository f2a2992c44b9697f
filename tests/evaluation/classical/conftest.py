"""Lets classical pilots fly over frames that a test makes."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from liquid_nav.command import Command
from liquid_nav.controller import Controller
from liquid_nav.events import SECOND, CameraFrame, ImuSample

GRAVITY = (0.0, 0.0, 9.81)

Frames = Callable[[int], NDArray[np.uint8]]
"""Gives the frame of a number."""


def _hover(
    pilot: Controller, frames: Frames, seconds: float = 1.0, yaw_rate: float = 0.0
) -> Command:
    """Send frames at 25 Hz and an IMU at rest, or turning, at 100 Hz; give the last command."""
    pilot.reset()
    rng = np.random.default_rng(0)
    now = 0
    for sample in range(round(100 * seconds)):
        now = sample * SECOND // 100
        turn = rng.normal((0.0, 0.0, yaw_rate), 1e-4)
        pilot.on_event(ImuSample(now, now, turn, rng.normal(GRAVITY, 1e-3)))
        if sample % 4 == 0:
            pilot.on_event(CameraFrame(now, now, frames(sample // 4)))
    return pilot.command(now)


@pytest.fixture
def hover() -> Callable[..., Command]:
    return _hover
