"""The conditions of training flights: around, and wider than, those that a policy shall meet."""

import math
from dataclasses import replace

import numpy as np

from liquid_nav.events import Channel
from liquid_nav_sim import families
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.faults.schedule import RandomFaults
from liquid_nav_sim.sensors.timing import SensorTiming

FAULTS = (
    "camera_drop",
    "camera_freeze",
    "camera_black",
    "camera_delay",
    "camera_dirt",
    "camera_exposure",
    "camera_noise",
    "imu_drop",
    "imu_bias",
    "imu_accel_bias",
    "imu_noise",
    "imu_accel_noise",
    "wind_step",
    "mass_change",
)
"""Kinds of faults in training: those that a vehicle survives."""

LOOKS = "varied"
"""The appearance of most training flights."""


def randomised(config: WorldConfig, rng: np.random.Generator, looks: str = LOOKS) -> WorldConfig:
    """Draw the conditions of one training flight around, and wider than, those of `config`.

    Args:
        config: conditions of the run.
        rng: draws them.
        looks: name of the appearance of most flights, see `WorldConfig.appearance`.

    """
    if rng.random() < 0.6:
        config = families.draw(config, rng)
    for sensor in config.sensors:
        if sensor.model.channel is Channel.CAMERA:
            config = config.with_sensor(sensor.name, timing=_late(sensor.timing, rng))
        elif sensor.model.channel is Channel.IMU:
            drop = min(0.3, rng.exponential(2 * sensor.timing.drop))
            config = config.with_sensor(sensor.name, timing=replace(sensor.timing, drop=drop))
    if rng.random() < 0.8:
        config = replace(config, appearance=looks)
    if rng.random() < 0.3:
        channels = {sensor.model.channel.value for sensor in config.sensors}
        kinds = [kind for kind in FAULTS if kind.partition("_")[0] in {*channels, "wind", "mass"}]
        faults = RandomFaults(rate=0.15, kinds=tuple(kinds), shortest=0.2, longest=1.5)
        config = replace(config, random_faults=faults)
    wind, steady, gust = config.wind, rng.uniform(1, 5), rng.uniform(0.5, 3.0)
    return replace(
        config,
        wind=replace(wind, steady=steady * wind.steady, gust=gust * wind.gust),
        # The ray caster takes half the time; some flights still see what flights see by default.
        renderer="raycast" if rng.random() < 0.7 else config.renderer,
    )


def _late(timing: SensorTiming, rng: np.random.Generator) -> SensorTiming:
    """Draw rate, latency and losses of a camera."""
    often = 0.5 if rng.random() < 0.2 else 0.0
    return replace(
        timing,
        rate=timing.rate * math.exp(rng.uniform(math.log(0.35), math.log(1.5))),
        latency=timing.latency * rng.uniform(0.5, 4.0),
        latency_jitter=timing.latency_jitter * rng.uniform(0.5, 2.0),
        drop=min(0.7, rng.exponential(2 * timing.drop) + often),
    )
