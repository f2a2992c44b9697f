"""What a camera frame shows, from the scene: an aim of the training beside the commands."""

import math

import numpy as np
from numpy.typing import NDArray

from liquid_nav.learning.data.episodes import SECTORS, Sight
from liquid_nav.learning.experts.avoidance import free_distance, outlines
from liquid_nav_sim.sensors.frames import CameraModel, View
from liquid_nav_sim.world import World

FARTHEST = 12.0
"""Distance up to which free space is told, metres: in 64 pixels of 90 degrees a trunk there is a
pixel wide."""

NEAREST = 0.5
"""The shortest distance whose inverse is told, metres."""

_RAYS = 4
"""Rays in each strip of a frame: thin trunks do not fall between two rays."""


def sight(world: World, view: View) -> Sight:
    """Describe what a frame of the world's camera showed when it was exposed.

    A target is visible if it covers a pixel, a gate if its centre is in the frame. A forest has no
    visible aim: the values of the aim are NaN there. A scene without obstacles has no free space to
    tell: its values are NaN there.

    Returns:
        The `SIGHT` values of `Episode.sight`.

    """
    camera = world.config.sensor("camera").model
    assert isinstance(camera, CameraModel)
    rotation, eye = camera.pose(view.state.position, view.state.orientation)
    aim = _aim(world, view, camera, rotation, eye)
    return (*aim, *_free_space(world, camera, rotation, eye))


def _aim(
    world: World,
    view: View,
    camera: CameraModel,
    rotation: NDArray[np.float64],
    eye: NDArray[np.float64],
) -> tuple[float, float, float, float]:
    """Give visibility, azimuth, elevation and inverse range of the next aim of the task."""
    scene = world.scene
    if scene.target is None and not scene.gates:
        return (math.nan,) * 4
    right, down, forward = (rotation.T @ (view.goal - eye)).tolist()
    half_width = math.tan(camera.horizontal_fov / 2) * forward
    half_height = half_width * camera.height / camera.width
    framed = forward > 0 and abs(right) < half_width and abs(down) < half_height
    return (
        float(framed if scene.target is None else view.target_pixels > 0),
        math.atan2(-right, forward),
        math.atan2(-down, math.hypot(right, forward)),
        1.0 / max(math.sqrt(right**2 + down**2 + forward**2), NEAREST),
    )


def _free_space(
    world: World,
    camera: CameraModel,
    rotation: NDArray[np.float64],
    eye: NDArray[np.float64],
) -> list[float]:
    """Give the inverse of the free distance in each strip of the frame, 1/m."""
    x, y, z, half_height, radius = np.array(outlines(world.scene)).reshape(-1, 5).T
    if not len(x):
        return [math.nan] * SECTORS
    columns = (np.arange(SECTORS * _RAYS) + 0.5) / (SECTORS * _RAYS) * 2 - 1
    rays = rotation[:2, 2:] + rotation[:2, :1] * columns * math.tan(camera.horizontal_fov / 2)
    ways = rays / np.hypot(*rays)
    there = np.abs(z - eye[2]) < half_height
    places, start = np.stack((x, y))[:, there], eye[:2, None]
    free = free_distance(start, ways, places, radius[there], FARTHEST)
    nearest = free.reshape(SECTORS, _RAYS).min(axis=1)
    return [0.0 if d >= FARTHEST else 1.0 / max(d, NEAREST) for d in nearest.tolist()]
