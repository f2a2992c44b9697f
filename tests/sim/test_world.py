"""The world: events in order, flights that repeat, streams that do not mix, ends that are right."""

import gc
import hashlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise, zip_longest
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import liquid_nav_sim.world
from liquid_nav.command import Command
from liquid_nav.events import SECOND, CameraFrame, Event, ImuSample
from liquid_nav_sim.air.wind import Wind, WindModel
from liquid_nav_sim.config import NOSE_CAMERA, WorldConfig
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.scenes.appearance import sample_appearance
from liquid_nav_sim.scenes.scene import Scene, Shape, Solid
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.sensors.imu_models import NOISELESS
from liquid_nav_sim.sensors.timing import SensorTiming
from liquid_nav_sim.tasks.target import TargetTask
from liquid_nav_sim.vehicle.setpoints import AttitudeSetpoint, RateSetpoint
from liquid_nav_sim.vehicle.state import GRAVITY, VehicleState, interpolate
from liquid_nav_sim.world import Outcome, World

CALM = WindModel(steady=0, gust=0)
HOVER = (0.0, 0.0, 0.0, 0.0)
# For flights whose end matters and whose sensors do not.
BLIND = (
    WorldConfig(wind=CALM)
    .with_sensor("imu", timing=SensorTiming(rate=1))
    .with_sensor("camera", model=CameraModel(width=4, height=3), timing=SensorTiming(rate=1))
)


@pytest.fixture
def make() -> Iterator[Any]:
    """Makes worlds that are closed after the test."""
    worlds: list[World] = []

    def build(config: WorldConfig | None = None) -> World:
        worlds.append(World(config))
        return worlds[-1]

    yield build
    for world in worlds:
        world.close()


def wavy(time: int) -> tuple[float, float, float, float]:
    """A command that keeps the vehicle turning, tilting and climbing."""
    t = time / SECOND
    return (np.sin(4 * t), np.cos(3 * t), 0.4 * np.sin(2 * t), 1.2 * np.sin(1.5 * t))


def events_of(world: World, seconds: float) -> Iterator[Event]:
    """Fly `wavy` and give the events of the first seconds."""
    while (event := world.next_event(round(seconds * SECOND))) is not None:
        yield event
        world.command(Command(event.arrival, *wavy(event.arrival)))


def content(event: Event) -> bytes:
    """Every bit of an event."""
    fields = (
        (event.image,)
        if isinstance(event, CameraFrame)
        else (event.angular_velocity, event.specific_force)
        if isinstance(event, ImuSample)
        else ()
    )
    head = f"{event.channel.value} {event.stamp} {event.arrival}".encode()
    return head + b"".join(field.tobytes() for field in fields)


def digest(world: World, seed: int, seconds: float = 1.0) -> str:
    """Hash of all events of a flight's first seconds."""
    world.reset(seed)
    total = hashlib.sha256()
    for event in events_of(world, seconds):
        total.update(content(event))
    return total.hexdigest()


def scene_bytes(scene: Scene) -> bytes:
    """Every bit of a scene but how it looks."""
    solids = [(s.shape.value, s.position.tobytes(), s.size, s.colour, s.yaw) for s in scene.solids]
    return repr((scene.start_position.tobytes(), scene.start_yaw, solids)).encode()


def appearance_bytes(scene: Scene) -> bytes:
    """Every bit of how a scene looks."""
    look = vars(scene.appearance)
    return b"".join(np.asarray(value).tobytes() for value in look.values())


# Events


def test_events_arrive_in_order_and_on_time(make: Any) -> None:
    world = make(
        WorldConfig()
        .with_sensor(
            "imu", timing=SensorTiming(rate=500, jitter=0.0005, latency_jitter=0.005, drop=0.1)
        )
        .with_sensor(
            "camera", timing=SensorTiming(rate=50, jitter=0.003, latency=0.02, latency_jitter=0.02)
        )
    )
    world.reset(3)
    last, kinds = 0, set()
    for event in events_of(world, 2.0):
        assert last <= event.arrival <= world.time < event.arrival + world.config.step
        last = event.arrival
        kinds.add(type(event))
    assert kinds == {CameraFrame, ImuSample}


