"""Exposure and readout against the geometry of motion."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from math import tan
from typing import Any

import numpy as np
import pybullet
import pytest
from numpy.typing import NDArray

from camera_support import LARGE, ball, bright, centroid, euler
from liquid_nav.command import Command
from liquid_nav.events import SECOND, CameraFrame
from liquid_nav_sim.config import NOSE_CAMERA, WorldConfig
from liquid_nav_sim.render.pinhole import Render
from liquid_nav_sim.scenes.bodies import add_scene
from liquid_nav_sim.scenes.scene import Scene, Shape, Solid
from liquid_nav_sim.sensors.camera import Camera
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.sensors.shutter import Shutter
from liquid_nav_sim.sensors.timing import SensorTiming
from liquid_nav_sim.vehicle.state import Kinematics, Motion
from liquid_nav_sim.world import World

STAMP = SECOND
Path = Callable[[float], tuple[Any, Any]]
"""Position and orientation at a time in seconds after the stamp."""


def state_at(path: Path, time: int) -> Kinematics:
    position, orientation = path((time - STAMP) / SECOND)
    zero = (0.0, 0.0, 0.0)
    return Kinematics(tuple(position), tuple(orientation), zero, zero, zero)


def expose(
    client: int,
    model: CameraModel,
    scene: Scene,
    path: Path,
    move: Callable[[float], None] = lambda _: None,
) -> Render:
    """The frame of `STAMP`, in steps of 2 ms; `move` moves bodies, at times as of a path."""
    shutter, step, staged = Shutter(Camera(client, model, scene)), SECOND // 500, []

    def stage(time: int) -> NDArray[np.float64]:
        staged.append(time)
        move((time - STAMP) / SECOND)
        return np.array([0.0, 0.0, time])

    exposure, now, frame = shutter.open(STAMP), STAMP - shutter.lead - step // 2, None
    while frame is None:
        before, after = state_at(path, now), state_at(path, now + step)
        frame = exposure.advance(Motion(before, after, now, now + step), stage)
        # Nothing is drawn outside the step.
        assert all(now <= time <= now + step for time in staged)
        staged.clear()
        now += step
    assert exposure.end <= now < exposure.end + step
    assert exposure.truth is not None
    state, goal = exposure.truth
    np.testing.assert_allclose(state.position, state_at(path, STAMP).position, atol=1e-9)
    assert goal[2] == STAMP
    return frame


def spinning(rate: float) -> Path:
    return lambda t: ((0, 0, 1.5), euler(0, 0, rate * t))


def poles(*bearings: float) -> Scene:
    """Upright poles that span the view."""
    places = [np.array([5 * np.cos(b), 5 * np.sin(b), 0.0]) for b in bearings]
    return bright(*(Solid(Shape.CYLINDER, p, (0.1, 20.0), (1.0, 1.0, 1.0)) for p in places))


@pytest.mark.parametrize("rate", [3.0, -2.0])
@pytest.mark.parametrize(("groups", "atol"), [(240, 0.5), (8, 0.5)])
def test_a_rolling_shutter_skews_a_spinning_scene_as_theory_says(
    client: int, rate: float, groups: int, atol: float
) -> None:
    readout = 0.03
    scene = poles(0.0)
    add_scene(client, scene)
    model = replace(LARGE, readout=readout, row_groups=groups)
    image = expose(client, model, scene, spinning(rate)).image[..., 0]
    middle, focal = (model.width - 1) / 2, model.focal_length
    height = model.height // groups
    for top in range(0, model.height, max(height, 12)):
        rows = image[top : top + height]
        time = readout * (top + (height - 1) / 2) / model.height
        found = centroid(rows)[0]
        assert found == pytest.approx(middle + focal * tan(rate * time), abs=atol)
    skew = centroid(image[-height:])[0] - centroid(image[:height])[0]
    expected = focal * tan(rate * readout * (model.height - height) / model.height)
    assert skew == pytest.approx(expected, abs=2 * atol)
    assert abs(skew) > 8


def test_a_rolling_shutter_is_the_same_through_a_bent_lens(client: int) -> None:
    scene = poles(-0.5, 0.0, 0.5)
    add_scene(client, scene)
    model = replace(LARGE, readout=0.03, distortion=(-0.28, 0.074, 0.0, 0.0, 0.0))
    rolling = expose(client, model, scene, spinning(3.0))
    height = model.height // model.row_groups
    for group in range(model.row_groups):
        rows = slice(group * height, (group + 1) * height)
        time = model.readout * (rows.start + (height - 1) / 2) / model.height
        still = Camera(client, model, scene).render((0, 0, 1.5), euler(0, 0, 3.0 * time))
        difference = rolling.image[rows].astype(int) - still.image[rows]
        # Its ideal image starts elsewhere, so that edges are sampled at other places.
        assert np.abs(difference).mean() < 1.5
        assert np.mean(rolling.segmentation[rows] == still.segmentation[rows]) > 0.98


@pytest.mark.parametrize("exposure", [0.02, 0.05])
def test_a_streak_is_as_long_as_speed_times_exposure(client: int, exposure: float) -> None:
    speed, depth = 12.0, 6.0
    scene = bright(ball(np.array([depth, 0.0, 1.5]), 0.4))
    add_scene(client, scene)
    model = replace(LARGE, exposure=exposure, exposure_samples=32)

    def sideways(t: float) -> tuple[Any, Any]:
        return (0, speed * t, 1.5), euler(0, 0, 0)

    streak = expose(client, model, scene, sideways).image[..., 0]
    spot = Camera(client, model, scene).render((0, 0, 1.5), euler(0, 0, 0)).image[..., 0]
    length = model.focal_length * speed * exposure / depth
    # A uniform motion over a length adds a twelfth of its square to the spread along it.
    added = spread(streak) - spread(spot)
    assert added[0] == pytest.approx(length**2 / 12, rel=0.03)
    assert added[1] == pytest.approx(0, abs=0.2)
    width = streak.any(axis=0).sum() - spot.any(axis=0).sum()
    assert width == pytest.approx(length, abs=1.5)
    assert streak.sum() == pytest.approx(spot.sum(), rel=0.01)
    # The stamp is the middle of the exposure.
    np.testing.assert_allclose(centroid(streak), centroid(spot), atol=0.2)


def test_what_moves_before_a_camera_at_rest_is_blurred_and_skewed_alike(client: int) -> None:
    speed, depth = 12.0, 6.0
    scene = bright(ball(np.array([depth, 0.0, 1.5]), 0.4))
    body = add_scene(client, scene).obstacles[0]
    model = replace(LARGE, exposure=0.02, readout=0.03, exposure_samples=8)

    def sideways(t: float) -> tuple[Any, Any]:
        return (0, speed * t, 1.5), euler(0, 0, 0)

    def move(t: float) -> None:
        where = (depth, -speed * t, 1.5)
        pybullet.resetBasePositionAndOrientation(body, where, (0, 0, 0, 1), physicsClientId=client)

    by_camera = expose(client, model, scene, sideways).image[..., 0]
    by_body = expose(client, model, scene, lambda t: sideways(0), move).image[..., 0]
    np.testing.assert_allclose(centroid(by_camera), centroid(by_body), atol=0.05)
    np.testing.assert_allclose(spread(by_camera), spread(by_body), rtol=0.01)


def spread(levels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Variance of the brightness along u and v, pixels^2."""
    rows, columns = np.indices(levels.shape)
    weights, (u, v) = levels.astype(np.float64), centroid(levels)
    squares = [((columns - u) ** 2 * weights).sum(), ((rows - v) ** 2 * weights).sum()]
    return np.array(squares) / weights.sum()


