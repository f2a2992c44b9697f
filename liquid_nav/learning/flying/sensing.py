"""Add what a policy reads in the simulator beyond camera and IMU: other sensors, and goals."""

from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import NDArray

from liquid_nav.events import Channel, Event, Goal
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.world import World


def fitted(config: WorldConfig, channels: Collection[Channel]) -> WorldConfig:
    """Return `config` with the sensors of these channels, which are added if it lacks them."""
    # Sorted, because the order of a set differs from process to process.
    for channel in sorted(channels):
        config = config.with_channel(channel)
    return config


GOAL_STEP = 0.5
"""Metres by which a goal must have moved to be sent again."""


def events(world: World, channels: Collection[Channel]) -> Iterator[Event]:
    """Fly to the end, and yield each measurement at its arrival.

    If `Channel.GOAL` is read, the goal of the task is an event too, as an operator would send it:
    at the start, and when it has moved.

    Args:
        world: the simulator, after its reset.
        channels: channels that the pilot reads.

    """
    sent: NDArray[np.float64] | None = None
    while (event := world.next_event()) is not None:
        goal = world.attempt.goal
        moved = sent is None or np.linalg.norm(goal - sent) >= GOAL_STEP
        if moved and Channel.GOAL in channels:
            sent = goal.copy()
            yield Goal(event.arrival, event.arrival, goal)
        yield event
