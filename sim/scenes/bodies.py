"""Creates the solids of a scene as static bodies in a PyBullet client."""

from dataclasses import dataclass

import pybullet

from liquid_nav_sim.scenes.scene import Appearance, Scene, Shape, Solid


@dataclass(frozen=True)
class SceneBodies:
    """PyBullet body ids of a scene.

    Attributes:
        ground: the plane z = 0.
        target: the target, or None if the scene has none.
        obstacles: the obstacles, in the order of `Scene.obstacles`.
    """

    ground: int
    target: int | None
    obstacles: tuple[int, ...]


def add_scene(client: int, scene: Scene) -> SceneBodies:
    """Create the ground and the solids of a scene with their collision and visual shapes.

    Args:
        client: PyBullet client to create them in.
        scene: the scene to create.
    """
    ground = _add_ground(client, scene.appearance)
    target = None if scene.target is None else _add_solid(client, scene.target)
    return SceneBodies(ground, target, tuple(_add_solid(client, s) for s in scene.obstacles))


def place_target(client: int, bodies: SceneBodies, scene: Scene, time: float) -> None:
    """Move the target to its position on its route at `time`, seconds into the flight.

    A target without a route stays. The motion is kinematic: no collision changes it.
    """
    if scene.target is None or scene.route is None:
        return
    position = scene.target.position + scene.route.offset(time)
    pybullet.resetBasePositionAndOrientation(
        bodies.target,
        position.tolist(),
        pybullet.getQuaternionFromEuler((0.0, 0.0, scene.target.yaw)),
        physicsClientId=client,
    )


def _add_ground(client: int, appearance: Appearance) -> int:
    shape = pybullet.createCollisionShape(
        pybullet.GEOM_PLANE, planeNormal=(0, 0, 1), physicsClientId=client
    )
    ground: int = pybullet.createMultiBody(0, shape, physicsClientId=client)
    # Only the PyBullet window has to show the plane. Cameras draw the ground themselves, and to
    # render the plane would cost more than all solids together.
    method = pybullet.getConnectionInfo(physicsClientId=client)["connectionMethod"]
    opacity = 1.0 if method == pybullet.GUI else 0.0
    colour = (appearance.ground.mean(axis=(0, 1)) / 255).tolist()
    pybullet.changeVisualShape(ground, -1, rgbaColor=(*colour, opacity), physicsClientId=client)
    return ground


def _add_solid(client: int, solid: Solid) -> int:
    collision: dict[str, object]
    if solid.shape is Shape.BOX:
        kind, collision = pybullet.GEOM_BOX, {"halfExtents": [side / 2 for side in solid.size]}
        visual = collision
    elif solid.shape is Shape.SPHERE:
        kind, collision = pybullet.GEOM_SPHERE, {"radius": solid.radius}
        visual = collision
    else:
        kind, collision = pybullet.GEOM_CYLINDER, {"radius": solid.radius, "height": solid.size[1]}
        visual = {"radius": solid.radius, "length": solid.size[1]}
    body: int = pybullet.createMultiBody(
        baseMass=0,
        baseCollisionShapeIndex=pybullet.createCollisionShape(
            kind, physicsClientId=client, **collision
        ),
        baseVisualShapeIndex=pybullet.createVisualShape(
            kind, rgbaColor=(*solid.colour, 1.0), physicsClientId=client, **visual
        ),
        basePosition=solid.position.tolist(),
        baseOrientation=pybullet.getQuaternionFromEuler((0.0, 0.0, solid.yaw)),
        physicsClientId=client,
    )
    return body
