"""The event camera against the arithmetic of its pixels and the geometry of motion."""

from dataclasses import replace
from math import log
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from camera_support import LARGE, bright, euler
from liquid_nav.command import Command
from liquid_nav.errors import EventError
from liquid_nav.events import SECOND
from liquid_nav_sim.config import NOSE_CAMERA, WorldConfig
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.scenes.bodies import add_scene
from liquid_nav_sim.scenes.scene import Shape, Solid
from liquid_nav_sim.sensors.camera import Camera
from liquid_nav_sim.sensors.event_camera import DARK_LEVEL, EventCameraModel, PixelEvents, Pixels
from liquid_nav_sim.sensors.timing import SensorTiming
from liquid_nav_sim.world import World


def grey(level: int, shape: tuple[int, int] = (4, 6)) -> NDArray[np.uint8]:
    return np.full((*shape, 3), level, np.uint8)


def pixels(model: EventCameraModel, level: int, seed: int = 0) -> Pixels:
    return Pixels(model, grey(level), 0, np.random.default_rng(seed))


# Pixels


@given(
    start=st.integers(5, 250),
    end=st.integers(5, 250),
    on=st.floats(0.05, 0.5),
    off=st.floats(0.05, 0.5),
)
def test_a_ramp_makes_as_many_events_as_there_are_thresholds_in_it(
    start: int, end: int, on: float, off: float
) -> None:
    model = EventCameraModel(threshold_on=on, threshold_off=off)
    x, y, t, polarity = pixels(model, start).see(grey(end), 1000)
    threshold = on if end > start else off
    expected = abs(log(end / start)) / threshold
    each = np.zeros((4, 6), dtype=int)
    np.add.at(each, (y, x), 1)
    assert np.all(each == each[0, 0])
    assert expected - 1.001 < each[0, 0] < expected + 0.001
    assert np.all(polarity == (end > start))
    # Level k of the logarithm is crossed at its share of the way.
    for number, time in enumerate(t[(x == 2) & (y == 1)].tolist(), start=1):
        assert time == pytest.approx(1000 * number / expected, abs=1.001)


def test_a_ramp_in_pieces_makes_the_events_of_the_whole() -> None:
    model = EventCameraModel(threshold_on=0.11)
    levels = np.linspace(20, 220, 41).round().astype(int).tolist()
    whole = len(pixels(model, 20).see(grey(220), 1)[2])
    chip = pixels(model, 20)
    counts = [len(chip.see(grey(level), 10 * number)[2]) for number, level in enumerate(levels, 1)]
    assert sum(counts) == whole == 24 * int(log(220 / 20) / 0.11)


def test_nothing_changes_nothing_is_said() -> None:
    chip = pixels(EventCameraModel(mismatch=0.05), 100)
    for time in range(1, 50):
        assert all(len(part) == 0 for part in chip.see(grey(100), time))


def test_there_and_back_is_told_as_often_with_opposite_signs() -> None:
    chip = pixels(EventCameraModel(), 30)
    up = chip.see(grey(200), 1000)
    down = chip.see(grey(30), 2000)
    # The last level reached on the way up is left by one threshold down before a word is said.
    assert len(up[2]) == 24 * int(log(200 / 30) / 0.2)
    assert len(down[2]) in (len(up[2]), len(up[2]) - 24)
    assert up[3].all()
    assert not down[3].any()
    assert (down[2] > 1000).all()


def test_darkness_is_silent() -> None:
    chip = pixels(EventCameraModel(threshold_on=0.01), 0)
    assert len(chip.see(grey(int(DARK_LEVEL)), 10)[2]) == 0


