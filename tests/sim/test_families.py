"""One place for what flies: members for training, members held out, and draws for training."""

import math
from dataclasses import fields

import numpy as np
import pytest

from liquid_nav.events import SECOND, CameraFrame
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.families import HELD_OUT, TRAINING, CameraMount, Family, draw
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.sensors.timing import SensorTiming
from liquid_nav_sim.vehicle.autopilot_model import AUTOPILOTS
from liquid_nav_sim.vehicle.files import VEHICLES
from liquid_nav_sim.world import World

KINDS = [field.name for field in fields(Family)]


def camera(config: WorldConfig) -> CameraModel:
    model = config.sensor("camera").model
    assert isinstance(model, CameraModel)
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_families_are_disjoint_and_none_is_empty(kind: str) -> None:
    training, held_out = getattr(TRAINING, kind), getattr(HELD_OUT, kind)
    assert training
    assert held_out
    assert not set(training) & set(held_out)
    assert not set(training.values()) & set(held_out.values())


def test_every_shipped_vehicle_and_autopilot_is_in_one_family() -> None:
    assert set(TRAINING.airframes) | set(HELD_OUT.airframes) == set(VEHICLES)
    assert set(TRAINING.autopilots) | set(HELD_OUT.autopilots) == set(AUTOPILOTS)


@pytest.mark.parametrize(
    ("family", "kind", "name"),
    [(f, kind, name) for f in (TRAINING, HELD_OUT) for kind in KINDS for name in getattr(f, kind)],
)
def test_every_cell_flies(family: Family, kind: str, name: str) -> None:
    world = World(family.cell(WorldConfig(), kind, name))
    world.reset(1)
    events = 0
    while world.next_event(SECOND // 4) is not None:
        events += 1
    assert world.outcome is None
    assert np.abs(world.state.linear_velocity).max() < 0.5
    assert events > 10
    world.close()


def test_training_flights_repeat_differ_and_keep_the_link() -> None:
    timing = SensorTiming(rate=200, drop=0.2, latency=0.003)
    base = WorldConfig().with_sensor("imu", timing=timing).with_sensor("odometry")
    drawn = [draw(base, np.random.default_rng(seed)) for seed in range(60)]
    assert drawn == [draw(base, np.random.default_rng(seed)) for seed in range(60)]
    for name in ("vehicle", "autopilot"):
        assert len({getattr(config, name) for config in drawn}) > 55
    for config in drawn:
        imu = config.sensor("imu").timing
        assert (imu.drop, imu.latency) == (0.2, 0.003)
        assert config.sensor("odometry") == base.sensor("odometry")
        off = camera(config).mount_position[0] - 0.96 * config.vehicle.arm_length
        assert abs(off) <= 0.02


def test_no_camera_of_training_is_mounted_as_a_held_out_one() -> None:
    base = camera(WorldConfig())
    drawn = [camera(draw(WorldConfig(), np.random.default_rng(seed))) for seed in range(300)]
    ranges = {
        "mount_pitch": [c.mount_pitch for c in drawn],
        "horizontal_fov": [c.horizontal_fov for c in drawn],
        "noise_sigma": [c.noise_sigma for c in drawn],
        "height": [c.mount_position[2] for c in drawn],
    }
    for mount in HELD_OUT.cameras.values():
        held = mount.mounted(base)
        values = {
            "mount_pitch": held.mount_pitch,
            "horizontal_fov": held.horizontal_fov,
            "noise_sigma": held.noise_sigma,
            "height": held.mount_position[2],
        }
        assert any(not min(ranges[n]) <= v <= max(ranges[n]) for n, v in values.items())


def first_frame(mount: CameraMount) -> np.ndarray:
    config = WorldConfig().with_sensor("camera", model=mount.mounted(camera(WorldConfig())))
    world = World(config.without("imu"))
    world.reset(2)
    while not isinstance(event := world.next_event(), CameraFrame):
        pass
    world.close()
    return event.image.astype(float)


def test_a_camera_that_looks_down_sees_more_ground() -> None:
    """The horizon moves by the focal length times the tangent of the tilt."""
    model = camera(WorldConfig())
    rows = {}
    for name in ("tilted_down", "tilted_up"):
        tilt = HELD_OUT.cameras[name].pitch
        rows[name] = model.height / 2 + model.focal_length * math.tan(tilt)
    assert rows["tilted_down"] == pytest.approx(24 - 32 * math.tan(math.radians(12)))
    straight = first_frame(CameraMount(noise=0.0))
    for name, horizon in rows.items():
        seen = first_frame(CameraMount(pitch=HELD_OUT.cameras[name].pitch, noise=0.0))
        assert np.abs(seen - straight).max() > 20
        above, below = seen[: int(horizon) - 2], seen[int(horizon) + 2 :]
        assert np.linalg.norm(above.mean(axis=(0, 1)) - below.mean(axis=(0, 1))) > 10


def test_an_unknown_member_lists_the_members() -> None:
    with pytest.raises(SimulationError, match="stiff"):
        HELD_OUT.cell(WorldConfig(), "autopilots", "nominal")
    with pytest.raises(SimulationError, match="airframes"):
        HELD_OUT.cell(WorldConfig(), "engines", "x")
