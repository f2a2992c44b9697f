"""Scenes and views for tests of the camera, and OpenCV's word on where things appear."""

from dataclasses import replace
from math import pi

import cv2
import numpy as np
import pybullet
from numpy.typing import NDArray

from liquid_nav_sim.scenes.scene import Appearance, Scene, Shape, Solid
from liquid_nav_sim.sensors.frames import CameraModel

GREY = np.full((64, 64, 3), 90, dtype=np.uint8)
LARGE = CameraModel(width=320, height=240, horizontal_fov=1.4)


def plain(ground: NDArray[np.uint8] = GREY, scale: float = 4.0, **solids: object) -> Scene:
    """A scene under a sun in the zenith, so that the ground has its texture's own colours."""
    look = Appearance(ground, scale, (0.2, 0.3, 1.0), (0.8, 0.9, 1.0), np.array([0.0, 0, 1]), 0.5)
    return Scene(np.array([0.0, 0.0, 1.5]), 0.0, look, **solids)  # type: ignore[arg-type]


def euler(roll: float, pitch: float, yaw: float) -> NDArray[np.float64]:
    return np.array(pybullet.getQuaternionFromEuler((roll, pitch, yaw)))


def project(
    points: NDArray[np.float64],
    model: CameraModel,
    position: NDArray[np.float64],
    orientation: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Pixels by OpenCV, from a chain of elementary rotations independent of the camera's own."""
    body_to_world = np.array(pybullet.getMatrixFromQuaternion(orientation)).reshape(3, 3)
    left, _ = cv2.Rodrigues(np.array([0.0, 0.0, model.mount_yaw]))
    up, _ = cv2.Rodrigues(np.array([0.0, -model.mount_pitch, 0.0]))
    right, _ = cv2.Rodrigues(np.array([model.mount_roll, 0.0, 0.0]))
    optical_to_level = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    rotation = (body_to_world @ left @ up @ right @ optical_to_level).T
    eye = position + body_to_world @ np.array(model.mount_position)
    pixels, _ = cv2.projectPoints(
        points,
        cv2.Rodrigues(rotation)[0],
        -rotation @ eye,
        model.matrix,
        np.array(model.distortion),
    )
    return np.asarray(pixels.reshape(-1, 2))


def random_view(
    rng: np.random.Generator,
) -> tuple[CameraModel, NDArray[np.float64], NDArray[np.float64]]:
    model = replace(
        LARGE,
        mount_position=tuple(rng.uniform(-0.3, 0.3, 3)),
        mount_pitch=float(rng.uniform(-0.5, 0.5)),
        mount_yaw=float(rng.uniform(-pi, pi)),
        mount_roll=float(rng.uniform(-pi, pi)),
    )
    attitude = euler(rng.uniform(-0.7, 0.7), rng.uniform(-0.4, 0.4), rng.uniform(-pi, pi))
    return model, rng.uniform((-5, -5, 2), (5, 5, 6)), attitude


def along(
    model: CameraModel,
    position: NDArray[np.float64],
    attitude: NDArray[np.float64],
    u: float,
    v: float,
    distance: float,
) -> NDArray[np.float64]:
    rotation, eye = model.pose(position, attitude)
    ray = rotation @ np.linalg.solve(model.matrix, [u, v, 1.0])
    return np.asarray(eye + distance * ray)


def bright(*solids: Solid) -> Scene:
    """White solids without shades in front of black."""
    scene = plain(np.zeros((64, 64, 3), np.uint8), obstacles=solids)
    black = (0.0, 0.0, 0.0)
    look = replace(scene.appearance, sky_zenith=black, sky_horizon=black, ambient=1.0)
    return replace(scene, appearance=look)


def ball(centre: NDArray[np.float64], diameter: float) -> Solid:
    """A white sphere."""
    return Solid(Shape.SPHERE, centre, (diameter,), (1.0, 1.0, 1.0))


def centroid(levels: NDArray[np.generic]) -> NDArray[np.float64]:
    """Centre of brightness u, v of an image of one colour, pixels."""
    rows, columns = np.indices(levels.shape)
    weights = levels.astype(np.float64)
    return np.array([(columns * weights).sum(), (rows * weights).sum()]) / weights.sum()