def test_without_motion_the_shutter_changes_nothing(client: int) -> None:
    scene = poles(-0.3, 0.2)
    add_scene(client, scene)
    model = replace(LARGE, exposure=0.01, readout=0.02, depth=True)
    frame = expose(client, model, scene, spinning(0.0))
    still = Camera(client, model, scene).render((0, 0, 1.5), euler(0, 0, 0))
    assert frame.depth is not None
    assert still.depth is not None
    np.testing.assert_array_equal(frame.segmentation, still.segmentation)
    np.testing.assert_allclose(frame.image.astype(int), still.image, atol=1)
    np.testing.assert_allclose(frame.depth, still.depth, rtol=1e-3)


def test_more_groups_than_rows_are_the_rows(client: int) -> None:
    scene = poles(0.0)
    add_scene(client, scene)
    model = replace(LARGE, width=40, height=6, readout=0.02, row_groups=100)
    assert expose(client, model, scene, spinning(1.0)).image.shape == (6, 40, 3)


# In a world

SLOW = WorldConfig().with_sensor(
    "camera",
    model=replace(
        NOSE_CAMERA, exposure=0.01, readout=0.03, exposure_samples=3, row_groups=4, depth=True
    ),
    timing=SensorTiming(rate=50, jitter=0.002, latency=0.001, latency_jitter=0.02),
)


def frames(world: World, seed: int, seconds: float = 1.0) -> list[CameraFrame]:
    world.reset(seed)
    found = []
    while (event := world.next_event(round(seconds * SECOND))) is not None:
        world.command(Command(event.arrival, 1.0, 0.0, 0.0, 1.5))
        if isinstance(event, CameraFrame):
            assert event.arrival <= world.time
            found.append(event)
    return found


def test_a_frame_arrives_when_it_has_been_read_out() -> None:
    world = World(SLOW)
    try:
        taken = frames(world, 1)
        assert len(taken) > 40  # exposures overlap: one lasts longer than a period
        for frame in taken:
            assert frame.arrival >= frame.stamp + round(0.035 * SECOND)
            view = world.view(frame)
            assert view.depth is not None
            assert view.depth.shape == frame.image.shape[:2]
            assert view.segmentation is None
        assert all(a.arrival <= b.arrival for a, b in pairwise(taken))
        again = frames(world, 1)
        assert [(f.stamp, f.arrival, f.image.tobytes()) for f in taken] == [
            (f.stamp, f.arrival, f.image.tobytes()) for f in again
        ]
    finally:
        world.close()


def test_a_view_is_that_of_the_stamp_whatever_the_shutter() -> None:
    camera = CameraModel(segmentation=True)
    timing = SensorTiming(rate=30, latency=0.1)
    views = []
    for model in (camera, replace(camera, exposure=0.02, readout=0.01)):
        world = World(WorldConfig().with_sensor("camera", model=model, timing=timing))
        try:
            views.append({frame.stamp: world.view(frame) for frame in frames(world, 2, 0.5)})
        finally:
            world.close()
    still, moving = views
    shared = still.keys() & moving.keys()
    assert len(shared) > 10
    for stamp in shared:
        np.testing.assert_allclose(
            still[stamp].state.position, moving[stamp].state.position, atol=1e-12
        )
        assert still[stamp].segmentation is not None
        assert still[stamp].depth is None


def test_what_moves_is_not_seen_by_a_camera_on_it() -> None:
    # Each row is drawn when it is exposed: later the vehicle would stand before its own camera.
    world = World(
        SLOW.with_sensor("camera", model=replace(SLOW.sensor("camera").model, segmentation=True))
    )
    try:
        segmentations = [world.view(frame).segmentation for frame in frames(world, 3, 2.0)]
        last = max(int(s.max()) for s in segmentations if s is not None)
        assert last <= len(world.scene.solids)
    finally:
        world.close()
