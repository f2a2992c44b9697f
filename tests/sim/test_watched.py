"""A vehicle that something else flies: its camera sees what ours would, and it is judged."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from liquid_nav.command import Command
from liquid_nav.events import SECOND, CameraFrame, Channel
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.faults.kinds import Fault
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.sensors.timing import SensorTiming
from liquid_nav_sim.tasks.registry import make_task
from liquid_nav_sim.watched import WatchedWorld
from liquid_nav_sim.world import Outcome, World

SEED = 11
LEVEL = (0.0, 0.0, 0.0, 1.0)


@pytest.fixture
def make() -> Iterator[Any]:
    made: list[Any] = []

    def new(kind: type[Any], config: WorldConfig) -> Any:
        made.append(kind(config))
        return made[-1]

    yield new
    for one in made:
        one.close()


def watched(config: WorldConfig) -> WorldConfig:
    return config.without("imu", "odometry")


CAMERAS = {
    "default": WorldConfig(),
    "rolling shutter, lens, tilted mount, faults": replace(
        WorldConfig().with_sensor(
            "camera",
            CameraModel(
                width=48,
                height=36,
                exposure=0.012,
                exposure_samples=2,
                readout=0.015,
                row_groups=3,
                distortion=(-0.2, 0.03, 0.001, 0.0, 0.0),
                mount_position=(-0.05, 0.0, 0.08),  # It sees the vehicle's own rotors.
                mount_pitch=-0.2,
                mount_yaw=0.1,
                auto_exposure=0.3,
            ),
        ),
        task=make_task("follow"),
        faults=(
            Fault("camera_freeze", SECOND // 10, 0.1),
            Fault("camera_delay", SECOND // 2, 0.3, 0.1),
        ),
    ),
    "two cameras": replace(
        WorldConfig().with_sensor(
            "rear", CameraModel(mount_yaw=math.pi), WorldConfig().sensor("camera").timing
        ),
        renderer="raycast",
    ),
}


@pytest.mark.parametrize("config", CAMERAS.values(), ids=CAMERAS)
def test_frames_equal_those_of_the_simulator_bit_for_bit(make: Any, config: WorldConfig) -> None:
    world, eyes = make(World, config), make(WatchedWorld, watched(config))
    world.reset(SEED)
    eyes.reset(SEED)
    command = Command(0, 0.6, 0.2, 0.1, 0.5)
    count = 0
    while world.time < SECOND * 3 // 5 and world.outcome is None:
        world.command(command)
        before, frames = world.time, []
        while (event := world.next_event(before + 1)) is not None:
            frames += [event] if event.channel is Channel.CAMERA else []
        if world.time > before:
            state = world.kinematics
            eyes.move(world.time, state.position, state.orientation)
        while (event := world.next_event(world.time)) is not None:
            frames += [event] if event.channel is Channel.CAMERA else []
        seen = []
        while (event := eyes.next_event(world.time)) is not None:
            seen.append(event)
        assert len(seen) == len(frames)
        for ours, theirs in zip(seen, frames, strict=True):
            assert (ours.stamp, ours.arrival) == (theirs.stamp, theirs.arrival)
            assert eyes.sensor_of(ours) == world.sensor_of(theirs)
            np.testing.assert_array_equal(ours.image, theirs.image)
        count += len(seen)
    assert count > 9
    assert eyes.attempt.progress == world.attempt.progress


@pytest.mark.parametrize("rate", [5, 20, 250])
def test_a_frame_is_drawn_from_the_pose_at_its_stamp(make: Any, rate: int) -> None:
    config = watched(WorldConfig()).with_sensor("camera", CameraModel(noise_sigma=0))
    eyes = make(WatchedWorld, config)
    eyes.reset(SEED)
    x, y, z = eyes.scene.start_position.tolist()
    yaw, speed = eyes.scene.start_yaw, 0.8
    level = (0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2))
    for tick in range(1, rate + 1):
        time = tick * SECOND // rate
        eyes.move(time, (x, y, z + speed * time / SECOND), level)
    frames = []
    while (event := eyes.next_event(2 * SECOND)) is not None:
        frames.append(event)
    assert len(frames) > 15
    for frame in frames:
        assert isinstance(frame, CameraFrame)
        height = eyes.view(frame).state.position[2]
        assert height == pytest.approx(z + speed * frame.stamp / SECOND, abs=1e-6)


def test_the_flight_is_judged_by_the_rules_of_its_task(make: Any) -> None:
    config = WorldConfig().with_sensor("camera", timing=SensorTiming(rate=3))
    eyes = make(WatchedWorld, watched(config))
    eyes.reset(SEED)
    start, target = eyes.scene.start_position, eyes.scene.target.position
    way = target - start
    length = float(np.linalg.norm(way))
    outside = target - way / length * (config.task.success_radius + 0.01)
    eyes.move(SECOND, outside, LEVEL)
    assert eyes.outcome is None
    eyes.move(2 * SECOND, target - way / length * (config.task.success_radius - 0.01), LEVEL)
    assert eyes.outcome is Outcome.SUCCESS
    # The vehicle flies on, and its camera with it; the verdict stays.
    eyes.move(5 * SECOND, start, LEVEL)
    assert eyes.outcome is Outcome.SUCCESS
    while (event := eyes.next_event(10 * SECOND)) is not None:
        last = event
    assert last.stamp > 4.5 * SECOND

    eyes.reset(SEED)
    limit = round(config.task.time_limit * SECOND)
    eyes.move(limit - 1, eyes.scene.start_position, LEVEL)
    assert eyes.outcome is None
    eyes.move(limit, eyes.scene.start_position, LEVEL)
    assert eyes.outcome is Outcome.TIMEOUT


def test_the_hull_touches_obstacles_and_the_ground_also_between_two_poses(make: Any) -> None:
    eyes = make(WatchedWorld, watched(WorldConfig()))
    eyes.reset(SEED)
    obstacle = min(eyes.scene.obstacles, key=lambda solid: solid.radius)
    across = np.array([obstacle.radius + 1.0, 0.0, 0.0])
    eyes.reset(SEED)
    assert eyes.place(obstacle.position - across, LEVEL)
    # Both ends are free, and the obstacle is between them.
    eyes.move(SECOND // 5, obstacle.position + across, LEVEL)
    assert eyes.outcome is Outcome.COLLISION
    assert eyes.time == SECOND // 5

    half = eyes.vehicle.collision_height / 2
    eyes.reset(SEED)
    assert not eyes.place((0.0, 0.0, half / 2), LEVEL)
    assert eyes.place((0.0, 0.0, half + 0.05), LEVEL)


def test_gates_are_passed_from_where_the_vehicle_begins(make: Any) -> None:
    eyes = make(WatchedWorld, replace(watched(WorldConfig()), task=make_task("gates")))
    eyes.reset(SEED)
    gate = eyes.scene.gates[0]
    axis = np.array([math.cos(gate.yaw), math.sin(gate.yaw), 0.0])
    assert eyes.place(gate.position + 2 * axis, LEVEL)
    assert eyes.attempt.passed == 0
    eyes.move(SECOND, gate.position - axis, LEVEL)
    assert eyes.attempt.passed == 0
    eyes.move(2 * SECOND, gate.position + axis, LEVEL)
    assert (eyes.attempt.passed, eyes.outcome) == (1, None)


def test_what_only_the_vehicle_can_do_is_refused(make: Any) -> None:
    with pytest.raises(SimulationError, match="'imu' measures motion"):
        WatchedWorld(WorldConfig())
    eyes = make(WatchedWorld, watched(WorldConfig()))
    eyes.reset(SEED)
    with pytest.raises(SimulationError, match="motor_loss acts on the vehicle"):
        eyes.inject(Fault("motor_loss", 0, magnitude=0.5))
    eyes.move(SECOND, (0.0, 0.0, 1.0), LEVEL)
    with pytest.raises(SimulationError, match="must be later"):
        eyes.move(SECOND, (0.0, 0.0, 1.0), LEVEL)
    broken = replace(watched(WorldConfig()), faults=(Fault("wind_step", 0, magnitude=3.0),))
    with pytest.raises(SimulationError, match="wind_step acts on the vehicle"):
        make(WatchedWorld, broken).reset(SEED)
