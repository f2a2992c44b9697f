"""A scene of the simulator as ``visualization_msgs/MarkerArray``, for RViz and Foxglove."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from liquid_nav.events import SECOND
from liquid_nav.messages.fields import WORLD, Fields, header, pose, vector3
from liquid_nav_sim.scenes.scene import Scene, Shape, Solid

TYPE = "visualization_msgs/msg/MarkerArray"

GROUND_SIDE = 60.0
"""Side of the square about the origin that is drawn as the ground, metres."""

_MARKERS = {Shape.BOX: 1, Shape.SPHERE: 2, Shape.CYLINDER: 3}
"""Type of ``visualization_msgs/Marker`` for each shape."""

REMOVE_ALL: Fields = {"action": 3}
"""Fields of the marker that removes all others."""

_TARGET_ID = 1
"""Id of the target's marker; the ground has 0, and the obstacles those above."""


def markers(
    scene: Scene,
    time: int,
    stamp: int | None = None,
    moving_only: bool = False,
    frame: str = WORLD,
    moved: Callable[[Solid], Solid] = lambda solid: solid,
) -> list[Fields]:
    """Fields of the markers of ground, target and obstacles, or of the target alone.

    Args:
        scene: the scene; one that moves has a target.
        time: ns since the start of the flight, which sets where the target is.
        stamp: of the markers, ns; `time` if None.
        moving_only: give only the target.
        frame: name of the frame in which the markers are drawn.
        moved: takes a solid from the frame of the scene to that frame.

    """
    solids = dict(enumerate((_ground(scene), *scene.solids)))
    place = scene.target_position(time / SECOND)
    if scene.target is not None and place is not None:
        solids[_TARGET_ID] = replace(scene.target, position=place)
    if moving_only:
        solids = {_TARGET_ID: solids[_TARGET_ID]}
    head = header(time if stamp is None else stamp, frame)
    return [_marker(index, moved(solid), head) for index, solid in solids.items()]


def _ground(scene: Scene) -> Solid:
    red, green, blue = (scene.appearance.ground.mean(axis=(0, 1)) / 255).tolist()
    centre, size = np.array([0.0, 0.0, -0.01]), (GROUND_SIDE, GROUND_SIDE, 0.02)
    return Solid(Shape.BOX, centre, size, (red, green, blue))


def _marker(index: int, solid: Solid, head: Fields) -> Fields:
    """Fields of ``visualization_msgs/Marker``, which stays until another one replaces it."""
    size = solid.size
    sides = {
        Shape.SPHERE: (size[0],) * 3,
        Shape.CYLINDER: (size[0], size[0], size[-1]),
        Shape.BOX: size,
    }[solid.shape]
    red, green, blue = solid.colour
    half = solid.yaw / 2
    return {
        "header": head,
        "ns": "scene",
        "id": index,
        "type": _MARKERS[solid.shape],
        "pose": pose(solid.position, (0.0, 0.0, math.sin(half), math.cos(half))),
        "scale": vector3(sides),
        "color": {"r": red, "g": green, "b": blue, "a": 1.0},
    }
