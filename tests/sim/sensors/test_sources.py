"""Every sensor in one world: order of time, streams that do not mix, bytes that repeat."""

import hashlib
import subprocess
import sys
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_nav.command import Command
from liquid_nav.events import SECOND, Channel, Event, ImuSample
from liquid_nav_sim.air.wind import WindModel
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.faults.effects import EFFECTS
from liquid_nav_sim.faults.flight import Faults
from liquid_nav_sim.faults.kinds import VEHICLE_KINDS
from liquid_nav_sim.faults.schedule import RandomFaults
from liquid_nav_sim.sensors.clock import SensorClock
from liquid_nav_sim.sensors.event_camera import EventCameraModel
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.sensors.imu_models import MPU6050
from liquid_nav_sim.sensors.sources import Sampler, Sensors
from liquid_nav_sim.sensors.timing import SensorTiming
from liquid_nav_sim.vehicle.state import Kinematics, Motion
from liquid_nav_sim.world import World

CAMERA = CameraModel(width=16, height=12, exposure=0.004, readout=0.01)
EVERYTHING = (
    WorldConfig(wind=WindModel(steady=3.0, turbulence=10.0))
    .with_sensor(
        "imu",
        model=MPU6050,
        timing=SensorTiming(200, jitter=0.0003, latency=0.001, latency_jitter=0.002, drop=0.01),
    )
    .with_sensor(
        "camera",
        model=CAMERA,
        timing=SensorTiming(
            30, jitter=0.002, latency=0.02, latency_jitter=0.01, drop=0.1, burst=3.0, drift=80.0
        ),
    )
    .with_sensor(
        "event_camera",
        model=EventCameraModel(camera=CameraModel(width=16, height=12)),
        timing=SensorTiming(60, latency=0.002, latency_jitter=0.001, drop=0.1),
    )
    .with_sensor(
        "range_finder", timing=SensorTiming(50, jitter=0.001, latency=0.01, latency_jitter=0.005)
    )
    .with_sensor(
        "odometry",
        timing=SensorTiming(40, jitter=0.002, latency=0.03, drop=0.1, burst=4.0, drift=-50.0),
    )
)
# Faults that keep the vehicle on its way, many of them.
FAULTY = replace(
    EVERYTHING,
    random_faults=RandomFaults(
        rate=6.0, kinds=tuple(k for k in EFFECTS if k not in VEHICLE_KINDS), longest=1.0
    ),
)
CHANNELS = (Channel.CAMERA, Channel.IMU, Channel.DVS, Channel.RANGE, Channel.ODOMETRY)


def fly(config: WorldConfig, seed: int, seconds: float = 1.5) -> list[Event]:
    """Every event of the first seconds of a flight with a fixed command."""
    world = World(config)
    world.reset(seed)
    world.command(Command(0, 0.5, yaw_rate=1.0))
    events = []
    while (event := world.next_event(round(seconds * SECOND))) is not None:
        events.append(event)
        assert event.arrival <= world.time
    world.close()
    return events


def content(event: Event) -> bytes:
    """Every bit of an event."""
    parts = [np.asarray(getattr(event, field.name)).tobytes() for field in fields(event)]
    return event.channel.value.encode() + b"".join(parts)


def digest(seed: int) -> str:
    return hashlib.sha256(b"".join(map(content, fly(FAULTY, seed)))).hexdigest()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_time_keeps_its_order_whatever_breaks(seed: int) -> None:
    events = fly(FAULTY, seed)
    assert {event.channel for event in events} >= set(CHANNELS) - {Channel.DVS}
    arrivals = [event.arrival for event in events]
    assert arrivals == sorted(arrivals)
    assert all(event.stamp <= event.arrival for event in events)


def test_stamps_increase_where_no_clock_jumps() -> None:
    events = fly(EVERYTHING, 4)
    for channel in CHANNELS:
        stamps = [event.stamp for event in events if event.channel is channel]
        assert len(stamps) > 5
        assert (np.diff(stamps) > 0).all()


