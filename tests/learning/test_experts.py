"""Experts solve their tasks, by what a pilot could know."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from liquid_nav.command import Command
from liquid_nav.evaluation.flight import fly
from liquid_nav.events import SECOND, Channel
from liquid_nav.learning.data.episodes import SECTORS
from liquid_nav.learning.experts import EXPERTS, expert_of
from liquid_nav.learning.experts.avoidance import HORIZON, Blocking, free_course, push
from liquid_nav.learning.experts.base import ExpertPilot, heading_frame, wrap
from liquid_nav.learning.flying.rollout import Bursts, record, sight
from liquid_nav.rotations import yaw_of
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.sensors.timing import SensorTiming
from liquid_nav_sim.tasks.registry import TASKS, make_task
from liquid_nav_sim.vehicle.files import load_vehicle
from liquid_nav_sim.world import Outcome, World

BLIND = {"forest": None, "gates": None}
"""Tasks whose experts need no frames."""


def test_every_task_has_an_expert() -> None:
    assert set(EXPERTS) == set(TASKS)


@pytest.mark.parametrize("name", ["forest", "gates", "follow"])
def test_experts_solve_the_hardest_scenes(name: str) -> None:
    timing = BLIND.get(name, SensorTiming(rate=5, latency=0.02))
    config = (
        WorldConfig(task=make_task(name, 1.0))
        .with_sensor("imu", timing=SensorTiming(rate=100))
        .with_sensor("camera", timing=timing)
    )
    world = World(config)
    pilot = ExpertPilot(expert_of(world))
    flights = [fly(world, pilot, seed) for seed in range(300, 304)]
    assert [flight.outcome for flight in flights] == [Outcome.SUCCESS] * len(flights)
    assert min(flight.min_clearance for flight in flights) > 0
    world.close()


@pytest.mark.parametrize("name", ["forest", "gates"])
def test_scenes_fit_the_vehicle_that_flies_in_them(name: str) -> None:
    vehicle = load_vehicle("survey_1500")
    config = (
        WorldConfig(vehicle=vehicle, task=make_task(name, 1.0))
        .with_sensor("imu", timing=SensorTiming(rate=100))
        .without("camera")
    )
    world = World(config)
    pilot = ExpertPilot(expert_of(world))
    assert [fly(world, pilot, seed).outcome for seed in (300, 301)] == [Outcome.SUCCESS] * 2
    world.close()


def test_the_expert_of_follow_does_not_know_a_target_that_was_never_in_view() -> None:
    world = World(WorldConfig(task=make_task("follow")).without("camera"))
    world.reset(0)
    expert = expert_of(world)
    while (event := world.next_event(10**9)) is not None:
        expert.on_event(event)
        assert not expert.seen
        assert expert.command() == (0.0, 0.0, 0.0, 1.2)
    world.close()


def test_the_expert_of_forest_does_not_see_beyond_its_horizon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(WorldConfig(task=make_task("forest", 1.0)).without("camera"))
    world.reset(4)
    expert = expert_of(world)
    whole, scene = expert.command(), world.scene
    near = tuple(
        o
        for o in scene.obstacles
        if np.linalg.norm((o.position - world.state.position)[:2]) < HORIZON + 1.2
    )
    assert 0 < len(near) < len(scene.obstacles)
    monkeypatch.setattr(world, "scene", type(scene)(**{**vars(scene), "obstacles": near}))
    assert expert.command() == whole
    world.close()


def test_the_expert_of_forest_flies_faster_where_it_is_asked_to() -> None:
    task = make_task("forest", 0.5, speed=2.0)
    config = WorldConfig(task=task).with_sensor("imu", timing=SensorTiming(rate=100))
    world = World(config.without("camera"))
    flight = fly(world, ExpertPilot(expert_of(world)), 301)
    assert flight.outcome is Outcome.SUCCESS
    assert flight.path_length / flight.duration > 3.5
    world.close()


def test_the_expert_of_follow_searches_on_the_side_where_the_target_left_the_view() -> None:
    world = World(WorldConfig(task=make_task("follow")).without("camera"))
    world.reset(0)
    expert = expert_of(world)
    expert.seen = True
    commands = []
    while world.next_event(3 * 10**9) is not None:
        world.command(Command(world.time, yaw_rate=-1.5))
        commands.append(expert.command())
    # At first it turns back to the target, which it then no longer knows.
    assert commands[0] != (0.0, 0.0, 0.0, 1.2)
    assert commands[-1] == (0.0, 0.0, 0.0, 1.2)
    world.close()


def test_the_expert_of_gates_backs_away_from_a_gate_that_it_missed() -> None:
    world = World(WorldConfig(task=make_task("gates")).without("camera"))
    world.reset(0)
    gate, expert = world.scene.gates[0], expert_of(world)
    axis = np.array([np.cos(gate.yaw), np.sin(gate.yaw), 0.0])
    left = np.array([-axis[1], axis[0], 0.0])
    put(world, gate.position + 0.5 * axis + gate.width * left, gate.yaw)
    vx, vy, _, _ = expert.command()
    assert vx < -0.5
    assert vy == pytest.approx(0.0)
    world.close()


def test_the_expert_of_gates_looks_to_the_next_gate_before_it_has_passed_one() -> None:
    world = World(WorldConfig(task=make_task("gates")).without("camera"))
    world.reset(0)
    gate, other = world.scene.gates[:2]
    axis = np.array([np.cos(gate.yaw), np.sin(gate.yaw), 0.0])
    put(world, gate.position - 0.7 * axis, gate.yaw)
    x, y, _ = (other.position - world.state.position).tolist()
    bearing = wrap(np.arctan2(y, x) - gate.yaw)
    assert abs(bearing) > 0.05
    assert expert_of(world).command()[3] * bearing > 0
    world.close()


def put(world: World, position: NDArray[np.float64], yaw: float) -> None:
    """Let the state of a world be at rest at a position and heading."""
    orientation = np.array([0.0, 0.0, np.sin(yaw / 2), np.cos(yaw / 2)])
    rest = replace(world.state, linear_velocity=np.zeros(3))
    world._state = replace(rest, position=position, orientation=orientation)


@pytest.mark.parametrize(("name", "known"), [("forest", False), ("gates", True), ("follow", True)])
def test_flights_are_recorded_with_labels_of_the_tasks_expert(name: str, known: bool) -> None:
    world = World(WorldConfig(task=make_task(name, 0.0)))
    episode = record(world, 7, None, Bursts(0.0, np.random.default_rng(0)))
    assert str(episode.outcome) == "success"
    assert np.isfinite(episode.label).all()
    assert np.isfinite(episode.sight[:, :4]).all() == known
    assert np.isnan(episode.sight[:, :4]).all() != known
    obstacles = bool(world.scene.obstacles)
    assert np.isfinite(episode.sight[:, 4:]).all() == obstacles
    assert np.isnan(episode.sight[:, 4:]).all() != obstacles
    if known:
        assert 0.5 < episode.sight[:, 0].mean() <= 1
        nearest = 1 / episode.sight[:, 3].max()
        assert nearest < 3
    world.close()


def test_free_space_is_what_a_depth_camera_measures() -> None:
    config = WorldConfig(task=make_task("forest", 0.5))
    model = replace(config.sensor("camera").model, depth=True)
    world = World(config.with_sensor("camera", model=model))
    agree: list[bool] = []
    for seed in range(4):
        world.reset(seed)
        expert = expert_of(world)
        while (event := world.next_event()) is not None and event.arrival < 8 * SECOND:
            world.command(Command(event.arrival, *expert.command()))
            if event.channel != Channel.CAMERA or event.stamp % 8:
                continue
            view = world.view(event)
            columns = (np.arange(model.width) - model.matrix[0, 2]) / model.matrix[0, 0]
            # The horizon of a tilted camera, in the middle of the frame.
            down = model.pose(view.state.position, view.state.orientation)[0][2]
            row = round(model.matrix[1, 2] - model.matrix[1, 1] * down[2] / down[1])
            if not 0 <= row < model.height or abs(down[0] / down[1]) > 0.03:
                continue
            measured = view.depth[row] * np.hypot(1, columns)
            nearest = measured.reshape(SECTORS, -1).min(axis=1)
            inverse = np.array(sight(world, view)[4:])
            near = (nearest < 6) & (inverse > 1 / 6)
            error = np.abs(1 / inverse[near] - nearest[near])
            agree += (error < 0.05 * nearest[near] + 0.05).tolist()
    assert len(agree) > 100
    # Some strips end at the edge of a trunk.
    assert np.mean(agree) > 0.9
    world.close()


def test_sight_of_a_gate_agrees_with_its_place_in_the_frame() -> None:
    world = World(WorldConfig(task=make_task("gates", 0.0)))
    world.reset(1)
    event = world.next_event()
    while event is None or event.channel.value != "camera":
        event = world.next_event()
    view = world.view(event)
    visible, azimuth, elevation, inverse_range, *_ = sight(world, view)
    gate = world.scene.gates[0]
    x, y, z = (gate.position - view.state.position).tolist()
    bearing = np.arctan2(y, x) - yaw_of(view.state.orientation)
    assert visible == 1
    # The camera is a hand's breadth ahead of the centre, and the vehicle nearly level.
    assert azimuth == pytest.approx(np.angle(np.exp(1j * bearing)), abs=0.05)
    assert elevation == pytest.approx(np.arctan2(z, np.hypot(x, y)), abs=0.05)
    assert 1 / inverse_range == pytest.approx(np.linalg.norm([x, y, z]), abs=0.2)
    world.close()


# Avoidance


def test_a_free_way_is_flown_straight_and_a_blocked_one_beside_what_blocks_it() -> None:
    still = np.zeros(3)
    assert free_course([], 0.3, still) == (pytest.approx(0.3), HORIZON)
    ahead = Blocking(bearing=0.3, distance=3.0, keep_out=0.8)
    course, room = free_course([ahead], 0.3, still)
    assert room == HORIZON
    edge = np.arcsin(0.8 / 3.0)
    assert edge <= abs(course - 0.3) <= edge + np.radians(5) + 1e-9
    # Who moves to the right already passes on the right.
    moving = 2.0 * np.array([np.cos(0.0), np.sin(0.0), 0.0])
    assert free_course([ahead], 0.3, moving)[0] < 0.3
    behind = ahead._replace(bearing=0.3 + np.pi)
    assert free_course([behind], 0.3, still) == (pytest.approx(0.3), HORIZON)


def test_only_what_is_too_close_pushes() -> None:
    assert push([Blocking(0.0, 1.0, 0.9)]) == pytest.approx([0, 0])
    assert push([Blocking(np.pi / 2, 0.5, 0.9)]) == pytest.approx([0, -0.8])


def test_heading_frame_is_forward_and_left() -> None:
    assert heading_frame(np.array([0.0, 2.0]), np.pi / 2) == pytest.approx((2.0, 0.0))
    assert heading_frame(np.array([1.0, 0.0]), np.pi / 2) == pytest.approx((0.0, -1.0))
