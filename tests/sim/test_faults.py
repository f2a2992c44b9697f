"""Faults: what they change, what they leave alone, and that a flight with them repeats."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from liquid_nav.events import SECOND, CameraFrame, Channel, Event, ImuSample
from liquid_nav_sim.camera import CameraModel
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.faults import Fault, FaultKind, Faults
from liquid_nav_sim.world import World, WorldConfig

START, LENGTH, SECONDS = SECOND // 2, 0.5, 1.5
"""A fault from 0.5 s to 1 s of the first 1.5 s."""

SENSORS = (
    ("camera_drop", 0.0),
    ("camera_freeze", 0.0),
    ("camera_black", 0.0),
    ("camera_delay", 0.2),
    ("imu_drop", 0.0),
    ("imu_freeze", 0.0),
    ("imu_delay", 0.2),
    ("imu_bias", 0.3),
    ("imu_nan", 0.0),
)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    world = World(WorldConfig(camera=CameraModel(width=16, height=12)))
    yield world
    world.close()


def fly(world: World, *faults: Fault, seed: int = 3) -> list[Event]:
    """Hover through the first seconds; every measurement that arrives."""
    world.reset(seed)
    for fault in faults:
        world.inject(fault)
    events = []
    while (event := world.next_event(round(SECONDS * SECOND))) is not None:
        events.append(event)
    return events


def values(event: Event) -> bytes:
    if isinstance(event, CameraFrame):
        return event.image.tobytes()
    assert isinstance(event, ImuSample)
    return event.angular_velocity.tobytes() + event.specific_force.tobytes()


def by_stamp(events: list[Event], channel: Channel) -> dict[int, Event]:
    return {event.stamp: event for event in events if event.channel is channel}


def bits(events: list[Event]) -> list[Any]:
    return [(event.channel, event.stamp, event.arrival, values(event)) for event in events]


@pytest.mark.parametrize(("kind", "magnitude"), SENSORS)
def test_a_fault_of_a_sensor_spoils_that_sensor_while_it_lasts(
    world: World, kind: str, magnitude: float
) -> None:
    fault = Fault(FaultKind(kind), START, LENGTH, magnitude)
    healthy, faulty = fly(world), fly(world, fault)
    assert bits(faulty) == bits(fly(world, fault))
    broken = Channel(kind.partition("_")[0])
    other = Channel.IMU if broken is Channel.CAMERA else Channel.CAMERA
    spared = [[e for e in events if e.channel is other] for events in (healthy, faulty)]
    assert bits(spared[0]) == bits(spared[1])
    before, after = by_stamp(healthy, broken), by_stamp(faulty, broken)
    end = START + round(LENGTH * SECOND)
    outside = [stamp for stamp in before if not START <= stamp < end]
    assert [values(before[s]) for s in outside] == [values(after[s]) for s in outside]
    inside = [stamp for stamp in before if START <= stamp < end]
    assert len(inside) > 5
    if kind.endswith("drop"):
        assert not any(stamp in after for stamp in inside)
        return
    assert all(stamp in after for stamp in inside)
    if kind.endswith("freeze"):
        last = values(before[max(stamp for stamp in before if stamp < START)])
        assert {values(after[stamp]) for stamp in inside} == {last}
    elif kind.endswith("delay"):
        late = [after[s].arrival - before[s].arrival for s in inside]
        assert min(late) == round(magnitude * SECOND)
        arrivals = [after[stamp].arrival for stamp in sorted(after)]
        assert arrivals == sorted(arrivals)
    elif kind == "camera_black":
        assert not any(np.any(after[stamp].image) for stamp in inside)  # type: ignore[attr-defined]
    for stamp in inside:
        sick, well = after[stamp], before[stamp]
        if isinstance(sick, ImuSample) and isinstance(well, ImuSample):
            if kind == "imu_bias":
                turned = well.angular_velocity + magnitude
                np.testing.assert_array_equal(sick.angular_velocity, turned)
                np.testing.assert_array_equal(sick.specific_force, well.specific_force)
            elif kind == "imu_nan":
                assert not np.isfinite((sick.angular_velocity, sick.specific_force)).any()


def test_reset_mends(world: World) -> None:
    healthy = bits(fly(world))
    for kind, magnitude in SENSORS:
        fly(world, Fault(FaultKind(kind), 0, 0.0, magnitude))
    fly(world, Fault(FaultKind.WIND_STEP, 0, 0.0, 10.0), Fault(FaultKind.MOTOR_LOSS, 0, 0.0, 0.5))
    assert bits(fly(world)) == healthy


def test_a_fault_without_duration_lasts(world: World) -> None:
    events = fly(world, Fault(FaultKind.CAMERA_BLACK, START))
    late = [e for e in events if isinstance(e, CameraFrame) and e.stamp >= START]
    assert late
    assert not any(event.image.any() for event in late)


def test_a_weak_motor_lets_the_vehicle_sink(world: World) -> None:
    fly(world)
    level = world.state
    fly(world, Fault(FaultKind.MOTOR_LOSS, START, 0.0, 0.4))
    weak = world.state
    assert weak.position[2] < level.position[2] - 0.05
    fly(world, Fault(FaultKind.MOTOR_LOSS, START, 0.0, 0.0))
    assert world.state.position.tobytes() == level.position.tobytes()


def test_a_wind_step_pushes_east(world: World) -> None:
    fly(world)
    calm = world.state.position
    fly(world, Fault(FaultKind.WIND_STEP, START, 0.0, 8.0))
    east, north, _ = world.state.position - calm
    assert east > 0.1
    assert abs(north) < 0.05


def test_faults_that_overlap_act_in_order() -> None:
    faults = Faults()
    faults.add(Fault(FaultKind.IMU_BIAS, 0, 0.0, 1.0))
    faults.add(Fault(FaultKind.IMU_FREEZE, 10))
    first, second = (
        faults.measured(ImuSample(stamp, stamp, np.full(3, stamp), np.zeros(3)))
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
    ],
)
def test_a_fault_that_cannot_be_is_refused(wrong: dict[str, Any], words: str) -> None:
    fields = {"kind": "imu_bias", "start": 0} | wrong
    with pytest.raises(SimulationError, match=words):
        Fault(**fields)


def test_nothing_breaks_where_nothing_flies() -> None:
    world = World()
    with pytest.raises(SimulationError, match="reset"):
        world.inject(Fault(FaultKind.IMU_DROP, 0))
    world.close()
