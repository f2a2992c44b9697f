"""Vehicles that are drawn: valid, like real ones, and easy to fly for their autopilot."""

from dataclasses import astuple, replace

import numpy as np
import pytest

from flying_support import fly, velocity
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.sensors.event_camera import EventCameraModel
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.tasks.registry import TASKS, make_task
from liquid_nav_sim.vehicle.airframe import VehicleParameters
from liquid_nav_sim.vehicle.drawing import HEAVIEST, LIGHTEST, draw_vehicle
from liquid_nav_sim.vehicle.files import VEHICLES, load_vehicle

MANY = [draw_vehicle(np.random.default_rng(seed)) for seed in range(1000)]


def in_numbers(vehicle: VehicleParameters) -> dict[str, float]:
    """Numbers of a vehicle that do not depend on its size."""
    m, a, r = vehicle.mass, vehicle.arm_length, vehicle.rotor_radius
    return {
        "arm": a / m**0.42,
        "rotor": r / a,
        "tip speed": vehicle.hover_speed * r,
        "torque": vehicle.drag_torque_ratio / r,
        "inertia": vehicle.inertia[0] / (m * a * a),
        "yaw inertia": vehicle.inertia[2] / vehicle.inertia[0],
        "rotor inertia": vehicle.rotor_inertia / (m * r * r),
        "drag": 4 * vehicle.hover_speed * vehicle.rotor_drag[0] / m,
        "area": vehicle.body_drag_area[0] / (a * a),
        "hull": vehicle.collision_radius / (a + r),
        "thrust": vehicle.thrust_to_weight,
        "motors": vehicle.motor_time_constant,
    }


def test_masses_cover_the_range_evenly_in_their_logarithm() -> None:
    shares = np.log([v.mass / LIGHTEST for v in MANY]) / np.log(HEAVIEST / LIGHTEST)
    assert shares.min() >= 0
    assert shares.max() <= 1
    assert np.histogram(shares, bins=5, range=(0, 1))[0].min() > 160
    heavy = draw_vehicle(np.random.default_rng(1), lightest=2.0)
    assert 2.0 <= heavy.mass <= HEAVIEST


@pytest.mark.parametrize("name", ["crazyflie", "racing_250", "survey_1500"])
def test_shipped_airframes_lie_among_the_drawn_ones(name: str) -> None:
    """Within the range of the drawn ones, give or take a fifth, in every number without a size."""
    drawn = [in_numbers(vehicle) for vehicle in MANY]
    for number, value in in_numbers(load_vehicle(name)).items():
        values = [d[number] for d in drawn]
        assert min(values) / 1.2 < value < max(values) * 1.2, number


def test_no_shipped_airframe_is_drawn() -> None:
    shipped = {load_vehicle(name) for name in VEHICLES}
    assert not shipped & set(MANY)
    assert len(set(map(astuple, MANY))) == len(MANY)


def test_draws_repeat() -> None:
    assert [draw_vehicle(np.random.default_rng(seed)) for seed in range(10)] == MANY[:10]


@pytest.mark.parametrize("seed", range(24))
def test_every_drawn_vehicle_hovers_and_takes_steps(seed: int) -> None:
    vehicle = MANY[seed]
    hover, steps = velocity(0.0, 0.0, 0.0, 0.0), velocity(1.0, -1.0, 0.5, 0.5)
    flight = fly((2.0, hover), (6.0, steps), (4.0, hover), parameters=vehicle)
    first, middle, last = (
        (flight.time > start) & (flight.time <= end) for start, end in ((0, 2), (6, 8), (11, 12))
    )
    assert np.abs(flight.velocity[first]).max() < 0.02
    np.testing.assert_allclose(flight.velocity[middle].mean(axis=0), (1, -1, 0.5), atol=0.06)
    np.testing.assert_allclose(flight.yaw_rate[middle], 0.5, atol=0.05)
    assert flight.velocity[:, 0].max() < 1.12
    assert np.abs(flight.velocity[last]).max() < 0.12
    assert flight.thrust[middle].std() < 0.05
    assert flight.tilt.max() < np.radians(31)


@pytest.mark.parametrize("task", sorted(set(TASKS) & {"target", "forest", "gates", "follow"}))
def test_every_task_has_scenes_for_the_largest_hull(task: str) -> None:
    hull = max(vehicle.collision_radius for vehicle in MANY)
    for seed in range(5):
        scene = make_task(task, 1.0).sample(np.random.default_rng(seed), "train", hull)
        near = min((s.distance(scene.start_position) for s in scene.obstacles), default=np.inf)
        assert near > hull


def test_sensors_move_to_their_usual_place_on_another_vehicle() -> None:
    wide, small = CameraModel(width=96, horizontal_fov=2.0), load_vehicle("crazyflie")
    chin = replace(wide, mount_position=(0.03, 0.0, -0.02))
    nose = replace(wide, mount_position=WorldConfig().sensor("camera").model.mount_position)
    config = WorldConfig().with_sensor("camera", model=nose).with_sensor("chin", model=chin)
    moved = config.with_sensor("event_camera").with_vehicle(small)
    assert moved.vehicle == small
    assert moved.sensor("camera").model == replace(wide, mount_position=(0.96 * 0.0397, 0.0, 0.0))
    assert moved.sensor("chin").model == chin
    assert moved.sensor("event_camera").model == EventCameraModel.for_vehicle(small)
    assert moved.sensor("imu") == config.sensor("imu")
    assert moved.with_vehicle(WorldConfig().vehicle).sensor("camera") == config.sensor("camera")
