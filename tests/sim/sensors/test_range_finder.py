"""The range finder: geometry against closed forms, statistics as configured, limits by REP-117."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pybullet
import pytest

from liquid_nav.events import SECOND, RangeSample
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.sensors.range_finder import RangeFinder, RangeFinderModel
from liquid_nav_sim.sensors.timing import SensorTiming
from liquid_nav_sim.vehicle.state import Kinematics, Motion
from liquid_nav_sim.world import World

IDEAL = RangeFinderModel(noise=0.0, noise_ratio=0.0, resolution=0.0)


@pytest.fixture
def client() -> Iterator[int]:
    """A plane at z = 0, a box of 1 m above it at x = 5, and a vehicle's hull (the last body)."""
    client = pybullet.connect(pybullet.DIRECT)

    def add(shape: int, position: Any) -> int:
        body: int = pybullet.createMultiBody(
            0, shape, basePosition=position, physicsClientId=client
        )
        return body

    plane = pybullet.createCollisionShape(pybullet.GEOM_PLANE, physicsClientId=client)
    box = pybullet.createCollisionShape(
        pybullet.GEOM_BOX, halfExtents=[0.5] * 3, physicsClientId=client
    )
    hull = pybullet.createCollisionShape(
        pybullet.GEOM_CYLINDER, radius=0.2, height=0.1, physicsClientId=client
    )
    add(plane, (0, 0, 0))
    add(box, (5, 0, 0.5))
    add(hull, (0, 0, 2))
    yield client
    pybullet.disconnect(client)


def still(position: tuple[float, float, float], orientation: Any) -> Kinematics:
    none = (0.0, 0.0, 0.0)
    return Kinematics(position, tuple(orientation), none, none, none)


def read(
    client: int,
    model: RangeFinderModel,
    position: tuple[float, float, float],
    tilt: tuple[float, float] = (0.0, 0.0),
    seed: int = 0,
    count: int = 1,
) -> list[float]:
    """Readings at a place, tilted by roll and pitch."""
    orientation = np.array(pybullet.getQuaternionFromEuler((*tilt, 0.3)))
    pybullet.resetBasePositionAndOrientation(2, position, orientation, physicsClientId=client)
    state = still(position, orientation.tolist())
    finder = RangeFinder(client, model, 2, np.random.default_rng(seed))
    samples = [finder.measure(Motion(state, state, 0, SECOND), k, k + 1) for k in range(count)]
    return [sample.distance for sample in samples if isinstance(sample, RangeSample)]


@pytest.mark.parametrize("height", [0.15, 1.0, 4.0, 11.9])
def test_level_it_reads_the_height(client: int, height: float) -> None:
    # Single precision, as in sensor_msgs/Range.
    assert read(client, IDEAL, (0, 0, height)) == pytest.approx([height], rel=1e-7)


@pytest.mark.parametrize("tilt", [(0.4, 0.0), (0.0, -0.5), (0.3, 0.6)])
def test_tilted_it_reads_along_the_beam(client: int, tilt: tuple[float, float]) -> None:
    """Height over the cosine of the tilt: the beam is bolted to the body."""
    along = 2.0 / (math.cos(tilt[0]) * math.cos(tilt[1]))
    assert read(client, IDEAL, (0, 0, 2), tilt) == pytest.approx([along], rel=1e-6)


def test_it_sees_what_stands_below(client: int) -> None:
    assert read(client, IDEAL, (5.2, 0.1, 3)) == pytest.approx([2.0], rel=1e-6)
    assert read(client, IDEAL, (5.6, 0.1, 3)) == pytest.approx([3.0], rel=1e-6)


@pytest.mark.parametrize("lever", [(0.1, -0.05, -0.2), (0.1, 0.0, 0.3)])
def test_the_mount_moves_with_the_body(client: int, lever: tuple[float, float, float]) -> None:
    """Above the hull too: the vehicle does not see itself."""
    model = replace(IDEAL, mount_position=lever)
    roll = 0.3
    matrix = np.array(
        pybullet.getMatrixFromQuaternion(pybullet.getQuaternionFromEuler((roll, 0.0, 0.3)))
    ).reshape(3, 3)
    eye = np.array([0, 0, 2.0]) + matrix @ lever
    assert read(client, model, (0, 0, 2), (roll, 0.0)) == pytest.approx(
        [eye[2] / math.cos(roll)], rel=1e-6
    )


def test_out_of_range_is_infinite_on_the_side_it_left(client: int) -> None:
    assert read(client, IDEAL, (0, 0, 12.1)) == [math.inf]
    assert read(client, IDEAL, (0, 0, 500.0)) == [math.inf]
    assert read(client, IDEAL, (0, 0, 0.09)) == [-math.inf]
    assert read(client, IDEAL, (0, 0, 2.0), (math.pi, 0.0)) == [math.inf]


@pytest.mark.parametrize("height", [1.0, 8.0])
def test_noise_grows_with_the_distance(client: int, height: float) -> None:
    model = replace(IDEAL, noise=0.02, noise_ratio=0.01)
    readings = np.array(read(client, model, (0, 0, height), count=4000))
    sigma = math.hypot(0.02, 0.01 * height)
    assert readings.mean() == pytest.approx(height, abs=4 * sigma / 4000**0.5)
    assert readings.std() == pytest.approx(sigma, rel=0.05)


def test_readings_go_in_steps(client: int) -> None:
    readings = np.array(read(client, RangeFinderModel(), (0, 0, 3), count=200)) / 0.01
    np.testing.assert_allclose(readings, np.rint(readings), atol=1e-9)
    assert len(set(np.rint(readings))) > 3


def test_lost_samples_leave_the_noise_of_the_others_alone(client: int) -> None:
    state = still((0.0, 0.0, 2.0), (0.0, 0.0, 0.0, 1.0))
    motion = Motion(state, state, 0, SECOND)

    def flight(lost: set[int]) -> dict[int, float]:
        finder = RangeFinder(client, RangeFinderModel(), 2, np.random.default_rng(1))
        found = {}
        for stamp in range(10):
            sample = finder.measure(motion, stamp, None if stamp in lost else stamp)
            if sample is not None:
                found[stamp] = sample.distance
        return found

    whole, holed = flight(set()), flight({2, 3, 7})
    assert holed == {stamp: whole[stamp] for stamp in whole if stamp not in {2, 3, 7}}


def test_in_a_world_it_follows_the_flight() -> None:
    timing = SensorTiming(rate=50, latency=0.01)
    world = World(
        WorldConfig().with_sensor("range_finder", model=IDEAL, timing=timing).without("camera")
    )
    world.reset(3)
    heights = []
    while (event := world.next_event(SECOND)) is not None:
        if isinstance(event, RangeSample):
            assert event.latency == 10_000_000
            heights.append(event.distance)
    assert len(heights) == pytest.approx(50, abs=1)
    assert heights[-1] == pytest.approx(world.state.position[2], abs=0.05)
    world.close()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("min_range", -0.1),
        ("max_range", 0.1),
        ("max_range", math.inf),
        ("noise", math.nan),
        ("noise_ratio", -1.0),
        ("resolution", math.inf),
        ("mount_position", (0.0, 1.0)),
    ],
)
def test_a_bad_model_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(SimulationError, match=f"RangeFinderModel.{name} "):
        RangeFinderModel(**{name: value})