def test_a_refractory_period_silences_a_pixel() -> None:
    model = EventCameraModel(threshold_on=0.1, refractory=3e-4)
    free = pixels(replace(model, refractory=0.0), 20).see(grey(220), SECOND // 1000)
    held = pixels(model, 20).see(grey(220), SECOND // 1000)
    of_one = [t[(x == 3) & (y == 2)] for x, y, t, _ in (free, held)]
    assert np.all(np.diff(of_one[1]) >= 300_000)
    expected = [of_one[0][0]]
    for time in of_one[0].tolist():
        if time - expected[-1] >= 300_000:
            expected.append(time)
    assert of_one[1].tolist() == expected
    assert 1 < len(expected) < len(of_one[0])


def test_thresholds_differ_from_pixel_to_pixel_by_the_mismatch() -> None:
    model = EventCameraModel(threshold_on=0.3, mismatch=0.03)
    chip = Pixels(model, grey(20, (60, 80)), 0, np.random.default_rng(3))
    x, y, t, _ = chip.see(grey(220, (60, 80)), 10**9)
    first = np.full((60, 80), 10**9)
    np.minimum.at(first, (y, x), t)
    thresholds = first / 10**9 * log(220 / 20)
    assert thresholds.mean() == pytest.approx(0.3, abs=0.003)
    assert thresholds.std() == pytest.approx(0.03, rel=0.05)


# A moving edge


@pytest.mark.parametrize("speed", [40.0, -40.0])
def test_a_moving_edge_is_told_where_and_when_it_passes(client: int, speed: float) -> None:
    depth = 8.0
    wall = Solid(Shape.BOX, np.array([depth + 0.05, 20.0, 1.5]), (0.1, 40.0, 20.0), (0.8, 0.8, 0.8))
    scene = bright(wall)  # bright to the left of y = 0, dark to the right
    add_scene(client, scene)
    model = replace(LARGE, width=160, height=20)
    camera = Camera(client, model, scene)
    # Sideways, so that the edge moves by `speed` pixels a second.
    velocity = speed * depth / model.focal_length

    def look(time: float) -> NDArray[np.uint8]:
        return camera.render((0, velocity * time, 1.5), euler(0, 0, 0)).image

    rate, middle = 400, (model.width - 1) / 2
    chip = Pixels(EventCameraModel(camera=model), look(0), 0, np.random.default_rng(0))
    parts = [chip.see(look(k / rate), k * SECOND // rate) for k in range(1, rate + 1)]
    x, y, t, polarity = (np.concatenate(part) for part in zip(*parts, strict=True))
    assert np.all(np.diff(t) >= 0)
    # Going left brings the bright wall's edge to the right, over dark pixels.
    assert np.all(polarity == (speed > 0))
    count = int(log(0.8 * 255 / DARK_LEVEL) / 0.2)
    swept = np.unique(x)
    low, high = sorted((middle, middle + speed))
    assert swept.min() == pytest.approx(low, abs=1.1)
    assert swept.max() == pytest.approx(high, abs=1.1)
    for column in swept[1:-1].tolist():
        crossed = (column - middle) / speed
        times = t[x == column] / SECOND
        assert len(times) == count * model.height
        assert np.abs(times - crossed).max() < 1 / rate + 0.5 / abs(speed)
    assert np.unique(y).tolist() == list(range(model.height))


# In a world

CONFIG = WorldConfig().with_sensor(
    "event_camera",
    model=EventCameraModel(camera=NOSE_CAMERA, mismatch=0.02),
    timing=SensorTiming(rate=250, latency=0.001, latency_jitter=0.002, drop=0.1),
)


def packets(seed: int, config: WorldConfig = CONFIG) -> list[PixelEvents]:
    world, found, last = World(config), [], 0
    try:
        world.reset(seed)
        while (event := world.next_event(SECOND // 2)) is not None:
            assert event.arrival >= last
            last = event.arrival
            world.command(Command(event.arrival, 1.0, 0.0, 0.0, 1.0))
            if isinstance(event, PixelEvents):
                found.append(event)
    finally:
        world.close()
    return found


def content(packet: PixelEvents) -> list[Any]:
    arrays = (packet.x, packet.y, packet.t, packet.polarity)
    return [packet.stamp, packet.arrival, *(array.tobytes() for array in arrays)]


def test_packets_come_in_order_and_again() -> None:
    found = packets(3)
    assert 60 < len(found) < 125
    last = 0
    for packet in found:
        assert packet.arrival >= packet.stamp + SECOND // 1000
        assert packet.t[0] > last
        assert packet.t[-1] <= packet.stamp
        last = packet.stamp
        for array in (packet.x, packet.y, packet.t, packet.polarity):
            assert array.flags.c_contiguous
            assert not array.flags.writeable
    assert [content(packet) for packet in packets(3)] == [content(packet) for packet in found]
    assert [content(packet) for packet in packets(4)] != [content(packet) for packet in found]


def test_without_timing_no_event_camera_is_fitted() -> None:
    assert packets(3, WorldConfig()) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("threshold_on", 0.0),
        ("threshold_off", -0.2),
        ("mismatch", float("nan")),
        ("refractory", -1.0),
    ],
)
def test_a_camera_that_cannot_be_is_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(SimulationError, match=rf"EventCameraModel\.{field}"):
        EventCameraModel(**{field: value})  # type: ignore[arg-type]


def test_packets_that_cannot_be_are_refused_by_name() -> None:
    one, two = np.zeros(1), np.zeros(2)
    with pytest.raises(EventError, match=r"PixelEvents\.polarity"):
        PixelEvents(5, 5, one, one, one, two)  # type: ignore[arg-type]
    with pytest.raises(EventError, match=r"PixelEvents\.t must not decrease"):
        PixelEvents(5, 5, two, two, np.array([3, 2]), two)  # type: ignore[arg-type]
    with pytest.raises(EventError, match="beyond the stamp"):
        PixelEvents(5, 5, one, one, np.array([6]), one)  # type: ignore[arg-type]
