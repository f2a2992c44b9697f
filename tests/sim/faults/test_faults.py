"""Faults: what they change, what they leave alone, and that a flight with them repeats."""

import math
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from liquid_nav.command import Command
from liquid_nav.events import (
    SECOND,
    CameraFrame,
    Channel,
    Event,
    ImuSample,
    Odometry,
    RangeSample,
)
from liquid_nav_sim.air.wind import WindModel
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.faults import images as image_faults
from liquid_nav_sim.faults.effects import EFFECTS
from liquid_nav_sim.faults.flight import Faults
from liquid_nav_sim.faults.kinds import VEHICLE_KINDS, Fault
from liquid_nav_sim.sensors.event_camera import EventCameraModel
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.sensors.timing import SensorTiming
from liquid_nav_sim.world import World

START, LENGTH, SECONDS = SECOND // 2, 0.5, 1.5
"""A fault from 0.5 s to 1 s of the first 1.5 s."""

MAGNITUDE = {
    "camera_dirt": 0.3,
    "camera_exposure": 3.0,
    "camera_noise": 40.0,
    "odometry_jump": 2.0,
    **{kind: 0.2 for kind in EFFECTS if kind.endswith("_delay")},
    # Not a multiple of any period, so that no stamp is given twice.
    **{kind: -0.31234567 for kind in EFFECTS if kind.endswith("_clock_jump")},
    **{kind: 0.3 for kind in EFFECTS if kind.endswith("_bias")},
    **{kind: 0.5 for kind in EFFECTS if kind.endswith("_noise") and kind != "camera_noise"},
}
"""Of the kinds that take one."""

SENSORS = [kind for kind in EFFECTS if kind not in VEHICLE_KINDS]
SMALL = CameraModel(width=16, height=12)
EVERYTHING = (
    WorldConfig()
    .with_sensor("camera", model=SMALL)
    .with_sensor(
        "event_camera",
        model=EventCameraModel(camera=SMALL),
        timing=SensorTiming(rate=60, latency=0.002, drop=0.05),
    )
    .with_sensor(
        "range_finder",
        timing=SensorTiming(rate=50, jitter=0.001, latency=0.01, latency_jitter=0.005),
    )
    .with_sensor("odometry", timing=SensorTiming(rate=40, latency=0.02, drop=0.1, burst=3.0))
)
"""A world with every sensor fitted."""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    world = World(EVERYTHING)
    yield world
    world.close()


def fly(world: World, *faults: Fault, seed: int = 3, seconds: float = SECONDS) -> list[Event]:
    """Turn through the first seconds; every measurement that arrives."""
    world.reset(seed)
    world.command(Command(0, yaw_rate=1.0))
    for fault in faults:
        world.inject(fault)
    events = []
    while (event := world.next_event(round(seconds * SECOND))) is not None:
        events.append(event)
    return events


def values(event: Event) -> bytes:
    """Every bit of what was measured."""
    times = {field.name for field in fields(Event)}
    names = [field.name for field in fields(event) if field.name not in times]
    return b"".join(np.asarray(getattr(event, name)).tobytes() for name in names)


def by_stamp(events: list[Event], channel: Channel) -> dict[int, Any]:
    return {event.stamp: event for event in events if event.channel is channel}


def bits(events: list[Event]) -> list[Any]:
    return [(event.channel, event.stamp, event.arrival, values(event)) for event in events]


@pytest.fixture(scope="module")
def healthy(world: World) -> list[Event]:
    return fly(world)


@pytest.mark.parametrize("kind", SENSORS)
def test_a_fault_of_a_sensor_spoils_that_sensor_while_it_lasts(
    world: World, healthy: list[Event], kind: str
) -> None:
    magnitude = MAGNITUDE.get(kind, 0.0)
    fault = Fault(kind, START, LENGTH, magnitude, direction=(3.0, 4.0, 0.0))
    faulty = fly(world, fault)
    channel, _, effect = kind.partition("_")
    broken = Channel(channel)
    spared = [[e for e in events if e.channel is not broken] for events in (healthy, faulty)]
    assert bits(spared[0]) == bits(spared[1])
    before, after = by_stamp(healthy, broken), by_stamp(faulty, broken)
    end = START + round(LENGTH * SECOND)
    outside = [stamp for stamp in before if not START <= stamp < end]
    assert [values(before[s]) for s in outside] == [values(after[s]) for s in outside]
    inside = [stamp for stamp in before if START <= stamp < end]
    assert len(inside) > 5
    arrivals = [event.arrival for event in faulty if event.channel is broken]
    assert arrivals == sorted(arrivals)
    if effect == "drop":
        assert not any(stamp in after for stamp in inside)
        return
    if effect == "clock_jump":
        jump = round(magnitude * SECOND)
        shifted = [after.get(stamp + jump) for stamp in inside]
        assert [values(e) for e in shifted if e] == [values(before[stamp]) for stamp in inside]
        assert [e.arrival for e in shifted if e] == [before[stamp].arrival for stamp in inside]
        return
    for stamp in inside:
        _check(kind, magnitude, before[stamp], after[stamp])
    if effect == "freeze":
        last = values(before[max(stamp for stamp in before if stamp < START)])
        assert {values(after[stamp]) for stamp in inside} == {last}
    elif effect == "delay":
        late = [after[s].arrival - before[s].arrival for s in inside]
        assert min(late) == round(magnitude * SECOND)


