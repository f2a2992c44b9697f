"""What a policy reads in the simulator beyond camera and IMU: further sensors, and goals."""

from collections.abc import Collection, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from liquid_nav.events import Channel, Event, Goal
from liquid_nav_sim.sensors.timing import SensorTiming
from liquid_nav_sim.world import World, WorldConfig

RANGE_TIMING = SensorTiming(rate=50, jitter=0.002, latency=0.01, latency_jitter=0.005, drop=0.02)
ODOMETRY_TIMING = SensorTiming(rate=30, jitter=0.002, latency=0.02, latency_jitter=0.01, drop=0.02)


def fitted(config: WorldConfig, channels: Collection[Channel]) -> WorldConfig:
    """Fit the sensors of the simulator that are read on these channels and that `config` lacks."""
    if Channel.RANGE in channels and config.range_finder_timing is None:
        config = replace(config, range_finder_timing=RANGE_TIMING)
    if Channel.ODOMETRY in channels and config.odometry_timing is None:
        config = replace(config, odometry_timing=ODOMETRY_TIMING)
    return config


GOAL_STEP = 0.5
"""Metres by which a goal must have moved to be sent again."""


def events(world: World, channels: Collection[Channel]) -> Iterator[Event]:
    """Fly to the end, and give each measurement at its arrival.

    Where `Channel.GOAL` is read, the goal of the task is an event too, as an operator would send
    it: at the start, and when it has moved.

    Args:
        world: the simulator, reset.
        channels: those that the pilot reads.

    """
    sent: NDArray[np.float64] | None = None
    while (event := world.next_event()) is not None:
        goal = world.attempt.goal
        moved = sent is None or np.linalg.norm(goal - sent) >= GOAL_STEP
        if moved and Channel.GOAL in channels:
            sent = goal.copy()
            yield Goal(event.arrival, event.arrival, goal)
        yield event
