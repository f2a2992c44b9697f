"""The suites: what their cells change, and what they leave alone."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from liquid_nav.errors import ConfigError
from liquid_nav.evaluation.study.job import frames_through
from liquid_nav.evaluation.study.study import cells_of
from liquid_nav.evaluation.suites import SUITES
from liquid_nav.evaluation.suites.cell import Cell
from liquid_nav.evaluation.suites.vehicles import on_vehicle
from liquid_nav.evaluation.suites.wind import turbulent
from liquid_nav.events import Channel
from liquid_nav.learning.data.images import ImageChange
from liquid_nav_sim.air.wind import Wind
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.tasks.registry import make_task
from liquid_nav_sim.vehicle.files import load_vehicle
from liquid_nav_sim.world import World
from support import frame, sample

BASE = WorldConfig(renderer="raycast")


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("task", ["target", "forest", "gates", "follow"])
def test_every_cell_of_a_suite_is_another_condition_of_the_same_task(suite: str, task: str) -> None:
    base = replace(BASE, task=make_task(task))
    cells = cells_of([suite], base)[suite]
    # The nominal condition may be among them; nothing else comes twice.
    assert len({cell.fingerprint for cell in cells}) == len(cells)
    for cell in cells:
        assert cell.config.task.name == task
        assert cell.config.renderer == base.renderer
        assert pickle.loads(pickle.dumps(cell)) == cell


@pytest.mark.parametrize("suite", SUITES)
def test_the_world_flies_every_cell(suite: str) -> None:
    world = World()
    for cell in cells_of([suite], BASE)[suite]:
        world.config = cell.config
        world.reset(3)
        assert world.next_event() is not None
    world.close()


def test_conditions_draw_the_same_scene_from_the_same_seed() -> None:
    starts = set()
    world = World()
    for name in ("timing", "wind", "image", "vibration", "faults"):
        for cell in cells_of([name], BASE)[name]:
            world.config = cell.config
            world.reset(5)
            assert world.scene.target is not None
            starts.add((*world.scene.start_position, *world.scene.target.position))
    world.close()
    assert len(starts) == 1


def test_the_fingerprint_tells_conditions_apart_and_not_their_names() -> None:
    assert Cell("a", BASE).fingerprint == Cell("b", WorldConfig(renderer="raycast")).fingerprint
    others = [
        Cell("a", replace(BASE, renderer="bullet")),
        Cell("a", replace(BASE, task=make_task("target", 0.6))),
        Cell("a", BASE, ImageChange(noise=1.0)),
    ]
    assert len({Cell("a", BASE).fingerprint, *(cell.fingerprint for cell in others)}) == 4


def test_a_wind_of_a_speed_has_that_speed() -> None:
    for seed in range(5):
        wind = Wind(replace(turbulent(5.0), gust=0.0, turbulence=0.0), np.random.default_rng(seed))
        assert np.linalg.norm(wind.advance(0.004)) == pytest.approx(5.0)


def test_another_vehicle_carries_the_camera_at_its_own_place() -> None:
    camera = replace(CameraModel.for_vehicle(BASE.vehicle), width=80, horizontal_fov=1.9)
    base = BASE.with_sensor("camera", camera)
    crazyflie = load_vehicle("crazyflie")
    moved = on_vehicle(base, crazyflie).sensor("camera").model
    assert moved == replace(
        camera, mount_position=CameraModel.for_vehicle(crazyflie).mount_position
    )


def test_frames_are_changed_for_the_pilot_in_a_stream_of_the_seed() -> None:
    change = ImageChange(noise=12.0)
    seen = [frames_through(change, seed) for seed in (1, 1, 2)]
    events = [through(frame(0.1)) for through in seen if through is not None]
    images = [event.image for event in events]  # type: ignore[attr-defined]
    assert np.array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])
    assert events[0].stamp == frame(0.1).stamp
    assert events[0].arrival == frame(0.1).arrival
    assert seen[0] is not None
    untouched = sample(0.1)
    assert seen[0](untouched) is untouched
    assert frames_through(ImageChange(), 1) is None


def test_the_timing_suite_slows_what_it_says() -> None:
    cells = {cell.name: cell.config for cell in cells_of(["timing"], BASE)["timing"]}
    nominal = BASE.sensor("camera").timing
    late = cells["frames +60 ms"].sensor("camera").timing
    assert late == replace(nominal, latency=nominal.latency + 0.06)
    assert cells["80% of frames lost"].sensor("camera").timing == replace(nominal, drop=0.8)
    fast = cells["IMU at 1000 Hz"]
    assert fast.sensor("imu").timing.rate == 1000.0
    assert fast.sensor("camera").timing == nominal
    assert {s.model.channel for s in fast.sensors} == {Channel.IMU, Channel.CAMERA}


def test_a_suite_of_another_package_is_found(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no suite 'rain'; choose one of nominal, "):
        cells_of(["rain"], BASE)