def _check(kind: str, magnitude: float, well: Any, sick: Any) -> None:
    """What one measurement became."""
    effect = kind.partition("_")[2]
    assert effect in ("freeze", "delay") or sick.arrival == well.arrival
    if kind == "camera_black":
        assert not sick.image.any()
    elif kind == "camera_exposure":
        bright = image_faults.wrong_exposure(well.image, magnitude)
        np.testing.assert_array_equal(sick.image, bright)
        assert bright.mean() > well.image.mean()
    elif kind in ("camera_dirt", "camera_noise"):
        assert np.abs(sick.image.astype(int) - well.image).mean() > 2
    elif effect == "nan":
        for field in fields(sick):
            if field.name not in ("stamp", "arrival"):
                assert np.isnan(getattr(sick, field.name)).all()
    elif kind == "imu_bias":
        np.testing.assert_array_equal(sick.angular_velocity, well.angular_velocity + magnitude)
        np.testing.assert_array_equal(sick.specific_force, well.specific_force)
    elif kind == "imu_accel_bias":
        np.testing.assert_array_equal(sick.specific_force, well.specific_force + magnitude)
        np.testing.assert_array_equal(sick.angular_velocity, well.angular_velocity)
    elif kind == "range_bias":
        assert sick.distance == np.float32(well.distance + magnitude)
    elif kind == "odometry_jump":
        np.testing.assert_allclose(sick.position - well.position, (1.2, 1.6, 0), atol=1e-12)
        np.testing.assert_array_equal(sick.orientation, well.orientation)


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("imu_noise", "angular_velocity"),
        ("imu_accel_noise", "specific_force"),
        ("range_noise", "distance"),
        ("odometry_noise", "position"),
        ("camera_noise", "image"),
    ],
)
def test_a_noise_burst_is_as_large_as_asked_and_new_each_time(kind: str, field: str) -> None:
    faults = Faults(np.random.default_rng(0))
    faults.add(Fault(kind, 0, 0.0, 0.2 if field != "image" else 20.0))
    grey = np.full((12, 16, 3), 128, np.uint8)
    three, unit = np.ones(3), np.array([0.0, 0.0, 0.0, 1.0])
    healthy: Event = {
        Channel.IMU: ImuSample(0, 0, three, three),
        Channel.RANGE: RangeSample(0, 0, 1.0),
        Channel.ODOMETRY: Odometry(0, 0, three, unit, three, three),
        Channel.CAMERA: CameraFrame(0, 0, grey),
    }[Channel(kind.partition("_")[0])]
    errors = []
    for k in range(1500 if field != "image" else 3):
        event = faults.measured(replace(healthy, stamp=k, arrival=k), "sensor")
        errors.append(np.atleast_1d(getattr(event, field)).astype(float) - getattr(healthy, field))
    sigma = 20.0 if field == "image" else 0.2
    assert np.std(errors) == pytest.approx(sigma, rel=0.06)
    first, second = np.array(errors[:-1]).ravel(), np.array(errors[1:]).ravel()
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / len(first) ** 0.5


