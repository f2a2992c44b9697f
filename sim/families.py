"""What flies: vehicles, autopilots, IMUs and mountings of cameras, for training and held out.

Training draws from a region of each of the four; `TRAINING` names members of the regions, and
`HELD_OUT` names what lies outside them. A policy that was trained with `draw` has met nothing of
`HELD_OUT`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from liquid_nav.events import Channel
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.sensors.imu_conditions import VIBRATIONS, ImuConditions, draw_imu
from liquid_nav_sim.vehicle.airframe import VehicleParameters
from liquid_nav_sim.vehicle.autopilot_model import AutopilotModel, draw_autopilot, load_autopilot
from liquid_nav_sim.vehicle.drawing import draw_vehicle
from liquid_nav_sim.vehicle.files import load_vehicle


@dataclass(frozen=True)
class CameraMount:
    """How a camera is mounted, and what it is, as far as that differs from what a policy assumes.

    Attributes:
        pitch, roll: added to the pitch and roll of the mount, rad.
        forward, up: added to the position of the mount, metres.
        fov: factor on the horizontal field of view.
        noise: factor on the read noise.
        exposure: exposure of each row, s; it blurs the image and costs rendering time.
    """

    pitch: float = 0.0
    roll: float = 0.0
    forward: float = 0.0
    up: float = 0.0
    fov: float = 1.0
    noise: float = 1.0
    exposure: float = 0.0

    def mounted(self, camera: CameraModel) -> CameraModel:
        """Mount a camera this way.

        Raises:
            SimulationError: if a field of the camera leaves its range.
        """
        x, y, z = camera.mount_position
        return replace(
            camera,
            mount_pitch=camera.mount_pitch + self.pitch,
            mount_roll=camera.mount_roll + self.roll,
            mount_position=(x + self.forward, y, z + self.up),
            horizontal_fov=self.fov * camera.horizontal_fov,
            noise_sigma=self.noise * camera.noise_sigma,
            exposure=camera.exposure + self.exposure,
        )


@dataclass(frozen=True)
class Family:
    """Members by name; an evaluation flies a cell for each.

    Attributes:
        airframes: vehicles.
        autopilots: autopilots.
        vibrations: IMUs with their vibration, filter and rate.
        cameras: mountings of the camera.
    """

    airframes: Mapping[str, VehicleParameters]
    autopilots: Mapping[str, AutopilotModel]
    vibrations: Mapping[str, ImuConditions]
    cameras: Mapping[str, CameraMount]

    def cell(self, config: WorldConfig, kind: str, name: str) -> WorldConfig:
        """Change a configuration to one member of the family.

        Args:
            config: the configuration.
            kind: "airframes", "autopilots", "vibrations" or "cameras".
            name: name of the member.

        Raises:
            SimulationError: on an unknown kind or name.
        """
        kinds = [field.name for field in fields(self)]
        if kind not in kinds:
            raise SimulationError(f"there is no family of {kind!r}; choose from {', '.join(kinds)}")
        members = getattr(self, kind)
        if name not in members:
            raise SimulationError(
                f"there is no {name!r} among the {kind}; choose from {', '.join(members)}"
            )
        member: Any = members[name]
        if kind == "airframes":
            return config.with_vehicle(member)
        if kind == "autopilots":
            return replace(config, autopilot=member)
        return with_imu(config, member) if kind == "vibrations" else with_mount(config, member)


TRAINING = Family(
    airframes={n: load_vehicle(n) for n in ("crazyflie", "racing_250", "survey_1500")},
    autopilots={
        name: load_autopilot(name)
        for name in ("nominal", "soft", "lagging", "overshooting", "uncalibrated", "direct")
    },
    vibrations={name: VIBRATIONS[name] for name in ("calm", "usual", "aliased", "slow")},
    cameras={
        "straight": CameraMount(),
        "askew": CameraMount(pitch=math.radians(-5), roll=math.radians(2), up=0.03, fov=0.93),
    },
)
"""Members of the regions that `draw` draws from."""

HELD_OUT = Family(
    airframes={
        n: load_vehicle(n) for n in ("crazyflie_brushless", "tello", "starling_280", "x500")
    },
    autopilots={
        name: load_autopilot(name)
        for name in ("late", "sluggish", "sinking", "eager", "stiff", "twitchy")
    },
    vibrations={name: VIBRATIONS[name] for name in ("unbalanced", "raw_1000", "rattling")},
    cameras={
        "tilted_down": CameraMount(pitch=math.radians(-12)),
        "tilted_up": CameraMount(pitch=math.radians(12)),
        "wide": CameraMount(fov=1.2),
        "narrow": CameraMount(fov=0.8),
        "on_a_mast": CameraMount(up=0.12),
        "noisy": CameraMount(noise=4.0, exposure=0.012),
    },
)
"""What training never draws."""


def draw(config: WorldConfig, rng: np.random.Generator) -> WorldConfig:
    """Draw vehicle, autopilot, IMU and camera of a training flight.

    Each is drawn from a generator of its own, so that one that is drawn in another way leaves the
    others as they were.

    Args:
        config: the configuration of the training; whatever is not drawn stays.
        rng: random stream.
    """
    of_vehicle, of_autopilot, of_imu, of_mount = rng.spawn(4)
    config = config.with_vehicle(draw_vehicle(of_vehicle))
    config = replace(config, autopilot=draw_autopilot(of_autopilot))
    return with_mount(with_imu(config, draw_imu(of_imu)), draw_mount(of_mount))


def draw_mount(rng: np.random.Generator) -> CameraMount:
    """Draw a mounting as far as a calibration may be wrong.

    Args:
        rng: random stream.
    """
    pitch, roll = np.clip(rng.normal(0.0, (4.0, 2.0)), -9.0, 9.0).tolist()
    forward, up, fov = rng.uniform((-0.02, -0.04, 0.88), (0.02, 0.06, 1.12)).tolist()
    return CameraMount(
        pitch=math.radians(pitch),
        roll=math.radians(roll),
        forward=forward,
        up=up,
        fov=fov,
        noise=float(rng.uniform(0.0, 2.5)),
    )


def with_imu(config: WorldConfig, imu: ImuConditions) -> WorldConfig:
    """Give every IMU of a configuration these errors and this rate; its link stays."""
    for sensor in config.sensors:
        if sensor.model.channel is Channel.IMU:
            timing = replace(sensor.timing, rate=imu.timing.rate, jitter=imu.timing.jitter)
            config = config.with_sensor(sensor.name, imu.model, timing)
    return config


def with_mount(config: WorldConfig, mount: CameraMount) -> WorldConfig:
    """Mount every camera of a configuration this way."""
    for sensor in config.sensors:
        if isinstance(sensor.model, CameraModel):
            config = config.with_sensor(sensor.name, mount.mounted(sensor.model))
    return config
