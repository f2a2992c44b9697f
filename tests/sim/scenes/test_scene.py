"""Solids and their bodies against PyBullet's collision detection."""

from collections.abc import Iterator

import numpy as np
import pybullet
import pytest

from liquid_nav_sim.scenes.bodies import add_scene
from liquid_nav_sim.scenes.scene import Scene, Shape, Solid
from liquid_nav_sim.tasks.target import sample_target_scene

PROBE = 0.01


@pytest.fixture
def client() -> Iterator[int]:
    number = pybullet.connect(pybullet.DIRECT)
    yield number
    pybullet.disconnect(number)


def probe(client: int) -> int:
    shape = pybullet.createCollisionShape(
        pybullet.GEOM_SPHERE, radius=PROBE, physicsClientId=client
    )
    body: int = pybullet.createMultiBody(0.1, shape, physicsClientId=client)
    return body


@pytest.mark.parametrize("shape", list(Shape))
def test_distance_agrees_with_pybullet(client: int, shape: Shape) -> None:
    rng = np.random.default_rng(7)
    sensor = probe(client)
    for _ in range(10):
        size = tuple(rng.uniform(0.3, 2.0, {"sphere": 1, "box": 3, "cylinder": 2}[shape.value]))
        centre, yaw = rng.uniform(2, 4, 3), float(rng.uniform(-np.pi, np.pi))
        solid = Solid(shape, centre, size, (1.0, 0.0, 0.0), yaw)
        scene = sample_target_scene(rng)
        body = add_scene(client, Scene(centre, 0.0, scene.appearance, solid)).target
        for _ in range(20):
            point = centre + rng.uniform(-2.5, 2.5, 3)
            pybullet.resetBasePositionAndOrientation(
                sensor, point.tolist(), (0, 0, 0, 1), physicsClientId=client
            )
            contacts = pybullet.getClosestPoints(sensor, body, 10.0, physicsClientId=client)
            # Inside a solid, Bullet may measure the depth to a face that is not the nearest.
            if (distance := solid.distance(point)) > PROBE:
                assert distance == pytest.approx(
                    min(contact[8] for contact in contacts) + PROBE, abs=2e-3
                )
            else:
                assert min(contact[8] for contact in contacts) < 2e-3
        pybullet.removeBody(body, physicsClientId=client)


def test_distance_inside_is_minus_the_depth_below_the_nearest_face() -> None:
    centre = np.array([1.0, 2.0, 3.0])
    box = Solid(Shape.BOX, centre, (2.0, 1.0, 4.0), (0.0, 0.0, 0.0), yaw=np.pi / 2)
    assert box.distance(centre) == pytest.approx(-0.5)
    assert box.distance(centre + np.array([0.4, 0, 0])) == pytest.approx(-0.1)
    assert box.distance(centre + np.array([0, 0.9, 0])) == pytest.approx(-0.1)
    cylinder = Solid(Shape.CYLINDER, centre, (2.0, 1.0), (0.0, 0.0, 0.0))
    assert cylinder.distance(centre + np.array([0.8, 0, 0])) == pytest.approx(-0.2)
    sphere = Solid(Shape.SPHERE, centre, (2.0,), (0.0, 0.0, 0.0))
    assert sphere.distance(centre) == pytest.approx(-1.0)


def test_radius_encloses_the_solid() -> None:
    assert Solid(Shape.BOX, np.zeros(3), (3.0, 4.0, 9.0), (0, 0, 0)).radius == pytest.approx(2.5)
    assert Solid(Shape.CYLINDER, np.zeros(3), (3.0, 4.0), (0, 0, 0)).radius == pytest.approx(1.5)
    assert Solid(Shape.SPHERE, np.zeros(3), (3.0,), (0, 0, 0)).radius == pytest.approx(1.5)


def test_every_solid_becomes_a_static_body_of_its_size_and_colour(client: int) -> None:
    scene = sample_target_scene(np.random.default_rng(11))
    bodies = add_scene(client, scene)
    assert bodies.target is not None
    ids = (bodies.target, *bodies.obstacles)
    assert len(ids) == len(scene.solids) == pybullet.getNumBodies(physicsClientId=client) - 1
    for body, solid in zip(ids, scene.solids, strict=True):
        (shape,) = pybullet.getVisualShapeData(body, physicsClientId=client)
        assert shape[7] == pytest.approx((*solid.colour, 1.0), abs=1e-6)
        # PyBullet reports sides of a box, (length, radius) of a cylinder, (radius,) of a sphere.
        size = {
            Shape.BOX: shape[3],
            Shape.SPHERE: (2 * shape[3][0],),
            Shape.CYLINDER: (2 * shape[3][1], shape[3][0]),
        }[solid.shape]
        assert size == pytest.approx(solid.size, abs=1e-6)
        position, orientation = pybullet.getBasePositionAndOrientation(body, physicsClientId=client)
        assert position == pytest.approx(solid.position, abs=1e-6)
        yaw = pybullet.getEulerFromQuaternion(orientation)[2]
        assert np.exp(1j * yaw) == pytest.approx(np.exp(1j * solid.yaw), abs=1e-6)
        assert pybullet.getDynamicsInfo(body, -1, physicsClientId=client)[0] == 0


def test_ground_is_solid_and_a_scene_without_target_has_no_target_body(client: int) -> None:
    scene = sample_target_scene(np.random.default_rng(0))
    bodies = add_scene(client, Scene(scene.start_position, 0.0, scene.appearance))
    assert bodies.target is None
    assert bodies.obstacles == ()
    sensor = probe(client)
    pybullet.resetBasePositionAndOrientation(
        sensor, (30, -20, 0.5), (0, 0, 0, 1), physicsClientId=client
    )
    (contact,) = pybullet.getClosestPoints(sensor, bodies.ground, 1.0, physicsClientId=client)
    assert contact[8] == pytest.approx(0.5 - PROBE, abs=1e-6)