def test_dirt_stays_where_it_is_and_is_elsewhere_in_the_next_fault() -> None:
    faults = Faults(np.random.default_rng(0))
    for second in range(2):
        faults.add(Fault("camera_dirt", second * SECOND, 1.0, 0.4))
    white = np.full((24, 32, 3), 255, np.uint8)
    seen = []
    for stamp in (0, SECOND // 2, SECOND):
        event = faults.measured(CameraFrame(stamp, stamp, white), "camera")
        assert isinstance(event, CameraFrame)
        seen.append(event.image)
    np.testing.assert_array_equal(seen[0], seen[1])
    assert not np.array_equal(seen[1], seen[2])


def test_no_stamp_jumps_beyond_its_arrival(world: World, healthy: list[Event]) -> None:
    """What comes with a stamp of the future gets that of its arrival, as drivers do."""
    events = fly(world, Fault("camera_clock_jump", 0, 0.0, 0.5))
    ahead = [e for e in events if isinstance(e, CameraFrame)]
    assert [e.stamp for e in ahead] == [e.arrival for e in ahead]
    assert [e.arrival for e in ahead] == [e.arrival for e in healthy if isinstance(e, CameraFrame)]


@pytest.mark.parametrize("jump", [-0.3, 0.5])
def test_the_truth_about_a_frame_is_found_under_a_wrong_stamp(world: World, jump: float) -> None:
    fly(world)
    truths = [world.view(e) for e in fly(world) if isinstance(e, CameraFrame)]
    events = fly(world, Fault("camera_clock_jump", START, LENGTH, jump))
    found = [world.view(e) for e in events if isinstance(e, CameraFrame)]
    assert [v.state.position.tolist() for v in found] == [v.state.position.tolist() for v in truths]


def test_reset_mends(world: World) -> None:
    healthy = bits(fly(world, seconds=0.5))
    every = [
        Fault(kind, 0, 0.0, 0.0 if effect.magnitude is None else effect.magnitude.drawn[1])
        for kind, effect in EFFECTS.items()
    ]
    assert bits(fly(world, *every, seconds=0.5)) != healthy
    assert world.faults == tuple(every)
    assert bits(fly(world, seconds=0.5)) == healthy
    assert world.faults == ()


def test_what_freezes_in_flight_keeps_its_last_values(world: World) -> None:
    world.reset(3)
    last = world.next_event(SECOND)
    while not isinstance(last, ImuSample) or last.stamp < START:
        last = world.next_event(SECOND)
    world.inject(Fault("imu_freeze", world.time))
    later = [e for e in iter(lambda: world.next_event(SECOND), None) if e.channel is Channel.IMU]
    frozen = [e for e in later if e.stamp >= world.faults[0].start]
    # What was on its way is not frozen; the newest of it is what is repeated.
    known = [last, *(e for e in later if e.stamp < world.faults[0].start)]
    assert len(frozen) > 50
    assert {values(event) for event in frozen} == {values(known[-1])}


def test_a_fault_without_duration_lasts(world: World) -> None:
    events = fly(world, Fault("camera_black", START))
    late = [e for e in events if isinstance(e, CameraFrame) and e.stamp >= START]
    assert late
    assert not any(event.image.any() for event in late)


CALM = replace(EVERYTHING, wind=WindModel(steady=0, gust=0)).without("camera", "event_camera")


@pytest.fixture(scope="module")
def calm() -> Iterator[World]:
    world = World(CALM)
    yield world
    world.close()


def track(world: World, *faults: Fault) -> dict[int, Any]:
    """True states by time, and the times of all events under None."""
    world.reset(3)
    for fault in faults:
        world.inject(fault)
    states: dict[int, Any] = {}
    times = []
    while world.time < SECONDS * SECOND:
        until = world.time + 1
        while (event := world.next_event(until)) is not None:
            times.append((event.channel, event.stamp, event.arrival))
        states[world.time] = world.state
    states[-1] = times
    return states


@pytest.mark.parametrize(
    "fault",
    [
        Fault("motor_loss", START, LENGTH, 0.2),
        Fault("motor_stuck", START, LENGTH, rotor=2),
        Fault("wind_step", START, LENGTH, 5.0),
        Fault("mass_change", START, LENGTH, 0.3),
    ],
)
def test_a_fault_of_the_vehicle_begins_at_its_time_and_moves_no_clock(
    calm: World, fault: Fault
) -> None:
    healthy, faulty = track(calm), track(calm, fault)
    assert healthy.pop(-1) == faulty.pop(-1)
    same = [t for t in healthy if values_of(healthy[t]) == values_of(faulty[t])]
    last = max(same)
    assert START <= last <= START + 30_000_000 or fault.kind == "motor_stuck"
    assert same == [t for t in healthy if t <= last]


def values_of(state: Any) -> bytes:
    return b"".join(np.asarray(value).tobytes() for value in vars(state).values())


def test_a_wind_step_pushes_where_it_blows(calm: World) -> None:
    still = track(calm)
    for direction in ((1.0, 0.0, 0.0), (0.0, -2.0, 0.0), (1.0, 1.0, 1.0)):
        blown = track(calm, Fault("wind_step", START, LENGTH, 8.0, direction=direction))
        end = START + round(LENGTH * SECOND)
        pushed = blown[end].linear_velocity - still[end].linear_velocity
        along = pushed @ direction / np.linalg.norm(direction)
        assert along > 0.2
        assert along > 0.8 * np.linalg.norm(pushed)
        # Gone again: the autopilot has it back where it would have been.
        later = max(time for time in still if time > 0)
        recovered = np.linalg.norm(blown[later].linear_velocity - still[later].linear_velocity)
        assert recovered < np.linalg.norm(pushed)


@pytest.mark.parametrize("rotor", [0, 1, 2, 3])
def test_a_weak_motor_tilts_the_vehicle_to_its_corner(calm: World, rotor: int) -> None:
    """0 front right, 1 rear left, 2 front left, 3 rear right; only that one is weaker."""
    fault = Fault("motor_loss", START, 0.0, 0.3, rotor=rotor)
    still, weak = track(calm), track(calm, fault)
    time = START + 60_000_000
    x, y, _, _ = (weak[time].orientation - still[time].orientation).tolist()
    right, left = y > 0, x < 0  # nose down, left side down
    assert (right, left) == {
        0: (True, False),
        1: (False, True),
        2: (True, True),
        3: (False, False),
    }[rotor]


def test_a_weak_motor_lets_the_vehicle_sink(calm: World) -> None:
    still, weak = track(calm), track(calm, Fault("motor_loss", START, 0.0, 0.4))
    end = START + round(LENGTH * SECOND)
    assert weak[end].position[2] < still[end].position[2] - 0.01
    none = track(calm, Fault("motor_loss", START, 0.0, 0.0))
    assert values_of(none[end]) == values_of(still[end])


def test_more_mass_pulls_down_and_goes_again(calm: World) -> None:
    still = track(calm)
    heavy = track(calm, Fault("mass_change", START, LENGTH, 0.5))
    step = calm.config.step
    # In the first step the rotors carry what they carried: the weight is half as much again.
    first = START + step
    assert heavy[first].specific_force[2] == pytest.approx(
        still[first].specific_force[2] / 1.5, rel=0.01
    )
    assert heavy[START + 100_000_000].linear_velocity[2] < -0.05
    lighter = START + round(LENGTH * SECOND) + step
    assert heavy[lighter].specific_force[2] > 1.2 * heavy[lighter - step].specific_force[2]
    later = max(time for time in still if time > 0)
    assert abs(heavy[later].linear_velocity[2]) < 0.5


def test_a_stuck_motor_keeps_its_setpoint() -> None:
    faults = Faults(np.random.default_rng(0))
    faults.add(Fault("motor_stuck", 10, 20e-9, rotor=3))
    asked = {time: (1.0, 2.0, 3.0, float(time)) for time in (0, 10, 20, 29, 30)}
    got = [faults.thrusts(setpoints, time) for time, setpoints in asked.items()]
    assert [thrusts[:3] for thrusts in got] == [(1.0, 2.0, 3.0)] * 5
    assert [thrusts[3] for thrusts in got] == [0, 10, 10, 10, 30]


def test_faults_that_overlap_act_in_order() -> None:
    faults = Faults(np.random.default_rng(0))
    faults.add(Fault("imu_bias", 0, 0.0, 1.0))
    faults.add(Fault("imu_freeze", 10))
    first, second = (
        faults.measured(ImuSample(stamp, stamp, np.full(3, stamp), np.zeros(3)), "imu")
        for stamp in (5, 10)
    )
    assert isinstance(first, ImuSample)
    assert isinstance(second, ImuSample)
    assert second.angular_velocity.tolist() == first.angular_velocity.tolist() == [6.0] * 3
    assert (second.stamp, second.arrival) == (10, 10)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"kind": "gremlin"}, "kind must be one of"),
        ({"start": -1}, "start"),
        ({"start": 0.5}, "start"),
        ({"duration": -1.0}, "duration"),
        ({"duration": math.nan}, "duration"),
        ({"duration": math.inf}, "duration"),
        ({"kind": "motor_loss", "magnitude": 1.1}, r"motor_loss must be in \[0, 1\]"),
        ({"kind": "camera_delay", "magnitude": math.nan}, "magnitude"),
        ({"magnitude": math.nan}, "magnitude"),
        ({"rotor": 4}, "rotor"),
        ({"rotor": 0.5}, "rotor"),
        ({"direction": (0.0, 0.0, 0.0)}, "direction"),
        ({"direction": (0.0, 1.0)}, "direction"),
        ({"direction": (0.0, 1.0, math.inf)}, "direction"),
    ],
)
def test_a_fault_that_cannot_be_is_refused(wrong: dict[str, Any], words: str) -> None:
    fields = {"kind": "imu_bias", "start": 0} | wrong
    with pytest.raises(SimulationError, match=words):
        Fault(**fields)


def test_nothing_breaks_where_nothing_flies() -> None:
    world = World()
    with pytest.raises(SimulationError, match="reset"):
        world.inject(Fault("imu_drop", 0))
    world.close()
