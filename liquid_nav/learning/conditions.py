"""The conditions of training flights: around, and wider than, those that a policy shall meet."""

import math
from dataclasses import replace

import numpy as np

from liquid_nav.events import Channel
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.faults.schedule import RandomFaults
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.sensors.timing import SensorTiming
from liquid_nav_sim.vehicle.autopilot_model import draw_autopilot
from liquid_nav_sim.vehicle.drawing import draw_vehicle

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


def randomised(config: WorldConfig, rng: np.random.Generator) -> WorldConfig:
    """Draw the conditions of one training flight around, and wider than, those of `config`."""
    wind = config.wind
    if rng.random() < 0.5:
        config = replace(config, vehicle=draw_vehicle(rng))
    for sensor in config.sensors:
        model, timing = sensor.model, sensor.timing
        if isinstance(model, CameraModel):
            model = replace(
                _camera(model, rng),
                mount_position=model.for_vehicle(config.vehicle).mount_position,
            )
            timing = _camera_timing(timing, rng)
        elif model.channel is Channel.IMU:
            rate = math.exp(rng.uniform(math.log(50), math.log(400)))
            drop = min(0.3, rng.exponential(2 * timing.drop))
            timing = replace(timing, rate=rate, drop=drop)
        config = config.with_sensor(sensor.name, model=model, timing=timing)
    if rng.random() < 0.8:
        config = replace(config, appearance="varied")
    if rng.random() < 0.3:
        channels = {sensor.model.channel.value for sensor in config.sensors}
        kinds = [kind for kind in FAULTS if kind.partition("_")[0] in {*channels, "wind", "mass"}]
        faults = RandomFaults(rate=0.15, kinds=tuple(kinds), shortest=0.2, longest=1.5)
        config = replace(config, random_faults=faults)
    return replace(
        config,
        autopilot=draw_autopilot(rng),
        wind=replace(
            wind, steady=rng.uniform(1, 5) * wind.steady, gust=wind.gust * rng.uniform(0.5, 3.0)
        ),
    )


def _camera(camera: CameraModel, rng: np.random.Generator) -> CameraModel:
    """Draw the mounting and the lens, as far as a calibration may be wrong."""
    tilt, roll = np.radians(rng.normal(0.0, (5.0, 2.0)))
    return replace(
        camera,
        horizontal_fov=camera.horizontal_fov * rng.uniform(0.9, 1.1),
        mount_pitch=camera.mount_pitch + float(tilt),
        mount_roll=camera.mount_roll + float(roll),
        noise_sigma=camera.noise_sigma * rng.uniform(0.0, 2.0),
    )


def _camera_timing(timing: SensorTiming, rng: np.random.Generator) -> SensorTiming:
    return replace(
        timing,
        rate=timing.rate * math.exp(rng.uniform(math.log(0.35), math.log(1.5))),
        latency=timing.latency * rng.uniform(0.5, 4.0),
        latency_jitter=timing.latency_jitter * rng.uniform(0.5, 2.0),
        drop=min(0.7, rng.exponential(2 * timing.drop) + (rng.random() < 0.2) * 0.5),
    )