def test_a_seed_gives_the_same_bytes_in_any_process() -> None:
    first = digest(5)
    assert digest(6) != first
    assert digest(5) == first
    fresh = subprocess.run(
        [sys.executable, __file__, "5"], capture_output=True, text=True, check=True
    )
    assert fresh.stdout.split()[-1] == first


@pytest.mark.parametrize("left", ["camera", "imu", "event_camera", "range_finder", "odometry"])
def test_a_sensor_that_is_left_out_takes_its_own_events_along_and_no_more(left: str) -> None:
    channel = {"event_camera": Channel.DVS, "range_finder": Channel.RANGE}.get(left)
    channel = channel or Channel(left)
    whole = [content(e) for e in fly(FAULTY, 7, 0.7) if e.channel is not channel]
    rest = fly(FAULTY.without(left), 7, 0.7)
    assert [content(event) for event in rest] == whole


def test_faults_take_no_draw_from_anything_else() -> None:
    """Once the last of many faults has ended, every sensor is as if nothing had been."""
    plan = replace(FAULTY.random_faults, rate=30.0, longest=0.3)  # type: ignore[type-var]
    faults = plan.draw(np.random.default_rng(0), 0.7)
    assert len(faults) > 10
    # Delays and clock jumps that come by chance are of half a second at most.
    over = round(1.6 * SECOND)
    healthy, mended = (
        [content(e) for e in fly(config, 8, 2.0) if e.arrival > over]
        for config in (EVERYTHING, replace(EVERYTHING, faults=faults))
    )
    assert len(healthy) > 100
    assert mended == healthy


# The merge alone

STILL = Kinematics((0.0,) * 3, (0.0, 0.0, 0.0, 1.0), *((0.0,) * 3,) * 3)  # type: ignore[arg-type]


class Blank:
    """A sensor of nothing that counts."""

    def __init__(self) -> None:
        self.stamps: list[int] = []

    def measure(self, motion: Motion, stamp: int, arrival: int | None) -> ImuSample | None:
        assert motion.start < stamp <= motion.end or (stamp == 0 == motion.start)
        self.stamps.append(stamp)
        if arrival is None:
            return None
        return ImuSample(stamp, arrival, np.zeros(3), np.zeros(3))


timings = st.builds(
    SensorTiming,
    rate=st.floats(5, 500),
    jitter=st.floats(0, 0.1),
    latency=st.floats(0, 0.3),
    latency_jitter=st.floats(0, 0.3),
    drop=st.floats(0, 0.9),
    burst=st.floats(1, 20),
    drift=st.floats(-1e4, 1e4),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(timings, min_size=1, max_size=4), st.integers(100_000, 20_000_000), st.data())
def test_any_sensors_merge_in_the_order_of_arrival(
    given_timings: list[SensorTiming], step: int, data: Any
) -> None:
    seed = data.draw(st.integers(0, 2**32))
    sensors = [Blank() for _ in given_timings]
    sources = {
        str(k): Sampler(SensorClock(timing, np.random.default_rng([seed, k])), sensor)
        for k, (timing, sensor) in enumerate(zip(given_timings, sensors, strict=True))
    }
    merged = Sensors(sources, Faults(np.random.default_rng(0)))
    last, time = 0, 0
    for _ in range(100):
        merged.advance(Motion(STILL, STILL, time, time + step))
        time += step
        while (event := merged.next(time)) is not None:
            assert last <= event.arrival <= time
            assert event.stamp <= event.arrival
            # Nothing that has arrived by now is kept back for later.
            assert event.arrival > time - step or event.arrival == last
            last = event.arrival
    for sensor in sensors:
        assert (np.diff(sensor.stamps) > 0).all()


if __name__ == "__main__":
    print(digest(int(sys.argv[1])))