def test_sensors_keep_their_rates(make: Any) -> None:
    world = make(
        WorldConfig(wind=CALM)
        .with_sensor("imu", timing=SensorTiming(rate=200, jitter=0.0003, drop=0.05))
        .with_sensor(
            "camera",
            model=CameraModel(width=4, height=3),
            timing=SensorTiming(rate=30, jitter=0.002, drop=0.2),
        )
    )
    world.reset(0)
    events = []
    while (event := world.next_event(8 * SECOND)) is not None:
        events.append(event)
    assert world.outcome is None
    for kind, rate, drop in ((CameraFrame, 30, 0.2), (ImuSample, 200, 0.05)):
        stamps = np.array([event.stamp for event in events if isinstance(event, kind)])
        spread = 4 * (8 * rate * drop * (1 - drop)) ** 0.5
        assert len(stamps) == pytest.approx(8 * rate * (1 - drop), abs=spread + 1)
        assert np.median(np.diff(stamps)) / SECOND == pytest.approx(1 / rate, rel=0.05)


def test_a_command_acts_and_until_is_kept(make: Any) -> None:
    world = make(BLIND.with_sensor("imu", timing=SensorTiming(rate=0.1, drop=0.99)))
    world.reset(0)
    start = world.state.position
    world.command(Command(0, 1.0))
    until = 5 * world.config.step
    for k in range(1, 3 * SECOND // until + 1):
        while world.next_event(k * until) is not None:
            pass
        assert world.time == k * until
    while world.next_event(3 * SECOND + 1) is not None:
        pass
    assert world.time == 3 * SECOND + world.config.step
    ahead = np.array([np.cos(world.scene.start_yaw), np.sin(world.scene.start_yaw), 0])
    gone = world.state.position - start
    assert 1.5 < gone @ ahead < 3.1
    assert np.linalg.norm(gone - (gone @ ahead) * ahead) < 0.1


def test_until_leaves_the_events_as_they_are(make: Any) -> None:
    whole, sliced = make(), make()
    whole.reset(2)
    sliced.reset(2)
    expected = [content(whole.next_event()) for _ in range(100)]
    found: list[bytes] = []
    while len(found) < 100:
        while (event := sliced.next_event(sliced.time + 7_000_000)) is not None:
            found.append(content(event))
    assert found[:100] == expected


def test_the_vehicle_does_not_see_itself(make: Any) -> None:
    world = make(WorldConfig().with_sensor("camera", model=replace(NOSE_CAMERA, segmentation=True)))
    world.reset(1)
    views = [world.view(e) for e in events_of(world, 2.0) if isinstance(e, CameraFrame)]
    assert len(views) > 40
    seen: set[int] = set()
    for view in views:
        assert view.segmentation is not None
        seen.update(np.unique(view.segmentation).tolist())
    solids = len(world.scene.solids)
    # The ground is body 0, then come the solids; the vehicle is last.
    assert seen - {-1} <= set(range(1, 1 + solids))
    assert len(seen) > 1


def test_the_truth_about_a_frame_is_forgotten_with_the_frame(make: Any) -> None:
    model = replace(NOSE_CAMERA, depth=True)
    world = make(WorldConfig().with_sensor("camera", model=model))
    world.reset(1)
    kept = None
    for event in events_of(world, 2.0):
        if isinstance(event, CameraFrame):
            kept = kept or event
            assert world.view(event).depth is not None
    del event
    gc.collect()
    # The first frame, and those that are still on their way.
    assert len(world._views) < 6
    assert kept is not None
    assert world.view(kept).depth is not None
    with pytest.raises(SimulationError, match="not of this flight"):
        world.view(replace(kept))


# Repeatability


def test_a_seed_gives_the_same_bytes_in_any_process(make: Any) -> None:
    world = make()
    first = digest(world, 7)
    assert digest(world, 8) != first
    assert digest(world, 7) == first
    fresh = subprocess.run(
        [sys.executable, __file__, "7"], capture_output=True, text=True, check=True
    )
    assert fresh.stdout.split()[-1] == first


def test_two_worlds_do_not_touch_each_other(make: Any) -> None:
    one, other = make(), make()
    alone = [digest(one, 1, 0.5), digest(one, 2, 0.5)]
    one.reset(1)
    other.reset(2)
    totals = [hashlib.sha256(), hashlib.sha256()]
    flights = [events_of(one, 0.5), events_of(other, 0.5)]
    for pair in zip_longest(*flights):
        for total, event in zip(totals, pair, strict=True):
            total.update(b"" if event is None else content(event))
    assert [total.hexdigest() for total in totals] == alone


def test_disturbances_leave_the_scene_alone(make: Any) -> None:
    def scene(seed: int, config: WorldConfig | None = None) -> bytes:
        world = make(config)
        world.reset(seed)
        return scene_bytes(world.scene) + appearance_bytes(world.scene)

    plain = scene(5)
    assert scene(6) != plain
    assert scene(5, WorldConfig(wind=WindModel(steady=9, gust=3))) == plain
    slow = WorldConfig().with_sensor("camera", timing=SensorTiming(rate=11, drop=0.5))
    assert scene(5, slow.with_sensor("imu", model=NOISELESS)) == plain


def test_the_scene_leaves_the_disturbances_alone(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    winds: list[Any] = []

    class Recorded(Wind):
        def advance(self, *args: Any, **kwargs: Any) -> Any:
            winds.append(super().advance(*args, **kwargs))
            return winds[-1]

    monkeypatch.setattr(liquid_nav_sim.world, "Wind", Recorded)

    def flight(config: WorldConfig) -> tuple[bytes, list[Any], list[tuple[str, int, int]]]:
        winds.clear()
        world = make(config)
        world.reset(5)
        times = [(e.channel.value, e.stamp, e.arrival) for e in events_of(world, 0.5)]
        return scene_bytes(world.scene), winds.copy(), times

    scene, wind, times = flight(WorldConfig(appearance="train"))
    other_scene, other_wind, other_times = flight(WorldConfig(appearance="held-out"))
    assert scene != other_scene
    assert (wind, times) == (other_wind, other_times)
    assert flight(WorldConfig(wind=WindModel(steady=2.0)))[2] == times
    plain = WorldConfig().with_sensor("camera", timing=SensorTiming(rate=30))
    assert flight(plain)[1] == wind


@pytest.mark.parametrize("fitted", [ImuSample, CameraFrame])
def test_a_sensor_that_is_not_fitted_leaves_the_others_as_they_are(make: Any, fitted: Any) -> None:
    without = {ImuSample: "camera", CameraFrame: "imu"}[fitted]

    def flight(config: WorldConfig) -> list[bytes]:
        world = make(config)
        world.reset(9)
        seen = []
        while (event := world.next_event(SECOND)) is not None:
            seen.append(event)
        return [content(event) for event in seen if isinstance(event, fitted)]

    alone = flight(WorldConfig().without(without))
    assert len(alone) > 20
    assert flight(WorldConfig()) == alone


def test_a_world_without_sensors_still_flies(make: Any) -> None:
    world = make(WorldConfig().without("imu", "camera"))
    world.reset(0)
    assert world.next_event(SECOND) is None
    assert world.time == SECOND


# Between the physics steps


def fly_and_watch(world: World, seconds: float) -> tuple[list[Event], list[VehicleState]]:
    """Events of a wavy flight, and the true state after each physics step."""
    states, events = [world.state], []
    while world.time < seconds * SECOND:
        until = world.time + 1
        while (event := world.next_event(until)) is not None:
            events.append(event)
        states.append(world.state)
        world.command(Command(world.time, *wavy(world.time)))
    assert world.outcome is None
    return events, states


IDEAL = (
    WorldConfig()
    .with_sensor("imu", model=NOISELESS, timing=SensorTiming(rate=250, jitter=0.0007))
    .with_sensor(
        "camera", model=CameraModel(width=4, height=3), timing=SensorTiming(rate=30, jitter=0.002)
    )
)


def test_measurements_are_taken_at_their_stamps(make: Any) -> None:
    world = make(IDEAL)
    world.reset(4)
    events, states = fly_and_watch(world, 2.0)
    between = 0
    for event in events:
        k, rest = divmod(event.stamp, world.config.step)
        share = rest / world.config.step
        before, after = states[k], states[k + 1]

        def blend(name: str, a: Any = before, b: Any = after, s: float = share) -> Any:
            return (1 - s) * getattr(a, name) + s * getattr(b, name)

        if isinstance(event, ImuSample):
            assert event.angular_velocity == pytest.approx(blend("angular_velocity"), abs=1e-12)
            assert event.specific_force == pytest.approx(after.specific_force, abs=1e-12)
        else:
            seen = world.view(event).state
            assert seen.position == pytest.approx(blend("position"), abs=1e-12)
            assert seen.linear_velocity == pytest.approx(blend("linear_velocity"), abs=1e-12)
            assert abs(seen.orientation @ seen.orientation - 1) < 1e-12
            orientation = blend("orientation") / np.linalg.norm(blend("orientation"))
            assert abs(seen.orientation @ orientation) > 1 - 1e-12
        between += 0.1 < share < 0.9
    assert between > 0.7 * len(events)


def test_the_gyro_integrates_to_the_true_attitude(make: Any) -> None:
    world = make(IDEAL)
    world.reset(4)
    events, states = fly_and_watch(world, 2.0)
    samples = [event for event in events if isinstance(event, ImuSample)]
    angle = 0.0
    attitude = np.array(_at(samples[0].stamp, states, world).orientation)
    for last, sample in pairwise(samples):
        dt = (sample.stamp - last.stamp) / SECOND
        turn = dt / 2 * (last.angular_velocity + sample.angular_velocity)
        attitude = _turned(attitude, turn)
        angle += float(np.linalg.norm(turn))
    assert angle > 1.5
    truth = _at(samples[-1].stamp, states, world).orientation
    assert 2 * np.arccos(min(1.0, abs(float(attitude @ truth)))) < 0.005


def _at(time: int, states: list[VehicleState], world: World) -> VehicleState:
    k, rest = divmod(time, world.config.step)
    return interpolate(states[k], states[k + 1], rest / world.config.step)


def _turned(quaternion: NDArray[np.float64], turn: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quaternion x, y, z, w after a rotation vector in the body frame."""
    angle = float(np.linalg.norm(turn))
    axis = turn * (0.5 if angle < 1e-12 else np.sin(angle / 2) / angle)
    c, w, v = np.cos(angle / 2), quaternion[3], quaternion[:3]
    return np.array([*(w * axis + c * v + np.cross(v, axis)), w * c - v @ axis])


def test_interpolation_takes_the_short_way_round() -> None:
    def state(yaw: float, sign: float) -> VehicleState:
        orientation = sign * np.array([0, 0, np.sin(yaw / 2), np.cos(yaw / 2)])
        return VehicleState(np.zeros(3), orientation, np.zeros(3), np.zeros(3), np.zeros(3))

    middle = interpolate(state(0.1, 1), state(0.3, -1), 0.5).orientation
    assert abs(middle @ state(0.2, 1).orientation) == pytest.approx(1, abs=1e-12)


# How flights end


@pytest.fixture
def straight(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start that looks along x: a wall 3 m ahead, nothing to the left, the target 6 m behind."""
    scene = Scene(
        start_position=np.array([0.0, 0.0, 1.5]),
        start_yaw=0.0,
        appearance=sample_appearance(np.random.default_rng(0), "train"),
        target=Solid(Shape.SPHERE, np.array([-6.0, 0.0, 1.5]), (0.6,), (1.0, 0.0, 0.0)),
        obstacles=(Solid(Shape.BOX, np.array([3.5, 0.0, 1.5]), (1.0, 4.0, 3.0), (0.0, 0.0, 1.0)),),
    )
    monkeypatch.setattr(TargetTask, "sample", lambda *_: scene)


def fly_to_the_end(world: World, command: tuple[float, float, float, float]) -> None:
    world.reset(0)
    world.command(Command(0, *command))
    while world.next_event() is not None:
        assert world.time <= 20 * SECOND


@pytest.mark.usefixtures("straight")
def test_an_obstacle_ends_in_collision(make: Any) -> None:
    world = make(BLIND)
    fly_to_the_end(world, (2.0, 0.0, 0.0, 0.0))
    assert world.outcome is Outcome.COLLISION
    assert abs(world.clearance()) < 0.03
    assert world.state.position[0] == pytest.approx(3.0 - 0.18, abs=0.03)
    assert world.time < 3 * SECOND


@pytest.mark.usefixtures("straight")
def test_the_ground_ends_in_collision(make: Any) -> None:
    world = make(BLIND)
    fly_to_the_end(world, (0.0, 0.0, -1.0, 0.0))
    assert world.outcome is Outcome.COLLISION
    assert 0 < world.state.position[2] < 0.1
    assert world.time < 4 * SECOND


@pytest.mark.usefixtures("straight")
def test_reaching_the_target_succeeds(make: Any) -> None:
    world = make(BLIND)
    fly_to_the_end(world, (-2.0, 0.0, 0.0, 0.0))
    assert world.outcome is Outcome.SUCCESS
    assert world.scene.target is not None
    gap = np.linalg.norm(world.scene.target.position - world.state.position)
    assert 0.98 < gap <= 1.0


@pytest.mark.usefixtures("straight")
def test_hovering_for_ever_times_out_after_20_seconds(make: Any) -> None:
    world = make(BLIND)
    fly_to_the_end(world, HOVER)
    assert world.outcome is Outcome.TIMEOUT
    assert world.time == 20 * SECOND
    assert world.state.position == pytest.approx([0, 0, 1.5], abs=0.02)


@pytest.mark.usefixtures("straight")
def test_after_the_end_what_has_arrived_is_handed_over(make: Any) -> None:
    world = make(
        replace(BLIND, task=TargetTask(time_limit=0.1)).with_sensor(
            "imu", timing=SensorTiming(rate=2000)
        )
    )
    world.reset(0)
    after_the_end = []
    while (event := world.next_event()) is not None:
        if world.outcome is not None:
            after_the_end.append(event.arrival)
    # The step that ended the flight gave all the samples of a step.
    assert len(after_the_end) == 2000 * world.config.step / SECOND
    assert world.time == SECOND // 10
    assert world.next_event() is None
    assert world.next_event(SECOND) is None
    assert world.time == SECOND // 10
    world.reset(1)
    assert world.outcome is None
    assert world.next_event() is not None


# The boundary


def test_a_closed_world_stays_closed() -> None:
    world = World(BLIND)
    with pytest.raises(SimulationError, match="reset"):
        world.next_event()
    world.reset(0)
    world.close()
    world.close()
    with pytest.raises(SimulationError, match="closed"):
        world.reset(0)
    with pytest.raises(SimulationError, match="reset"):
        world.next_event()


@pytest.mark.parametrize("seed", [-1, 1.5, "7", None])
def test_a_bad_seed_is_refused(make: Any, seed: Any) -> None:
    with pytest.raises(SimulationError, match="seed"):
        make(BLIND).reset(seed)


@pytest.mark.parametrize(
    ("name", "value"),
    [("step", 0), ("step", 0.0025), ("step", SECOND), ("appearance", "night"), ("appearance", "")],
)
def test_a_bad_world_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(SimulationError, match=f"WorldConfig.{name} "):
        WorldConfig(**{name: value})


def test_a_window_without_a_display_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(SimulationError, match="display"):
        World(BLIND, gui=True)


if __name__ == "__main__":
    print(digest(World(), int(sys.argv[1])))


# What it can be asked for


def test_it_takes_an_attitude_then_body_rates(make: Any) -> None:
    world = make(IDEAL)
    world.reset(0)
    world.command(AttitudeSetpoint(pitch=0.2, thrust=GRAVITY))
    assert fly_on(world, 0.5) == pytest.approx(0.2, abs=0.02)
    world.command(RateSetpoint(pitch_rate=-1.0, thrust=GRAVITY))
    assert fly_on(world, 0.3) < 0.05


def fly_on(world: World, seconds: float) -> float:
    """Pitch after so many seconds, radians."""
    until = world.time + round(seconds * SECOND)
    while world.time < until:
        world.next_event(until)
    x, y, z, w = world.state.orientation
    return float(np.arcsin(2 * (w * y - z * x)))


@pytest.mark.parametrize("wrong", [None, (1.0, 0.0, 0.0, 0.0), "hover"])
def test_what_is_no_setpoint_is_refused(make: Any, wrong: Any) -> None:
    world = make(IDEAL)
    world.reset(0)
    with pytest.raises(SimulationError, match="a setpoint must be a Command, an AttitudeSetpoint"):
        world.command(wrong)
